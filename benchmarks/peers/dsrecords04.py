"""dsrecords 0.4.18, the last release of the original (2023).

Its own `dump_*` and `load_*` for numbers (that version's `save_*` names warn at every call), the bytes as they are
for images and arrays, `IndexedRecordDataset` for reading. It opens both files anew for every read, as it is made.
"""

import numpy as np

from dsrecords import IndexedRecordDataset, io, make_dataset

from .base import Store


def _identity(value):
    return value


class Adapter(Store):
    """A .rec and an .idx file of version 0.4."""

    title = "dsrecords 0.4.18"
    modules = ("dsrecords",)

    @property
    def path(self):
        return str(self.folder / "data.rec")

    def _functions(self):
        if self.workload == "small":
            return [io.dump_float, io.dump_float, io.dump_int], [
                io.load_float,
                io.load_float,
                io.load_int,
            ]
        if self.text:
            return [io.dump_str, io.dump_int], [io.load_str, io.load_int]
        if self.fields[0].dtype == "bytes":
            return [_identity, io.dump_int], [_identity, io.load_int]
        dtype, shape = self.fields[0].dtype, self.fields[0].shape
        return [np.ndarray.tobytes], [lambda data: np.frombuffer(data, dtype).reshape(shape)]

    def write(self, records):
        make_dataset(records.tuples, self.path, self._functions()[0])

    write_rows = write

    def append_each(self, records):
        data = IndexedRecordDataset(self.path, dumpers=self._functions()[0], create=True)
        for row in records.tuples:
            data.append(row)

    def open(self, *, cold=False):
        self.data = IndexedRecordDataset(self.path, loaders=self._functions()[1])

    def close(self):
        del self.data

    def get_each(self, indices):
        data = self.data
        record = None
        for i in indices:
            record = data[i]
        return record

    def batch(self, indices):
        data = self.data
        rows = [data[i] for i in indices]
        columns = zip(*rows, strict=True)
        return {
            field.name: list(values)
            if field.dtype in ("bytes", "string")
            else np.stack(values).astype(field.dtype, copy=False)
            for field, values in zip(self.fields, columns, strict=True)
        }

    def batch_into(self, indices, out):
        data = self.data
        for row, i in zip(out, indices, strict=True):
            row[:] = data[i][0]

    def scan(self):
        return iter(self.data)

    def column(self, name):
        data, position = self.data, self.names.index(name)
        return np.array([data[i, position] for i in range(len(data))], np.int64)
