"""WebDataset: tar archives in which the files of a sample have one name and several endings."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from dsrecords._convert import compressed
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.compressed import PROBLEMS
from dsrecords._convert.damage import Damage
from dsrecords._convert.endings import INTEGERS, JSON, KEY, TEXT, Endings, type_of_ending
from dsrecords._convert.exported import FILES, ending_of, json_value, plain_name, types_by_name
from dsrecords._convert.image_folder import PICTURES
from dsrecords._convert.tar import TarError, TarReader
from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_ENDING = ".tar"
_PROBLEMS = (TarError, OSError, *PROBLEMS)


class _File(NamedTuple):
    """A file of a sample: the part of its name that says what it is, and its contents."""

    ending: str
    data: bytes


class WebDatasetSource(Source):
    """Archives, one behind the other."""

    def __init__(
        self,
        path: str,
        files: list[str],
    ) -> None:
        super().__init__(path)
        self._files = files
        self._fields: dict[str, str] = {}

    def types(self) -> dict[str, Any]:
        """Return the types that the endings of names stand for. All headers are looked at."""
        endings = self._endings()
        if not endings.samples:
            self._raise_first()
        self.count = endings.samples
        self._fields = endings.fields()
        types: dict[str, Any] = {KEY: "str"}
        for ending, field in self._fields.items():
            types[field] = type_of_ending(ending)
        for field in types.keys() - {KEY}:
            if endings.count_of(field, self._fields) < endings.samples:
                types[field] += "?"
        return types

    def _endings(self) -> Endings:
        endings = Endings()
        for path in self._files:
            for _, files in _samples(path, Damage("skip"), reads=False):
                endings.learn({file.ending for file in files})
        return endings

    def _raise_first(self) -> NoReturn:
        """Raise what is wrong with archives in which no sample was found."""
        for path in self._files:
            for _ in _samples(path, Damage(), reads=False):
                pass
        raise unreadable(self.path, "there is no sample in it")

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the samples, of which one is in memory."""
        for path in self._files:
            for key, files in _samples(path, damage, reads=True):
                row: dict[str, Any] = {KEY: key}
                try:
                    for file in files:
                        field = self._fields.get(file.ending, file.ending)
                        if field in schema:
                            row[field] = _value(file, schema[field])
                except (ValueError, RecursionError, EOFError) as error:
                    problem = f"sample {key!r}, {file.ending}: {error}"
                    damage.leave_out(unreadable(path, problem))
                else:
                    yield row


def _value(file: _File, kind: Any) -> Any:
    """Return what a file says. Nothing is unpickled: such files are bytes."""
    plain = plain_name(kind) if isinstance(kind, str) else ""
    if plain in FILES or plain in ("bytes", "file"):
        return file.data
    if plain == "str" or plain.startswith("category"):
        return file.data.decode()
    last = file.ending.rpartition(".")[2]
    if last == "npy":
        return np.load(io.BytesIO(file.data), allow_pickle=False)
    if last in JSON:
        return json.loads(file.data)
    if plain.startswith(("int", "uint")):
        return int(file.data)
    if plain.startswith("float"):
        return float(file.data)
    return json.loads(file.data)


def _samples(
    path: str,
    damage: Damage,
    reads: bool,
) -> Iterator[tuple[str, list[_File]]]:
    """Return the key and the files of each sample of an archive."""
    last = ""
    files: list[_File] = []
    try:
        with compressed.open_binary(path) as file:
            reader = TarReader(file, _size_of(path, file))
            for member in reader.members():
                key, ending = _split(member.name)
                if not ending or os.path.basename(key).startswith("._"):
                    continue
                if key != last and files:
                    yield last, files
                    files = []
                last = key
                data = b""
                if reads:
                    data = reader.read(member)
                files.append(_File(ending, data))
    except _PROBLEMS as error:
        offset = getattr(
            error,
            "offset",
            None,
        )
        text = f"{error}"
        if files:
            text += f" (in or behind sample {last!r})"
        damage.leave_out(unreadable(path, text, offset=offset))
        return
    if files:
        yield last, files


