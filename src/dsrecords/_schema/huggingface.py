"""Datasets of Hugging Face as tables: encoded files as they are, class labels as categories.

What a feature means is told by the name of its class: `datasets` itself is never imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dsrecords._optional import import_optional
from dsrecords._schema.arrow import arrow_column
from dsrecords._schema.column import Column, Values
from dsrecords._schema.notation import list_of, nullable

_ROWS = 256  # that are read together
_DATASETS = ("Dataset", "IterableDataset")
_MEDIA = {
    "Image": "image",
    "Audio": "audio",
    "Video": "video",
    "Pdf": "bytes",
    "Nifti": "bytes",
}
"""Features that are stored as the bytes or the path of a file, and the types of such files."""
_ARRAYS = ("Array2D", "Array3D", "Array4D", "Array5D")
_NO_LABEL = -1  # of ClassLabel, for what has none


class HuggingFaceTable(NamedTuple):
    """A dataset of Hugging Face as columns.

    Attributes:
        names: of the columns.
        columns: of the first rows.
        others: the columns of the other rows, a part after the other.
        length: the number of all rows; None of a stream.
    """

    names: list[str]
    columns: list[Column]
    others: Iterator[list[Column]]
    length: int | None


def is_huggingface(value: Any) -> bool:
    """Return whether a value is a dataset of Hugging Face, of which the features are known.

    One with a transform of the user's is not: it is to be what that makes of it.
    """
    cls = type(value)
    if not cls.__module__.startswith("datasets.") or cls.__name__ not in _DATASETS:
        return False
    if not getattr(value, "features", None):
        return False
    stated: Any = getattr(
        value,
        "format",
        None,
    )
    return not (isinstance(stated, dict) and stated.get("type") == "custom")


def huggingface_table(dataset: Any) -> HuggingFaceTable:
    """Return a dataset of Hugging Face as columns. Raises SchemaError if a column has no type."""
    features = dict(dataset.features)
    parts = _parts(dataset, features)
    first = next(parts, None)
    if first is None:
        empty = import_optional("pyarrow", "pyarrow").table(
            {name: [] for name in features}, dataset.features.arrow_schema
        )
        first = _columns(empty, features)
    length = None
    if hasattr(dataset, "__len__"):
        length = len(dataset)
        whole = _columns(dataset.data.table, features)
        # What a column is, all of it says; of its rows only these are wanted, in their order.
        first = [
            column._replace(type=stated.type, has_missing=stated.has_missing)
            for column, stated in zip(first, whole)
        ]
    return HuggingFaceTable(
        list(features),
        first,
        parts,
        length,
    )


def _parts(dataset: Any, features: Mapping[str, Any]) -> Iterator[list[Column]]:
    tables = dataset.with_format("arrow").iter(batch_size=_ROWS)
    for table in tables:
        yield _columns(table, features)


def _columns(table: Any, features: Mapping[str, Any]) -> list[Column]:
    columns = []
    for name, feature in features.items():
        column = table.column(name)
        if _is_plain(feature):
            columns.append(arrow_column(column))
        else:
            columns.append(_column(column, feature))
    return columns


def _is_plain(feature: Any) -> bool:
    """Return whether the Arrow type of a column says all that its feature does."""
    if isinstance(feature, dict):
        return all(map(_is_plain, feature.values()))
    if isinstance(feature, (list, tuple)):
        return all(map(_is_plain, feature))
    inner = getattr(
        feature,
        "feature",
        None,
    )
    if inner is not None:
        return _is_plain(inner)
    return _name(feature) == "Value"


def _name(feature: Any) -> str:
    return type(feature).__name__


def _column(column: Any, feature: Any) -> Column:
    def values(first: int, last: int) -> Values:
        some = column.slice(first, last - first)
        return [_value(value, feature) for value in some.to_pylist()]

    def type_of_values() -> Any:
        return _type_of(column, feature)

    return Column(
        length=len(column),
        values=values,
        type=type_of_values,
        has_missing=_has_missing(column, feature),
    )


# Types


def _type_of(column: Any, feature: Any) -> Any:
    """Return the type of the values of a chunked array that are not missing."""
    name = _name(feature)
    if name in _MEDIA:
        return _MEDIA[name]
    if name == "ClassLabel":
        return f"category{json.dumps(feature.names)}"
    if name in _ARRAYS:
        sizes = ["*" if size is None else str(size) for size in feature.shape]
        return f"{feature.dtype}[{','.join(sizes)}]"
    if name == "Json":
        return "json"
    if isinstance(feature, dict):
        return _struct_of(column, feature)
    item = _item_of(feature)
    if item is None or _is_plain(feature):
        found = arrow_column(column).type
        assert found is not None
        return found()
    items = _chunked([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    return list_of(_nullable_type(items, item))


def _nullable_type(column: Any, feature: Any) -> Any:
    found = _type_of(column, feature)
    if _has_missing(column, feature):
        return nullable(found)
    return found


def _struct_of(column: Any, feature: Mapping[str, Any]) -> dict[str, Any]:
    compute = import_optional("pyarrow.compute", "pyarrow")
    present = column.drop_null()
    struct = {}
    for key, part in feature.items():
        values = compute.struct_field(present, key)
        struct[key] = _nullable_type(values, part)
    return struct


def _item_of(feature: Any) -> Any:
    """Return the feature of the items of a list; None if it is no list."""
    if isinstance(feature, (list, tuple)) and len(feature) == 1:
        return feature[0]
    return getattr(
        feature,
        "feature",
        None,
    )


def _chunked(arrays: Sequence[Any], arrow_type: Any) -> Any:
    pyarrow = import_optional("pyarrow", "pyarrow")
    return pyarrow.chunked_array(arrays, arrow_type)


def _has_missing(column: Any, feature: Any) -> bool:
    if column.null_count:
        return True
    name = _name(feature)
    if name == "ClassLabel":
        compute = import_optional("pyarrow.compute", "pyarrow")
        smallest = compute.min(column).as_py()
        return bool(smallest == _NO_LABEL)
    if name in _MEDIA:
        return _has_empty_file(column)
    return False


def _has_empty_file(column: Any) -> bool:
    """Return whether a file has neither bytes nor a path."""
    compute = import_optional("pyarrow.compute", "pyarrow")
    if not hasattr(column.type, "fields") or column.type.num_fields == 0:
        return False
    parts = [compute.is_null(compute.struct_field(column, key)) for key in ("bytes", "path")]
    both = compute.and_(*parts)
    return bool(compute.any(both).as_py())


# Values


def _value(value: Any, feature: Any) -> Any:
    """Return a value of Python, as Arrow gives it, as a sample has it."""
    if value is None:
        return None
    name = _name(feature)
    if name in _MEDIA:
        return _file(value)
    if name == "ClassLabel":
        return _label(value, feature.names)
    if name == "Json":
        return json.loads(value)
    if isinstance(feature, dict):
        return {key: _value(value[key], part) for key, part in feature.items()}
    item = _item_of(feature)
    if item is not None:
        return [_value(one, item) for one in value]
    return value


def _file(value: Any) -> Any:
    """Return the bytes of a file, or its path, from which it is read when it is stored."""
    if not isinstance(value, dict):
        return value
    if value.get("bytes") is not None:
        return value["bytes"]
    return value.get("path")


def _label(value: int, names: Sequence[str]) -> Any:
    if value == _NO_LABEL:
        return None
    return names[value]
