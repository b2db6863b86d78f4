"""The header of a `.rec` as a schema: which fields its records have, and the user's metadata."""

from __future__ import annotations

import json
from typing import Any

from dsrecords._format.frame import Frames
from dsrecords._format.header import RawHeader, header_json_error, make_raw_header, read_raw_header
from dsrecords._schema.schema import Schema
from dsrecords._storage.base import Storage
from dsrecords._types.base import describe
from dsrecords.errors import SchemaError, UnsupportedVersionError


class Header:
    """What the header of a `.rec` says.

    Attributes:
        raw: its bytes.
        id: 16 bytes, which copies of one dataset share.
        size: of the header in bytes; the first frame follows it.
        schema: the fields of its records.
        metadata: what was given to `make_dataset`.
        frames: how its frames are packed and verified.
    """

    def __init__(
        self,
        raw: RawHeader,
        schema: Schema,
        metadata: dict[str, Any],
    ) -> None:
        self.raw = raw
        self.id = raw.id
        self.size = raw.size
        self.schema = schema
        self.metadata = metadata
        self.frames = Frames(schema.layout, raw.id, raw.size)


def make_header(
    schema: Schema,
    metadata: dict[str, Any],
    id: bytes,
) -> Header:
    """Make the header of a new dataset.

    Raises:
        SchemaError: the metadata is not JSON, or too much of it.
    """
    if not isinstance(metadata, dict):
        raise SchemaError(f"metadata must be a dict, not {describe(metadata)}")
    content = schema.to_json()
    content["metadata"] = metadata
    raw = make_raw_header(content, id)
    return Header(raw, schema, metadata)


def metadata_json(header: Header, metadata: Any) -> bytes:
    """Metadata as a frame stores it.

    Raises:
        SchemaError: it is not JSON, or too much for a header, where compaction will put it.
    """
    make_header(header.schema, metadata, header.id)
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_header(storage: Storage, offset: int = 0) -> Header:
    """Read a header (or the copy of it at another offset) and check everything in it.

    Raises:
        CorruptError: it is not a header, or damaged.
        UnsupportedVersionError: it is of a later version, or has scalars of a type that is.
    """
    raw = read_raw_header(storage, offset)
    try:
        schema = Schema.from_json(raw.json)
        metadata = raw.json.get("metadata", {})
        if not isinstance(metadata, dict):
            raise ValueError("metadata is not an object")
    except UnsupportedVersionError as error:
        error.file = storage.path
        raise
    except (ValueError, RecursionError) as error:
        raise header_json_error(error, storage.path) from None
    return Header(raw, schema, metadata)
