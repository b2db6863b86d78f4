"""Files of dsrecords 0.4: read, never written.

The `.rec` has 1024 zeros, then records: a u64 size for each of N fields, then their bytes. The `.idx` has a u64 count and so many
u64 offsets; what deletions left there follows. Neither says N, a type or a checksum, so a file is taken for one of these only if
every record fits; what the fields are must be given.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._format.foreign import seems
from dsrecords._format.frame import crc32
from dsrecords._format.log import PAGE, Header
from dsrecords._read.snapshot import Plan, Snapshot
from dsrecords._schema.schema import Field, Schema, has, says
from dsrecords._storage import files
from dsrecords._types.arrays import _dtype, view
from dsrecords._types.base import Bytes
from dsrecords._types.parse import parse
from dsrecords.errors import CorruptError, ReadOnlyError, SchemaError

_RESERVED = 1024  # zeros before the first record
_CHUNK = 2**16  # records that are looked at together
_MOST_GUESSED = 32  # fields, where none were named
_LONGEST_NPY_HEADER = 10_000  # characters, as NumPy itself has it
_ADVICE = "dsrecords.upgrade(old, new, schema) makes a dataset of it"
Function = Callable[[bytes], Any]


def begins_as_one(path: str) -> bool:
    """Whether a file begins with zeros, as those of 0.4 do, and as no other that can be opened."""
    file = files.Descriptor(files.open_read(path))
    start = files.pread(file.number, _RESERVED, 0)
    return len(start) == _RESERVED and not any(start)


class Legacy:
    """In the place of a dataset's `State`: a pair of files of 0.4.

    Raises:
        CorruptError: not every record fits, or it is a `.rec` of ours whose header was zeroed.
        FileNotFoundError: there is no index.
        SchemaError: no deserializers were given.
    """

    view = edits = editing = 0

    def __init__(
        self, path: str, index_path: str, verify: bool | str, *, index_must_exist: bool, deserializers: Any, given: bool
    ) -> None:
        self.path, self.index_path = path, index_path
        self._verify, self._index_must_exist, self._deserializers, self._given = verify, index_must_exist, deserializers, given
        self.refresh()

    def refresh(self) -> None:
        """Read the index anew, and look whether each record fits."""
        file = files.Descriptor(files.open_read(self.path))
        size = files.size(file.number)
        data = memoryview(files.map_read(file.number, size))
        entries = _entries(self.path, self.index_path, self._index_must_exist)
        if _zeroed(data):
            raise CorruptError("a DSRecords file whose header was zeroed: none of dsrecords 0.4", file=self.path)
        count, offsets = int(entries[0]), entries[1:]
        given = self._deserializers
        if self._given:
            text = f"a file of dsrecords 0.4: it is read with deserializers=[...] alone, and never written; {_ADVICE}"
            raise SchemaError(text, file=self.path)
        if given is None:
            fitting = [n for n in range(1, _MOST_GUESSED + 1) if count and _fault(data, offsets, count, n) is None]
            hint = f" (its records seem to have {' or '.join(map(str, fitting[:3]))} fields)" if fitting else ""
            text = "a file of dsrecords 0.4, which does not say what is in it: give deserializers=[io.load_…, …]"
            text += f"{hint}; or {_ADVICE}"
            raise SchemaError(text, file=self.path)
        fault = _fault(data, offsets, count, len(given))
        if fault is not None:
            text = f"not a DSRecords file, nor one of dsrecords 0.4 with {len(given)} fields: {fault}"
            raise CorruptError(text, file=self.path)
        keys = list(given) if isinstance(given, Mapping) else range(len(given))
        schema = Schema([Field(key, Bytes()) for key in keys], isinstance(given, Mapping))
        raw = entries[: count + 1].tobytes()
        self.header = Header(b"", struct.pack("<QII", size, crc32(raw), count & 2**32 - 1), schema, {})
        self.snapshot = _Records(self.path, file, self.header, offsets[:count], data, self._verify)

    def need_log(self) -> None:
        """Refuse what is done to a log of version 1."""
        raise ReadOnlyError(f"a file of dsrecords 0.4 is only read; {_ADVICE}", file=self.path)

    def deserializers(self, given: Any) -> Any:
        """Those that read what the functions of the same name in 0.4 wrote; functions of the user's stay."""
        if isinstance(given, Mapping):
            return {key: _reader(function) for key, function in given.items()}
        return [_reader(function) for function in given]

    def problems(self) -> list[CorruptError]:
        """What is wrong with it, as far as one can tell without checksums."""
        try:
            self.refresh()
        except CorruptError as error:
            return [error]
        return []