def _size_of(path: str, file: IO[bytes]) -> int | None:
    """Return the size of an archive; None if it is compressed, and so can only be read through."""
    if isinstance(file, io.BufferedReader) and not hasattr(file.raw, "_fp"):
        return os.path.getsize(path)
    return None


def _split(name: str) -> tuple[str, str]:
    """Return the key of a sample, and the ending: what follows the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    if not stem and dot:
        return name, ""
    return f"{folder}{slash}{stem}", ending.lower()


class WebDataset(Format):
    """WebDataset."""

    name = "webdataset"
    title = "WebDataset"
    endings = (_ENDING,)
    writes: ClassVar[Mapping[str, str]] = {
        "key": f"the field with the keys of samples; by default {KEY!r}, if there is one"
    }

    def recognizes(self, look: Look) -> bool:
        """Return whether it is a tar archive, or a folder with such archives."""
        if look.is_folder:
            return bool(_archives(look.path, look.names))
        return look.head[257:262] == b"ustar"

    def open_many(
        self,
        path: str,
        files: Sequence[str],
        options: Options,
    ) -> Source:
        """Open several files."""
        return WebDatasetSource(path, list(files))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open an archive, or a folder of archives."""
        if not os.path.isdir(path):
            return WebDatasetSource(path, [path])
        return WebDatasetSource(path, _archives(path, sorted(os.listdir(path))))

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write an archive with a file for each field of each record."""
        types = {name: plain_name(kind) for name, kind in types_by_name(dataset).items()}
        key_field = options.get("key", KEY if KEY in types else None)
        if key_field is not None and key_field not in types:
            raise SchemaError("there is no such field", field=key_field)
        names = list(types)
        with (
            compressed.create_binary(path, progress.name) as file,
            tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for position, row in enumerate(progress.of(dataset, len(dataset))):
                values = dict(zip(names, row.values() if isinstance(row, Mapping) else row))
                key = f"{position:09}"
                if key_field is not None:
                    key = str(values.pop(key_field))
                for name, value in values.items():
                    if value is not None:
                        ending, data = _file_of(
                            name,
                            value,
                            types[name],
                        )
                        _add(
                            archive,
                            f"{key}.{ending}",
                            data,
                        )


def _add(
    archive: tarfile.TarFile,
    name: str,
    data: bytes,
) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o444
    archive.addfile(info, io.BytesIO(data))


def _file_of(
    name: str,
    value: Any,
    kind: str,
) -> tuple[str, bytes]:
    """Return the ending of a file, by which its type is known again, and its contents."""
    if kind in FILES or kind == "bytes":
        ending = ending_of(value, kind)
        if name.lower().endswith(ending) or f".{name}" == ending or type_of_ending(name) == kind:
            return name, bytes(value)
        if f".{name.rpartition('.')[2]}" in PICTURES and kind in FILES:
            return name, bytes(value)
        return f"{name}{ending}", bytes(value)
    if kind == "str" or kind.startswith("category"):
        return _ended(
            name,
            TEXT,
            ".txt",
        ), str(value).encode()
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(
            file,
            value,
            allow_pickle=False,
        )
        return _ended(
            name,
            ("npy",),
            ".npy",
        ), file.getvalue()
    if isinstance(value, int) and not isinstance(value, bool):
        return _ended(
            name,
            INTEGERS,
            ".cls",
        ), str(value).encode()
    text = json.dumps(json_value(value), ensure_ascii=False)
    return _ended(
        name,
        JSON,
        ".json",
    ), text.encode()


def _ended(
    name: str,
    endings: tuple[str, ...],
    otherwise: str,
) -> str:
    if name.rpartition(".")[2] in endings:
        return name
    return f"{name}{otherwise}"


def _archives(folder: str, names: Any) -> list[str]:
    shown = [name for name in names if not name.startswith(".")]
    found = [name for name in shown if compressed.without_compression(name).endswith(_ENDING)]
    return [os.path.join(folder, name) for name in found]


FORMAT = WebDataset()
