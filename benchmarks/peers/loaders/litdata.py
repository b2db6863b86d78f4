"""LitData: `StreamingDataset` on a local folder and `StreamingDataLoader`, a worker for each core.

Written by what `optimize` runs in its workers (`Cache`), in chunks of 64 MB, its default; shuffled as it does by default.
Images are read without both kinds of reading ahead (`batch_decode=False`, LITDATA_POSIX_PAGE_BYTES=0), which is five times faster
for those of 200 KB; for small values its defaults are faster.
"""

import os

from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.cache import Cache

from .base import Transform
from .torch_workers import TorchAdapter


class _Dataset(StreamingDataset):
    def __init__(self, row, folder):
        ahead = False if row.is_image else "auto"
        super().__init__(folder, shuffle=True, batch_decode=ahead)
        self.field = row.field
        self.made = Transform(row)

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return self.made(sample[self.field]), sample["label"]


class Adapter(TorchAdapter):
    """A folder of chunks."""

    title = "LitData"
    modules = ("litdata", "torch")

    def write(self, samples):
        cache = Cache(str(self.folder), chunk_bytes="64MB")
        for index, (value, label) in enumerate(samples):
            cache[index] = {self.row.field: value, "label": label}
        cache.done()
        cache.merge()

    def open(self):
        if self.row.is_image:
            os.environ["LITDATA_POSIX_PAGE_BYTES"] = "0"
        data = _Dataset(self.row, str(self.folder))
        size = self.settings.batch_size
        self.loader = StreamingDataLoader(data, batch_size=size, **self.options())
