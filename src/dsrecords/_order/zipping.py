"""`zip`: datasets of one length as one, whose samples are put together from those of all."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._order.combined import Combined
from dsrecords._order.sources import (
    check_source,
    passes_over,
    prefetch,
    read_columns,
    read_samples,
    schema_of,
)
from dsrecords.errors import SchemaError


def zip(datasets: Sequence[Any]) -> Zipped:  # named as what it is in Python
    """Return datasets of one length as one: sample i is put together from sample i of each.

    Samples that are dicts become one dict with the fields of all. Others become a tuple: a tuple
    adds all of its values, anything else itself.

    Args:
        datasets: with samples by index. No two have a field of the same name.

    Raises:
        ValueError: no datasets, or of different lengths; or one leaves out what it cannot read
            (`on_error`), which would leave gaps in one column alone.
        SchemaError: two have a field of the same name.
        TypeError: a dataset has no length or no indices.
    """
    return Zipped(list(datasets))


class Zipped(Combined):
    """Datasets of one length as one: what `zip` returns.

    Args:
        datasets: as those of `zip`.
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        if not datasets:
            raise ValueError("there are no datasets to zip")
        for number, dataset in enumerate(datasets):
            check_source(dataset, number)
            if passes_over(dataset):
                raise ValueError(
                    f"dataset {number} has on_error={dataset.on_error!r}: open it with "
                    "on_error='raise', or the others would have no match for what it leaves out"
                )
        lengths = [len(dataset) for dataset in datasets]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"the datasets have {_listed(lengths)} samples: take as many of each, such as "
                f"ds[:{min(lengths)}]"
            )
        super().__init__(datasets, lengths[0])
        self._owners = self._find_owners()

    def _find_owners(self) -> dict[Any, int] | None:
        """Return which dataset has each field; None where not all of them name theirs."""
        owners: dict[Any, int] = {}
        for number, source in enumerate(self.datasets):
            schema = getattr(source, "schema", None)
            if not isinstance(schema, dict):
                return None
            for name in schema:
                if name in owners:
                    raise _collision(name, owners[name], number)
                owners[name] = number
        return owners

    # What it is

    @property
    def schema(self) -> dict[str, str] | list[str]:
        """The fields of all datasets. Raises SchemaError if one states none."""
        schemas = [schema_of(source, number) for number, source in enumerate(self.datasets)]
        if self._owners is not None:
            return _merged_dicts(schemas)
        types: list[str] = []
        for schema in schemas:
            types += _types(schema)
        return types

    def _parts(self) -> tuple[Any, ...]:
        return ("zip",)

    # Reading

    def _sample(self, position: int, part: tuple[Any, ...]) -> Any:
        if part:
            return self._part(position, part)
        samples = [source[position] for source in self.datasets]
        return _merged(samples)

    def _part(self, position: int, part: tuple[Any, ...]) -> Any:
        field = part[0]
        if isinstance(field, (list, tuple)):
            parts = {}
            for name in field:
                parts[name] = self._part(position, (name,))
            return parts
        owner = self._owner(field)
        source = self.datasets[owner]
        return source[(position, *part)]

    def _owner(self, field: Any) -> int:
        if self._owners is None:
            raise SchemaError(
                "a field of zipped datasets is asked for by name, and not all of them have names"
            )
        if field not in self._owners:
            names = ", ".join(self._owners)
            raise SchemaError(f"there is no field {field!r}: there are {names}")
        return self._owners[field]

    def _decodings_of(self, number: int, decode: Mapping[Any, Any]) -> dict[Any, Any]:
        own = [field for field in decode if self._owner(field) == number]
        return {field: decode[field] for field in own}

    def _samples(self, positions: np.ndarray) -> list[Any]:
        read = [read_samples(source, positions) for source in self.datasets]
        together = builtins.zip(*read)
        return [_merged(samples) for samples in together]

    def _columns(self, positions: np.ndarray, fields: Any) -> Any:
        if fields is None:
            return self._all_columns(positions)
        if not isinstance(fields, (list, tuple)):
            owner = self._owner(fields)
            return self._read(owner, positions, fields)
        found = {}
        for owner, names in self._by_owner(fields).items():
            columns = self._read(owner, positions, names)
            found.update(columns)
        return {field: found[field] for field in fields}

    def _prefetch(self, positions: np.ndarray, fields: Any) -> None:
        if fields is None:
            for source in self.datasets:
                prefetch(source, positions, None)
            return
        if not isinstance(fields, (list, tuple)):
            fields = [fields]
        for owner, names in self._by_owner(fields).items():
            prefetch(self.datasets[owner], positions, names)

    def _by_owner(self, fields: Sequence[Any]) -> dict[int, list[Any]]:
        """Return the fields that each dataset has of these, by its number."""
        found: dict[int, list[Any]] = {}
        for field in fields:
            owner = self._owner(field)
            names = found.setdefault(owner, [])
            names.append(field)
        return found

    def _read(
        self,
        owner: int,
        positions: np.ndarray,
        fields: Any,
    ) -> Any:
        return read_columns(
            self.datasets[owner],
            owner,
            positions,
            fields,
        )

    def _all_columns(self, positions: np.ndarray) -> Any:
        columns = []
        for owner in range(len(self.datasets)):
            column = self._read(owner, positions, None)
            columns.append(column)
        return _merged(columns)


def _merged(samples: Sequence[Any]) -> Any:
    """Return the samples, or the columns, of all datasets as one."""
    if all(isinstance(sample, dict) for sample in samples):
        return _merged_dicts(samples)
    values: list[Any] = []
    for sample in samples:
        if isinstance(sample, tuple):
            values += sample
        else:
            values.append(sample)
    return tuple(values)


def _merged_dicts(samples: Sequence[dict[Any, Any]]) -> dict[Any, Any]:
    merged: dict[Any, Any] = {}
    for number, sample in enumerate(samples):
        for name, value in sample.items():
            if name in merged:
                others = [name in sample for sample in samples]
                first = others.index(True)
                raise _collision(name, first, number)
            merged[name] = value
    return merged


def _collision(name: Any, first: int, second: int) -> SchemaError:
    return SchemaError(
        f"datasets {first} and {second} both have a field {name!r}: leave it out of one with "
        "select_fields, or give it another name with rename_fields"
    )


def _types(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        return list(schema.values())
    return list(schema)


def _listed(lengths: Sequence[int]) -> str:
    shown = [str(length) for length in lengths]
    last = shown.pop()
    others = ", ".join(shown)
    return f"{others} and {last}"
