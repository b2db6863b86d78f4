"""The header of a `.rec` as bytes: magic, version, id, JSON.

Knows nothing of what the JSON means: that is for `_schema.header`.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from dsrecords._format.checksums import crc32
from dsrecords._format.foreign import describe_foreign_file
from dsrecords._format.layout import PAGE, round_up
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError, SchemaError, UnsupportedVersionError

MAGIC = b"\x89DSR\r\n\x1a\n"

VERSION = 1

ID_OFFSET = 24
"""Where in a header its id begins."""

_START = struct.Struct("<8sIHHII16s")  # magic, checksum, version, flags, size, size of the JSON, id
_CHECKED = struct.Struct("<HHII16s")  # the same from the version on: the checksum covers the rest
_CHECKED_FROM = _START.size - _CHECKED.size
_MAX_SIZE = 16 * 2**20


class RawHeader(NamedTuple):
    """A header whose checksum is right.

    Attributes:
        data: all of its bytes, padding included.
        id: 16 bytes, which copies of one dataset share.
        json: the object that it holds.
    """

    data: bytes
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
        parsed = _parse(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"metadata must be JSON: {error}") from None
    size = round_up(_START.size + len(text), PAGE)
    if size > _MAX_SIZE:
        raise SchemaError(
            f"schema and metadata take {len(text)} bytes; a header has at most {_MAX_SIZE}"
        )
    fields = _CHECKED.pack(
        VERSION,
        0,
        size,
        len(text),
        id,
    )
    checked = fields + text
    checked = checked.ljust(size - _CHECKED_FROM, b"\0")
    checksum = struct.pack("<I", crc32(checked))
    data = MAGIC + checksum + checked
    return RawHeader(data, id, parsed)


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
    _, checksum, version, flags, size, length, id = _START.unpack(start)
    if version != VERSION or flags:
        raise UnsupportedVersionError(
            f"format version {version}, flags {flags}: this library reads version {VERSION}",
            file=path,
        )
    end = _START.size + length
    if size % PAGE or not end <= size <= _MAX_SIZE:
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
    if crc32(data[_CHECKED_FROM:]) != checksum:
        raise CorruptError("the header's checksum is wrong", file=path, offset=8)
    try:
        content = _parse(data[_START.size : end])
    except (ValueError, RecursionError) as error:
        raise header_json_error(error, path) from None
    return RawHeader(data, id, content)


def header_json_error(error: Exception, path: str) -> CorruptError:
    """Make the error of a header whose JSON is invalid, or does not describe a dataset."""
    return CorruptError(
        f"the header's JSON: {error}",
        file=path,
        offset=_START.size,
    )


def _parse(text: bytes) -> Any:
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
