"""The pure Python package tfrecord.

`TFRecordWriter`, and `tfrecord_loader` with a description of the fields. A stream: it has no random access, so it
stands in the rows that read in order. Its reader does not check the CRCs.
"""

import numpy as np
from tfrecord.reader import tfrecord_loader
from tfrecord.writer import TFRecordWriter

from .base import NotSupportedError, Store


class Adapter(Store):
    """One .tfrecord file."""

    title = "tfrecord"
    modules = ("tfrecord",)

    @property
    def path(self):
        return str(self.folder / "data.tfrecord")

    def write(self, records):
        if self.workload not in ("small", "images"):
            raise NotSupportedError("no random access")
        writer = TFRecordWriter(self.path)
        if self.workload == "small":
            for x, y, z in records.tuples:
                writer.write({"x": (x, "float"), "y": (y, "float"), "z": (z, "int")})
        else:
            for image, label in records.tuples:
                writer.write({"image": (image, "byte"), "label": (label, "int")})
        writer.close()

    write_each = write

    def open(self, *, cold=False):
        kinds = {"float32": "float", "int32": "int", "int64": "int", "bytes": "byte"}
        self.description = {field.name: kinds[field.dtype] for field in self.fields}

    def close(self):
        pass

    def scan(self):
        for row in tfrecord_loader(self.path, None, self.description):
            yield {
                name: value if isinstance(value, bytes) else value[0] for name, value in row.items()
            }

    def column(self, name):
        return np.array(
            [row[name][0] for row in tfrecord_loader(self.path, None, {name: "int"})], np.int64
        )
