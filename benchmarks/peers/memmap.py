"""`numpy.memmap` over plain files.

Written by `ndarray.tofile`: a structured array for small records, packed bytes with an array of offsets for images,
texts and strings, one array for the rest. Batches of large rows are a loop of plain copies, several times faster than `mapped[indices]`.
No names, no types, no checks: what the file means is in the reader's head.
"""

import numpy as np

from .base import ByteStore


class Adapter(ByteStore):
    """One flat file, and for bytes the offsets beside it."""

    title = "np.memmap"
    typed = True  # by the dtype that the reader gives
    modules = ("numpy",)
    views = frozenset({"batch_view"})

    def __init__(self, workload, fields, folder):
        super().__init__(workload, fields, folder)
        self.packed_bytes = self.text or fields[0].dtype == "bytes"
        self.indices = "list" if self.packed_bytes else "array"

    @property
    def path(self):
        return self.folder / "data.bin"

    def write(self, records):
        if self.workload == "small":
            table = np.empty(records.count, self.dtype)
            for name in self.names:
                table[name] = records.column(name)
            table.tofile(self.path)
        elif self.packed_bytes:
            values = records.column(self.names[0])
            if self.text:
                values = [value.encode() for value in values]
            with open(self.path, "wb", buffering=1 << 20) as stream:
                stream.writelines(values)
            np.save(self.folder / "offsets.npy", np.cumsum([0, *map(len, values)]))
            np.save(self.folder / "labels.npy", records.column("label"))
        else:
            records.column(self.names[0]).tofile(self.path)

    write_columns = write

    def open(self, *, cold=False):
        if self.workload == "small":
            self.mapped = np.memmap(self.path, self.dtype, "r")
        elif self.packed_bytes:
            self.mapped = np.memmap(self.path, np.uint8, "r")
            self.bytes = memoryview(self.mapped)
            self.offsets = np.load(self.folder / "offsets.npy").tolist()
            self.labels = None
        else:
            self.mapped = (
                np.memmap(self.path, self.dtype, "r").reshape(-1, *self.shape).view(np.ndarray)
            )

    def close(self):
        self.bytes = None
        del self.mapped

    def get_each(self, indices):
        if self.text:
            return self._each_string(indices)
        mapped = self.mapped.view(np.ndarray)
        record = None
        for i in indices.tolist():
            record = mapped[i].item()
        return record

    def _each_string(self, indices):
        view, offsets, labels = self.bytes, self.offsets, self._labels()
        record = None
        for i in indices:
            record = str(view[offsets[i] : offsets[i + 1]], "utf-8"), int(labels[i])
        return record

    def batch(self, indices):
        if self.workload == "small":
            table = self.mapped.view(np.ndarray)[indices]
            return {name: np.ascontiguousarray(table[name]) for name in self.names}
        if self.text:
            texts = [str(value, "utf-8") for value in self._views(indices)]
            return {"text": texts, "label": self._labels()[indices]}
        if self.fields[0].dtype == "bytes":
            images = [bytes(value) for value in self._views(indices)]
            return {"image": images, "label": self._labels()[indices]}
        out = np.empty((len(indices), *self.shape), self.dtype)
        self.batch_into(indices, out)
        return {self.names[0]: out}

    def batch_view(self, indices):
        return {"image": self._views(indices), "label": self._labels()[indices]}

    def batch_into(self, indices, out):
        mapped = self.mapped
        for row, i in zip(out, indices.tolist(), strict=True):
            row[:] = mapped[i]

    def _views(self, indices):
        view, offsets = self.bytes, self.offsets
        return [view[offsets[i] : offsets[i + 1]] for i in indices]

    def _labels(self):
        if self.labels is None:
            self.labels = np.load(self.folder / "labels.npy")
        return self.labels

    def scan(self):
        if self.workload == "small":
            return iter(self.mapped.view(np.ndarray).tolist())
        pairs = zip(self.offsets, self.offsets[1:], self._labels().tolist(), strict=False)
        return ((bytes(self.bytes[start:stop]), label) for start, stop, label in pairs)

    def column(self, name):
        return np.load(self.folder / "labels.npy")
