"""WebDataset, one uncompressed tar.

Written by `TarWriter`, read by `WebDataset(...)` with decoding for the fields alone. A stream: it has no random
access, so it stands in the rows that read in order. A small record is one `.bin` member packed with `struct` (a
member for each field would be three times slower).
"""

import struct

import numpy as np
import webdataset

from .base import NotSupportedError, Store


class Adapter(Store):
    """One .tar file."""

    title = "WebDataset"
    modules = ("webdataset",)

    @property
    def path(self):
        return str(self.folder / "data.tar")

    def write(self, records):
        if self.workload not in ("small", "images"):
            raise NotSupportedError("no random access")
        with webdataset.TarWriter(self.path) as tar:
            if self.workload == "small":
                pack = struct.Struct("<ffi").pack
                for i, (x, y, z) in enumerate(records.tuples):
                    tar.write({"__key__": f"{i:08d}", "bin": pack(x, y, z)})
            else:
                for i, (image, label) in enumerate(records.tuples):
                    tar.write({"__key__": f"{i:08d}", "jpg": image, "cls": str(label).encode()})

    write_each = write

    def open(self, *, cold=False):
        self.data = webdataset.WebDataset(self.path, shardshuffle=False, empty_check=False)

    def close(self):
        del self.data

    def scan(self):
        if self.workload == "small":
            unpack = struct.Struct("<ffi").unpack
            return (unpack(sample["bin"]) for sample in self.data)
        return ((sample["jpg"], int(sample["cls"])) for sample in self.data)

    def column(self, name):
        return np.array([int(sample["cls"]) for sample in self.data], np.int64)
