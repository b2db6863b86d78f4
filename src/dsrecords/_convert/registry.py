"""Which formats there are, and which one a source is in. Each is imported when it is asked for."""

from __future__ import annotations

import importlib
import os

from dsrecords._convert import compressed
from dsrecords._convert.base import HEAD, Format, Look
from dsrecords._format.signatures import kind_of

# In the order in which they are asked: those that are certain of what they see come first.
_MODULES = (
    "npy",
    "npz",
    "columnar",
    "sqlite",
    "hdf5",
    "lmdb",
    "mds",
    "litdata",
    "lerobot",
    "huggingface",
    "webdataset",
    "array_record",
    "tfrecord",
    "mxnet",
    "bagz",
    "voc",
    "coco",
    "json_lines",
    "image_folder",
    "csv",
)
_LONGEST_LISTING = 100_000  # names of a folder that are looked at

NAMES = tuple(module.replace("_", "-") for module in _MODULES)


def format_named(name: str) -> Format:
    """Return a format by its name, or by one of the endings of its files. Raises ValueError."""
    wanted = name.lower().lstrip(".").replace("_", "-")
    if wanted in NAMES:
        return _format(wanted.replace("-", "_"))
    for module in _MODULES:
        format = _format(module)
        if f".{wanted}" in format.endings:
            return format
    names = ", ".join(NAMES)
    raise ValueError(f"there is no format {name!r}; there are: {names}")


def all_formats() -> list[Format]:
    """Return all formats."""
    return [_format(module) for module in _MODULES]


def format_of_source(path: str) -> Format:
    """Return the format of a source, by what is in it.

    Raises:
        FileNotFoundError: there is nothing at this path.
        ValueError: it is of no known format; says what it seems to be.
    """
    look = look_at(path)
    for module in _MODULES:
        format = _format(module)
        if format.recognizes(look):
            return format
    raise ValueError(_unknown(look))


def format_of_target(path: str) -> Format:
    """Return the format that a target is to have, by the ending of its name. Raises ValueError."""
    name = compressed.without_compression(path.rstrip("/"))
    for format in all_formats():
        if format.writes is not None and name.endswith(format.endings or ("/",)):
            return format
    endings: list[str] = []
    for format in all_formats():
        if format.writes is not None:
            endings.extend(format.endings)
    listed = ", ".join(endings)
    raise ValueError(
        f"{path}: the name does not say which format is meant: let it end in .rec or one of "
        f"{listed}, or give target_format"
    )


def look_at(path: str) -> Look:
    """Return what is seen of a source at a first look. Raises FileNotFoundError."""
    if os.path.isdir(path):
        names = []
        with os.scandir(path) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) == _LONGEST_LISTING:
                    break
        return Look(path, True, b"", tuple(sorted(names)))
    return Look(path, False, compressed.head_of(path, HEAD), ())


def _format(module: str) -> Format:
    found: Format = importlib.import_module(f"dsrecords._convert.{module}").FORMAT
    return found


def _unknown(look: Look) -> str:
    names = ", ".join(NAMES)
    if look.is_folder:
        what = "an empty folder"
        if look.names:
            some = ", ".join(look.names[:5])
            what = f"a folder of {len(look.names)} things ({some})"
    elif not look.head:
        what = "empty"
    else:
        kind = kind_of(look.head) or "of no known format"
        what = f"it seems to be {kind}"
    return f"{look.path} cannot be converted: {what}; source_format may be one of {names}"
