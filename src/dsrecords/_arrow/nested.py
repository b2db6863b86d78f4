"""Lists, structs and maps in Arrow."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from dsrecords._arrow.base import (
    Form,
    Values,
    joined,
    length_of,
    mask_array,
    missing,
    offsets_of,
    pyarrow,
    restored_each,
    restored_lists,
)
from dsrecords._types.base import Type
from dsrecords._types.strings import Str
from dsrecords._types.structs import Struct
from dsrecords._types.tables import list_of


class ListForm(Form):
    """`list[T]`: a list.

    Args:
        kind: the type.
        item: the form of the items.
    """

    def __init__(self, kind: Type, item: Form) -> None:
        raw = list_of(item.raw)
        arrow_type = pyarrow().list_(item.arrow_type)
        super().__init__(kind, raw, arrow_type)
        self.item = item

    def build(self, values: Values) -> Any:
        lengths = np.fromiter(map(length_of, values), np.int64, len(values))
        present = [value for value in values if value is not None]
        items = joined(present)
        return pyarrow().ListArray.from_arrays(
            offsets_of(lengths),
            self.item.build(items),
            mask=mask_array(missing(values)),
        )

    def restore(self, array: Any) -> Values:
        flat = array.flatten()
        items = self.item.restore(flat)
        lengths = array.value_lengths().fill_null(0)
        ends = np.cumsum(lengths.to_numpy(zero_copy_only=False))
        offsets = np.append([0], ends)
        return restored_lists(array, offsets, items)

    def written(self) -> str:
        return f"list[{self.item.written_name()}]"


class StructForm(Form):
    """`{name: T, …}`: a struct.

    Args:
        kind: the type.
        parts: the forms of its parts, by name.
    """

    def __init__(self, kind: Type, parts: Mapping[str, Form]) -> None:
        arrow = pyarrow()
        self.parts = dict(parts)
        self._fields = []
        raw = {}
        for key, part in parts.items():
            field = arrow.field(key, part.arrow_type)
            self._fields.append(field)
            raw[key] = part.raw
        arrow_type = arrow.struct(self._fields)
        super().__init__(kind, Struct(raw), arrow_type)

    def build(self, values: Values) -> Any:
        mask = None
        columns = values
        if not isinstance(values, dict):
            mask = missing(values)
            columns = {}
            for key in self.parts:
                columns[key] = restored_each(values, operator.itemgetter(key))
        arrays = []
        for key, part in self.parts.items():
            array = part.build(columns[key])
            arrays.append(array)
        return pyarrow().StructArray.from_arrays(
            arrays,
            fields=self._fields,
            mask=mask_array(mask),
        )

    def restore(self, array: Any) -> Values:
        columns = []
        for position, part in enumerate(self.parts.values()):
            column = part.restore(array.field(position))
            columns.append(listed(column))
        rows: list[Any] = []
        is_valid = array.is_valid().to_pylist()
        for present, row in zip(is_valid, zip(*columns)):
            value = None
            if present:
                pairs = zip(self.parts, row)
                value = dict(pairs)
            rows.append(value)
        return rows

    def written(self) -> str:
        named = {}
        for key, part in self.parts.items():
            named[key] = _Named(part)
        return Struct(named).name


class _Named(Type):
    """Stands for a part, where only the name of its type counts."""

    def __init__(self, form: Form) -> None:
        self.name = form.written_name()


class MapForm(Form):
    """`map[T]`: a map of strings to values.

    Args:
        kind: the type.
        key: the form of the keys.
        item: the form of the values.
    """

    def __init__(self, kind: Type, key: Form, item: Form) -> None:
        arrow_type = pyarrow().map_(key.arrow_type, item.arrow_type)
        pair = Struct({"key": Str(), "value": item.raw})
        raw = list_of(pair)
        super().__init__(kind, raw, arrow_type)
        self.key = key
        self.item = item

    def build(self, values: Values) -> Any:
        lengths = np.fromiter(map(length_of, values), np.int64, len(values))
        present = [value for value in values if value is not None]
        pairs: Any = {"key": [], "value": []}
        if present:
            pairs = joined(present)
        return pyarrow().MapArray.from_arrays(
            offsets_of(lengths),
            self.key.build(pairs["key"]),
            self.item.build(pairs["value"]),
            mask=mask_array(missing(values)),
        )

    def restore(self, array: Any) -> Values:
        offsets = array.offsets.to_numpy(zero_copy_only=False)
        first = int(offsets[0])
        count = int(offsets[-1]) - first
        keys = array.keys.slice(first, count)
        items = array.items.slice(first, count)
        values = listed(self.item.restore(items))
        pairs = list(zip(self.key.restore(keys), values))
        lists = restored_lists(array, offsets - first, pairs)
        return restored_each(lists, _dict_of)

    def written(self) -> str:
        return f"map[{self.item.written_name()}]"


def _dict_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of pairs. Raises ValueError if two have the same key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is twice in a map")
    return found


def listed(column: Values) -> list[Any]:
    """Return a column one by one: None where an array is masked."""
    if not isinstance(column, np.ndarray):
        return list(column)
    rows = list(column)
    if not isinstance(column, np.ma.MaskedArray):
        return rows
    return [None if row is np.ma.masked else row for row in rows]
