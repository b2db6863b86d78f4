"""DSRecords in torch's DataLoader: a worker process for each core, `dsrecords.torch.Dataset` and its `collate`.

Raw pixels go through the code that decodes for the other peers, as the dataset's `transform`.
"""

import dsrecords
from dsrecords import vision

from .base import SIZE, Transform
from .torch_workers import TorchAdapter


class _Transformed:
    """A transform of samples."""

    def __init__(self, row):
        self.field = row.field
        self.transform = Transform(row)

    def __call__(self, sample):
        return {**sample, self.field: self.transform(sample[self.field])}


class Adapter(TorchAdapter):
    """The same files."""

    title = "torch DataLoader over DSRecords"
    modules = ("dsrecords", "torch")

    def dataset(self):
        path = self.folder / "data.rec"
        if self.row.kind == "jpeg":
            data = dsrecords.open(path, decode={"image": vision.RandomResizedCrop(SIZE, flip=0.5)})
        elif self.row.kind == "pixels":
            data = dsrecords.open(path, transform=_Transformed(self.row))
        else:
            data = dsrecords.open(path)
        return dsrecords.torch.Dataset(data)

    def options(self):
        return {**super().options(), "collate_fn": dsrecords.torch.collate}
