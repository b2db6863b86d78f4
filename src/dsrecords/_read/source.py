"""`Source`: what a dataset needs of the files that it shows. Says nothing of how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dsrecords._read.snapshot import Snapshot
from dsrecords._schema.header import Header

Deserializers = Mapping[Any, Callable[..., Any] | None]  # by field; None: as its type says


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
    def edits(self) -> int:
        """How many edits the list has had. Appending is none: positions mean what they meant."""
        ...

    @property
    def view(self) -> int:
        """What tells a view file from others; 0 if the whole list was opened."""
        ...

    @property
    def editing(self) -> int:
        """How often an edit of the list was begun or ended: odd while one is under way."""
        ...

    def need_log(self) -> None:
        """Raise ReadOnlyError if this is no log that can be changed, compacted and viewed."""
        ...

    def deserializers(self, given: Deserializers) -> Deserializers:
        """Return the functions that read what functions like the given ones have written here."""
        ...

    def refresh(self) -> None:
        """Read what others have written since."""
        ...
