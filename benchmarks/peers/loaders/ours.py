"""DSRecords as a user writes it: `dsrecords.Loader` with its defaults, in threads of this process.

Reopened before the measured epochs, so that each record is verified in the first of them, as in a new process.
"""

import dsrecords

from .base import SIZE, LoaderAdapter


class Adapter(LoaderAdapter):
    """A .rec and an .idx file."""

    title = "DSRecords"
    modules = ("dsrecords",)
    verify = True
    format = "numpy"

    @property
    def path(self):
        return self.folder / "data.rec"

    def _type(self):
        if self.row.kind == "jpeg":
            return "image"
        if self.row.kind == "text":
            return "str"
        return f"{self.row.dtype}[{','.join(map(str, self.row.shape))}]"

    def write(self, samples):
        rows = ({self.row.field: value, "label": label} for value, label in samples)
        dsrecords.make_dataset(rows, self.path, {self.row.field: self._type(), "label": "int64"})

    def decode(self):
        """How images are decoded."""
        if not self.row.is_image:
            return None
        from dsrecords import vision

        return {self.row.field: vision.RandomResizedCrop(SIZE, flip=0.5)}

    def open(self):
        self.data = dsrecords.open(self.path, verify=self.verify)
        self.loader = dsrecords.Loader(
            self.data,
            self.settings.batch_size,
            shuffle=True,
            seed=0,
            decode=self.decode(),
            num_threads=self.settings.workers,
            format=self.format,
        )

    def reopen(self):
        self.close()
        self.open()

    def epoch(self, number):
        self.loader.set_epoch(number)
        return self.loader

    def close(self):
        del self.loader
        self.data.close()
