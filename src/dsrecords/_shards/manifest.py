"""The manifest of many files that are one dataset: which they are, and how far each had come.

Nothing of it is believed but the order of the files: each proves, when it is opened, that it is the
one that is meant. Knows nothing of how records are read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dsrecords._format.header import parse_json
from dsrecords._read.mark import Mark
from dsrecords._schema.schema import Schema
from dsrecords._storage import files
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import open_storage, require_local
from dsrecords.errors import CorruptError, ShardError, UnsupportedVersionError

ENDING = ".json"
"""Of the name of a manifest."""

FORMAT = "dsrecords-manifest"
_VERSION = 1
LARGEST = 512 * 2**20  # bytes of a manifest: of some three million shards
_MOST = 2**62  # bytes of a file, or records: so that sums of a few fit into 64 bits
_START = 256  # bytes of a manifest that tell what it is
_ID_SIZE = 16
_RUN_SIZE = 8


class Shard(NamedTuple):
    """One of the files, and the list that is meant: records that are appended later do not count.

    Attributes:
        path: of the data file.
        id: of the dataset in it.
        length: how many records the list has.
        mark: the moment of its log that the list is of.
        index_path: of its index, or of a view of it; None where a dataset has its index.
        view: what tells a view file from others; 0 of the whole list.
    """

    path: str
    id: bytes
    length: int
    mark: Mark
    index_path: str | None = None
    view: int = 0


class Manifest(NamedTuple):
    """Which files make a dataset.

    Attributes:
        schema: of all of them; they may differ in dictionaries of zstd.
        metadata: of the dataset.
        shards: the files, in their order.
    """

    schema: Schema
    metadata: dict[str, Any]
    shards: tuple[Shard, ...]

    def id(self) -> bytes:
        """Return 16 bytes that differ where the lists do."""
        digest = hashlib.blake2b(digest_size=_ID_SIZE)
        for shard in self.shards:
            mark = shard.mark
            said = (shard.length, mark.end, mark.check, mark.edits, shard.view)
            digest.update(shard.id + repr(said).encode())
        return digest.digest()


# The ids of shards that are written together


def shard_id(run: bytes, number: int) -> bytes:
    """Return the id of a shard: it shows of which run of `make_dataset` it is.

    Args:
        run: 8 bytes.
        number: of the shard.
    """
    return run + _proof(run, number)


def run_of(id: bytes, number: int) -> bytes | None:
    """Return the run that a shard with this number is of; None if it was written alone."""
    run = id[:_RUN_SIZE]
    if id[_RUN_SIZE:] == _proof(run, number):
        return run
    return None


def new_run(id: bytes | None) -> bytes:
    """Return 8 bytes that name a run: random ones, or what follows from an id that was given."""
    if id is None:
        return os.urandom(_RUN_SIZE)
    return hashlib.blake2b(id, digest_size=_RUN_SIZE).digest()


def _proof(run: bytes, number: int) -> bytes:
    said = run + number.to_bytes(8, "little")
    return hashlib.blake2b(said, digest_size=_ID_SIZE - _RUN_SIZE).digest()


# As JSON


def described(shard: Shard, folder: str) -> dict[str, Any]:
    """Return what a manifest in this folder states about a shard.

    Raises:
        ValueError: the shard is not in the folder, nor in one within it.
    """
    mark = shard.mark
    return {
        "file": _name_within(shard.path, folder),
        "id": shard.id.hex(),
        "count": shard.length,
        "end": mark.end,
        "last": mark.last,
        "check": mark.check,
        "edits": mark.edits,
    }


def _name_within(path: str, folder: str) -> str:
    relative = os.path.relpath(path, folder)
    name = relative.replace(os.sep, "/")
    if not _is_within(name):
        raise ValueError(
            f"{path} is outside of {folder}: a manifest names files in its own folder, or in "
            "folders within it"
        )
    return name


def _is_within(name: str) -> bool:
    """Whether a name leads nowhere but into the manifest's folder, or folders within it."""
    parts = name.split("/")
    has_others = any(part in ("", ".", "..") for part in parts)
    return not has_others and not set(name) & set("\\\0:")


def stated(shard: Any, path: str) -> Shard:
    """Return the shard that a manifest states.

    Args:
        shard: of the JSON.
        path: of the manifest.

    Raises:
        CorruptError: it is none.
    """
    if not isinstance(shard, dict) or not isinstance(shard.get("file"), str):
        raise CorruptError("a shard of it names no file", file=path)
    name = shard["file"]
    if not _is_within(name):
        raise CorruptError(
            f"it names {name!r}: only files in its folder, or in folders within it, are opened",
            file=path,
        )
    numbers = [
        _stated_number(
            shard,
            key,
            path,
        )
        for key in ("count", "end", "last", "check")
    ]
    count, end, last, check = numbers
    edits = _stated_number(
        shard,
        "edits",
        path,
    )
    mark = Mark(
        end,
        last,
        check,
        edits,
        0,
    )
    id = _stated_id(shard, path)
    return Shard(
        beside(path, name),
        id,
        count,
        mark,
    )


def _stated_number(
    shard: Mapping[str, Any],
    key: str,
    path: str,
) -> int:
    number = shard.get(key)
    if type(number) is not int or not 0 <= number < _MOST:
        raise CorruptError(f"{shard['file']!r}: no {key}", file=path)
    return number


def _stated_id(shard: Mapping[str, Any], path: str) -> bytes:
    try:
        id = bytes.fromhex(shard["id"])
    except (KeyError, TypeError, ValueError):
        id = b""
    if len(id) != _ID_SIZE:
        raise CorruptError(f"{shard['file']!r}: no id of {_ID_SIZE} bytes", file=path)
    return id


