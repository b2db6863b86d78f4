"""What is shown while something takes longer than a second and has no progress bar of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType

from dsrecords._cli.printable import shortened
from dsrecords._stats.text import byte_count

_PATIENCE = 1.0  # seconds before anything is shown
_INTERVAL = 0.2  # seconds between two looks
_BAR = 24  # characters
_LONGEST = 40
_CLEAR = "\r\x1b[K"


def is_shown() -> bool:
    """Return whether progress is shown: on a terminal."""
    return sys.stderr.isatty()


class Busy:
    """A context in which a line says what is being done, for how long, and how far it is.

    Args:
        what: is done.
        growing: path of a file that is being written.
        total: how large that file will be, about, in bytes; 0 if that is not known.
    """

    def __init__(
        self,
        what: str,
        growing: str = "",
        total: int = 0,
    ) -> None:
        self._what = shortened(what, _LONGEST)
        self._growing = growing
        self._total = total
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Busy:
        if is_shown():
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        start = time.monotonic()
        if self._ended.wait(_PATIENCE):
            return
        while True:
            seconds = time.monotonic() - start
            sys.stderr.write(f"{_CLEAR}{self._what}  {self._progress()}{seconds:.0f} s")
            sys.stderr.flush()
            if self._ended.wait(_INTERVAL):
                break
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()

    def _progress(self) -> str:
        try:
            size = os.stat(self._growing).st_size
        except OSError:
            return ""
        if not self._total:
            return f"{byte_count(size)}  "
        share = min(1.0, size / self._total)
        full = round(share * _BAR)
        bar = "█" * full + "░" * (_BAR - full)
        return f"{bar} {share:4.0%}  {byte_count(size)} of {byte_count(self._total)}  "
