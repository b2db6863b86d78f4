"""DSRecords as a user writes it.

A schema of named types, `make_dataset`, `extend` or `extend_columns`, `dsrecords.open`, checks on (`verify=True`). Owned
values come from the default `copy=True`, views from `copy=False`. A record is a dict. Writing ends synced, as `close` and
`make_dataset` do by default.
"""

import dsrecords

from .base import Store


class Adapter(Store):
    """A .rec and an .idx file."""

    title = "DSRecords"
    modules = ("dsrecords",)
    views = frozenset({"batch_view"})
    named = True

    def __init__(self, workload, fields, folder):
        super().__init__(workload, fields, folder)
        self.indices = "array"  # what a sampler has: a part of a permutation
        shapes = {
            field.name: f"[{','.join(map(str, field.shape))}]" if field.shape else ""
            for field in fields
        }
        self.schema = {
            field.name: {"string": "str"}.get(field.dtype, field.dtype) + shapes[field.name]
            for field in fields
        }

    @property
    def path(self):
        return self.folder / "data.rec"

    def _create(self):
        schema = self.schema if self.named else list(self.schema.values())
        return dsrecords.IndexedRecordDataset(self.path, schema=schema, create=True)

    def _rows(self, records):
        return records.dicts if self.named else records.tuples

    def write(self, records):
        if self.workload in ("small", "strings", "texts"):
            self.write_columns(records)
        else:
            dsrecords.make_dataset(self._rows(records), self.path, self.schema)

    def write_each(self, records):
        with self._create() as data:
            append = data.append
            for row in self._rows(records):
                append(row)

    append_each = write_each

    def write_rows(self, records):
        with self._create() as data:
            data.extend(self._rows(records))

    def write_columns(self, records):
        with self._create() as data:
            data.extend_columns(records.columns())

    def open(self, *, cold=False):
        self.data = dsrecords.open(self.path)
        self._lazy_view = None

    def close(self):
        self.data.close()
        if self._lazy_view is not None:
            self._lazy_view.close()

    @property
    def view(self):
        if self._lazy_view is None:
            self._lazy_view = dsrecords.open(self.path, copy=False)
        return self._lazy_view

    def get_each(self, indices):
        data = self.data
        record = None
        for i in indices.tolist():
            record = data[i]
        return record

    def batch(self, indices):
        return self.data.batch(indices)

    def batch_view(self, indices):
        return self.view.batch(indices)

    def batch_into(self, indices, out):
        self.data.batch(indices, out={self.names[0]: out})

    def scan(self):
        return iter(self.data)

    def column(self, name):
        return self.data.column(name)
