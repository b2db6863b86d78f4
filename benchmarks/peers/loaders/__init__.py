"""Loaders: what a training loop iterates over. One adapter each, all of the class `base.LoaderAdapter`."""

from dataclasses import dataclass

IMAGES = ("jpeg256", "jpeg110k", "raw256")
JPEG = ("jpeg256", "jpeg110k")
VALUES = ("arrays", "tokens", "texts")
ALL = (*IMAGES, *VALUES)


@dataclass(frozen=True)
class LoaderPeer:
    """A line of the tables: its adapter's module in this package, its environment, whose files it reads.

    Attributes:
        name: of the module and on the command line.
        environment: the file in envs/ that its interpreter is made from.
        rows: the rows that it can answer.
        files: another peer whose files it reads, instead of writing its own.
        system: packages of Debian that must be installed before its environment is made.
        has_files: whether it reads files, which can be cold.
    """

    name: str
    environment: str = "loading"
    rows: tuple[str, ...] = ALL
    files: str = ""
    system: tuple[str, ...] = ()
    has_files: bool = True

    def answers(self, row: str) -> bool:
        """Whether it can answer a row, or one of another size."""
        kind, is_other, _ = row.partition("-")
        if not is_other:
            return row in self.rows
        return {"jpeg": "jpeg256", "raw": "raw256"}.get(kind, kind) in self.rows

    @property
    def data(self) -> str:
        """The name of the folder that holds its files."""
        return self.files or self.name


_OPENCV = ("libopencv-dev", "libturbojpeg0-dev", "pkg-config")

LOADERS = {
    peer.name: peer
    for peer in (
        LoaderPeer("ours"),
        LoaderPeer("ours_always", files="ours"),
        LoaderPeer("ours_unverified", files="ours"),
        LoaderPeer("ours_torch", files="ours"),
        LoaderPeer("ours_dataloader", files="ours"),
        LoaderPeer("ceiling", has_files=False),
        LoaderPeer("ceiling_shared", rows=IMAGES, has_files=False),
        LoaderPeer("ffcv", "loading-ffcv", (*IMAGES, "arrays", "tokens"), system=_OPENCV),
        LoaderPeer("lmdb"),
        LoaderPeer("webdataset"),
        LoaderPeer("hf"),
        LoaderPeer("grain"),
        LoaderPeer("grain_bagz"),
        LoaderPeer("spdl", rows=IMAGES, system=("ffmpeg",)),
        LoaderPeer("spdl_own", rows=JPEG, files="spdl", system=("ffmpeg",)),
        LoaderPeer("mds", "loading-mds"),
        LoaderPeer("litdata", "loading-litdata"),
    )
}
