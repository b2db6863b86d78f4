"""Where the index of a data file is, whatever it is called and whichever link leads to it.

Opens files only where a name leaves more than one possibility.
"""

from __future__ import annotations

import os

from dsrecords._format.header import ID_OFFSET, MAGIC
from dsrecords._format.index import kind_of, read_slots
from dsrecords._storage import files
from dsrecords._storage.locations import alike
from dsrecords._storage.registry import exists, is_local, open_storage

_ENDING = ".rec"
_ID_SIZE = 16  # bytes


def index_beside(path: str) -> str:
    """The path of the index that belongs to a data file.

    Through a symbolic link it is the index beside the link, if there is one, else the one beside
    what the link leads to.
    """
    index = _named_as(path)
    if not is_local(path) or files.exists(index):
        return index
    leads_to = files.link_target(path)
    final = files.target(path)
    while leads_to:
        index = _named_as(leads_to)
        if leads_to == final or files.exists(index):
            break
        leads_to = files.link_target(leads_to)
    return index


def _named_as(path: str) -> str:
    """`data.rec` → `data.idx`, `data.v2` → `data.v2.idx`.

    Earlier versions cut off any ending, so that `data.v1` and `data.v2` had one index, `data.idx`:
    it is still the index of the one that it was made of.
    """
    root, ending = os.path.splitext(path)
    shared = alike(root + ".idx", path)
    if ending in (_ENDING, ""):
        return shared
    own = alike(path + ".idx", path)
    if not exists(own) and _may_belong(shared, path):
        return shared
    return own


def _may_belong(index: str, path: str) -> bool:
    """Whether both files are there, and the index is not that of another dataset."""
    try:
        start = open_storage(path).read(0, ID_OFFSET + _ID_SIZE)
        slots = read_slots(open_storage(index))
    except OSError:  # one is missing, or cannot be read
        return False
    if kind_of(index) == "view":
        return False
    if not start.startswith(MAGIC) or not slots:
        return True  # of an earlier version, or damaged: as it was
    return slots[0].id == start[ID_OFFSET:]
