"""MDS, the format of MosaicML streaming.

`MDSWriter` without compression or hashes, in shards of 1 GiB so that a shard is seldom changed, and `LocalDataset`,
the reader for local files, a little faster than `StreamingDataset` (which also makes shared memory). Arrays are
`ndarray:dtype:shape` columns, which store the values alone. It has no batch read: a batch is a loop, then `np.array`
or a copy each.
"""

import numpy as np
import torch

# torchvision, imported by MDS for its vision datasets alone, ships compiled operators for the CUDA build of torch. With
# the CPU build its import fails unless something declares them. They are never called here.
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from streaming import LocalDataset, MDSWriter  # noqa: E402

from .base import Store  # noqa: E402


class Adapter(Store):
    """A folder of .mds shards."""

    title = "MDS"
    modules = ("mosaicml_streaming", "torch")

    def _columns(self):
        kinds = {}
        for field in self.fields:
            shape = ",".join(map(str, field.shape))
            scalar = "str" if field.dtype == "string" else field.dtype
            kinds[field.name] = f"ndarray:{field.dtype}:{shape}" if shape else scalar
        return kinds

    def write(self, records):
        with MDSWriter(out=str(self.folder), columns=self._columns(), size_limit=1 << 30) as writer:
            for row in records.dicts:
                writer.write(row)

    write_each = write

    def open(self, *, cold=False):
        self.data = LocalDataset(str(self.folder))

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
        return {
            field.name: [row[field.name] for row in rows]
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
        data = self.data
        return (data[i] for i in range(len(data)))

    def column(self, name):
        data = self.data
        return np.array([data[i][name] for i in range(len(data))], np.int64)
