"""HDF5: datasets of one length as columns, by the package `h5py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsrecords._convert.arrays import ColumnsSource, dtype_of, type_of_rows, written_blocks
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.exported import FILES, plain_name, types_by_key
from dsrecords._optional import import_optional
from dsrecords.errors import CorruptError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ROWS = 1024
_PROBLEMS = (OSError, ValueError, KeyError, RuntimeError, TypeError)


class Hdf5Source(ColumnsSource):
    """The datasets of a group, a block of whose rows is in memory.

    Args:
        path: of the file.
        group: path of the group in the file; what is in groups within it has their names before
            its own, as "camera/left".
    """

    def __init__(
        self,
        path: str,
        group: str,
    ) -> None:
        self._h5py = import_optional(
            "h5py",
            "h5py",
            extra="hdf5",
        )
        try:
            self._file = self._h5py.File(path, "r")
        except _PROBLEMS as error:
            raise unreadable(path, f"HDF5 cannot read it: {error}") from None
        try:
            super().__init__(path, self._found(path, group))
        except BaseException:
            self._file.close()
            raise

    def _found(
        self,
        path: str,
        group: str,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def visit(name: str, thing: Any) -> None:
            if isinstance(thing, self._h5py.Dataset):
                found[name] = thing

        try:
            self._file[group].visititems(visit)
        except _PROBLEMS as error:
            raise unreadable(path, f"{group}: {error}") from None
        if not found:
            raise unreadable(path, f"there is no dataset in {group}")
        return found

    def types(self) -> dict[str, Any]:
        """Return the types of the datasets' rows."""
        types: dict[str, Any] = {}
        for name, column in self.columns.items():
            text = self._h5py.check_string_dtype(column.dtype)
            items = self._h5py.check_vlen_dtype(column.dtype)
            if text is not None and len(column.shape) == 1:
                types[name] = "str"
            elif items is not None and len(column.shape) == 1:
                types[name] = f"{np.dtype(items).name}[*]"
            elif text is not None or items is not None:
                problem = f"{name} has strings or lists in {len(column.shape)} dimensions"
                raise unreadable(self.path, problem)
            else:
                kind = type_of_rows(
                    self.path,
                    name,
                    column.dtype,
                    column.shape[1:],
                )
                types[name] = "bytes" if column.dtype.kind == "V" else kind
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the rows; what cannot be read is the rest."""
        kinds = {name: str(kind) for name, kind in schema.items()}
        try:
            for block in self.blocks(list(schema)):
                names = list(block)
                columns = [_values(block[name], kinds[name]) for name in names]
                for values in zip(*columns):
                    yield dict(zip(names, values))
        except _PROBLEMS as error:
            if isinstance(error, CorruptError):
                raise
            damage.leave_out(unreadable(self.path, f"HDF5 cannot read it: {error}"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _values(block: Any, kind: str) -> Any:
    """Return the values of some rows: strings, and the bytes of files."""
    plain = kind.removesuffix("?")
    if plain == "str" or plain.startswith("category"):
        return [value.decode() if isinstance(value, bytes) else str(value) for value in block]
    if plain in ("bytes", *FILES):
        return [bytes(value) for value in block]
    return block


class Hdf5(Format):
    """HDF5."""

    name = "hdf5"
    title = "HDF5"
    endings = (".h5", ".hdf5")
    reads: ClassVar[Mapping[str, str]] = {"group": "path of the group; by default '/', all of it"}
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether it begins as such files do."""
        return look.head.startswith(_SIGNATURE)

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file."""
        return Hdf5Source(path, options.get("group", "/"))

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a dataset for each field. Bytes and files are lists of uint8 of any length."""
        h5py = import_optional(
            "h5py",
            "h5py",
            extra="hdf5",
        )
        total = len(dataset)
        with h5py.File(path, "w") as file:
            columns = {}
            for key, kind in types_by_key(dataset).items():
                columns[key] = self._created(
                    file,
                    str(key),
                    kind,
                    total,
                    h5py,
                )
            for first, batch in written_blocks(dataset, _ROWS, progress):
                for key, column in columns.items():
                    values = batch[key]
                    if h5py.check_vlen_dtype(column.dtype) not in (None, str):
                        values = _vlen(values)
                    column[first : first + len(values)] = values

    def _created(
        self,
        file: Any,
        name: str,
        kind: str,
        total: int,
        h5py: Any,
    ) -> Any:
        plain = plain_name(kind)
        if kind == plain and plain == "str":
            return file.create_dataset(
                name,
                (total,),
                h5py.string_dtype(),
            )
        if kind == plain and plain in ("bytes", *FILES):
            return file.create_dataset(
                name,
                (total,),
                h5py.vlen_dtype(np.uint8),
            )
        dtype, shape = dtype_of(
            self.title,
            name,
            kind,
        )
        return file.create_dataset(
            name,
            (total, *shape),
            dtype,
        )


def _vlen(values: Any) -> np.ndarray:
    """Return byte strings as an array of arrays."""
    found = np.empty(len(values), object)
    for position, value in enumerate(values):
        found[position] = np.frombuffer(value, np.uint8)
    return found


FORMAT = Hdf5()
