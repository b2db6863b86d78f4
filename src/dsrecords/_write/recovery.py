"""Recovery: what a writer does to the files before its first change. Knows nothing of samples.

A writer that was killed may leave half a batch behind the last whole one. That is cut off, or old
frames could come back behind new ones.
"""

from __future__ import annotations

from dsrecords._format import index as _index
from dsrecords._read.open import State
from dsrecords._storage import files
from dsrecords._warning import warn_user
from dsrecords._write.leftovers import remove_abandoned
from dsrecords.errors import ReadOnlyError

_CHUNK = 4 * 2**20  # bytes of a tail that are copied at once


def recover(state: State, file: files.Descriptor) -> None:
    """Read the files anew, and cut off what a killed writer left unfinished.

    Args:
        state: of the dataset; brought up to date.
        file: the descriptor of the `.rec` that has the lock.

    Raises:
        CorruptError: the log is damaged, other than by a write that did not end.
        ReadOnlyError: a file that must not be overwritten has the path of the index.
    """
    state.reopen(torn=True)
    _require_replaceable_index(state)
    remove_abandoned(state.path, file)
    remove_abandoned(state.index_path)
    end = state.snapshot.end
    size = files.size(file.number)
    if size <= end:
        return
    # A head that verifies before a payload that does not: no killed writer leaves that behind.
    is_whole_head = state.fault is not None and state.fault.size > 0
    if is_whole_head or state.beyond is not None:
        _save_tail(state, end, size)
    _cut_tail(state, file, end, size)


def _require_replaceable_index(state: State) -> None:
    if state.view:
        what = "a view"
    elif state.slot is None and not _index.may_be_replaced(state.index_path):
        what = "not an index of ours"
    else:
        return
    raise ReadOnlyError(f"this file is {what}: it is never overwritten", file=state.index_path)


def _cut_tail(
    state: State,
    file: files.Descriptor,
    end: int,
    size: int,
) -> None:
    """Cut off what a writer left unfinished.

    It is zeroed first. After a loss of power, blocks of it can come back within what is written
    there next; and a frame that lacked nothing but the zeros of its padding would then be whole,
    and fit, in the place of what was acknowledged meanwhile.
    """
    try:
        for offset in range(end, size, _CHUNK):
            zeros = bytes(min(_CHUNK, size - offset))
            files.pwrite(file.number, zeros, offset)
        files.sync(file.number)
        files.truncate(file.number, end)
        files.sync(file.number, metadata=True)
    except OSError as error:
        # The next look would find the file cut, and nothing to sync: so there must be none.
        state.refuses = (
            f"cutting off an unfinished write failed ({error}): "
            "close this dataset and open it again"
        )
        raise


def _save_tail(state: State, end: int, size: int) -> None:
    """Keep a copy of a tail of which some verifies: only a person can judge what it is worth."""
    path = _unused_path(f"{files.target(state.path)}.tail-{end}")
    tail = files.create(path, like=[state.path])
    for offset in range(end, size, _CHUNK):
        data = state.storage.read(offset, min(_CHUNK, size - offset))
        files.pwrite(tail.number, data, offset - end)
    files.sync(tail.number, metadata=True)
    files.sync_directory(path)
    warn_user(
        f"{state.path}: the log is damaged from byte {end} on; what follows was moved to {path}"
    )


def _unused_path(wanted: str) -> str:
    path = wanted
    number = 0
    while files.exists(path):
        number += 1
        path = f"{wanted}-{number}"
    return path
