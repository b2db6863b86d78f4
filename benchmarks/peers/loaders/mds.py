"""MDS, the format of MosaicML streaming: `StreamingDataset` on a local folder and `StreamingDataLoader`, a worker for each core.

Written without compression or hashes, in shards of 64 MiB; shuffled as it does by default.
"""

import torch

# torchvision, imported by MDS for its vision datasets alone, ships compiled operators for the CUDA build of torch. With
# the CPU build its import fails unless something declares them. They are never called here.
_operators = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset  # noqa: E402
from streaming.base.util import clean_stale_shared_memory  # noqa: E402

from .base import Transform  # noqa: E402
from .torch_workers import TorchAdapter  # noqa: E402


class _Dataset(StreamingDataset):
    def __init__(self, row, **options):
        super().__init__(**options)
        self.field = row.field
        self.transform = Transform(row)

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return self.transform(sample[self.field]), sample["label"]


class Adapter(TorchAdapter):
    """A folder of .mds shards."""

    title = "MosaicML streaming (MDS)"
    modules = ("mosaicml_streaming", "torch")

    def write(self, samples):
        columns = {self.row.field: self._type(), "label": "int"}
        with MDSWriter(out=str(self.folder), columns=columns, size_limit=1 << 26) as writer:
            for value, label in samples:
                writer.write({self.row.field: value, "label": label})

    def _type(self):
        if self.row.kind == "jpeg":
            return "bytes"
        if self.row.kind == "text":
            return "str"
        return f"ndarray:{self.row.dtype}:{','.join(map(str, self.row.shape))}"

    def open(self):
        clean_stale_shared_memory()
        size = self.settings.batch_size
        data = _Dataset(self.row, local=str(self.folder), shuffle=True, batch_size=size)
        self.loader = StreamingDataLoader(data, batch_size=size, **self.options())

    def close(self):
        super().close()
        clean_stale_shared_memory()
