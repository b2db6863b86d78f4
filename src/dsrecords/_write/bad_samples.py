"""Samples that are left out of a new dataset, as they cannot be encoded. Knows nothing of files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from dsrecords.errors import SchemaError, UnsupportedVersionError, annotate

OnError = str | Callable[[Exception], Any]

KEY = "skipped_samples"
"""Of the metadata: how many samples were left out, and what is wrong with the first ones."""

_MOST_KEPT = 100  # errors in the metadata
_MOST_SHOWN = 3  # errors in the warning
_LONGEST = 200  # characters of an error that are kept
_MOST_AT_FIRST = 1000  # samples, if all are bad: then the schema is wrong, and not the samples

# What a path can have that a sample names. Other errors are of the disk, or of the system.
_OF_A_PATH = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    )
)


class BadSamples:
    """The samples that are left out.

    Args:
        on_error: "skip", or a function that is called with the error of each.

    Attributes:
        count: how many there are.
    """

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self.count = 0
        self._first_error: Exception | None = None
        self._first: list[tuple[int, str]] = []  # as text: an error would keep its sample

    def leave_out(self, position: int, error: Exception) -> None:
        """Note that a sample is left out.

        Args:
            position: of the sample.
            error: what encoding it has raised. It is raised again if it is not of the sample, or if
                no sample at all could be encoded so far.
        """
        if not _is_of_sample(error):
            raise error
        self.count += 1
        if len(self._first) < _MOST_KEPT:
            text = _text_of(error)
            self._first.append((position, text[:_LONGEST]))
            self._first_error = self._first_error or error
        if callable(self._on_error):
            self._on_error(error)
        if self.count == _MOST_AT_FIRST and position < _MOST_AT_FIRST:
            self.require_others(0)

    def require_others(self, count: int) -> None:
        """Raise the first error if all samples are bad: a schema that fits none is to be seen.

        Args:
            count: of the samples that could be encoded.
        """
        error = self._first_error
        if count or error is None:
            return
        note = f"none of the first {self.count} samples can be encoded, so none is left out"
        if isinstance(error, SchemaError):
            error.message += f"; {note}"
        else:
            annotate(error, note)
        raise error

    def report(self) -> dict[str, Any]:
        """Return what the metadata have at `KEY`."""
        errors = []
        for position, text in self._sorted():
            error = {"sample": position, "error": text}
            errors.append(error)
        return {"count": self.count, "first": errors}

    def summary(self) -> str:
        """Return what a warning says."""
        shown = [text for _, text in self._sorted()[:_MOST_SHOWN]]
        verb = "samples were"
        if self.count == 1:
            verb = "sample was"
        listed = "; ".join(shown)
        text = f"{self.count} {verb} left out: {listed}"
        if self.count > len(shown):
            text += f"; … (metadata[{KEY!r}] has more)"
        return text

    def _sorted(self) -> list[tuple[int, str]]:
        # Worker processes report theirs later than what the samples themselves have raised.
        return sorted(self._first)


def require_valid_on_error(on_error: Any) -> None:
    """Raise ValueError if this is not what `make_dataset` takes as `on_error`."""
    if on_error not in ("raise", "skip") and not callable(on_error):
        raise ValueError(f"on_error must be 'raise', 'skip' or a function, not {on_error!r}")


def _is_of_sample(error: Exception) -> bool:
    """Whether an error says something of one sample, rather than of what encodes all of them."""
    if isinstance(error, OSError):
        # Without a number it is of no system call: Pillow says so of a broken image.
        return error.errno is None or error.errno in _OF_A_PATH
    return not isinstance(error, (ImportError, MemoryError, UnsupportedVersionError))


def _text_of(error: Exception) -> str:
    """Return what an error says, with its class if it is not ours."""
    if isinstance(error, SchemaError):
        return str(error)
    parts = [*getattr(error, "__notes__", []), type(error).__name__, str(error)]
    return ": ".join(parts)