def beside(path: str, name: str) -> str:
    """Return the path of a file that is named in the file at `path`, relative to its folder."""
    folder, slash, _ = path.rpartition("/")
    return alike(folder + slash + name, path)


def write(
    path: str,
    manifest: Manifest,
    overwrite: bool,
) -> None:
    """Write a manifest, durably, under its name at once.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given.
        ValueError: as of `encoded`.
    """
    put_in_place(path, [encoded(path, manifest)], overwrite)


def encoded(path: str, manifest: Manifest) -> bytes:
    """Return the bytes of a manifest that is to be at a path.

    Raises:
        ValueError: a shard is not in its folder, nor in one within it, or has a name that cannot be
            stated.
    """
    folder = os.path.dirname(os.path.abspath(path))
    shards = [described(shard, folder) for shard in manifest.shards]
    content = {
        "format": FORMAT,
        "version": _VERSION,
        **manifest.schema.to_json(),
        "metadata": manifest.metadata,
        "count": sum(shard.length for shard in manifest.shards),
        "shards": shards,
    }
    return _json(content)


def require_nameable(path: str) -> None:
    """Raise ValueError if a manifest beside a file could not state its name."""
    name = os.path.basename(path)
    is_text = name == name.encode("utf-8", "ignore").decode()
    if not is_text or not _is_within(name):
        raise ValueError(
            f"{path!r}: a manifest cannot name such a file: names are UTF-8, without ':' and '\\'"
        )


def _json(content: dict[str, Any]) -> bytes:
    """Return it with a line for each shard, so that people can read it."""
    shards = content.pop("shards")
    head = json.dumps(
        content,
        ensure_ascii=False,
        allow_nan=False,
    )
    lines = [json.dumps(shard, ensure_ascii=False) for shard in shards]
    body = ",\n".join(lines)
    return f'{head[:-1]}, "shards": [\n{body}\n]}}\n'.encode()


def put_in_place(
    path: str,
    parts: Iterable[Any],
    overwrite: bool,
) -> None:
    """Write a small file that is there as a whole or not at all, and survives a loss of power.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given.
    """
    require_local(path)
    path = files.target(path)
    suffix = os.urandom(4).hex()
    temporary = f"{path}.{suffix}.tmp"
    file = files.create(temporary)
    try:
        offset = 0
        for part in parts:
            files.pwrite(
                file.number,
                part,
                offset,
            )
            offset += len(part)
        files.sync(file.number)
        if overwrite:
            files.rename(temporary, path)
        else:
            files.link(temporary, path)
    except BaseException:
        if files.exists(temporary):
            files.unlink(temporary)
        raise
    finally:
        file.close()
    files.sync_directory(path)


def read(path: str) -> Manifest:
    """Read a manifest: the only file that is read.

    Raises:
        FileNotFoundError: there is none.
        CorruptError: it is none, or damaged.
        UnsupportedVersionError: it is of a later version.
        ShardError: a shard is in it twice.
    """
    storage = open_storage(path)
    text = storage.read(0, LARGEST)
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"not a manifest: {error}", file=path) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CorruptError('not a manifest: it has no "format": "dsrecords-manifest"', file=path)
    if content.get("version") != _VERSION:
        version = content.get("version")
        raise UnsupportedVersionError(
            f"a manifest of version {version!r}: this library reads version {_VERSION}",
            file=path,
        )
    return made_of(content, path)


def is_manifest(path: str) -> bool:
    """Whether there is a file that begins as manifests of ours do."""
    try:
        return _begins_as_manifest(path)
    except FileNotFoundError:
        return False


def may_be_replaced(path: str) -> bool:
    """Whether a manifest may be written to this path: it may if there is no file, or a manifest."""
    try:
        return _begins_as_manifest(path)
    except FileNotFoundError:
        return True


def _begins_as_manifest(path: str) -> bool:
    start = open_storage(path).read(0, _START)
    return f'"format": "{FORMAT}"'.encode() in start


def made_of(content: dict[str, Any], path: str) -> Manifest:
    """Return the manifest that parsed JSON states.

    Raises:
        CorruptError, UnsupportedVersionError, ShardError: as of `read`.
    """
    try:
        schema = Schema.from_json(content)
    except UnsupportedVersionError as error:
        error.file = path
        raise
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"its schema: {error}", file=path) from None
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        raise CorruptError("its metadata is no object", file=path)
    given = content.get("shards")
    if not isinstance(given, list):
        raise CorruptError("it has no list of shards", file=path)
    shards = tuple(stated(shard, path) for shard in given)
    _require_possible(
        shards,
        content.get("count"),
        schema,
        path,
    )
    require_different(shards, path)
    return Manifest(
        schema,
        metadata,
        shards,
    )


def _require_possible(
    shards: Sequence[Shard],
    total: Any,
    schema: Schema,
    path: str,
) -> None:
    """Raise CorruptError if there cannot be so many records, or they do not add up."""
    counted = 0
    for shard in shards:
        counted += shard.length
        if shard.length * schema.layout.size > shard.mark.end:
            text = f"{shard.path}: {shard.length} records cannot be in {shard.mark.end} bytes"
            raise CorruptError(text, file=path)
    if total != counted or counted >= _MOST:
        raise CorruptError(f"its shards have {counted} records, and it says {total!r}", file=path)


def require_different(shards: Sequence[Shard], file: str) -> None:
    """Raise ShardError if two of the files are the same, or copies of one."""
    paths: dict[bytes, str] = {}
    for shard in shards:
        if shard.id in paths:
            raise ShardError(
                f"{shard.path} has the id of {paths[shard.id]}: it is the same file, or a copy of "
                "it. Leave one out; dsrecords.concat takes records twice",
                file=file,
            )
        paths[shard.id] = shard.path
