"""What a format is: how it is recognized, what is read of it, how it is written."""

from __future__ import annotations

import abc
import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from dsrecords.errors import CorruptError, SchemaError

if TYPE_CHECKING:
    from dsrecords._convert.damage import Damage
    from dsrecords.dataset import IndexedRecordDataset

Row = Mapping[str, Any]
Options = Mapping[str, Any]

HEAD = 4096  # bytes of a file that are looked at to tell its format


class Look(NamedTuple):
    """What is seen of a source at a first look.

    Attributes:
        path: of a file or a folder.
        is_folder: which of the two.
        head: the first bytes of a file, decompressed; of a folder none.
        names: of what is in a folder, sorted; of a file none.
    """

    path: str
    is_folder: bool
    head: bytes
    names: tuple[str, ...]


class Source(abc.ABC):
    """A dataset of another format, which is open.

    Attributes:
        path: of its file or folder.
        count: how many rows it has; None if only reading it tells.
        metadata: what is worth keeping beside the rows.
        failure: what reading a table has raised: what is in between keeps its text alone.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.count: int | None = None
        self.metadata: dict[str, Any] = {}
        self.failure: Exception | None = None

    @abc.abstractmethod
    def types(self) -> dict[str, Any]:
        """Return the fields and their types, as they are written in a schema.

        Raises:
            CorruptError: it is damaged; says where.
            SchemaError: a field has no type.
        """

    @abc.abstractmethod
    def rows(self, schema: Mapping[str, Any], damage: Damage) -> Iterator[Row]:
        """Return all rows in their order, of which one at a time is in memory.

        Args:
            schema: the types that the fields are to have; other fields are left out.
            damage: is told of each row that cannot be read, and raises unless it may be left out.
        """

    def table(self, schema: Mapping[str, Any]) -> Any:
        """Return all rows as a table that `make_dataset` takes; None if there is none."""
        return None

    def close(self) -> None:
        """Close what is open."""
        return


class Format(abc.ABC):
    """A format.

    Attributes:
        name: by which it is asked for.
        title: what it is called in a sentence.
        endings: of names of files that are written in it; empty for folders.
        reads: options of reading, and what each says.
        writes: options of writing; None if it is not written.
    """

    name = ""
    title = ""
    endings: tuple[str, ...] = ()
    reads: ClassVar[Mapping[str, str]] = {}
    writes: ClassVar[Mapping[str, str] | None] = None
    is_folder = False  # whether what is written is a folder

    @abc.abstractmethod
    def recognizes(self, look: Look) -> bool:
        """Return whether a source is of this format, by what is in it."""

    @abc.abstractmethod
    def open(self, path: str, options: Options) -> Source:
        """Open a source. Raises CorruptError if it is not of this format."""

    def open_many(
        self,
        path: str,
        files: Sequence[str],
        options: Options,
    ) -> Source:
        """Open several files, one behind the other.

        Args:
            path: what they are called together, such as a pattern.
            files: paths of all.
            options: as of `open`.
        """
        raise ValueError(f"{path} means {len(files)} files, and {self.title} is read from one")

    def write(
        self,
        dataset: IndexedRecordDataset,
        path: str,
        options: Options,
        progress: Progress,
    ) -> None:
        """Write a dataset.

        Args:
            dataset: of which images, sounds and videos are read as bytes.
            path: of a file that does not exist, or of an empty folder.
            options: those of `writes`.
            progress: wraps what is iterated over.
        """
        raise NotImplementedError


class Progress(NamedTuple):
    """Shows how far something is, if that is wanted.

    Attributes:
        is_shown: whether it is.
        name: what is being written.
    """

    is_shown: bool
    name: str

    def of(self, items: Iterable[Any], total: int | None = None) -> Iterable[Any]:
        """Return the same items."""
        if not self.is_shown:
            return items
        from tqdm import tqdm

        return tqdm(
            items,
            desc=self.name,
            total=total,
            unit=" records",
        )


def require_options(given: Options, known: Mapping[str, str], title: str) -> None:
    """Raise TypeError if an option is none of a format; says which there are."""
    for option in given:
        if option in known:
            continue
        near = difflib.get_close_matches(option, known, 1)
        if near:
            raise TypeError(f"{title} has no option {option!r}: did you mean {near[0]!r}?")
        names = ", ".join(known) or "none"
        raise TypeError(f"{title} has no option {option!r}; there are: {names}")


def unreadable(path: str, problem: object, **where: Any) -> CorruptError:
    """Return the error of a source that is damaged."""
    return CorruptError(str(problem), file=os.fspath(path), **where)


def no_place(
    title: str,
    field: str,
    type_name: Any,
    advice: str,
) -> SchemaError:
    """Return the error of a field that a format has no place for."""
    return SchemaError(f"{title} does not hold {type_name}: {advice}", field=field)
