"""torch's DataLoader over LMDB: a packed value under each number, opened in each worker, read without copying."""

import struct

import lmdb
from torch.utils.data import Dataset

from .base import Transform, packed, unpacked
from .torch_workers import TorchAdapter

_KEY = struct.Struct(">I")


class _Dataset(Dataset):
    def __init__(self, path, row):
        self.path = path
        self.transform = Transform(row)
        self.transaction = None
        with lmdb.open(path, readonly=True, lock=False) as file:
            self.count = file.stat()["entries"]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.transaction is None:
            file = lmdb.open(self.path, readonly=True, lock=False, readahead=False)
            self.transaction = file.begin(buffers=True)
        value, label = unpacked(self.transaction.get(_KEY.pack(index)))
        return self.transform(value), label


class Adapter(TorchAdapter):
    """An LMDB environment."""

    title = "torch DataLoader over LMDB"
    modules = ("lmdb", "torch")

    def write(self, samples):
        with lmdb.open(str(self.folder), map_size=64 << 30) as file, file.begin(write=True) as txn:
            pairs = ((_KEY.pack(i), record) for i, record in enumerate(packed(samples)))
            txn.cursor().putmulti(pairs, append=True)

    def dataset(self):
        return _Dataset(str(self.folder), self.row)
