"""Which storage reads a path: by the scheme of the path. Knows nothing of the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator

from dsrecords._storage import files
from dsrecords._storage.base import Storage
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.locations import OF_FSSPEC, OF_OBSTORE

Opener = Callable[[str], Storage]


def _open_elsewhere(path: str) -> Storage:
    """Open a file of an object store, a web server or a file system of fsspec's."""
    # Imported where it is used: most programs read files of their own machine.
    from dsrecords._storage.object_store import ObjectStorage

    return ObjectStorage(path)


_ELSEWHERE = (*OF_OBSTORE, *OF_FSSPEC)
_openers: dict[str, Opener] = dict.fromkeys(_ELSEWHERE, _open_elsewhere)  # by scheme


def register(scheme: str, opener: Opener) -> None:
    """Let an opener open the paths of a scheme.

    Args:
        scheme: what stands before "://", such as "memory".
        opener: makes a storage of a whole path. Raises as `Storage` says.
    """
    _openers[scheme] = opener


def open_storage(path: str) -> Storage:
    """Open a file for reading.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read, or is not a regular file.
    """
    opener = _opener(path)
    if opener is None:
        return LocalStorage(path)
    return opener(path)


def version_at(path: str) -> Hashable:
    """The version of the file that has a path now; None if there is none."""
    opener = _opener(path)
    if opener is None:
        return files.identity(path)
    try:
        if opener is _open_elsewhere:
            return _version_elsewhere(path)
        storage = opener(path)
    except FileNotFoundError:
        return None
    return storage.version()


def _version_elsewhere(path: str) -> Hashable:
    from dsrecords._storage.object_store import version_of

    return version_of(path)


def exists(path: str) -> bool:
    """Whether there is a file; of this machine anything at the path, as `files.exists` says.

    A symbolic link that leads nowhere is a place where a file can be made.
    """
    if is_local(path):
        return files.exists(files.target(path))
    return version_at(path) is not None


def copied_to(local: str, path: str, overwrite: bool) -> None:
    """Copy a file of this machine elsewhere, where it is there as a whole or not at all.

    Raises:
        FileExistsError: there is one, and `overwrite` is not given.
        RemoteError: it cannot be copied.
    """
    from dsrecords._storage.object_store import put

    put(local, path, overwrite)


def removed(path: str) -> None:
    """Remove a file elsewhere; nothing if there is none. Raises RemoteError if it cannot be."""
    from dsrecords._storage.object_store import remove

    remove(path)


def listed(path: str) -> Iterator[str]:
    """Yield the paths of the files elsewhere that begin with this one.

    Raises:
        RemoteError: the service cannot say which files it has.
    """
    from dsrecords._storage.object_store import listed as listed_elsewhere

    return listed_elsewhere(path)


def is_url(path: str) -> bool:
    """Whether a path has a scheme that no storage reads, such as that of a web page."""
    return "://" in path and _opener(path) is None


def is_local(path: str) -> bool:
    """Whether a path is one of this machine."""
    return _opener(path) is None


def require_local(path: str) -> None:
    """Raise ValueError if a file is to be written elsewhere, where only whole datasets are made."""
    if not is_local(path):
        raise ValueError(
            f"{path}: elsewhere only make_dataset writes: write it to this machine, and upload "
            "the data file, then the index"
        )


def absolute(path: str) -> str:
    """The absolute path of a local file. A name that another storage reads stays as it is.

    Links stay in it, and are followed anew whenever it is opened: but not in a folder that is left
    again, as in `link/../data.rec`, which is beside the folder that the link leads to.
    """
    if not is_local(path):
        return path
    folder, name = os.path.split(path)
    if os.pardir in folder.split(os.sep):
        folder = os.path.realpath(folder)
        path = os.path.join(folder, name)
    return os.path.abspath(path)


def _opener(path: str) -> Opener | None:
    """What opens a path; None if it is one of this machine.

    A scheme that nobody has registered is none: a path may have any name.
    """
    if "://" not in path:
        return None
    scheme, _, _ = path.partition("://")
    return _openers.get(scheme)
