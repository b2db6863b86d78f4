"""Bagz, each record packed bytes.

Uncompressed (these bytes do not compress), limits at the tail as by default and read into memory
(`LimitsStorage.IN_MEMORY`). Single records and warm batches by `reader[i]`: its `read_indices` is up to 80 times slower
on a warm file, since it divides the work among threads; on a cold disk those threads help, and it is used. Values are
packed by the user.
"""

import struct

import bagz
import numpy as np

from .base import ByteStore


class Adapter(ByteStore):
    """One .bagz file."""

    title = "Bagz"
    modules = ("bagz",)

    @property
    def path(self):
        return str(self.folder / "data.bagz")

    def write(self, records):
        self._write(self.packed(records))

    write_each = write

    def write_columns(self, records):
        self._write(self.packed_columns(records))

    def _write(self, values):
        with bagz.Writer(
            self.path, bagz.Writer.Options(compression=bagz.CompressionNone())
        ) as writer:
            write = writer.write
            for value in values:
                write(value)

    def open(self, *, cold=False):
        self.cold = cold
        options = bagz.Reader.Options(
            compression=bagz.CompressionNone(), limits_storage=bagz.LimitsStorage.IN_MEMORY
        )
        self.reader = bagz.Reader(self.path, options)
        self.read = self.reader.__getitem__

    def close(self):
        del self.reader, self.read

    def get_each(self, indices):
        reader, unpack = self.reader, self.decoder()
        record = None
        for i in indices:
            record = unpack(reader[i])
        return record

    def read_many(self, indices):
        if self.cold:
            return self.reader.read_indices(indices)
        reader = self.reader
        return [reader[i] for i in indices]

    def scan(self):
        if self.workload == "small":
            return map(struct.Struct("<ffi").unpack, self.reader)
        label = struct.Struct("<q").unpack_from
        return ((value[8:], *label(value)) for value in self.reader)

    def column(self, name):
        return np.frombuffer(b"".join([value[:8] for value in self.reader]), np.int64)
