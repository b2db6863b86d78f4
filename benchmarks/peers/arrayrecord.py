"""ArrayRecord, each record packed bytes.

`group_size:1,uncompressed`, for random access to bytes that do not compress, and
`readahead_buffer_size:0,max_parallelism:0`, which its documentation gives for random access; scans use its defaults,
made for them. Batches by `reader.read([...])`. Values are packed by the user.
"""

import struct

import numpy as np
from array_record.python import array_record_module

from .base import ByteStore


class Adapter(ByteStore):
    """One .arrayrecord file."""

    title = "ArrayRecord"
    modules = ("array_record",)

    @property
    def path(self):
        return str(self.folder / "data.arrayrecord")

    def write(self, records):
        self._write(self.packed(records))

    write_each = write

    def write_columns(self, records):
        self._write(self.packed_columns(records))

    def _write(self, values):
        writer = array_record_module.ArrayRecordWriter(self.path, "group_size:1,uncompressed")
        for value in values:
            writer.write(value)
        writer.close()

    def open(self, *, cold=False):
        self.reader = array_record_module.ArrayRecordReader(
            self.path, "readahead_buffer_size:0,max_parallelism:0"
        )

    def close(self):
        self.reader.close()

    def get_each(self, indices):
        read, unpack = self.reader.read, self.decoder()
        record = None
        for i in indices:
            record = unpack(read([i])[0])
        return record

    def read_many(self, indices):
        return self.reader.read(indices)

    def _values(self):
        reader = array_record_module.ArrayRecordReader(self.path)
        step = 4096 if self.workload == "small" else 64
        for start in range(0, reader.num_records(), step):
            yield from reader.read(start, min(start + step, reader.num_records()))
        reader.close()

    def scan(self):
        if self.workload == "small":
            return map(struct.Struct("<ffi").unpack, self._values())
        label = struct.Struct("<q").unpack_from
        return ((value[8:], *label(value)) for value in self._values())

    def column(self, name):
        return np.frombuffer(b"".join([value[:8] for value in self._values()]), np.int64)
