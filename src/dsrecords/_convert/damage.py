"""What is left out of a conversion: rows of the source that cannot be read, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OnError = str | Callable[[Exception], Any]

_MOST_KEPT = 100  # errors of which the text is kept
_MOST_SHOWN = 3
_LONGEST = 300  # characters of such a text


class Damage:
    """Takes the errors of rows that cannot be read.

    Args:
        on_error: "raise", "skip", or a function that is called with each error.

    Attributes:
        on_error: what was given.
        count: how many rows were left out.
        first: what is wrong with the first of them.
    """

    def __init__(self, on_error: OnError = "raise") -> None:
        self.on_error = on_error
        self.count = 0
        self.first: list[str] = []
        self._first_error: Exception | None = None

    @property
    def may_skip(self) -> bool:
        """Whether anything may be left out."""
        return self.on_error != "raise"

    def leave_out(self, error: Exception) -> None:
        """Note that a row is left out; raise its error if none may be."""
        if not self.may_skip:
            raise error
        if callable(self.on_error):
            self.on_error(error)
        self.count += 1
        self._first_error = self._first_error or error
        if len(self.first) < _MOST_KEPT:
            self.first.append(f"{error}"[:_LONGEST])

    def require_others(self, count: int) -> None:
        """Raise the first error if nothing could be read at all.

        Args:
            count: of the rows that could.
        """
        if self._first_error is not None and not count:
            raise self._first_error

    def summary(self) -> str:
        """Return what a warning says."""
        what = "places of the source were" if self.count > 1 else "place of the source was"
        shown = "; ".join(self.first[:_MOST_SHOWN])
        text = f"{self.count} {what} left out: {shown}"
        if self.count > _MOST_SHOWN:
            text += "; …"
        return text
