"""Copies of a dataset: views, pickles, `copy.copy` and `copy.deepcopy`.

All are made in one way: an object of the same class, without a call of `__new__` or `__init__`,
gets all attributes of the first, but parts of its own. What is open does not travel: of a view
they are the same files; any other copy opens them by an `Origin`, and shows the same records or
raises StaleViewError. No copy is a writer.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from dsrecords._dataset.opening import open_again
from dsrecords._dataset.options import Options
from dsrecords._dataset.reading import Reading
from dsrecords._order.formula import Formula
from dsrecords._read.open import default_index
from dsrecords._read.source import Version
from dsrecords._read.views import save
from dsrecords._shards import views as shards_views
from dsrecords._shards.snapshot import ShardsSnapshot
from dsrecords._shards.source import Packed, ShardsSource
from dsrecords._storage import files
from dsrecords._write.leftovers import remove_abandoned
from dsrecords.errors import ReadOnlyError, StaleViewError

Object = TypeVar("Object")


class Origin(NamedTuple):
    """From what a copy is made: the files, and which records of which list it shows.

    Attributes:
        path: of the data file, absolute; or which files, if there are many.
        index_path: of the index or the view, absolute; None where a dataset has it.
        options: how the files are read and written.
        version: of the list.
        positions: of the records that are shown: a range, a formula, or int64, (n,).
        is_selection: whether the first was a view in memory.
    """

    path: str | Packed
    index_path: str | None
    options: Options
    version: Version
    positions: Any
    is_selection: bool


def origin_of(reading: Reading) -> Origin:
    """Return from what a list can be opened again. Raises ValueError if it is closed."""
    source = reading.opened()
    index_path: str | None = source.index_path
    path: str | Packed = source.path
    if isinstance(source, ShardsSource):
        path = source.packed()
        index_path = source.index_path if source.view else None
    elif index_path == default_index(source.path):
        index_path = None
    is_selection = reading.selection is not None
    positions: Any = range(reading.count())
    if reading.selection is not None:
        positions = reading.selection.positions
    return Origin(
        path,
        index_path,
        reading.options,
        reading.version(),
        positions,
        is_selection,
    )


def reopened(origin: Origin) -> Reading:
    """Open the list that another object shows, perhaps in another process.

    Raises:
        StaleViewError: it was edited or replaced, so that positions mean other records.
        FileNotFoundError: the files are not there any more.
        CorruptError: they are damaged.
    """
    source = open_again(origin.path, origin.index_path, origin.options)
    path = source.path
    options = origin.options.fitted_to(source.header.schema)
    reading = Reading(path, source, options)
    positions = origin.positions
    count = reading.count()
    if not source.shows(origin.version) or _highest(positions) >= count:
        raise StaleViewError(
            "it was edited since this copy was pickled or copied, so that positions mean other "
            "records: copy it anew; or save the view with save_view, and give its path to the "
            "workers: a view file goes on showing the records of then",
            file=path,
        )
    has_grown = count > len(positions)
    if has_grown or origin.is_selection:
        return reading.showing(positions, origin.version)
    return reading


def _highest(positions: Any) -> int:
    if not len(positions):
        return -1
    if isinstance(positions, range):
        first = positions[0]
        last = positions[-1]
        return max(first, last)
    if isinstance(positions, Formula):
        return positions.limit - 1
    return int(positions.max())


def save_view(reading: Reading, path: str, overwrite: bool) -> None:
    """Save which records are shown as a view file, as `IndexedRecordDataset.save_view` does.

    Where the path is a symbolic link, what it leads to is the view: the link stays.
    """
    source = reading.opened()
    if isinstance(source, ShardsSource):
        save_view_of_many(reading, source, path, overwrite)
        return
    path = files.target(path)
    source.need_log()
    own_indices = [default_index(source.path)]
    if not source.view:
        own_indices.append(source.index_path)
    snapshot = reading.snapshot()
    positions = reading.positions(slice(None), snapshot)
    remove_abandoned(path)
    save(
        snapshot,
        positions,
        path,
        own_indices,
        overwrite,
    )


def save_view_of_many(
    reading: Reading,
    source: ShardsSource,
    path: str,
    overwrite: bool,
) -> None:
    """Save which records of many files are shown."""
    snapshot = reading.snapshot()
    assert isinstance(snapshot, ShardsSnapshot)
    positions = reading.positions(slice(None), snapshot)
    if snapshot.order is not None:
        positions = snapshot.order[positions]
    if any(shard.view for shard in source.manifest.shards):
        text = "some of it are views of files: save these, or dsrecords.merge makes files of them"
        raise ReadOnlyError(text, file=source.path)
    shards_views.save(path, source.manifest, positions, overwrite)


def blank(cls: type[Object]) -> Object:
    """Return an object of a class without a call of its `__new__` or `__init__`."""
    return object.__new__(cls)
