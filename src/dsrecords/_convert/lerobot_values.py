"""The frames of a LeRobot dataset as its files of Parquet hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsrecords._convert.lerobot_info import IMAGE, Feature
from dsrecords._convert.lerobot_parquet import damage_of, opened, require_columns
from dsrecords._convert.paths import below
from dsrecords._optional import import_optional

_OF_PYTHON = ("string", "language")  # features that are no numbers
_ROWS = 1024  # that are read together


class Image:
    """A picture as `datasets` writes it: its bytes, or the path of its file."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said

    def read(self, folder: str) -> bytes:
        data: bytes | None = self._said.get("bytes")
        if data is not None:
            return data
        path = below(folder, self._said.get("path"))
        with open(path, "rb") as file:
            return file.read()


def frames_of(path: str, features: Sequence[Feature]) -> Iterator[dict[str, Any]]:
    """Return the frames of a file of Parquet. Raises CorruptError."""
    names = [feature.name for feature in features]
    with damage_of(path), opened(path) as file:
        require_columns(file, names)
        for batch in file.iter_batches(_ROWS, columns=names):
            columns = []
            for feature in features:
                column = batch.column(feature.name)
                columns.append(_values(column, feature))
            for values in zip(*columns):
                yield dict(zip(names, values))


def _values(column: Any, feature: Feature) -> Any:
    """Return the values of a column of Arrow. Raises ValueError if one is of another shape."""
    if feature.dtype == IMAGE:
        return _images(column)
    if column.null_count or feature.dtype in _OF_PYTHON:
        return column.to_pylist()
    arrow = import_optional("pyarrow", "pyarrow")
    kind = arrow.from_numpy_dtype(feature.dtype)
    flat = _flat(column, feature).cast(kind)
    values = flat.to_numpy(zero_copy_only=False)
    return values.reshape(-1, *feature.shape)


def _images(column: Any) -> list[Image | None]:
    images: list[Image | None] = []
    for said in column.to_pylist():
        image = None
        if said is not None:
            image = Image(said)
        images.append(image)
    return images


def _flat(column: Any, feature: Feature) -> Any:
    """Return the numbers of a column of lists, one behind the other."""
    arrow = import_optional("pyarrow", "pyarrow")
    compute = import_optional("pyarrow.compute", "pyarrow")
    flat = column
    # Arrays of several dimensions are of a type that `datasets` has made.
    if isinstance(flat, arrow.ExtensionArray):
        flat = flat.storage
    sizes = list(feature.shape)
    if not sizes and _is_list(flat.type):
        sizes = [1]
    for size in sizes:
        if not _is_list(flat.type):
            raise ValueError(f"{feature.name!r} is no list")
        lengths = compute.list_value_length(flat)
        found = lengths.unique().to_pylist()
        if found not in ([size], []):
            raise ValueError(f"{feature.name!r} has {found} values, and {size} are stated")
        flat = flat.flatten()
    if flat.null_count:
        raise ValueError(f"{feature.name!r} has values that are null")
    return flat


def _is_list(kind: Any) -> bool:
    types = import_optional("pyarrow.types", "pyarrow")
    tests = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
    )
    return any(test(kind) for test in tests)
