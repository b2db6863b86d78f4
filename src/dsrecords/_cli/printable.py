"""Text that no terminal obeys: whatever a file contains is shown."""

from __future__ import annotations

_START = 800
_END = 200


def printable(text: str) -> str:
    """Return a text in which everything but printable characters is escaped, as Python writes it.

    That is: control characters, line ends, invisible characters, those that turn the direction of
    text around, and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    shown = map(_shown, text)
    return "".join(shown)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    escaped = character.encode("unicode_escape", "backslashreplace")
    return escaped.decode("ascii")


def one_line(text: str) -> str:
    """Return a printable text of one line; its line ends become spaces.

    Of a long one the middle is left out: what was wrong often stands at the end.
    """
    lines = text.split("\n")
    joined = " ".join(lines)
    line = printable(joined)
    if len(line) > _START + _END:
        return f"{line[:_START]}…{line[-_END:]}"
    return line


def shortened(text: str, length: int) -> str:
    """Return a printable text of at most so many characters."""
    if len(text) > length:  # cut before it is escaped, which would take long for a large one
        start = printable(text[:length])
        return f"{start[: length - 1]}…"
    escaped = printable(text)
    if len(escaped) > length:
        return f"{escaped[: length - 1]}…"
    return escaped
