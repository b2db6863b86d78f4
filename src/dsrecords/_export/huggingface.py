"""A dataset as one of Hugging Face's `datasets`, with its features."""

from __future__ import annotations

from typing import Any

from dsrecords._arrow.base import Form, pyarrow
from dsrecords._arrow.forms import CompressedForm
from dsrecords._arrow.nested import ListForm, MapForm, StructForm
from dsrecords._arrow.scalars import CategoryForm
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._export.stream import Export
from dsrecords._optional import import_optional
from dsrecords._types.audio import Audio
from dsrecords._types.images import Image
from dsrecords._types.video import Video

_MEDIA = (
    (Image, "Image"),
    (Audio, "Audio"),
    (Video, "Video"),
)
"""Types, and the features that decode them."""


def huggingface_dataset(reading: Reading, pass_over: PassOver) -> Any:
    """Return a `datasets.Dataset` in memory."""
    datasets = import_optional("datasets", "datasets")
    export = Export(reading, pass_over)
    table = export.reader().read_all()
    features = {}
    columns = {}
    for name, form in zip(table.column_names, export.forms.values()):
        column = table.column(name)
        features[name] = _feature(form, datasets)
        columns[name] = _prepared(column, form)
    prepared = pyarrow().table(columns)
    info = datasets.DatasetInfo(features=datasets.Features(features))
    # Casting gives images their struct of bytes and path; the bytes are not copied.
    cast = datasets.table.table_cast(prepared, info.features.arrow_schema)
    in_memory = datasets.table.InMemoryTable(cast)
    return datasets.Dataset(in_memory, info=info)


def _feature(form: Form, datasets: Any) -> Any:
    """Return the feature of a form."""
    if isinstance(form, CompressedForm):
        return _feature(form.inner, datasets)
    for kind, name in _MEDIA:
        if isinstance(form.kind, kind):
            make = getattr(datasets, name)
            return make()
    if isinstance(form, CategoryForm):
        names = list(form.names)
        return datasets.ClassLabel(names=names)
    if isinstance(form, ListForm):
        item = _feature(form.item, datasets)
        return datasets.List(item)
    if isinstance(form, StructForm):
        parts = {}
        for key, part in form.parts.items():
            parts[key] = _feature(part, datasets)
        return parts
    if isinstance(form, MapForm):
        value = _feature(form.item, datasets)
        key = datasets.Value("string")
        return datasets.List({"key": key, "value": value})
    prepared_type = _prepared_type(form.arrow_type)
    return datasets.features.features.generate_from_arrow_type(prepared_type)


def _prepared(column: Any, form: Form) -> Any:
    """Return a column without the types of Arrow that `datasets` does not have."""
    prepared_type = _prepared_type(form.arrow_type)
    if prepared_type == column.type:
        return column
    chunks = [_prepared_array(chunk) for chunk in column.chunks]
    return pyarrow().chunked_array(chunks, prepared_type)


def _prepared_type(arrow_type: Any) -> Any:
    """Return the type of what `_prepared_array` makes of arrays of a type."""
    empty = pyarrow().nulls(0, arrow_type)
    return _prepared_array(empty).type


def _prepared_array(array: Any) -> Any:
    """Return an array with integers in the place of dictionaries, and lists in that of maps."""
    arrow = pyarrow()
    types = arrow.types
    kind = array.type
    if types.is_dictionary(kind):
        return array.indices.cast(arrow.int64())
    if types.is_map(kind):
        parts = [_prepared_array(array.keys), _prepared_array(array.items)]
        pairs = arrow.StructArray.from_arrays(parts, ["key", "value"])
        return _in_lists(array, pairs)
    if types.is_list(kind):
        items = _prepared_array(array.values)
        return _in_lists(array, items)
    if types.is_fixed_size_list(kind):
        items = _prepared_array(array.values)
        return arrow.FixedSizeListArray.from_arrays(
            items,
            kind.list_size,
            mask=array.is_null(),
        )
    if types.is_struct(kind):
        parts = []
        for number in range(kind.num_fields):
            part = array.field(number)
            parts.append(_prepared_array(part))
        return arrow.StructArray.from_arrays(
            parts,
            kind.names,
            mask=array.is_null(),
        )
    return array


def _in_lists(lists: Any, items: Any) -> Any:
    """Return lists with other items in the place of theirs."""
    return pyarrow().ListArray.from_arrays(
        lists.offsets,
        items,
        mask=lists.is_null(),
    )
