"""LitData: chunks of serialized samples, and an `index.json`. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from dsrecords._convert.base import Format, Look, Options, Row, Source, unreadable
from dsrecords._convert.damage import Damage
from dsrecords._convert.litdata_values import type_of, value_of
from dsrecords._convert.paths import below
from dsrecords._optional import import_optional

_INDEX = "index.json"
_LARGEST = 2**28  # bytes of an index
_MOST_BYTES = 2**32  # of a chunk: offsets have 32 bits
_PROBLEMS = (ValueError, KeyError, IndexError, TypeError, RecursionError, OSError)


class _Leaf(NamedTuple):
    """A part of a sample that is stored by itself.

    Attributes:
        name: of the field.
        format: how it is serialized, as LitData calls it.
    """

    name: str
    format: str


class LitDataSource(Source):
    """A folder of LitData."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        index = os.path.join(
            path,
            _INDEX,
        )
        try:
            with open(index, "rb") as file:
                said = json.loads(file.read(_LARGEST))
            config = said["config"]
            self._compression: str | None = config["compression"]
            self._leaves = _leaves(config)
            self._chunks = [
                (chunk["filename"], int(chunk["chunk_size"])) for chunk in said["chunks"]
            ]
            if config.get("encryption"):
                raise ValueError("it is encrypted")
        except _PROBLEMS as error:
            problem = f"it is no index of LitData: {type(error).__name__}: {error}"
            raise unreadable(
                index,
                problem,
            ) from None
        self.count = sum(samples for _, samples in self._chunks)

    def types(self) -> dict[str, Any]:
        """Return the types that its formats stand for."""
        types: dict[str, Any] = {}
        for leaf in self._leaves:
            try:
                types[leaf.name] = type_of(leaf.format)
            except ValueError as error:
                raise unreadable(
                    os.path.join(self.path, _INDEX),
                    error,
                ) from None
        return types

    def rows(
        self,
        schema: Mapping[str, Any],
        damage: Damage,
    ) -> Iterator[Row]:
        """Return the samples, of which one chunk is in memory."""
        for name, samples in self._chunks:
            path = os.path.join(
                self.path,
                name,
            )
            try:
                data = self._chunk(name)
                offsets = _offsets(
                    data,
                    samples,
                )
            except _PROBLEMS as error:
                damage.leave_out(unreadable(path, error))
                continue
            for position in range(samples):
                try:
                    piece = data[offsets[position] : offsets[position + 1]]
                    yield self._row(
                        piece,
                        schema,
                    )
                except _PROBLEMS as error:
                    offset = int(offsets[position])
                    problem = f"sample {position}: {error}"
                    damage.leave_out(unreadable(path, problem, offset=offset))

    def _chunk(self, name: str) -> memoryview:
        path = below(
            self.path,
            name,
        )
        if os.path.getsize(path) > _MOST_BYTES:
            raise ValueError("it is larger than its offsets can say")
        if not self._compression:
            return memoryview(np.memmap(path, np.uint8, "r"))
        with open(path, "rb") as file:
            packed = file.read()
        if not self._compression.startswith("zstd"):
            raise ValueError(f"it is compressed by {self._compression}, which is not read")
        zstd = import_optional(
            "zstandard",
            "zstandard",
            extra="zstd",
        )
        try:
            with zstd.ZstdDecompressor().stream_reader(packed) as reader:
                return memoryview(reader.read(_MOST_BYTES))
        except zstd.ZstdError as error:
            raise ValueError(f"zstd cannot read it: {error}") from None

    def _row(
        self,
        data: memoryview,
        schema: Mapping[str, Any],
    ) -> Row:
        head = 4 * len(self._leaves)
        sizes = np.frombuffer(data[:head], "<u4").tolist()
        if len(sizes) < len(self._leaves) or head + sum(sizes) > len(data):
            raise ValueError("its values have more bytes than the sample")
        row = {}
        at = head
        for leaf, size in zip(self._leaves, sizes):
            if leaf.name in schema:
                row[leaf.name] = value_of(
                    leaf.format,
                    data[at : at + size],
                )
            at += size
        return row


def _offsets(data: memoryview, samples: int) -> np.ndarray:
    """Return where each sample begins, and where the last ends. Raises ValueError."""
    count = int.from_bytes(
        data[:4],
        "little",
    )
    offsets = np.frombuffer(
        data[4 : 4 * (samples + 2)],
        "<u4",
    )
    if count != samples or len(offsets) != samples + 1:
        raise ValueError(f"it has {count} samples, by the index {samples}")
    if (offsets[1:] < offsets[:-1]).any() or offsets[-1] > len(data):
        raise ValueError("its samples do not lie one behind the other: cut short?")
    return offsets


def _leaves(config: Mapping[str, Any]) -> list[_Leaf]:
    """Return the parts of a sample, by the tree that the index describes."""
    formats = config["data_format"]
    spec = config["data_spec"]
    names = ["data"]
    if spec:
        _, tree = json.loads(spec)
        names = _names(
            tree,
            "",
        )
    if len(names) != len(formats):
        raise ValueError(f"its samples have {len(names)} parts, but {len(formats)} formats")
    if len(set(names)) < len(names):
        raise ValueError("two parts of its samples have one name")
    return [_Leaf(name, str(format)) for name, format in zip(names, formats)]


def _names(tree: Mapping[str, Any], name: str) -> list[str]:
    """Return the names of the leaves of a tree of PyTorch's `pytree`."""
    kind = tree["type"]
    children = tree["children_spec"]
    if kind is None:
        return [name or "data"]
    keys: list[Any] = list(range(len(children)))
    if kind in ("builtins.dict", "collections.OrderedDict"):
        keys = json.loads(tree["context"])
    elif kind not in ("builtins.list", "builtins.tuple"):
        raise ValueError(f"its samples have a {kind}")
    found = []
    for key, child in zip(keys, children):
        inner = f"{name}.{key}" if name else str(key)
        found.extend(_names(child, inner))
    return found


class LitData(Format):
    """LitData."""

    name = "litdata"
    title = "LitData"

    def recognizes(self, look: Look) -> bool:
        """Return whether it is a folder with such an index."""
        if _INDEX not in look.names:
            return False
        try:
            with open(os.path.join(look.path, _INDEX), "rb") as file:
                said = json.loads(file.read(_LARGEST))
            return "data_format" in said["config"] and "chunks" in said
        except _PROBLEMS:
            return False

    def open(
        self,
        path: str,
        options: Options,
    ) -> Source:
        """Open a folder."""
        return LitDataSource(path)


FORMAT = LitData()
