"""What the page may change: one field of one record at a time, which can be undone."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords.viewer.served import Served

_INTEGER = re.compile(r"u?int(8|16|32|64)")
_FLOAT = re.compile(r"b?float(16|32|64)")
_TIME = re.compile(r"(datetime64|timedelta64)\[([a-zA-Z]+)\]")
_TRUTHS = {"true": True, "false": False}


class Change(NamedTuple):
    """A change that was made.

    Attributes:
        file: number of the dataset in the page.
        position: of the record in it.
        field: that was changed.
        before: its value before that.
    """

    file: int
    position: int
    field: str | int
    before: Any


class Edits:
    """The datasets of a page, opened to be changed at their first change, and what was changed.

    From then on they are locked for other writers, until `close`. Threads may share it.
    """

    def __init__(
        self,
        found: Served,
        open_dataset: Callable[..., Any],
    ) -> None:
        """Remember what may be edited.

        Args:
            found: what is shown.
            open_dataset: `dsrecords.open`.
        """
        self._found = found
        self._open = open_dataset
        self._lock = threading.Lock()
        self._shown: dict[int, Any] = {}
        self._files: dict[str, Any] = {}
        self._done: list[Change] = []

    def change(
        self,
        file: int,
        position: int,
        field: str | int,
        text: str | None,
        count: int,
    ) -> dict[str, Any]:
        """Give a field of a record another value.

        Args:
            file: number of the dataset.
            position: of the record.
            field: its name, or its number where fields have none.
            text: of the value, as it is typed; None for None.
            count: how many records the page has seen. Others may have deleted some since, so that
                the position is another record's.

        Returns:
            What can be undone: see `state`.

        Raises:
            ValueError: the text is no value of the field's type, the field cannot be edited, or
                there are more or fewer records now.
            IndexError: there is no such record.
            DSRecordsError: the dataset is locked, read-only or damaged; or the value does not fit.
        """
        with self._lock:
            dataset, own = self._place(file, position)
            self._require_count(file, count)
            schema = dataset.schema
            if field not in dataset.fields:
                raise ValueError(f"there is no field {field!r}")
            value = parsed(text, schema[field])
            before = dataset[own, field]
            dataset[own, field] = value
            dataset.flush()
            change = Change(
                file,
                position,
                field,
                before,
            )
            self._done.append(change)
            return self._state()

    def undo(self) -> dict[str, Any]:
        """Give the field that was changed last its value back.

        Raises:
            ValueError: nothing was changed, or all of it is undone.
            DSRecordsError: as `change`.
        """
        with self._lock:
            if not self._done:
                raise ValueError("there is nothing to undo")
            last = self._done[-1]
            dataset, own = self._place(last.file, last.position)
            dataset[own, last.field] = last.before
            dataset.flush()
            self._done.pop()
            return self._state()

    def state(self) -> dict[str, Any]:
        """Return how many changes can be undone, and which is the next one."""
        with self._lock:
            return self._state()

    def view(self, file: int, positions: Sequence[int]) -> bytes:
        """Return a saved view of some records, as the bytes of its file.

        Raises:
            ValueError: the dataset is not one file on this machine.
            IndexError: there is no such record.
            DSRecordsError: the dataset is damaged.
        """
        with self._lock:
            sources = self._sources(file)
            if len(sources) != 1:
                raise ValueError("a view is of one data file: save the positions instead")
            dataset = self._files.get(sources[0])
            if dataset is not None:
                return _saved(dataset, positions)
            with self._open(sources[0], index_path=self._found.views[file]) as opened:
                return _saved(opened, positions)

    def close(self) -> None:
        """Close what was opened, which writes the indices."""
        with self._lock:
            for dataset in self._shown.values():
                dataset.close()
            for dataset in self._files.values():
                dataset.close()
            self._shown.clear()
            self._files.clear()

    def _state(self) -> dict[str, Any]:
        following = None
        if self._done:
            last = self._done[-1]
            following = {
                "file": last.file,
                "position": last.position,
                "field": last.field,
            }
        return {
            "changes": len(self._done),
            "next": following,
        }

    def _sources(self, file: int) -> list[str]:
        if not 0 <= file < len(self._found.sources):
            raise ValueError(f"there is no dataset {file}")
        return self._found.sources[file]

    def _place(self, file: int, position: int) -> tuple[Any, int]:
        """The data file that has a record, to be changed, and its position in that."""
        sources = self._sources(file)
        if not self._found.shown[file]["editable"]:
            raise ValueError("this dataset is only shown: edit its data file")
        if len(sources) == 1:
            return self._opened(sources[0]), position
        if file not in self._shown:
            self._shown[file] = self._open(sources)
        path, own = self._shown[file].shard_of(position)
        return self._opened(path), own

    def _require_count(self, file: int, count: int) -> None:
        """Raise ValueError if the page has seen another number of records than there are."""
        shown = self._shown.get(file)
        if shown is None:
            shown = self._opened(self._sources(file)[0])
        if len(shown) != count:
            raise ValueError(f"the dataset has {len(shown):,} records now: reload the page")

    def _opened(self, path: str) -> Any:
        if path not in self._files:
            self._files[path] = self._open(path)
        return self._files[path]


def parsed(text: str | None, type_name: str) -> Any:
    """Return the value that a text states.

    Raises:
        ValueError: it is none of this type, or values of the type cannot be typed.
    """
    name = type_name.removesuffix("?")
    if text is None:
        if name == type_name:
            raise ValueError(f"a value of {type_name} cannot be None")
        return None
    if name == "str" or name.startswith("category["):
        return text
    if name == "bool":
        return _truth(text)
    if _INTEGER.fullmatch(name):
        return int(text)
    if _FLOAT.fullmatch(name):
        return float(text)
    time = _TIME.fullmatch(name)
    if time is None:
        raise ValueError(f"a value of {type_name} cannot be edited here")
    unit: Any = time[2]
    if time[1] == "timedelta64":
        return np.timedelta64(int(text), unit)
    value = np.datetime64(text, unit)
    if value != np.datetime64(text):
        raise ValueError(f"{text} is finer than {type_name}")
    return value


def _truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _TRUTHS[text]


def _saved(dataset: Any, positions: Sequence[int]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dsrecords-") as folder:
        path = os.path.join(folder, "view.idx")
        indices = np.array(positions, np.int64)
        view = dataset[indices]
        view.save_view(path)
        with open(path, "rb") as file:
            return file.read()
