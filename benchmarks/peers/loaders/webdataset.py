"""WebDataset: eight uncompressed tars, shuffled by shard and through a buffer of 1,000, `WebLoader` with a worker for each core.

Each worker makes whole batches. A sample is one member for its value and one for its label.
"""

import webdataset

from .base import LoaderAdapter, Transform
from .torch_workers import prepare

_SHARDS = 8
_BUFFER = 1000


class Adapter(LoaderAdapter):
    """A folder of .tar files."""

    title = "WebDataset"
    modules = ("webdataset", "torch")

    def write(self, samples):
        size = len(samples) // _SHARDS
        for shard in range(_SHARDS):
            with webdataset.TarWriter(str(self.folder / f"{shard}.tar")) as tar:
                for index in range(shard * size, (shard + 1) * size):
                    value = samples.encoded(index)
                    label = str(index).encode()
                    tar.write({"__key__": f"{index:08d}", "bin": value, "cls": label})

    def open(self):
        self.transform = Transform(self.row)
        shards = sorted(str(path) for path in self.folder.glob("*.tar"))
        data = (
            webdataset.WebDataset(shards, shardshuffle=_SHARDS, empty_check=False)
            .shuffle(_BUFFER)
            .map(self._sample)
            .batched(self.settings.batch_size)
        )
        workers = self.settings.workers
        self.loader = webdataset.WebLoader(
            data,
            batch_size=None,
            num_workers=workers,
            persistent_workers=not self.settings.cold,
            worker_init_fn=prepare,
        )

    def _sample(self, sample):
        return self.transform(sample["bin"]), int(sample["cls"])

    def epoch(self, number):
        for values, labels in self.loader:
            yield {self.row.field: values, "label": labels}

    def close(self):
        del self.loader
