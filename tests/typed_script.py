"""A user's script, for `make check` alone: mypy sees the types that the library promises, and that misuse is an error."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import dsrecords
from dsrecords import DSRecordsError, IndexedRecordDataset, io, make_dataset

assert_type(
    make_dataset([(0.5, 1)], Path("a.rec"), [io.save_float, io.save_int(bits=64)], progress=True),
    tuple[str, str],
)
assert_type(
    make_dataset(({"label": i} for i in range(3)), "b.rec", {"label": "int64"}), tuple[str, str]
)

data = IndexedRecordDataset("a.rec", deserializers=[io.load_float, io.load_int])
assert_type(
    dsrecords.open(Path("a.rec"), decode={"image": "array"}, transform=lambda sample: sample),
    IndexedRecordDataset,
)
assert_type(len(data), int)
assert_type(data[0], Any)
assert_type(data[np.int64(0)], Any)
assert_type(data[0, "label"], Any)
assert_type(data[1:], IndexedRecordDataset)
assert_type(data[[0, 1]], IndexedRecordDataset)
assert_type(data[np.arange(2)], IndexedRecordDataset)
assert_type(data[1:][::2], IndexedRecordDataset)
for sample in data:
    assert_type(sample, Any)
assert_type(data.schema, dict[str, str] | list[str])
assert_type(data.fields, tuple[Any, ...])
assert_type(data.metadata, dict[str, Any])
assert_type(data.path, str)
assert_type(data.check(), list[DSRecordsError])
assert_type(data.compact(), tuple[str, str])
assert_type(data.filter("label == 3"), IndexedRecordDataset)
assert_type(data.stored_sizes(0), np.ndarray)
assert_type(dsrecords.info(data).records, int)
assert_type(dsrecords.stats(data)["label"].nans, int)
assert_type(dsrecords.diff(data, data).same, int)
with data as same:
    assert_type(same, IndexedRecordDataset)
    same.append((1.5, 2))
    same.extend([(1.5, 2)])
    same[0] = (2.5, 3)
    same.update({0: (2.5, 3)})
    del same[0]
    del same[[0, 1]]
    same.flush(sync=True)

try:
    data[1:].save_view("v.idx")
except dsrecords.DSRecordsError as error:
    assert_type(error.field, str | int | None)

# Each of these is an error; where it is not, the comment is, since mypy warns of comments that silence nothing.
dsrecords.open()  # type: ignore[call-arg]
dsrecords.open("a.rec", schema={"label": "int64"})  # type: ignore[call-arg]
make_dataset(5, "a.rec", ["int64"])  # type: ignore[arg-type]
make_dataset("a.rec", [(1,)], ["int64"])  # type: ignore[arg-type]
data.metadata = {}  # type: ignore[misc]
data.quick_remove_at("last")  # type: ignore[arg-type]
io.save_integer(3)  # type: ignore[attr-defined]
