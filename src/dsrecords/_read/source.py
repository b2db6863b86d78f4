"""`Source`: what a dataset needs of the files that it shows. Says nothing of how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from dsrecords._read.mark import Mark
from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import Header

Deserializers = Mapping[Any, Callable[..., Any] | None]  # by field; None: as its type says


class Version(NamedTuple):
    """Which list it is that somebody has seen.

    Attributes:
        id: of the dataset.
        view: what tells a view file from others; 0 of the whole list.
        mark: the moment of the log that the list was of.
    """

    id: bytes
    view: int
    mark: Mark


class Source(Protocol):
    """Open files that hold a list of records: a log, or a pair of files of dsrecords 0.4.

    All of its attributes are read only from outside. What they are changes with `refresh` and
    with each change of a writer.
    """

    @property
    def path(self) -> str:
        """The absolute path of the data file."""
        ...

    @property
    def index_path(self) -> str:
        """The absolute path of the index, or of the view, that was opened."""
        ...

    @property
    def header(self) -> Header:
        """The header of the data file: its id, schema and metadata."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """The list as it is now."""
        ...

    @property
    def view(self) -> int:
        """What tells a view file from others; 0 if the whole list was opened."""
        ...

    def need_log(self) -> None:
        """Raise ReadOnlyError if this is no log that can be changed, compacted and viewed."""
        ...

    def deserializers(self, given: Deserializers) -> Deserializers:
        """Return the functions that read what functions like the given ones have written here."""
        ...

    def shows(self, version: Version) -> bool:
        """Whether positions mean what they meant in this list: only appending is no change."""
        ...

    def refresh(self) -> None:
        """Read what others have written since."""
        ...
