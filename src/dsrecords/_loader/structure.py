"""What a batch, or a sample, is made of: columns by key, and how they are put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dsrecords._loader.keys import Key
from dsrecords.errors import SchemaError

Columns = dict[Key, Any]


class Structure:
    """A dict, a tuple, a named tuple or a single value.

    Args:
        example: one.
    """

    def __init__(self, example: Any) -> None:
        self._make: Callable[[Columns], Any] = _single
        self._keys: list[Key] = [None]
        if isinstance(example, dict):
            self._make = dict
            self._keys = list(example)
        elif isinstance(example, tuple):
            self._make = _tuple
            self._keys = list(range(len(example)))
            if hasattr(example, "_fields"):
                self._make = _NamedTuple(type(example))

    def columns(self, value: Any) -> Columns:
        """Return the values by key. Raises SchemaError if they are not those of the example."""
        is_alike = set(self._keys) == set(_keys_of(value))
        if self._make is dict and isinstance(value, dict) and is_alike:
            return value
        if isinstance(value, tuple) and self._make not in (dict, _single) and is_alike:
            return dict(enumerate(value))
        if self._make is _single and not isinstance(value, (dict, tuple)):
            return {None: value}
        raise self._differs(_keys_of(value))

    def check_same(self, other: Structure) -> None:
        """Raise SchemaError if a batch cannot have both."""
        is_same = set(self._keys) == set(other._keys)
        is_dict = self._make is dict
        if not is_same or is_dict != (other._make is dict):
            raise self._differs(other._keys)

    def _differs(self, others: Sequence[Key]) -> SchemaError:
        return SchemaError(
            f"samples of one batch have other values: one has {_described(self._keys)}, another "
            f"{_described(others)}"
        )

    def add(self, columns: Columns, key: Key, column: Any) -> None:
        """Add a column behind the others, with a name where they have names."""
        if self._make is dict:
            if key in columns:
                raise SchemaError(
                    f"the loader adds {key!r} to batches, and samples have a value of this name"
                )
        else:
            self._make = _tuple
        self._keys = [*self._keys, key]
        columns[key] = column

    def assembled(self, columns: Columns) -> Any:
        """Return the batch of some columns, which may come in any order."""
        ordered = {key: columns[key] for key in self._keys}
        return self._make(ordered)


class _NamedTuple:
    """Makes named tuples."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __call__(self, columns: Columns) -> Any:
        return self._kind(*columns.values())


def _single(columns: Columns) -> Any:
    (column,) = columns.values()
    return column


def _tuple(columns: Columns) -> tuple[Any, ...]:
    return tuple(columns.values())


def _keys_of(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, tuple):
        return list(range(len(value)))
    return [None]


def _described(keys: Sequence[Key]) -> str:
    if list(keys) == [None]:
        return "a single value"
    return ", ".join(repr(key) for key in keys)


def collated(samples: Sequence[Any]) -> tuple[Structure, Columns]:
    """Return samples as columns, each a list.

    Args:
        samples: at least one.

    Raises:
        SchemaError: samples have different keys.
    """
    structure = Structure(samples[0])
    rows = [structure.columns(sample) for sample in samples]
    columns: Columns = {}
    for key in rows[0]:
        columns[key] = [row[key] for row in rows]
    return structure, columns


def common(structures: Iterable[Structure | None]) -> Structure | None:
    """Return what all have in common; None if there is none.

    Raises:
        SchemaError: they differ.
    """
    first = None
    for structure in structures:
        if first is None:
            first = structure
        elif structure is not None:
            first.check_same(structure)
    return first
