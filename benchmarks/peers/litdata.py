"""LitData, a folder of chunks.

Written by what `optimize` runs in its workers (`Cache`), in this process, with one chunk of up to 3 GiB, so that
random reads stay in one mapped chunk; read by `StreamingDataset` on the local folder. Its defaults decode ahead for
reading in order and are kept for scans and columns; for random reads both kinds of reading ahead are off
(`batch_decode=False`, LITDATA_POSIX_PAGE_BYTES=0), which is up to 60 times faster. It has no batch read: a batch is a
loop, then `np.array` or a copy each.
"""

import os

import numpy as np
from litdata import StreamingDataset
from litdata.streaming.cache import Cache

from .base import Store


class Adapter(Store):
    """A folder of chunks."""

    title = "LitData"
    views = frozenset({"batch_view", "scan"})
    modules = ("litdata", "torch")

    def write(self, records):
        cache = Cache(str(self.folder), chunk_bytes=3 << 30)
        for i, row in enumerate(records.dicts):
            cache[i] = row
        cache.done()
        cache.merge()

    write_each = write

    def open(self, *, cold=False):
        os.environ["LITDATA_POSIX_PAGE_BYTES"] = "0"
        self.data = StreamingDataset(str(self.folder), batch_decode=False)
        self.data[0]  # it opens its chunks, and reads that setting, at the first read

    def close(self):
        del self.data

    def _in_order(self):
        os.environ.pop("LITDATA_POSIX_PAGE_BYTES", None)
        data = StreamingDataset(str(self.folder))
        return (data[i] for i in range(len(data)))

    def get_each(self, indices):
        data = self.data
        record = None
        for i in indices:
            record = data[i]
        return record

    def batch(self, indices):
        return self._batch(indices, bytes)

    def batch_view(self, indices):
        return self._batch(indices, memoryview)

    def _batch(self, indices, kind):
        data = self.data
        rows = [data[i] for i in indices]
        return {
            field.name: [kind(row[field.name]) for row in rows]
            if field.dtype == "bytes"
            else [row[field.name] for row in rows]
            if field.dtype == "string"
            else np.array([row[field.name] for row in rows], field.dtype)
            for field in self.fields
        }

    def batch_into(self, indices, out):
        data, name = self.data, self.names[0]
        for row, i in zip(out, indices, strict=True):
            row[:] = data[i][name]

    def scan(self):
        return self._in_order()

    def column(self, name):
        return np.array([row[name] for row in self._in_order()], np.int64)
