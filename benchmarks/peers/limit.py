"""The physical limit, which is no format.

Warm, everything already lies in this process's memory, and a read is the bare decoding or copying
(`struct.unpack_from`, `array[indices]`, a loop of plain copies into a reused buffer). Cold, 32 threads `pread` from
one packed file at offsets known beforehand. Writing is one file written in large pieces from memory that holds its
bytes already (texts are encoded first), or one call of the system for each record.
"""

import mmap
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .base import ByteStore

_THREADS = 32


def _room(size):
    """Bytes that begin at a page and may lie in huge pages: what copies like best."""
    room = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(room, np.uint8)


class Adapter(ByteStore):
    """One packed file and its offsets."""

    title = "limit (RAM; 32 preads)"
    modules = ("numpy",)
    opening_counts = False  # the offsets are known beforehand

    def __init__(self, workload, fields, folder):
        super().__init__(workload, fields, folder)
        if (
            workload != "small" and not self.text
        ):  # into the reused buffer, or the memory that holds everything
            self.views = frozenset({"batch", "batch_view"})
        self.indices = "array" if workload == "small" else "list"
        self.packed_bytes = self.text or fields[0].dtype == "bytes"

    @property
    def path(self):
        return self.folder / "data.bin"

    def write(self, records):
        """Only the pieces' writing is the limit; the caller times it all, so the pieces are views of what is there."""
        with open(self.path, "wb", buffering=0) as stream:
            first = records.column(self.names[0])
            if self.packed_bytes:
                if self.text:
                    first = [text.encode() for text in first]
                    stream.write(b"".join(first))
                else:
                    for start in range(0, len(first), 256):
                        os.writev(stream.fileno(), first[start : start + 256])
                np.save(self.folder / "offsets.npy", np.cumsum([0, *map(len, first)]))
                records.column("label").tofile(self.folder / "label.bin")
            elif self.workload == "small":
                stream.writelines(records.column(name).data for name in self.names)
            else:
                for start in range(0, len(first), 512):
                    stream.write(first[start : start + 512].data)

    write_columns = write

    def open(self, *, cold=False):
        self.pool = None
        if self.packed_bytes:
            self.offsets = np.load(self.folder / "offsets.npy").tolist()
            self.labels = np.fromfile(self.folder / "label.bin", np.int64)
            self.label_list = self.labels.tolist()
        if cold:
            self.descriptor = os.open(self.path, os.O_RDONLY)
            self.pool = ThreadPoolExecutor(_THREADS)
            return
        self.data = _room(self.path.stat().st_size)
        with open(self.path, "rb", buffering=0) as stream:
            stream.readinto(self.data)
        if self.workload == "small":
            columns = self.data.view(np.uint32).reshape(3, -1)
            self.columns = {
                name: columns[k].view(self.dtype[name]) for k, name in enumerate(self.names)
            }
            table = np.empty(columns.shape[1], self.dtype)
            for name in self.names:
                table[name] = self.columns[name]
            self.packed_table = table.tobytes()
        elif self.packed_bytes:
            self.view = memoryview(self.data)
            self.room = memoryview(_room(64 * 160_000))
        else:
            self.rows = self.data.view(self.dtype).reshape(-1, *self.shape)
            self.out = _room(64 * self.rows[0].nbytes).view(self.dtype).reshape(64, *self.shape)

    def close(self):
        if self.pool:
            self.pool.shutdown()
            os.close(self.descriptor)

    def append_each(self, records):
        """One call of the system a record."""
        pack = struct.Struct("<ffi").pack
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for x, y, z in records.tuples:
            os.write(descriptor, pack(x, y, z))
        os.close(descriptor)

    def get_each(self, indices):
        if self.text:
            return self._each_string(indices)
        unpack, data = struct.Struct("<ffi").unpack_from, self.packed_table
        record = None
        for i in indices.tolist():
            record = unpack(data, 12 * i)
        return record

    def _each_string(self, indices):
        view, offsets, labels = self.view, self.offsets, self.label_list
        record = None
        for i in indices:
            record = str(view[offsets[i] : offsets[i + 1]], "utf-8"), labels[i]
        return record

    def batch(self, indices):
        if self.workload == "small":
            return {name: column[indices] for name, column in self.columns.items()}
        if self.text:
            return self._texts(indices)
        if self.fields[0].dtype == "bytes":
            offsets = self.offsets
            if self.pool:
                images = list(self.pool.map(self._pread, indices))
            else:
                images = []
                start = 0
                for i in indices:
                    size = offsets[i + 1] - offsets[i]
                    room = self.room[start : start + size]
                    room[:] = self.view[offsets[i] : offsets[i + 1]]
                    images.append(room)
                    start += size
            return {"image": images, "label": self.labels[indices]}
        self.batch_into(indices, self.out)
        return {self.names[0]: self.out}

    def _texts(self, indices):
        if self.pool:
            values = self.pool.map(self._pread, indices)
        else:
            values = self.batch_view(indices)["image"]
        texts = [str(value, "utf-8") for value in values]
        return {"text": texts, "label": self.labels[indices]}

    def _pread(self, i):
        start = self.offsets[i]
        return os.pread(self.descriptor, self.offsets[i + 1] - start, start)

    def batch_view(self, indices):
        view, offsets = self.view, self.offsets
        return {
            "image": [view[offsets[i] : offsets[i + 1]] for i in indices],
            "label": self.labels[indices],
        }

    def batch_into(self, indices, out):
        rows = self.rows
        for row, i in zip(out, indices, strict=True):
            row[:] = rows[i]

    def scan(self):
        if self.workload == "small":
            return struct.iter_unpack("<ffi", self.packed_table)
        pairs = zip(self.offsets, self.offsets[1:], self.labels.tolist(), strict=False)
        return ((bytes(self.view[start:stop]), label) for start, stop, label in pairs)

    def column(self, name):
        return np.fromfile(self.folder / "label.bin", np.int64)
