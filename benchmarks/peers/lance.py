"""Lance, written from an Arrow table.

The file format 2.2, which is the default of this version; arrays are fixed-size lists. Random reads by `take` with the positions sorted first, which
is faster, and the rows put back in the order asked for. Scans by `to_batches` for small records and by `take` of
consecutive rows for images, twice as fast there.
"""

import lance
import numpy as np
import pyarrow as pa

from .base import Store


class Adapter(Store):
    """A folder of .lance files."""

    title = "Lance 2.2"
    modules = ("pylance", "pyarrow")
    indices = "array"

    def write(self, records):
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
        table = pa.table(columns)
        lance.write_dataset(table, str(self.folder / "data"), data_storage_version="2.2")

    write_columns = write

    def open(self, *, cold=False):
        self.data = lance.dataset(str(self.folder / "data"))

    def close(self):
        del self.data

    def get_each(self, indices):
        take = self.data.take
        record = None
        for i in indices.tolist():
            record = take([i]).to_pylist()[0]
        return record

    def _take(self, indices):
        """The rows in ascending order, and where each asked-for row lies among them."""
        order = np.argsort(indices)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self.data.take(indices[order].tolist()), back

    def batch(self, indices):
        table, back = self._take(indices)
        field = self.fields[0]
        if field.shape:
            values = table.column(0).combine_chunks().flatten().to_numpy().reshape(-1, *field.shape)
            return {field.name: values[back]}
        columns = {}
        for field in self.fields:
            if field.dtype in ("bytes", "string"):
                values = table.column(field.name).to_pylist()
                columns[field.name] = [values[i] for i in back]
            else:
                columns[field.name] = table.column(field.name).to_numpy()[back]
        return columns

    def batch_into(self, indices, out):
        table, back = self._take(indices)
        values = table.column(0).combine_chunks().flatten().to_numpy().reshape(out.shape)
        out[back.argsort()] = values

    def scan(self):
        if self.workload == "small":
            blocks = self.data.to_batches(batch_size=8192)
        else:
            total, step = self.data.count_rows(), 64
            blocks = (
                self.data.take(list(range(k, min(k + step, total)))) for k in range(0, total, step)
            )
        for block in blocks:
            yield from zip(*(column.to_pylist() for column in block.columns), strict=True)

    def column(self, name):
        return self.data.to_table(columns=[name]).column(name).to_numpy()
