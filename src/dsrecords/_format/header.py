"""The header of a `.rec` as bytes: magic, version, id, JSON.

Knows nothing of what the JSON means: that is for `_schema.header`.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from dsrecords._format.checksums import crc32
from dsrecords._format.foreign import describe_foreign_file
from dsrecords._format.layout import LARGEST_METADATA, PAGE, round_up
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError, SchemaError, UnsupportedVersionError

MAGIC = b"\x89DSR\r\n\x1a\n"

VERSION = 2

CHECK_OFFSET = 8
"""Where in a header its checksum is."""

ID_OFFSET = 24
"""Where in a header its id begins."""

START_SIZE = 40
"""Bytes of a header before its JSON: they tell it from any other, as its checksum is in them."""

# Magic, checksum, version, read flags, write flags, size, size of the JSON, id.
_START = struct.Struct("<8sIHBBII16s")
_CHECKED = struct.Struct("<HBBII16s")  # the same from the version on: the checksum covers the rest
_CHECKED_FROM = _START.size - _CHECKED.size


class RawHeader(NamedTuple):
    """A header whose checksum is right.

    Attributes:
        data: all of its bytes, padding included.
        check: its checksum, which the first frame names.
        write_flags: which of them are set: a writer refuses those that it does not know.
        id: 16 bytes, which copies of one dataset share.
        json: the object that it holds.
    """

    data: bytes
    check: int
    write_flags: int
    id: bytes
    json: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes; the first frame follows them."""
        return len(self.data)


def make_raw_header(content: dict[str, Any], id: bytes) -> RawHeader:
    """Pack a header.

    Raises:
        SchemaError: `content` cannot be stored as JSON, or is too large.
    """
    try:
        json_string = json.dumps(
            content,
            ensure_ascii=False,
            allow_nan=False,
        )
        text = json_string.encode()
        # What no reader could parse, such as the keys 1 and "1", is not written.
        parsed = parse_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"metadata must be JSON: {error}") from None
    size = round_up(_START.size + len(text), PAGE)
    if size > LARGEST_METADATA:
        raise SchemaError(
            f"schema and metadata take {len(text)} bytes; a header has at most {LARGEST_METADATA}"
        )
    fields = _CHECKED.pack(
        VERSION,
        0,
        0,
        size,
        len(text),
        id,
    )
    checked = fields + text
    checked = checked.ljust(size - _CHECKED_FROM, b"\0")
    check = crc32(checked)
    data = MAGIC + struct.pack("<I", check) + checked
    return RawHeader(data, check, 0, id, parsed)


def read_raw_header(storage: Storage, offset: int = 0) -> RawHeader:
    """Read a header, or the copy of it at another offset.

    Raises:
        CorruptError: it is not a header, cut short, or damaged.
        UnsupportedVersionError: it is of a later version.
    """
    path = storage.path
    start = storage.read(offset, _START.size)
    if not start:
        raise CorruptError("empty", file=path)
    if start[:8] != MAGIC:
        raise CorruptError(f"not a DSRecords file: {describe_foreign_file(storage)}", file=path)
    if len(start) < _START.size:
        raise CorruptError(
            "the header is cut short",
            file=path,
            offset=len(start),
        )
    fields = _START.unpack(start)
    _, check, version, read_flags, write_flags, size, length, id = fields
    if version != VERSION:
        raise UnsupportedVersionError(
            f"format version {version}: this library reads version {VERSION}",
            file=path,
            offset=12,
        )
    if read_flags:
        raise UnsupportedVersionError(
            f"read flags {read_flags:#04x}, which this library does not know: "
            "a later one has written the file",
            file=path,
            offset=14,
        )
    end = _START.size + length
    if size % PAGE or not end <= size <= LARGEST_METADATA:
        raise CorruptError(
            f"the header claims {size} bytes with {length} of JSON",
            file=path,
            offset=16,
        )
    data = storage.read(offset, size)
    if len(data) < size:
        raise CorruptError(
            f"the header is cut short: {size} bytes claimed",
            file=path,
            offset=len(data),
        )
    if crc32(data[_CHECKED_FROM:]) != check:
        raise CorruptError("the header's checksum is wrong", file=path, offset=8)
    try:
        content = parse_json(data[_START.size : end])
    except (ValueError, RecursionError) as error:
        raise header_json_error(error, path) from None
    return RawHeader(data, check, write_flags, id, content)


def header_json_error(error: Exception, path: str) -> CorruptError:
    """Make the error of a header whose JSON is invalid, or does not describe a dataset."""
    return CorruptError(
        f"the header's JSON: {error}",
        file=path,
        offset=_START.size,
    )


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly, in UTF-8. Raises ValueError, RecursionError."""
    json_string = str(text, "utf-8")
    return json.loads(
        json_string,
        object_pairs_hook=_make_object,
        parse_constant=_refuse_constant,
    )


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
