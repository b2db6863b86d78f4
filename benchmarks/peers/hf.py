"""Hugging Face datasets, mapped Arrow files.

An Arrow table saved by `save_to_disk` and mapped by `load_from_disk`. Arrays are fixed-size lists, reshaped by the
user: `Array3D` is three times slower. For each question the fastest way found: format "arrow" for batches of small
records and of images, format "numpy" for arrays, the Arrow table underneath for tokens (row by row, copied into
place: three times faster) and for columns, plain Python rows for single records.
"""

import datasets
import numpy as np
import pyarrow as pa

from .base import Store

datasets.disable_progress_bars()


class Adapter(Store):
    """A folder of .arrow files."""

    title = "Hugging Face datasets"
    modules = ("datasets", "pyarrow")
    indices = "array"

    def _table(self, records):
        columns = {}
        for field in self.fields:
            values = records.column(field.name)
            if field.dtype == "bytes":
                columns[field.name] = pa.array(values, pa.large_binary())
            elif field.dtype == "string":
                columns[field.name] = pa.array(values, pa.large_string())
            elif field.shape:
                flat = pa.array(values.reshape(-1))
                columns[field.name] = pa.FixedSizeListArray.from_arrays(
                    flat, int(np.prod(field.shape))
                )
            else:
                columns[field.name] = pa.array(values)
        return pa.table(columns)

    def write(self, records):
        datasets.Dataset(self._table(records)).save_to_disk(str(self.folder / "data"))

    write_columns = write

    def write_rows(self, records):
        datasets.Dataset.from_list(records.dicts).save_to_disk(str(self.folder / "data"))

    def open(self, *, cold=False):
        self.data = datasets.load_from_disk(str(self.folder / "data"))
        self.arrow = self.data.with_format("arrow")
        self.numpy = self.data.with_format("numpy")

    def close(self):
        del self.data, self.arrow, self.numpy

    def get_each(self, indices):
        data = self.data
        record = None
        for i in indices.tolist():
            record = data[i]
        return record

    def batch(self, indices):
        field = self.fields[0]
        if self.workload == "tokens":
            out = np.empty((len(indices), *field.shape), field.dtype)
            self.batch_into(indices, out)
            return {field.name: out}
        if field.shape:
            return {field.name: self.numpy[indices][field.name].reshape(-1, *field.shape)}
        table = self.arrow[indices]
        columns = {name: table.column(name) for name in self.names}
        if field.dtype in ("bytes", "string"):
            values = columns[field.name].to_pylist()
            return {field.name: values, "label": columns["label"].to_numpy()}
        return {name: column.to_numpy() for name, column in columns.items()}

    def batch_into(self, indices, out):
        if self.workload == "tokens":
            column = self.data.data.column(0)
            for row, i in zip(out, indices.tolist(), strict=True):
                row[:] = column[i].values.to_numpy()
        else:
            out[:] = self.numpy[indices][self.names[0]].reshape(out.shape)

    def scan(self):
        step = 1000 if self.workload == "small" else 64
        for block in self.data.iter(step):
            yield from zip(*block.values(), strict=True)

    def column(self, name):
        return self.data.data.column(name).to_numpy()
