"""What is done at a record that cannot be read, and the list of those that were left out."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from dsrecords._warning import warn_user
from dsrecords.errors import CorruptError, DecodeError

Unreadable = CorruptError | DecodeError
OnError = str | Callable[[Unreadable], object]  # "raise", "skip" or a function

UNREADABLE = (CorruptError, DecodeError)
"""What may be left out: a missing package is no matter of one record."""

_KINDS = {kind.__name__: kind for kind in UNREADABLE}
_NEWLINE = b"\n"

# Of the names of folders, which nobody can foresee, and no two objects share.
_token = uuid.uuid4().hex
_numbers = itertools.count()

# File and field of the values that could not be decoded, of which this process was warned.
_warned: set[tuple[Any, Any]] = set()


class Skipped:
    """The errors of the records that were left out, in this process and in its workers.

    A forked worker, or one that got a pickle, writes each error as a line of JSON into a file of
    its own, in a folder that was agreed on before. So no one waits for another, and a worker that
    is killed loses at most a line. The folder is made when it is first needed, and removed with
    the object whose workers they are.

    Args:
        on_error: of the dataset; only with "skip" are files expected.
        folder: of the object that was pickled; None: this one is the first.
        owner: id of the process that has that object.
    """

    def __init__(
        self,
        on_error: OnError,
        folder: str | None = None,
        owner: int | None = None,
    ) -> None:
        process = os.getpid()
        self._folder = ""
        self._owner = process
        self._maker = process
        self._errors: list[Unreadable] = []
        self._read: dict[str, int] = {}  # by the name of a worker's file, bytes that were read
        if folder and owner not in (None, process):
            self._folder = folder
            self._owner = owner or process
        elif on_error == "skip":
            self._choose_folder()

    def _choose_folder(self) -> None:
        name = f"dsrecords-skipped-{_token}-{self._owner}-{next(_numbers)}"
        with contextlib.suppress(FileNotFoundError):  # there is no temporary folder
            self._folder = os.path.join(tempfile.gettempdir(), name)
            weakref.finalize(self, _remove, self._folder, self._owner)

    def shared(self, on_error: OnError) -> tuple[Any, ...]:
        """Return what a pickle takes along: the arguments of the worker's object."""
        if on_error != "skip":
            return (on_error,)
        if self._owner == os.getpid():
            if not self._folder:
                self._choose_folder()
            self._make_folder()
        return on_error, self._folder, self._owner

    def errors(self) -> list[Unreadable]:
        """Return all errors: the same list each time, to which those of workers are added."""
        if self._owner == os.getpid():
            self._gather()
        return self._errors

    def add(self, error: Unreadable) -> None:
        """Add an error of this process."""
        self._errors.append(error)
        if self._owner == os.getpid() or not self._folder:
            return
        with contextlib.suppress(OSError):  # the loop is not to end because this disk is full
            self._report(error)

    def _report(self, error: Unreadable) -> None:
        described = {
            "kind": type(error).__name__,
            "message": error.message,
            "file": error.file,
            "record": error.record,
            "field": error.field,
            "offset": error.offset,
        }
        line = json.dumps(described).encode() + _NEWLINE
        if self._maker == self._owner:
            # A fork. A pickle has had the folder made: where it is missing, it was removed.
            self._make_folder()
        path = os.path.join(self._folder, str(os.getpid()))
        with open(path, "ab", buffering=0) as file:
            file.write(line)

    def _make_folder(self) -> None:
        if self._folder:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)

    def _gather(self) -> None:
        """Add the errors that workers have written since."""
        if not self._folder:
            return
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                with open(entry.path, "rb") as file:
                    file.seek(self._read.get(entry.name, 0))
                    lines = file.read()
                complete, _, _ = lines.rpartition(_NEWLINE)
                if complete:
                    size = len(complete) + len(_NEWLINE)
                    self._read[entry.name] = self._read.get(entry.name, 0) + size
                    for line in complete.split(_NEWLINE):
                        self._add_reported(line)

    def _add_reported(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # what a killed worker left
            described = json.loads(line)
            kind = _KINDS[described.pop("kind")]
            self._errors.append(kind(**described))


def _remove(folder: str, process: int) -> None:
    is_owner = os.getpid() == process  # a fork has the object too
    if is_owner and os.path.isdir(folder):
        shutil.rmtree(folder, ignore_errors=True)


def pass_over(
    error: Unreadable,
    on_error: OnError,
    skipped: Skipped,
) -> None:
    """Do what `on_error` says at a record that is left out.

    Raises:
        CorruptError, DecodeError: it says "raise".
        Exception: what a function of the user's raises.
    """
    if callable(on_error):
        on_error(error)
        return
    if on_error == "raise":
        raise error
    skipped.add(error)
    where = (error.file, error.field)
    if isinstance(error, DecodeError) and where not in _warned:
        _warned.add(where)
        warn_user(f"left out, as are others of this field that cannot be decoded here: {error}")
