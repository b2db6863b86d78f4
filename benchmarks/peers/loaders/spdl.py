"""SPDL: a pipeline of threads over single files, decoded by the same code as for the others.

A file for each sample: SPDL has no format of its own. Each thread makes whole batches, which is cheaper than a pipeline
of single samples. Raw pixels are .npy files, read by its `load_npy`.
"""

import numpy as np
import spdl.io
from spdl.pipeline import PipelineBuilder

from .base import LoaderAdapter, Transform, one_thread


class Adapter(LoaderAdapter):
    """A folder of files."""

    title = "SPDL over files"
    modules = ("spdl",)

    def write(self, samples):
        for index in range(len(samples)):
            if self.row.kind == "jpeg":
                (self.folder / f"{index}.jpg").write_bytes(samples.encoded(index))
            else:
                np.save(self.folder / f"{index}.npy", samples.value(index))

    def open(self):
        one_thread()
        self.transform = Transform(self.row)
        self.count = sum(1 for _ in self.folder.iterdir())

    def epoch(self, number):
        order = np.random.default_rng(number).permutation(self.count)
        size = self.settings.batch_size
        steps = [order[start : start + size] for start in range(0, len(order), size)]
        workers = self.settings.workers
        pipeline = (
            PipelineBuilder()
            .add_source(steps)
            .pipe(self.batch, concurrency=workers)
            .add_sink(2)
            .build(num_threads=workers)
        )
        with pipeline.auto_stop():
            yield from pipeline

    def batch(self, step):
        """One batch, in one of the threads."""
        values = self.values(step.tolist())
        return {self.row.field: values, "label": step}

    def values(self, indices):
        """The stacked values of a batch."""
        if self.row.kind == "jpeg":
            stored = (self.read(index, "jpg") for index in indices)
        else:
            stored = (spdl.io.load_npy(self.read(index, "npy")) for index in indices)
        return np.stack([self.transform(value) for value in stored])

    def read(self, index, suffix):
        """The bytes of one file."""
        with open(f"{self.folder}/{index}.{suffix}", "rb", buffering=0) as file:
            return file.read()
