"""What an adapter is: one peer's files for one workload, behind the verbs that the questions name.

An adapter leaves out the verbs that its peer has no honest way to serve; such a peer is left out of those rows. Loops
over records stand in the adapters, so that each peer is called as its own user would call it, without a layer between.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from workloads import Field, Records


class NotSupportedError(Exception):
    """The peer cannot store this workload or answer this question; the message says why."""


class Store:
    """One peer's files for one workload, in a folder of its own.

    Verbs, all optional but `write`, `open` and `close`:

    - `write(records)` stores the dataset by the peer's fastest way; `write_each` calls the peer once for each record,
      `write_rows` once for all rows, `write_columns` once with whole columns; `append_each` calls it once for each
      record, which others see, and which survives a kill of the process, when the call returns. Each leaves a closed,
      complete dataset; what it leaves to the system is synced afterwards, and timed.
    - `get_each(indices)` reads record after record, decoded to Python values, and returns the last, a tuple or a dict.
    - `batch(indices)` returns {field: stacked array or list of bytes or str}; `batch_view` the same where bytes may be views;
      `batch_into(indices, out)` fills `out`, of shape (len(indices), *shape), with the only field.
    - `scan()` iterates over all records, each a tuple or a dict.
    - `column(name)` returns all values of one field as an array.
    """

    title = ""  # as the tables call it
    modules: tuple[str, ...] = ()  # what the process imports; the versions are reported
    typed = True  # whether the format knows fields and types; otherwise the user packs each record into bytes
    opening_counts = True  # whether a cold question's time begins with `open`
    indices = "list"  # what positions the peer likes best: "list" of int or "array" of int64
    views: frozenset[str] = (
        frozenset()
    )  # the verbs whose values are views into a file or a kept buffer

    def __init__(self, workload: str, fields: tuple[Field, ...], folder: Path):
        self.workload = workload
        self.fields = fields
        self.names = [field.name for field in fields]
        self.text = fields[0].dtype == "string"
        self.folder = folder

    def write(self, records: Records) -> None:
        """Store all records in the empty folder, by the peer's fastest way."""
        raise NotImplementedError

    def open(self, *, cold: bool = False) -> None:
        """Open the dataset for reading; `cold` says that random reads from a cold disk follow."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what `open` made."""


class ByteStore(Store):
    """A peer that stores bytes: each record is packed by the user, with `struct` or as an array's own memory.

    small: `struct` "<ffi"; images, blobs and texts: the label (8 bytes), then the encoded bytes; arrays and tokens: the values
    alone. A subclass has `read(index) -> buffer` and `read_many(indices) -> buffers`, which may be views.
    """

    typed = False

    def __init__(self, workload: str, fields: tuple[Field, ...], folder: Path):
        super().__init__(workload, fields, folder)
        first = fields[0]
        if workload == "small":
            self.dtype = np.dtype([(field.name, field.dtype) for field in fields])
        elif first.shape:
            self.dtype = np.dtype(first.dtype)
            self.shape = first.shape

    def packed(self, records: Records) -> Iterator[Any]:
        """The records as bytes, packed while they are written."""
        if self.workload == "small":
            pack = struct.Struct("<ffi").pack
            return (pack(x, y, z) for x, y, z in records.tuples)
        if self.fields[0].dtype == "bytes":
            pack = struct.Struct("<q").pack
            return (pack(label) + image for image, label in records.tuples)
        if self.text:
            pack = struct.Struct("<q").pack
            return (pack(label) + text.encode() for text, label in records.tuples)
        return (array.tobytes() for (array,) in records.tuples)

    def packed_columns(self, records: Records) -> Iterator[Any]:
        """As `packed`, from whole columns: one structured array, cut into records."""
        if self.workload != "small":
            return self.packed(records)
        table = np.empty(records.count, self.dtype)
        for name in self.names:
            table[name] = records.column(name)
        data, size = table.tobytes(), self.dtype.itemsize
        return (data[start : start + size] for start in range(0, len(data), size))

    def read(self, index: int) -> Any:
        """One record's bytes."""
        raise NotImplementedError

    def read_many(self, indices: Sequence[int]) -> Sequence[Any]:
        """The bytes of several records."""
        return [self.read(index) for index in indices]

    def unpack(self, values: Sequence[Any], *, owned: bool = True) -> dict[str, Any]:
        """The columns of several records."""
        if self.workload == "small":
            table = np.frombuffer(b"".join(values), self.dtype)
            return {name: np.ascontiguousarray(table[name]) for name in self.names}
        if self.fields[0].dtype == "bytes":
            labels = np.frombuffer(b"".join([value[:8] for value in values]), np.int64)
            if owned:
                return {"image": [bytes(value[8:]) for value in values], "label": labels}
            return {"image": [memoryview(value)[8:] for value in values], "label": labels}
        if self.text:
            labels = np.frombuffer(b"".join([value[:8] for value in values]), np.int64)
            return {"text": [str(value[8:], "utf-8") for value in values], "label": labels}
        return {self.names[0]: self.stack(values, np.empty((len(values), *self.shape), self.dtype))}

    def stack(self, values: Sequence[Any], out: np.ndarray) -> np.ndarray:
        """Copy each record's values into its row of `out`: the fastest way found (a loop of plain copies)."""
        flat = out.reshape(len(values), -1)
        for row, value in zip(flat, values, strict=True):
            row[:] = np.frombuffer(value, self.dtype)
        return out

    def decoder(self) -> Any:
        """What makes a tuple of one record's bytes: numbers, or a text and its label."""
        if not self.text:
            return struct.Struct("<ffi").unpack
        label = struct.Struct("<q").unpack_from
        return lambda value: (str(value[8:], "utf-8"), *label(value))

    def get_each(self, indices: Sequence[int]) -> Any:
        """Record after record."""
        read, unpack = self.read, self.decoder()
        record = None
        for index in indices:
            record = unpack(read(index))
        return record

    def batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """A batch of owned values."""
        return self.unpack(self.read_many(indices))

    def batch_into(self, indices: Sequence[int], out: np.ndarray) -> None:
        """A batch in a reused array."""
        self.stack(self.read_many(indices), out)