class _Offsets:
    """In the place of `Entries`."""

    used = 0

    def __init__(self, offsets: np.ndarray) -> None:
        self.offsets, self.kept = offsets, len(offsets)

    def __len__(self) -> int:
        return self.kept

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """As in an index: offsets, and sizes / 8, which are not known: the kernel is asked for the first page of each."""
        rows: np.ndarray = np.stack([self.offsets[positions], np.full(len(positions), PAGE // 8, np.uint64)], axis=1)
        return rows


class _Records(Snapshot):
    """The records of a file of 0.4."""

    def __init__(
        self, file: str, descriptor: files.Descriptor, header: Header, offsets: np.ndarray, data: memoryview, verify: bool | str
    ) -> None:
        super().__init__(file, descriptor, header, _Offsets(offsets), len(data), verify)  # type: ignore[arg-type]
        self.data, self._offsets = data, offsets
        self._sizes = struct.Struct(f"<{len(header.schema.fields)}Q")
        self.columns = self._columns

    def values(self, i: int, plan: Plan) -> Sequence[Any]:
        offset = int(self._offsets[i])
        sizes = self._sizes.unpack_from(self.data, offset)
        start, starts = offset + self._sizes.size, []
        for size in sizes:
            starts.append(start)
            start += size
        return [self.load(self.data, i, item, starts[item[0].payload], sizes[item[0].payload], plan.copy) for item in plan.items]

    def _columns(self, positions: np.ndarray, plan: Plan, out: Any) -> list[Any]:
        if out:
            raise SchemaError("out is for columns that are arrays, which a file of dsrecords 0.4 does not give", file=self.file)
        rows = [self.values(i, plan) for i in positions.tolist()]
        return [list(column) for column in zip(*rows)] if rows else [[] for _ in plan.items]


def _entries(path: str, index_path: str, must_exist: bool) -> np.ndarray:
    """The index's numbers: the count, so many offsets, what deletions left."""
    what = "not a DSRecords file: it begins with zeros, as one of dsrecords 0.4"
    try:
        index = files.Descriptor(files.open_read(index_path))
    except FileNotFoundError:
        if must_exist:
            raise
        raise CorruptError(f"{what}, which cannot be read without its index: there is no {index_path}", file=path) from None
    size = files.size(index.number)
    count = int.from_bytes(files.pread(index.number, 8, 0), "little")
    if size < 8 or size % 8 or count > size // 8 - 1:
        raise CorruptError(f"{what}, but {index_path} is no index of that: {seems(index.number)}", file=path)
    return np.frombuffer(files.pread(index.number, size, 0), "<u8")


def _zeroed(data: memoryview) -> bool:
    """Whether behind zeros there are frames of ours: the first one lies at a multiple of 4096, and says its kind and size."""
    array = np.frombuffer(data, np.uint8)
    chunks = ((at, array[at : at + 2**20] != 0) for at in range(0, len(array), 2**20))
    first = next((at + int(part.argmax()) for at, part in chunks if part.any()), None)
    if first is None:  # zeros to the end: a header without a record
        return len(array) >= PAGE and len(array) % PAGE == 0
    start = first - first % PAGE
    if not start or len(array) < start + 16 or first >= start + 8:
        return False
    kind, size = struct.unpack_from("<IQ", data, start + 4)
    return bool(kind in (1, 2, 3) and size >= 16 and not size % 8 and start + size <= len(array))


def _fault(data: memoryview, offsets: np.ndarray, count: int, n: int) -> str | None:
    """Why these are not records of `n` fields; None if they may be. `offsets`: all that the index has, uint64."""
    array, size, head = np.frombuffer(data, np.uint8), np.uint64(len(data)), 8 * n
    live = offsets[:count]
    if not count and len(data) > _RESERVED:  # all were removed; the first one is there still
        live = np.array([_RESERVED], np.uint64)
    met = not len(live)
    for first in range(0, len(live), _CHUNK):
        at = live[first : first + _CHUNK]
        # An append after a removal of the last record leaves an offset of 0: a record without a byte.
        wrong = ((at < _RESERVED) & (at != 0)) | (at > len(data) - head if len(data) >= head else True)
        if not wrong.any():
            sizes = array[at.astype(np.int64)[:, None] + np.arange(head)].view("<u8")
            wrong = (sizes > size).any(axis=1)
            ends = at + np.uint64(head) + sizes.sum(axis=1, dtype=np.uint64)
            wrong |= ~wrong & (ends > size)
            # With too few fields every record would seem to end before it does.
            met = met or bool(np.isin(ends[at != 0], np.append(offsets, size)).any()) or not at.any()
        if wrong.any():
            i = first + int(wrong.argmax())
            return f"record {i}, at byte {int(live[i])}, does not fit into {len(data)} bytes"
    return None if met else "no record ends where another one, or the file, does"


# What its functions wrote


def _reader(function: Any) -> Any:
    inner = function.func if isinstance(function, functools.partial) else function
    reader = _READERS.get(getattr(inner, "__name__", ""))
    if reader is None or not has(function, "dsrecords_reads"):
        return function
    options = dict(function.keywords) if isinstance(function, functools.partial) else {}
    if reader is read_list:
        says(function, "dsrecords_reads", "")  # which raises if there is no function for the items
        item = options.pop("load_fn", None) or options.pop("loader", None)
        return functools.partial(read_list, item=_reader(item))
    return functools.partial(reader, **options)


def reader_of(name: str) -> Function:
    """The function that reads a field of 0.4 as a value of the type with this name: images and other bytes stay bytes."""
    name = name.rstrip("?")
    if re.fullmatch(r"u?int\d+", name):
        return functools.partial(read_int, signed=name[0] == "i")
    if re.fullmatch(r"float\d+", name):
        return read_float
    if name.startswith("list["):
        return functools.partial(read_list, item=reader_of(name[5:-1]))
    if name.startswith("zstd("):
        return reader_of(name[5:-1].partition(",level=")[0].partition(",dict=")[0])
    if name == "array" or re.fullmatch(r"\w+\[[\d*, ]+\]", name):
        return read_np
    if name.startswith("category["):
        return read_str
    if name in ("bytes", "jpeg", "png", "webp", "image") or name.startswith("custom("):
        return bytes
    simple: dict[str, Function] = {"bool": read_bool, "str": read_str, "json": json.loads}
    return simple.get(name) or (lambda data: parse(name).load(memoryview(data), True))


def _sized(data: bytes, what: str, sizes: tuple[int, ...]) -> None:
    if len(data) not in sizes:
        text = "; after a removal, an append of dsrecords 0.4 may leave a record without a byte" if not data else ""
        raise CorruptError(f"{what} of {len(data)} bytes{text}")


def read_bool(data: bytes) -> bool:
    """One byte."""
    _sized(data, "a bool", (1,))
    return data != b"\0"


def read_int(data: bytes, bits: int = 32, signed: bool = True) -> int:
    """As many bytes as there are: its `bits=64` wrote 4 bytes, and its `bits=128` wrote 8."""
    _sized(data, "an integer", (1, 2, 4, 8))
    return int.from_bytes(data, "little", signed=signed)


def read_float(data: bytes, bits: int = 32) -> float:
    """2, 4 or 8 bytes."""
    _sized(data, "a float", (2, 4, 8))
    return float(struct.unpack({2: "<e", 4: "<f", 8: "<d"}[len(data)], data)[0])


def read_str(data: bytes, encoding: str = "utf-8") -> str:
    """A text."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise CorruptError(f"no text: {error}") from None


def read_np(data: bytes) -> np.ndarray:
    """What `numpy.save` wrote; never a pickle."""
    try:
        if data[:6] != b"\x93NUMPY":
            raise ValueError("it does not begin as one")
        start = 10 if data[6] == 1 else 12
        length = int.from_bytes(data[8:start], "little")
        if length > _LONGEST_NPY_HEADER:
            raise ValueError(f"a header of {length} characters")
        header = ast.literal_eval(data[start : start + length].decode("utf-8" if data[6] > 2 else "latin-1"))
        dtype, shape = _dtype(header["descr"]), header["shape"]
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"a shape of {shape}")
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError) as error:
        raise CorruptError(f"no array of numpy.save: {error}") from None
    values = memoryview(data)[start + length :]
    return view(values, dtype, shape[::-1], True).T if header.get("fortran_order") else view(values, dtype, shape, True)


def read_list(data: bytes, item: Function) -> list[Any]:
    """A u32 count, then for each item a u32 size and its bytes."""
    items, at = [], 4
    for number in range(int.from_bytes(data[:4], "little")):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise CorruptError(f"item {number} of a list ends at byte {at + 4 + size} of {len(data)}")
        items.append(item(data[at + 4 : at + 4 + size]))
        at += 4 + size
    if len(data) < 4 or at != len(data):
        raise CorruptError(f"a list of {len(items)} items in {len(data)} bytes ends at byte {at}")
    return items


_READERS: dict[str, Callable[..., Any]] = {
    "load_bool": read_bool, "load_int": read_int, "load_float": read_float, "load_str": read_str, "load_np": read_np,
    "load_list": read_list,
}  # fmt: skip
