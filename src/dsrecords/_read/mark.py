"""`Mark`: a moment in the life of a log, and the proof that a log has been there.

Every frame that is not pending names the check of the one before it, and the first one that of the
header. So one frame that is where it was, with the check that it had, proves all that came before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dsrecords._format.frame import FRAME
from dsrecords._format.header import START_SIZE
from dsrecords._format.index import Slot
from dsrecords._format.layout import METADATA, kind_of_word, size_of_word
from dsrecords._format.log import PENDING_KINDS, LogScanner
from dsrecords._schema.header import Header
from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError

_NO_METADATA = "the index says that metadata is here"


class Mark(NamedTuple):
    """How far a log has come.

    Attributes:
        end: offset behind the last whole batch.
        last: offset of the last frame before `end` that is not pending; 0 if there is none.
        check: of that frame; of the header if there is none.
        edits: how many edits the log has up to there.
        metadata: offset of the last frame of metadata up to there; 0 if there is none.
    """

    end: int
    last: int
    check: int
    edits: int
    metadata: int


def beginning(header: Header) -> Mark:
    """The mark of a log without frames."""
    return Mark(
        end=header.size,
        last=0,
        check=header.raw.check,
        edits=0,
        metadata=0,
    )


def mark_of(slot: Slot) -> Mark:
    """The moment that the rows of an index are of."""
    return Mark(
        slot.covered,
        slot.last,
        slot.check,
        slot.edits,
        slot.metadata,
    )


def is_past(mark: Mark, storage: Storage, header: Header) -> bool:
    """Whether the log in a file has been at this moment.

    Args:
        mark: the moment.
        storage: of the `.rec`, whose header is known to be `header`.
        header: of the log.
    """
    if not mark.last:
        return mark.end == header.size and mark.check == header.raw.check
    size = storage.size()
    if mark.last < header.size or mark.end > size:
        return False
    frame = storage.read(mark.last, FRAME.size)
    if len(frame) < FRAME.size:
        return False
    check, _, word = FRAME.unpack(frame)
    kind = kind_of_word(word)
    if kind == 0 or kind in PENDING_KINDS:
        return False
    return bool(check == mark.check and mark.last + size_of_word(word) == mark.end)


def has_header(storage: Storage, header: Header) -> bool:
    """Whether the file begins with this header, as its first bytes and its checksum say."""
    return storage.read(0, START_SIZE) == header.raw.data[:START_SIZE]


def metadata_at(
    mark: Mark,
    storage: Storage,
    header: Header,
) -> dict[str, Any]:
    """The metadata of the log at a moment.

    Raises:
        CorruptError: it is damaged.
    """
    if not mark.metadata:
        return header.metadata
    if not header.size <= mark.metadata < mark.end:
        raise CorruptError(_NO_METADATA, file=storage.path, offset=mark.metadata)
    scanner = LogScanner(storage, header.frames, mark.metadata, mark.end, 0, 16)
    found = scanner.frame(mark.metadata)
    problem = found.problem
    if not problem and found.kind != METADATA:
        problem = _NO_METADATA
    if problem:
        raise CorruptError(problem, file=storage.path, offset=mark.metadata)
    try:
        return scanner.metadata(found)
    except (ValueError, RecursionError) as error:
        text = f"the metadata: {error}"
        raise CorruptError(text, file=storage.path, offset=mark.metadata) from None
