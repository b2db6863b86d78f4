"""One adapter per peer, all with the verbs of `peers.base.Store`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A row of the tables: its adapter's module in this package, its environment, and whose files it reads."""

    name: str
    environment: str
    files: str = ""  # another peer whose files it reads, instead of writing its own

    @property
    def data(self) -> str:
        """The name of the folder that holds its files."""
        return self.files or self.name


# Ours first and the physical limit last; between them the order of the tables when nothing was measured.
PEERS = {
    peer.name: peer
    for peer in (
        Peer("ours", "ours"),
        Peer("ours_tuples", "ours"),
        Peer("lmdb", "lmdb"),
        Peer("lmdb_random", "lmdb", files="lmdb"),
        Peer("lmdb1", "lmdb"),
        Peer("bagz", "bagz"),
        Peer("arrayrecord", "arrayrecord"),
        Peer("mds", "mds"),
        Peer("litdata", "litdata"),
        Peer("webdataset", "webdataset"),
        Peer("hf", "hf"),
        Peer("lance", "lance"),
        Peer("h5py", "h5py"),
        Peer("parquet", "parquet"),
        Peer("tfrecord", "tfrecord"),
        Peer("memmap", "ours"),
        Peer("dsrecords04", "dsrecords04"),
        Peer("limit", "ours"),
    )
}
