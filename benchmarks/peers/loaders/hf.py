"""Hugging Face datasets: mapped Arrow files, in torch's DataLoader with a worker process for each core.

Images are `large_binary` and go through `with_transform`; arrays and tokens are fixed-size lists in
the format "numpy", which the DataLoader reads a batch at a time; texts are strings.
"""

import datasets
import numpy as np
import pyarrow as pa

from .base import Transform
from .torch_workers import TorchAdapter

datasets.disable_progress_bars()


class _Transformed:
    """What `with_transform` calls with the columns of a batch."""

    def __init__(self, row):
        self.row = row
        self.transform = Transform(row)

    def __call__(self, columns):
        values = [self.transform(value) for value in columns[self.row.field]]
        return {**columns, self.row.field: values}


class Adapter(TorchAdapter):
    """A folder of .arrow files."""

    title = "Hugging Face datasets"
    modules = ("datasets", "pyarrow", "torch")

    def write(self, samples):
        labels = pa.array(samples.labels)
        table = pa.table({self.row.field: self._column(samples), "label": labels})
        datasets.Dataset(table).save_to_disk(str(self.folder / "data"))

    def _column(self, samples):
        everything = range(len(samples))
        if self.row.is_image:
            return pa.array([samples.encoded(i) for i in everything], pa.large_binary())
        if self.row.kind == "text":
            return pa.array([samples.value(i) for i in everything])
        flat = np.concatenate([samples.value(i) for i in everything])
        return pa.FixedSizeListArray.from_arrays(pa.array(flat), self.row.shape[0])

    def dataset(self):
        data = datasets.load_from_disk(str(self.folder / "data"))
        if self.row.is_image:
            return data.with_transform(_Transformed(self.row))
        return data if self.row.kind == "text" else data.with_format("numpy")
