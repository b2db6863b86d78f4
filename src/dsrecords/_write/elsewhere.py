"""Datasets that are made on this machine, and copied to where they are to be.

A data file comes before its index, and a manifest last: what an upload that did not end has left
does not open.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

from dsrecords._shards.manifest import ENDING
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import copied_to, exists, removed

_DATA = ".rec"
_INDEX = ".idx"

Write = Callable[[str], tuple[str, str]]


def make_elsewhere(
    path: str,
    overwrite: bool,
    is_sharded: bool,
    write: Write,
) -> tuple[str, str]:
    """Write a dataset in a temporary folder, and copy its files.

    Args:
        path: of the data file elsewhere.
        overwrite: whether a dataset that is there gives way.
        is_sharded: whether there will be several files, and a manifest.
        write: makes the dataset at a path of this machine; returns the paths of its files.

    Returns:
        What `write` returns, of the files elsewhere.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given.
        RemoteError: they cannot be copied. What was copied is removed, if that can be.
    """
    folder, slash, name = path.rpartition("/")
    folder += slash
    _require_nothing(path, overwrite, is_sharded)
    with tempfile.TemporaryDirectory(prefix="dsrecords-") as temporary:
        made = write(os.path.join(temporary, name))
        names = sorted(os.listdir(temporary), key=_rank)
        if overwrite:
            for each in reversed(names):  # what says that the others are whole goes first
                if not each.endswith(_DATA):
                    removed(alike(folder + each, path))
        with _undone_at_a_failure() as copied:
            for each in names:
                target = alike(folder + each, path)
                copied_to(os.path.join(temporary, each), target, overwrite)
                copied.append(target)
    first, second = (folder + os.path.relpath(one, temporary) for one in made)
    return first, second


def _rank(name: str) -> tuple[int, str, int]:
    """In which order files are copied: each index behind its data file, a manifest last."""
    stem, ending = os.path.splitext(name)
    return int(ending == ENDING), stem, int(ending == _INDEX)


def _require_nothing(path: str, overwrite: bool, is_sharded: bool) -> None:
    """Raise FileExistsError if there is a dataset, before the first sample is asked for."""
    root, ending = os.path.splitext(path)
    if ending not in (_DATA, ENDING):
        root = path
    wanted = [root + ENDING] if is_sharded else [path, root + _INDEX]
    for each in wanted:
        target = alike(each, path)
        if exists(target) and not overwrite:
            raise FileExistsError(17, "there is a file already: overwrite=True replaces it", each)


@contextlib.contextmanager
def _undone_at_a_failure() -> Iterator[list[str]]:
    """Give a list of paths, of which the files are removed if anything fails."""
    copied: list[str] = []
    try:
        yield copied
    except BaseException:
        for path in reversed(copied):
            with contextlib.suppress(Exception):  # the first error is what is told
                removed(path)
        raise
