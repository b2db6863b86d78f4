"""A dataset in a notebook: a table of its first records, and what is completed within brackets."""

from __future__ import annotations

import os
import types
import warnings
from typing import Any

from dsrecords._dataset.reading import Reading
from dsrecords._export.cells import Cells, described, is_readable, loader, safe
from dsrecords._export.thumbnails import counted
from dsrecords._format.layout import NONE
from dsrecords._read.lengths import knows_sizes, payload_sizes
from dsrecords._read.plan import Plan
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.schema import Field
from dsrecords._types.base import Load, Type
from dsrecords._types.compressed import Zstd
from dsrecords._types.scalars import Scalar
from dsrecords.errors import DSRecordsError

_MOST_RECORDS = 5
_MOST_FIELDS = 12
_MOST_BYTES = 2**20  # of a value that is read
_MOST_BYTES_OF_IMAGES = 2**24  # of a value with images
_IMAGES = ("image", "jpeg", "png", "webp")  # in the name of a type
_UNREADABLE = (  # what is said in a cell: nothing is raised while a notebook shows a dataset
    DSRecordsError,
    ImportError,
    MemoryError,
    OSError,
    RecursionError,
    ValueError,
)
_PALE = "opacity:0.6"
_CELL = "text-align:left;vertical-align:top;max-width:24em;overflow:hidden;padding:0.3em 0.6em"


class _AnyIndex(int):
    """Stands for the index of any record: IPython compares it with the one that was typed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


def key_completions(reading: Reading) -> list[Any]:
    """Return what IPython completes: the names of fields, behind an index."""
    schema = reading.fields.schema
    if not schema.named:
        return []
    index = _AnyIndex()
    return [(index, key) for key in schema.keys]


class _TooLargeError(Exception):
    """A value that is not decompressed.

    Attributes:
        size: the bytes that it would have.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def dataset_html(reading: Reading, description: str) -> str:
    """Return the first records as an HTML table.

    The work is bounded: values that take many bytes are described and not read, images of many
    pixels not decoded. What cannot be read says so in its cell; nothing is raised.

    Args:
        reading: the dataset.
        description: what `repr` says of it, for a dataset that is closed or of dsrecords 0.4.
    """
    if reading.source is None or not knows_sizes(reading.snapshot()):
        return f"<pre>{safe(description)}</pre>"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as Pillow's, of images that claim to be huge
        return _Table(reading.selected(slice(None))).html()


class _Table:
    """The table of a list of records."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._cells = Cells()
        self._count = reading.count()
        self._fields: dict[Any, Field] = {}
        self._plans: dict[Any, Plan] = {}
        keys = reading.fields.schema.keys
        self._hidden = max(len(keys) - _MOST_FIELDS, 0)
        shown_keys = keys[:_MOST_FIELDS]
        for key, field in zip(shown_keys, reading.fields.selected()):
            load = _bounded_loader(field.type)
            self._fields[key] = field
            self._plans[key] = Plan(
                reading.fields.header,
                [(field, load)],
                copy=True,
                shape=None,
            )

    def html(self) -> str:
        """Return the table."""
        shown = min(self._count, _MOST_RECORDS)
        name = safe(os.path.basename(self._reading.path))
        count = counted(self._count, "record")
        parts = [f"<div><div>{name}: {count}</div>"]
        parts.append("<table><thead><tr><th></th>")
        for key, field in self._fields.items():
            parts.append(_header_cell(key, field))
        parts.append("</tr></thead><tbody>")
        parts.extend(map(self._row, range(shown)))
        parts.append("</tbody></table>")
        parts.append(self._footer(self._count - shown))
        parts.append("</div>")
        return "".join(parts)

    def _footer(self, records: int) -> str:
        """Return how many records and fields are not shown."""
        more = []
        if records:
            more.append(counted(records, "more record"))
        if self._hidden:
            more.append(counted(self._hidden, "more field"))
        if not more:
            return ""
        listed = " and ".join(more)
        return f'<div style="{_PALE}">… {listed}</div>'

    def _row(self, index: int) -> str:
        cells = [f'<tr><td style="vertical-align:top;{_PALE}">{index}</td>']
        for key, field in self._fields.items():
            try:
                cell = self._cell(index, key, field)
            except _UNREADABLE as error:
                reason = getattr(error, "message", str(error))
                title = safe(str(error))
                cell = f'<em title="{title}">{safe(reason)}</em>'
            cells.append(f'<td style="{_CELL}">{cell}</td>')
        cells.append("</tr>")
        return "".join(cells)

    def _cell(self, index: int, key: Any, field: Field) -> str:
        kind = field.type
        snapshot = self._reading.snapshot()
        position = self._reading.position(index, snapshot)
        if not isinstance(kind, Scalar):
            size = _size(snapshot, position, field)
            if size is None:
                return self._cells.render(kind, None)
            if not is_readable(kind) or size > _limit(kind):
                return described(kind, size)
        try:
            value = self._plans[key].read(snapshot, position)
        except _TooLargeError as error:
            return described(kind, error.size)
        return self._cells.render(kind, value)


def _header_cell(key: Any, field: Field) -> str:
    name = safe(str(key))
    kind = safe(field.type.name)
    small = f'<small style="font-weight:normal;{_PALE}">{kind}</small>'
    return f'<th style="{_CELL}">{name}<br>{small}</th>'


def _size(snapshot: Snapshot, position: int, field: Field) -> int | None:
    """Return how many bytes a payload takes; None if it is None."""
    only = range(position, position + 1)
    (size,) = payload_sizes(snapshot, only, field)
    if size == NONE:
        return None
    return int(size)


def _limit(kind: Type) -> int:
    for word in _IMAGES:
        if word in kind.name:
            return _MOST_BYTES_OF_IMAGES
    return _MOST_BYTES


def _bounded_loader(kind: Type) -> Load:
    """Return what reads a value, unless zstd would make too much of it."""
    load = loader(kind)
    if not isinstance(kind, Zstd):
        return load

    def load_bounded(self: Zstd, data: memoryview, copy: bool) -> Any:
        size = self.plain_size(data)
        if size > _limit(kind):
            raise _TooLargeError(size)
        return load(data, copy)

    return types.MethodType(load_bounded, kind)
