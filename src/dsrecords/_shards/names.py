"""Which files a pattern, a list or a folder means, and whether one of them is missing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dsrecords._format.header import parse_json
from dsrecords._shards.manifest import ENDING, is_manifest
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import absolute, exists, is_local, listed
from dsrecords.errors import CorruptError, ShardError

_WILDCARDS = ("*", "?", "[")
_DIGITS = re.compile(r"(\d+)")
_NUMBERED = re.compile(r"(?P<start>.*)-(?P<number>\d+)-of-(?P<total>\d+)(?P<end>\.[^.]+)?")
_DATA = ".rec"
_NO_DATA = (".idx", ENDING, ".partial", ".shard", ".tmp", ".making")
_INDEX_OF_MDS = "index.json"
_MOST_NAMED = 5  # missing files that an error names


class Named(NamedTuple):
    """What a path means.

    Attributes:
        manifest: path of a manifest; None if the files themselves are meant.
        files: the data files, in their order.
        name: what messages call all of them.
    """

    manifest: str | None
    files: list[str]
    name: str


def many(path: Any) -> bool:
    """Whether a path means many files: a list, a pattern, a folder or a manifest."""
    if isinstance(path, (list, tuple)):
        return True
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    name = os.fsdecode(path)
    if name.endswith(ENDING):
        return True
    if not is_local(name):
        return name.endswith("/") or has_wildcard(name)
    if os.path.isdir(name):
        return True
    return has_wildcard(name) and not exists(name)


def has_wildcard(path: str) -> bool:
    """Whether a path may be a pattern."""
    if path.startswith(("http://", "https://")):  # web servers do not say which files they have
        return False
    return any(letter in path for letter in _WILDCARDS)


def in_words(path: Any) -> str:
    """What messages call many files."""
    if not isinstance(path, (list, tuple)):
        return os.fsdecode(path)
    names = [os.fsdecode(name) for name in path]
    if len(names) < 3:
        return ", ".join(names)
    return f"{names[0]} … {names[-1]} ({len(names)} files)"


def resolved(path: Any) -> Named:
    """Return which files a path means.

    Raises:
        FileNotFoundError: there are none.
        ShardError: a numbered file is missing, or there, in two sets.
        CorruptError: the folder is one of MosaicML's.
    """
    name = in_words(path)
    if isinstance(path, (list, tuple)):
        found = [absolute(os.fsdecode(one)) for one in path]
        if not found:
            raise FileNotFoundError("no files are given")
        _require_distinct(found)
        return Named(
            None,
            found,
            name,
        )
    text = os.fsdecode(path)
    if text.endswith(ENDING):
        if os.path.basename(text) == _INDEX_OF_MDS:
            _refuse_mds(os.path.dirname(text) or ".")
        return Named(
            absolute(text),
            [],
            name,
        )
    if not is_local(text):
        return _elsewhere(text)
    if os.path.isdir(text):
        return _in_folder(text)
    return Named(
        None,
        _matching(text, text),
        name,
    )


def _in_folder(folder: str) -> Named:
    _refuse_mds(folder)
    manifests = [path for path in _listed(folder, ENDING) if is_manifest(path)]
    if len(manifests) == 1:
        return Named(
            absolute(manifests[0]),
            [],
            folder,
        )
    if manifests:
        names = ", ".join(map(os.path.basename, manifests))
        raise ShardError(f"several datasets are in it: open one of {names}", file=folder)
    found = _listed(folder, _DATA)
    if not found:
        raise FileNotFoundError(f"{folder} has no {_DATA} files and no manifest")
    _require_whole(found, folder)
    return Named(
        None,
        [absolute(path) for path in found],
        folder,
    )


def _elsewhere(path: str) -> Named:
    """The files that a folder or a pattern elsewhere means."""
    if path.endswith("/"):
        return _in_folder_elsewhere(path)
    beginning = re.split(r"[*?\[]", path, maxsplit=1)[0]
    pattern = _as_regex(path)
    found = [name for name in listed(alike(beginning, path)) if pattern.fullmatch(name)]
    return Named(
        None,
        _data_among(found, path),
        path,
    )


def _in_folder_elsewhere(folder: str) -> Named:
    found = [name for name in listed(folder) if "/" not in name[len(folder) :]]
    manifests = [name for name in found if name.endswith(ENDING) and is_manifest(name)]
    if len(manifests) == 1:
        return Named(
            manifests[0],
            [],
            folder,
        )
    if manifests:
        names = ", ".join(map(os.path.basename, manifests))
        raise ShardError(f"several datasets are in it: open one of {names}", file=folder)
    data = [name for name in found if name.endswith(_DATA)]
    if not data:
        raise FileNotFoundError(f"{folder} has no {_DATA} files and no manifest")
    return Named(
        None,
        _data_among(data, folder),
        folder,
    )


def _as_regex(pattern: str) -> re.Pattern[str]:
    """What a pattern matches, as `glob` has it: `*` and `?` no slash, `**/` any folders."""
    parts = []
    for part in re.split(r"(\*\*/|\*|\?|\[[^]]+\])", pattern):
        if part == "**/":
            parts.append("(?:.*/)?")
        elif part == "*":
            parts.append("[^/]*")
        elif part == "?":
            parts.append("[^/]")
        elif part.startswith("[") and part.endswith("]"):
            parts.append("[^" + part[2:] if part[1] == "!" else part)
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts), re.DOTALL)


def _listed(folder: str, ending: str) -> list[str]:
    names = [name for name in os.listdir(folder) if name.endswith(ending)]
    paths = [os.path.join(folder, name) for name in names if not name.startswith(".")]
    return sorted(filter(os.path.isfile, paths), key=natural)


def _refuse_mds(folder: str) -> None:
    """Raise CorruptError if a folder is a dataset of MosaicML's."""
    path = os.path.join(folder, _INDEX_OF_MDS)
    if not os.path.isfile(path):
        return
    try:
        content = parse_json(LocalStorage(path).read(0, 2**28))
        first = content["shards"][0]
        is_mds = first["format"] == "mds"
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return
    if is_mds:
        raise CorruptError(
            "a dataset of MosaicML's (MDS), not of ours: read its samples with "
            "streaming.LocalDataset, and give them to make_dataset",
            file=folder,
        )


