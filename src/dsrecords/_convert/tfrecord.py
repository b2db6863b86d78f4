"""TFRecord: files of `tf.train.Example`, whose checksums are verified; without TensorFlow."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dsrecords._convert import compressed
from dsrecords._convert.base import Format, Look, Options, Progress, Row, Source, unreadable
from dsrecords._convert.compressed import PROBLEMS
from dsrecords._convert.crc32c import masked
from dsrecords._convert.damage import Damage
from dsrecords._convert.example import BYTES, FLOATS, INTEGERS, Feature, example_of, features_of
from dsrecords._convert.exported import FILES, json_value, named, plain_name, types_by_name
from dsrecords._convert.feature_types import FeatureType, value_of

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_HEAD = struct.Struct("<QI")  # the length of a record, and the masked CRC-32C of those bytes
_TAIL = struct.Struct("<I")  # the masked CRC-32C of the record
_ENDINGS = (".tfrecord", ".tfrecords")
_LOOKED_AT = 1000  # records of which the types are inferred
_BLOCK = 2**20  # bytes that are read together


class TfRecordSource(Source):
    """Files of TFRecord, one behind the other."""

    def __init__(
        self,
        path: str,
        files: list[str],
    ) -> None:
        super().__init__(path)
        self._files = files

    def types(self) -> dict[str, Any]:
        """Return the types of the first thousand records' features.

        A feature that always has one value is a scalar, one with always as many an array of that
        length. Lists of bytes are strings if all are UTF-8, or pictures or sounds if all are.
        """
        known: dict[str, FeatureType] = {}
        count = 0
        for features in itertools.islice(self._examples(Damage("skip")), _LOOKED_AT):
            count += 1
            for name, feature in features.items():
                known.setdefault(name, FeatureType()).learn(feature)
        if not count:
            for _ in self._examples(Damage()):
                pass
            raise unreadable(
                self.path,
                "there is no record in it",
            )
        return {name: kind.type(count) for name, kind in sorted(known.items())}

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the records, of which one is in memory."""
        for features in self._examples(damage):
            row = {}
            for name, kind in schema.items():
                feature = features.get(name)
                row[name] = None if feature is None else value_of(feature, kind)
            yield row

    def _examples(self, damage: Damage) -> Iterator[dict[str, Feature]]:
        for path in self._files:
            for position, offset, data in _records(path, damage):
                try:
                    yield features_of(data)
                except ValueError as error:
                    problem = f"record {position} is no tf.train.Example: {error}"
                    damage.leave_out(unreadable(path, problem, offset=offset))


def _records(path: str, damage: Damage) -> Iterator[tuple[int, int, bytes]]:
    """Return the position, the offset and the bytes of each record, whose checksums are right."""
    position = 0
    offset = 0
    size = None
    with compressed.open_binary(path) as file:
        if not _is_compressed(path):
            size = os.path.getsize(path)
        while True:
            try:
                head = file.read(_HEAD.size)
                if not head:
                    return
                length = _length_of(head)
                if size is not None and length > size - offset - _HEAD.size - _TAIL.size:
                    raise ValueError("it is cut short")
                data = file.read(length)
                tail = file.read(_TAIL.size)
                if len(data) < length or len(tail) < _TAIL.size:
                    raise ValueError("it is cut short")
            except (ValueError, *PROBLEMS) as error:
                problem = f"record {position}: {error}; what follows cannot be found"
                damage.leave_out(unreadable(path, problem, offset=offset))
                return
            if masked(data) != _TAIL.unpack(tail)[0]:
                problem = f"record {position}: the checksum of its bytes is wrong"
                damage.leave_out(unreadable(path, problem, offset=offset))
            else:
                yield position, offset, data
            position += 1
            offset += _HEAD.size + length + _TAIL.size


def _is_compressed(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _length_of(head: bytes) -> int:
    if len(head) < _HEAD.size:
        raise ValueError("it is cut short")
    length, checksum = _HEAD.unpack(head)
    if masked(head[:8]) != checksum:
        raise ValueError("the checksum of its length is wrong")
    return int(length)


class TfRecord(Format):
    """TFRecord."""

    name = "tfrecord"
    title = "TFRecord"
    endings = _ENDINGS
    writes: ClassVar[Mapping[str, str]] = {}

    def recognizes(self, look: Look) -> bool:
        """Return whether the first length has its checksum; of a folder, whether files are such."""
        if look.is_folder:
            return bool(_files_in(look.path, look.names))
        head = look.head[: _HEAD.size]
        return len(head) == _HEAD.size and masked(head[:8]) == _HEAD.unpack(head)[1]

    def open_many(
        self,
        path: str,
        files: Sequence[str],
        options: Options,
    ) -> Source:
        """Open several files."""
        return TfRecordSource(path, list(files))

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a file, or a folder of files."""
        if not os.path.isdir(path):
            return TfRecordSource(
                path,
                [path],
            )
        return TfRecordSource(
            path,
            _files_in(path, sorted(os.listdir(path))),
        )

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write an Example for each record. What has no place in one is JSON."""
        types = {name: plain_name(kind) for name, kind in types_by_name(dataset).items()}
        with compressed.create_binary(path, progress.name) as file:
            for row in progress.of(dataset, len(dataset)):
                features = {}
                for name, value in named(row).items():
                    if value is not None:
                        features[name] = _feature_of(
                            value,
                            types[name],
                        )
                data = example_of(features)
                head = len(data).to_bytes(
                    8,
                    "little",
                )
                checksum = masked(head).to_bytes(
                    4,
                    "little",
                )
                file.write(head + checksum + data + masked(data).to_bytes(4, "little"))


def _feature_of(value: Any, kind: str) -> Feature:
    """Return a feature that has a value; floats are rounded to 32 bits, as an Example has them."""
    import json

    if kind in FILES or kind == "bytes":
        return Feature(
            BYTES,
            [bytes(value)],
        )
    if isinstance(value, str):
        return Feature(
            BYTES,
            [value.encode()],
        )
    if isinstance(value, int):
        return Feature(
            INTEGERS,
            [value],
        )
    if isinstance(value, float):
        return Feature(
            FLOATS,
            [value],
        )
    if isinstance(value, list) and value:
        value = _listed(value)
    if isinstance(value, Feature):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 1:
        if value.dtype.kind in "bi" or value.dtype in ("u1", "u2", "u4"):
            return Feature(
                INTEGERS,
                value.astype("i8"),
            )
        if value.dtype in ("f2", "f4"):
            return Feature(
                FLOATS,
                value,
            )
    text = json.dumps(
        json_value(value),
        ensure_ascii=False,
    )
    return Feature(
        BYTES,
        [text.encode()],
    )


def _listed(values: list[Any]) -> Any:
    """Return a list of one type as a feature or an array; any other list as it is."""
    classes = set(map(type, values))
    if classes == {int}:
        return np.array(
            values,
            "i8",
        )
    if classes == {float}:
        return Feature(
            FLOATS,
            values,
        )
    if classes == {str}:
        return Feature(
            BYTES,
            [value.encode() for value in values],
        )
    if classes == {bytes}:
        return Feature(
            BYTES,
            values,
        )
    return values


def _files_in(folder: str, names: Any) -> list[str]:
    found = [name for name in names if ".tfrecord" in name and not name.startswith(".")]
    return [os.path.join(folder, name) for name in found]


FORMAT = TfRecord()
