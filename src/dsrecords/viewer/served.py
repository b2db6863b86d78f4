"""Which files the viewer's server hands out: exactly those that were named, and their indices."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from dsrecords._shards import manifest
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import open_storage

_DATA = ".rec"
_INDEX = ".idx"
_MANIFEST = ".json"
_URL = re.compile(r"https?://[\w.:\[\]-]+(?=/)", re.IGNORECASE | re.ASCII)
_WILDCARDS = re.compile(r"[*?[]")
_DIGITS = re.compile(r"(\d+)")


class Served(NamedTuple):
    """What is shown, and what may be fetched for it.

    Attributes:
        shown: of each dataset its name, the addresses of its parts, relative to the page, that of
            its saved view if it has one, and whether it can be edited.
        paths: of each file that may be fetched, by its address below `data/`.
        origins: of other servers that the page may ask, as they were named.
        sources: of each dataset the paths of its files here; none of a URL.
        views: of each dataset the path of the saved view that is shown of it, or None.
    """

    shown: list[dict[str, Any]]
    paths: dict[str, str]
    origins: list[str]
    sources: list[list[str]]
    views: list[str | None]


def served(names: Iterable[str | Sequence[str]], view: str | None = None) -> Served:
    """Return what some names mean: files, patterns, folders, manifests, URLs.

    Args:
        names: of datasets; a list of data files is one dataset.
        view: path of a saved view, which is shown of the first one.

    Raises:
        FileNotFoundError: one means no file.
        ValueError: a view is given of something else than one file.
        OSError: a manifest cannot be read.
        RemoteError: the server of a manifest elsewhere does not answer as it should.
    """
    found = Served([], {}, [], [], [])
    for number, name in enumerate(names):
        shown = _shown(found, number, name)
        found.shown.append(shown)
        found.views.append(None)
    if view is not None:
        _show_view(found, view)
    return found


def _shown(
    found: Served,
    number: int,
    name: str | Sequence[str],
) -> dict[str, Any]:
    if isinstance(name, str):
        parts = _parts(found, number, name)
    else:
        parts = _add_all(found, number, name)
        name = name[0]
    sources = found.sources[number]
    is_only_shown = any(path.endswith(_MANIFEST) or is_elsewhere(path) for path in sources)
    return {
        "name": os.path.basename(name) or name,
        "parts": parts,
        "editable": bool(sources) and not is_only_shown,
    }


def _show_view(found: Served, view: str) -> None:
    """Let the first dataset be shown as a view has it."""
    shown = found.shown[0]
    if len(found.sources[0]) != 1 or not shown["editable"]:
        raise ValueError(f"a view is of one data file on this machine, not of {shown['name']}")
    path = os.path.abspath(view)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no file matches {view}")
    name = os.path.basename(path)
    found.paths[f"view/{name}"] = path
    found.views[0] = path
    shown["view"] = f"data/view/{quote(name)}"
    shown["editable"] = False  # positions in a view are not those of the file


def _parts(
    found: Served,
    number: int,
    name: str,
) -> list[str]:
    """Let the files that a name means be fetched. Returns their addresses."""
    origin = _URL.match(name)
    if origin is not None:
        found.origins.append(origin[0])
        found.sources.append([])
        return [name]
    files = [name]
    if not is_elsewhere(name):
        files = _files(name)
    return _add_all(found, number, files)


def _add_all(
    found: Served,
    number: int,
    files: Sequence[str],
) -> list[str]:
    """Let files be fetched that are one dataset. Returns their addresses."""
    paths = [_absolute(path) for path in files]
    found.sources.append(paths)
    addresses = []
    for path in paths:
        address = _add(found, number, path)
        addresses.append(address)
    return addresses


def is_elsewhere(path: str) -> bool:
    """Whether a file is in a bucket or on a server, of which this one hands out ranges."""
    return "://" in path


def _absolute(path: str) -> str:
    if is_elsewhere(path):
        return path
    return os.path.abspath(path)


def _files(name: str) -> list[str]:
    """The data files that a name means, in their order; or a manifest."""
    matching = _matching(name)
    files = [path for path in matching if os.path.isfile(path)]
    if not files:
        raise FileNotFoundError(f"no file matches {name}")
    files.sort(key=_natural)
    return files


def _matching(name: str) -> list[str]:
    """What a name matches: one that is there is no pattern."""
    if os.path.isdir(name):
        name = os.path.join(glob.escape(name), "*")
    elif os.path.exists(name) or _WILDCARDS.search(name) is None:
        return [name]
    found = glob.glob(name)
    return [path for path in found if path.endswith(_DATA)]


def _natural(path: str) -> list[Any]:
    """A key for sorting names, in which digits are numbers."""
    parts: list[Any] = _DIGITS.split(path)
    numbers = [int(digits) for digits in parts[1::2]]
    parts[1::2] = numbers
    return parts


def _add(
    found: Served,
    number: int,
    path: str,
) -> str:
    """Let a file be fetched, and what belongs to it. Returns its address."""
    name = os.path.basename(path)
    if name.endswith(_MANIFEST):
        for shard in _shards(path):
            _allow(
                found,
                number,
                shard,
                manifest.beside(path, shard),
            )
    return _allow(
        found,
        number,
        name,
        path,
    )


def _allow(
    found: Served,
    number: int,
    name: str,
    path: str,
) -> str:
    found.paths[f"{number}/{name}"] = path
    if not name.endswith(_MANIFEST):
        index = _index_of(name)
        found.paths[f"{number}/{index}"] = alike(_index_of(path), path)
    return f"data/{number}/{quote(name)}"


def _index_of(name: str) -> str:
    """`data.rec` → `data.idx`, `data.v2` → `data.v2.idx`; as the reader of the page has it."""
    root, ending = os.path.splitext(name)
    if ending in (_DATA, ""):
        return root + _INDEX
    return name + _INDEX


def _shards(path: str) -> list[str]:
    """The names in a manifest that lie in its folder. The page says what is wrong with others."""
    text = open_storage(path).read(0, manifest.LARGEST)
    try:
        stated = json.loads(text)["shards"]
        names = [shard["file"] for shard in stated]
    except (ValueError, RecursionError, KeyError, TypeError):
        return []
    texts = [name for name in names if isinstance(name, str)]
    return [name for name in texts if _is_within(name)]


def _is_within(name: str) -> bool:
    parts = set(name.split("/"))
    if parts & {"", ".", ".."}:
        return False
    letters = set(name)
    return not letters & set("\\\0:")