def _matching(pattern: str, name: str) -> list[str]:
    """The data files that a pattern matches, in their order."""
    found = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    return _data_among(found, name)


def _data_among(found: Sequence[str], name: str) -> list[str]:
    """The data files among those that a pattern matches, in their order."""
    data = [path for path in found if path.endswith(_DATA)]
    if not data:
        data = [path for path in found if not path.endswith(_NO_DATA)]
    if not data:
        raise FileNotFoundError(f"no file matches {name}")
    data.sort(key=natural)
    _require_whole(data, name)
    return [absolute(path) for path in data]


def natural(path: str) -> list[Any]:
    """A key for sorting names, in which digits are numbers: train-2 comes before train-10."""
    parts: list[Any] = _DIGITS.split(path)
    parts[1::2] = [(int(number), number) for number in parts[1::2]]
    return parts


def _require_distinct(paths: Sequence[str]) -> None:
    """Raise ShardError if a file is given twice, by whatever name."""
    known: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path) if is_local(path) else path
        if real in known:
            raise ShardError(f"it is given twice ({known[real]})", file=path)
        known[real] = path


def number_of(path: str) -> int | None:
    """The number in the name of a shard; None if it has none."""
    match = _NUMBERED.fullmatch(os.path.basename(path))
    if match is None:
        return None
    return int(match["number"])


def _require_whole(paths: Iterable[str], name: str) -> None:
    """Raise ShardError if names say of how many files they are, and not all of these are there."""
    sets: dict[tuple[str, str, str], set[int]] = {}
    others = []
    for path in paths:
        match = _NUMBERED.fullmatch(path)
        if match is None:
            others.append(path)
            continue
        key = (match["start"], match["total"], match["end"] or "")
        sets.setdefault(key, set()).add(int(match["number"]))
    for key, numbers in sets.items():
        _require_all_numbers(
            key,
            numbers,
            name,
        )
    if len(sets) > 1 or (sets and others):
        patterns = [f"{start}-*-of-{total}{end}" for start, total, end in sets]
        raise ShardError(f"several datasets are meant: {', '.join(patterns + others)}", file=name)


def _require_all_numbers(
    key: tuple[str, str, str],
    numbers: set[int],
    name: str,
) -> None:
    start = key[0]
    total = key[1]
    end = key[2]
    width = len(total)
    count = int(total)
    wrong = [number for number in sorted(numbers) if number >= count]
    if wrong:
        text = f"{start}-{wrong[0]:0{width}}-of-{total}{end} has a number that there cannot be"
        raise ShardError(text, file=name)
    missing = []
    for number in range(count):
        if number not in numbers:
            missing.append(f"{start}-{number:0{width}}-of-{total}{end}")
            if len(missing) == _MOST_NAMED:
                break
    if missing:
        lacking = count - len(numbers)
        raise ShardError(f"{lacking} of {count} files are missing: {', '.join(missing)}", file=name)
