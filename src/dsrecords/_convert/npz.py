"""`.npz`: columns that are arrays of one length. Nothing in it is unpickled."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsrecords._convert.arrays import ColumnsSource, columns_of, written_blocks
from dsrecords._convert.base import Format, Look, Options, Progress, Source, unreadable
from dsrecords._convert.npy import create_npy

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_ENDING = ".npy"
_ROWS = 4096
_PROBLEMS = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)


class NpzSource(ColumnsSource):
    """An archive, of which the arrays are unpacked into a temporary folder and mapped there."""

    def __init__(self, path: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dsrecords-npz-")
        try:
            columns = self._unpacked(path)
            super().__init__(path, columns)
        except BaseException:
            self._folder.cleanup()
            raise

    def _unpacked(self, path: str) -> dict[str, Any]:
        columns = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for number, info in enumerate(archive.infolist()):
                    self._require_room(info)
                    target = os.path.join(self._folder.name, f"{number}{_ENDING}")
                    _copy(archive, info, target)
                    array = np.load(target, mmap_mode="r", allow_pickle=False)
                    columns[info.filename.removesuffix(_ENDING)] = array.view(np.ndarray)
        except _PROBLEMS as error:
            raise unreadable(path, f"it is no .npz file that can be read: {error}") from None
        if not columns:
            raise unreadable(path, "there is no array in it")
        return columns

    def _require_room(self, info: zipfile.ZipInfo) -> None:
        place = os.statvfs(self._folder.name)
        if info.file_size > place.f_bavail * place.f_frsize:
            raise OSError(f"{info.filename} would have {info.file_size} bytes: no room for them")

    def close(self) -> None:
        """Remove what was unpacked; whoever has it mapped keeps it."""
        self._folder.cleanup()


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: str) -> None:
    with archive.open(info) as packed, open(target, "wb") as file:
        while True:
            block = packed.read(2**20)
            if not block:
                return
            file.write(block)


class Npz(Format):
    """An archive of NumPy's arrays."""

    name = "npz"
    title = "a .npz file"
    endings = (".npz",)
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether it is a zip archive whose first file is an array."""
        name_length = int.from_bytes(look.head[26:28], "little")
        name = look.head[30 : 30 + name_length]
        return look.head.startswith(b"PK\x03\x04") and name.endswith(_ENDING.encode())

    def open(self, path: str, options: Options) -> Source:
        """Unpack a file."""
        return NpzSource(path)

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write an array for each field, which is first a file of its own beside."""
        columns = columns_of(dataset, self.title)
        total = len(dataset)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(path) or ".") as folder:
            parts = {}
            arrays = {}
            for number, (key, (dtype, shape)) in enumerate(columns.items()):
                parts[key] = os.path.join(folder, f"{number}{_ENDING}")
                arrays[key] = create_npy(parts[key], dtype, (total, *shape))
            for first, batch in written_blocks(dataset, _ROWS, progress):
                for key, array in arrays.items():
                    array[first : first + _ROWS] = batch[key]
            for array in arrays.values():
                if isinstance(array, np.memmap):
                    array.flush()
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for key, part in parts.items():
                    archive.write(part, f"{key}{_ENDING}")


FORMAT = Npz()
