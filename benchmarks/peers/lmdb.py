"""LMDB, each record a packed value under its number.

Written in one transaction in key order with `append=True` and `putmulti`, its fastest load; it syncs at the commit.
Keys of 4 bytes, values packed by the user (struct, raw bytes). Read through one long transaction with `buffers=True`
(zero-copy) and `lock=False`, read-ahead as it is by default. A batch is a loop of `get`. Where each record must be
visible when the call returns, a transaction each, without syncing (`sync=False`), and one sync at the end. This is the
engine 0.9, the package's default for new files.
"""

import struct

import lmdb
import numpy as np

from .base import ByteStore

_KEY = struct.Struct(">I")
_MAP_SIZE = 64 << 30


class Adapter(ByteStore):
    """Packed records under their number."""

    title = "LMDB 0.9"
    modules = ("lmdb",)
    engine = 0  # LMDB 0.9, whose format is version 1
    readahead = True
    views = frozenset({"batch_view"})

    def _create(self, **options):
        return lmdb.open(str(self.folder), map_size=_MAP_SIZE, lib_version=self.engine, **options)

    def _load(self, pairs):
        with self._create() as env, env.begin(write=True) as txn:
            txn.cursor().putmulti(pairs, append=True)

    def write(self, records):
        pack = _KEY.pack
        self._load((pack(i), value) for i, value in enumerate(self.packed(records)))

    write_rows = write

    def write_columns(self, records):
        pack = _KEY.pack
        self._load((pack(i), value) for i, value in enumerate(self.packed_columns(records)))

    def write_each(self, records):
        pack, values = _KEY.pack, struct.Struct("<ffi").pack
        with self._create() as env, env.begin(write=True) as txn:
            put = txn.put
            for i, (x, y, z) in enumerate(records.tuples):
                put(pack(i), values(x, y, z), append=True)

    def append_each(self, records):
        pack, values = _KEY.pack, struct.Struct("<ffi").pack
        with self._create(sync=False) as env:
            for i, (x, y, z) in enumerate(records.tuples):
                with env.begin(write=True) as txn:
                    txn.put(pack(i), values(x, y, z), append=True)
            env.sync(True)

    def open(self, *, cold=False):
        self.env = lmdb.open(str(self.folder), readonly=True, lock=False, readahead=self.readahead)
        self.txn = self.env.begin(buffers=True)

    def close(self):
        self.txn.abort()
        self.env.close()

    def get_each(self, indices):
        get, key, unpack = self.txn.get, _KEY.pack, self.decoder()
        record = None
        for i in indices:
            record = unpack(get(key(i)))
        return record

    def read_many(self, indices):
        get, key = self.txn.get, _KEY.pack
        return [get(key(i)) for i in indices]

    def batch_view(self, indices):
        return self.unpack(self.read_many(indices), owned=False)

    def scan(self):
        values = self.txn.cursor().iternext(keys=False, values=True)
        if self.workload == "small":
            return map(struct.Struct("<ffi").unpack, values)
        label = struct.Struct("<q").unpack_from
        return ((bytes(value[8:]), *label(value)) for value in values)

    def column(self, name):
        values = self.txn.cursor().iternext(keys=False, values=True)
        return np.frombuffer(b"".join([value[:8] for value in values]), np.int64)
