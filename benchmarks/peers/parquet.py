"""Parquet by pyarrow.

No compression and no dictionaries (these values gain nothing from them), the file mapped. It has no random access to
rows: a batch reads the row groups that hold it and picks its rows. Row groups of 16,384 small records, or of 4 to 8
large ones, a compromise: larger groups read many times what is asked for, smaller ones make columns slow. Reading in
one thread, which is faster at these sizes. Of short strings 256 lie in a row group, of texts 64.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .base import Store


class Adapter(Store):
    """One .parquet file."""

    title = "Parquet"
    modules = ("pyarrow",)
    indices = "array"

    def __init__(self, workload, fields, folder):
        super().__init__(workload, fields, folder)
        self.group = {"small": 16_384, "strings": 256, "texts": 64, "tokens": 8, "blobs": 8}.get(
            workload, 4
        )

    @property
    def path(self):
        return str(self.folder / "data.parquet")

    def write(self, records):
        columns = {}
        for field in self.fields:
            values = records.column(field.name)
            if field.dtype == "bytes":
                columns[field.name] = pa.array(values, pa.large_binary())
            elif field.dtype == "string":
                columns[field.name] = pa.array(values, pa.large_string())
            elif field.shape:
                # Its lists decode value by value; the raw bytes of a row are many times faster.
                size = values[0].nbytes
                columns[field.name] = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(size), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
                )
            else:
                columns[field.name] = pa.array(values)
        pq.write_table(
            pa.table(columns),
            self.path,
            row_group_size=self.group,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )

    write_columns = write

    def open(self, *, cold=False):
        self.file = pq.ParquetFile(self.path, memory_map=True)

    def close(self):
        self.file.close()

    def _take(self, indices):
        """The row groups that hold these rows, as one table, and where each row lies in it."""
        of_row = indices // self.group
        groups = np.unique(of_row)
        table = self.file.read_row_groups(groups.tolist(), use_threads=False)
        return table, np.searchsorted(groups, of_row) * self.group + indices % self.group

    def get_each(self, indices):
        record = None
        for i in indices.tolist():
            group = self.file.read_row_group(i // self.group, use_threads=False)
            record = group.slice(i % self.group, 1).to_pylist()[0]
        return record

    def batch(self, indices):
        table, rows = self._take(indices)
        field = self.fields[0]
        if field.shape:
            out = np.empty((len(indices), *field.shape), field.dtype)
            self._stack(table, rows, out)
            return {field.name: out}
        if self.workload == "small":
            return {name: table.column(name).to_numpy()[rows] for name in self.names}
        images = table.column(field.name)
        return {
            field.name: [images[i].as_py() for i in rows.tolist()],
            "label": table.column("label").to_numpy()[rows],
        }

    def batch_into(self, indices, out):
        self._stack(*self._take(indices), out)

    def _stack(self, table, rows, out):
        values = table.column(0).combine_chunks()
        flat = np.frombuffer(values.buffers()[1], out.dtype)[values.offset * out[0].size :]
        flat = flat[: len(values) * out[0].size].reshape(len(values), *out.shape[1:])
        for row, i in zip(out, rows.tolist(), strict=True):
            row[:] = flat[i]

    def scan(self):
        for block in self.file.iter_batches(batch_size=16_384 if self.workload == "small" else 64):
            yield from zip(*(column.to_pylist() for column in block.columns), strict=True)

    def column(self, name):
        return self.file.read(columns=[name]).column(name).to_numpy()
