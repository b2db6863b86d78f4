"""What a writer that was killed left beside the files: whose it was, and how it is removed.

A temporary file has a random part in its name, and its writer has locked it before there is a byte
in it. So what begins as a file of ours does, and is not locked, has no writer any more. What is
empty is left alone, since its writer may be about to lock it.
"""

from __future__ import annotations

import contextlib
import os
import re

from dsrecords._format.header import MAGIC
from dsrecords._format.index import kind_of
from dsrecords._storage import files

# After the name of a data file, an index or a view: what `Builder` and `write_whole` add to it.
_ADDED = re.compile(r"(\.partial)?(\.[0-9a-f]{8}\.tmp){1,2}")
_PARTIAL = ".partial"


def remove_abandoned(path: str, file: files.Descriptor | None = None) -> None:
    """Remove the temporary files beside a file whose writers are dead.

    What cannot be removed, as in a folder that may not be written to, is left.

    Args:
        path: of a data file, an index or a view.
        file: the data file, if it is that one and locked. Then the name of before is removed as
            well, which a maker leaves that is killed right after it has given the file its own.
    """
    path = files.target(path)
    folder, name = os.path.split(path)
    for other in files.names_beside(path):
        added = other[len(name) :]
        left = os.path.join(folder, other)
        if added == _PARTIAL and file is not None:
            with contextlib.suppress(OSError):  # not for this user to remove
                _remove(left, file)
        elif _ADDED.fullmatch(added):
            _remove_if_abandoned(left)


def _remove_if_abandoned(path: str) -> None:
    try:
        file = files.open_write(path)
    except OSError:  # it is gone, or not for this user to remove
        return
    try:
        if _is_ours(path, file) and files.lock(file.number):
            _remove(path, file)
    except OSError:  # no locks here, or not for this user to remove
        pass
    finally:
        file.close()


def _is_ours(path: str, file: files.Descriptor) -> bool:
    start = files.pread(file.number, len(MAGIC), 0)
    if start == MAGIC:
        return True
    return bool(start) and kind_of(path) in ("index", "view")


def _remove(path: str, file: files.Descriptor) -> None:
    """Remove a file, if the path is still its own."""
    if files.identity(path) == files.identity(file.number):
        files.unlink(path)
