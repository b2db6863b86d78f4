"""`.npy`: one array, whose rows are the records. Nothing in it is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsrecords._convert.arrays import ColumnsSource, columns_of, written_blocks
from dsrecords._convert.base import Format, Look, Options, Progress, Source, unreadable

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_FIELD = "array"  # the name of the only field
_ROWS = 4096


class Npy(Format):
    """A file of NumPy: an array, or a structured one."""

    name = "npy"
    title = "a .npy file"
    endings = (".npy",)
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether it begins as NumPy says."""
        return look.head.startswith(b"\x93NUMPY")

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Map a file."""
        try:
            array = np.load(
                path,
                mmap_mode="r",
                allow_pickle=False,
            )
        except (ValueError, EOFError, OSError, SyntaxError, TypeError, OverflowError) as error:
            raise unreadable(path, f"it is no .npy file that can be read: {error}") from None
        if array.ndim == 0:
            raise unreadable(path, "it has one number, and no rows")
        plain: Any = array.view(np.ndarray)
        if plain.dtype.names and plain.ndim == 1:
            return ColumnsSource(path, {name: plain[name] for name in plain.dtype.names})
        return ColumnsSource(path, {_FIELD: plain})

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write one field as an array, several as a structured array."""
        columns = columns_of(dataset, self.title)
        total = len(dataset)
        if len(columns) == 1:
            (key, (dtype, shape)) = next(iter(columns.items()))
            array = create_npy(
                path,
                dtype,
                (total, *shape),
            )
            for first, batch in written_blocks(dataset, _ROWS, progress):
                array[first : first + _ROWS] = batch[key]
        else:
            fields = [(str(key), dtype, shape) for key, (dtype, shape) in columns.items()]
            array = create_npy(
                path,
                np.dtype(fields),
                (total,),
            )
            for first, batch in written_blocks(dataset, _ROWS, progress):
                for key in columns:
                    array[str(key)][first : first + _ROWS] = batch[key]
        if total:
            array.flush()


def create_npy(
    path: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
) -> Any:
    """Create a file of zeros that is mapped; NumPy cannot map one without elements."""
    if 0 in shape:
        with open(path, "wb") as file:
            np.save(file, np.zeros(shape, dtype))
        return np.zeros(shape, dtype)
    return np.lib.format.open_memmap(
        path,
        "w+",
        dtype,
        shape,
    )


FORMAT = Npy()
