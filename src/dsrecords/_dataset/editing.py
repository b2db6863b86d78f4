"""Changing a dataset: adding, replacing and deleting samples, and compacting the files.

The first change takes the writer's lock, which is held until the dataset is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dsrecords._dataset.options import Options
from dsrecords._dataset.reading import Reading
from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._read.batch import as_array
from dsrecords._read.extents import check_extents
from dsrecords._read.open import State, default_index
from dsrecords._read.selection import several
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Source
from dsrecords._schema.header import metadata_json
from dsrecords._storage.files import Descriptor
from dsrecords._types.base import describe
from dsrecords._write.columns import Columns
from dsrecords._write.compact import compact
from dsrecords._write.lock import first_change
from dsrecords._write.revise import Reviser
from dsrecords._write.rows import Rows
from dsrecords._write.writer import Writer
from dsrecords.errors import ReadOnlyError, SchemaError, StaleViewError


class Editing:
    """What changes the files of a dataset.

    Args:
        reading: the list, and how its fields are written.

    Attributes:
        writer: has the lock; None before the first change.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.writer: Writer | None = None

    def begin(self, positions: bool = True) -> Writer:
        """Return the writer, ready for a change.

        Args:
            positions: whether the change is of positions in the list, which must still mean what
                they meant when the files were read.

        Raises:
            ReadOnlyError: this is a view, or of dsrecords 0.4.
            LockedError: another writer has the dataset.
            StaleViewError: another writer has edited it meanwhile.
        """
        reading = self.reading
        log = self._log()
        if reading.is_view():
            raise ReadOnlyError(
                "a view is read-only (as is a pickled copy of what has grown since): "
                "change the dataset that it was made from",
                file=reading.path,
            )
        if self.writer is not None:
            return self.writer
        known = reading.version()
        with first_change():  # of two threads, one takes the file's lock
            if self.writer is None:
                self.writer = Writer(log)
            writer = self.writer
        reading.bind()
        if positions and not log.shows(known):
            raise StaleViewError(
                "another writer changed it since it was opened: look again, then repeat",
                file=reading.path,
            )
        return writer

    def _log(self) -> State:
        source = self.reading.opened()
        source.need_log()
        assert isinstance(source, State)  # all others have raised
        return source

    # Samples

    def append(self, sample: Any) -> None:
        """Add one sample."""
        writer = self.writer or self.begin(positions=False)
        schema = self.reading.fields.schema
        numbers = schema.picked(sample)
        if numbers is not None and writer.append_numbers(numbers):
            return
        encoded = schema.encode(sample, self.reading.count())
        writer.append(encoded)

    def extend(self, samples: Iterable[Any]) -> None:
        """Add many samples; the position that an error names is among those given."""
        writer = self.begin(positions=False)
        start = self.reading.count()
        schema = self.reading.fields.schema
        try:
            if schema.payloads:
                numbered = enumerate(samples, start)
                records = (schema.encode(sample, number) for number, sample in numbered)
                writer.extend(records)
            else:
                Rows(schema, samples, start).write(writer)
        except SchemaError as error:
            if error.record is not None:
                error.message = f"row {error.record - start} of those given: {error.message}"
            raise

    def extend_columns(self, columns: Any) -> None:
        """Add many samples, given field by field, as one batch."""
        writer = self.begin(positions=False)
        schema = self.reading.fields.schema
        prepared = Columns(schema, columns, self.reading.count())
        if prepared.count:
            writer.packed_batch(prepared.pack)

    def update(self, samples: Any, partial: bool) -> None:
        """Replace the samples at some positions, or with `partial` some of their fields."""
        if not isinstance(samples, Mapping):
            example = "ds.update({7: sample, 9: other})"
            raise TypeError(f"update takes a dict of positions and samples: {example}")
        writer = self.begin()
        reading = self.reading
        with writer.mutex:
            snapshot = reading.snapshot()
            positions = [reading.position(index, snapshot) for index in samples]
            if len(set(positions)) < len(positions):
                raise IndexError("two of the indices are the same record")
            schema = reading.fields.schema
            if partial:
                self._revise(writer, snapshot, dict(zip(positions, samples.values())))
                return
            encoded = [schema.encode(new, i) for i, new in zip(positions, samples.values())]
            if encoded:  # they are appended, then taken from the end, the last one first
                writer.batch(encoded, TAKE_LAST, positions[::-1])

    def _revise(
        self,
        writer: Writer,
        snapshot: Snapshot,
        samples: Mapping[int, Any],
    ) -> None:
        """Replace some fields of the records at some positions."""
        schema = self.reading.fields.schema
        encoded = {i: schema.encode_some(part, i) for i, part in samples.items()}
        changed = {i: part for i, part in encoded.items() if part}
        if not changed:
            return
        reviser = Reviser(snapshot)
        replacements = [reviser.revised(i, part) for i, part in changed.items()]
        records = [replacement.record for replacement in replacements]
        parts = [replacement.shared_parts for replacement in replacements]
        positions = list(changed)
        writer.batch(records, TAKE_LAST, positions[::-1], parts)

    def replace(self, index: Any, sample: Any) -> None:
        """Replace one sample; or fields of it, where the index is a tuple with them behind."""
        if isinstance(index, tuple):
            self._replace_fields(index, sample)
            return
        if several(index):
            advice = "for several ds.update({7: sample, 9: other})"
            raise TypeError(f"one whole sample at a time: ds[7] = sample; {advice}")
        self.update({index: sample}, partial=False)

    def _replace_fields(self, key: tuple[Any, ...], value: Any) -> None:
        if len(key) != 2 or several(key[0]):
            name = self.reading.fields.schema.keys[0]
            raise TypeError(
                f"fields of one sample: ds[7, {name!r}] = value; of several samples: "
                f"ds.update({{7: {{{name!r}: value}}}}, partial=True)"
            )
        index, fields = key
        if isinstance(fields, (list, tuple)):
            part = _values_by_field(fields, value)
        else:
            part = {fields: value}
        self.update({index: part}, partial=True)

    def set_metadata(self, metadata: Any) -> None:
        """Put other metadata in the place of what there is."""
        writer = self.begin(positions=False)
        log = self._log()
        writer.set_metadata(metadata_json(log.header, metadata))

    def delete(self, key: Any) -> None:
        """Delete the samples at an index, a slice, a list or a mask, as one edit."""
        if isinstance(key, tuple):
            raise TypeError(
                "samples are deleted whole: del ds[7], del ds[[7, 9]]; "
                "a field of all of them: ds.drop_fields(name)"
            )
        writer = self.begin()
        reading = self.reading
        with writer.mutex:
            snapshot = reading.snapshot()
            if several(key):
                found = reading.positions(key, snapshot)
                ranges = _ranges(found)
            else:
                position = reading.position(key, snapshot)
                ranges = [position, position + 1]
            if ranges:
                writer.batch((), DELETE, ranges)

    def take_last(self, index: int) -> None:
        """Put the last sample in the place of another, which is deleted."""
        writer = self.begin()
        with writer.mutex:
            snapshot = self.reading.snapshot()
            position = self.reading.position(index, snapshot)
            writer.batch((), TAKE_LAST, [position])

    # Files

    def flush(self, sync: bool) -> None:
        """Make all changes durable, and publish the index."""
        source = self.reading.opened()
        if self.writer is None and self._has_no_index(source):
            self.begin(positions=False)
        if self.writer is not None:
            self.writer.checkpoint(sync)

    def _has_no_index(self, source: Source) -> bool:
        """Whether the list was made again from the log, so that an index is to be written."""
        if not isinstance(source, State) or self.reading.is_view():
            return False
        return source.slot is None and not source.refuses

    def refresh(self) -> None:
        """Read what others have written; a writer knows all already."""
        if self.writer is None or self.reading.is_view():
            self.reading.refresh()

    def compact(self) -> None:
        """Write the records anew, in the place of the old files."""
        log = self._log()

        def write(snapshot: Snapshot) -> Descriptor:
            check_extents(snapshot)
            everything = range(len(snapshot.entries))
            return compact(
                log.path,
                log.index_path,
                snapshot,
                everything,
                snapshot.metadata(),
                replace=True,
            )

        self.rewrite(write)

    def compact_to(self, path: str) -> tuple[str, str]:
        """Write the records to a new dataset, and return its paths."""
        self._log()
        index_path = default_index(path)
        snapshot = self.reading.snapshot()
        if not self.reading.opened().view:  # which may show a record again and again
            check_extents(snapshot)
        positions = self.reading.positions(slice(None), snapshot)
        compact(
            path,
            index_path,
            snapshot,
            positions,
            self.reading.metadata(),
        )
        return path, index_path

    def rewrite(
        self,
        write: Callable[[Snapshot], Descriptor],
        options: Options | None = None,
    ) -> None:
        """Put other files in the place of these.

        Args:
            write: makes them of the records, and returns the descriptor that holds their lock.
            options: those that fit the new files, where the present ones do not.
        """
        writer = self.begin()
        log = self._log()
        with writer.mutex:
            writer.be_ready()
            writer.require_own_log()
            writer.sync()  # a crash may leave the old log without its index: it must be whole then
            try:
                descriptor = write(log.snapshot)
            except BaseException:
                if not writer.in_place():  # the new files are there: let go of the old ones
                    self.writer = None
                    log.reopen()
                    self.reading.bind(options)
                raise
            writer.let_go("the dataset was compacted")
            if options is not None:
                self.reading.options = options
            self.writer = Writer(log, descriptor)
            self.reading.bind()

    def close(self) -> None:
        """Publish the index, and release the lock and the files."""
        try:
            if self.writer is not None:
                self.writer.close()
        finally:
            self.writer = None
            self.reading.close()


def _values_by_field(fields: Sequence[Any], values: Any) -> dict[Any, Any]:
    """The values that are to be set, by field: given as a dict of just these, or in their order."""
    if isinstance(values, Mapping):
        if set(values) != set(fields):
            raise SchemaError(f"values of {list(values)} were given for the fields {list(fields)}")
        return dict(values)
    if not isinstance(values, (list, tuple)) or len(values) != len(fields):
        given = describe(values)
        raise SchemaError(f"{len(fields)} fields need a dict or a list of values, not {given}")
    return dict(zip(fields, values))


def _ranges(positions: range | np.ndarray) -> list[int]:
    """Positions as ranges that ascend: start, stop, start, stop, …."""
    count = len(positions)
    if not count:
        return []
    if isinstance(positions, range) and abs(positions.step) == 1:
        ends = (positions[0], positions[-1])
        return [min(ends), max(ends) + 1]
    ascending = np.unique(as_array(positions))
    is_gap = np.diff(ascending) > 1
    starts = ascending[1:][is_gap]
    stops = ascending[:-1][is_gap] + 1
    edges = np.empty(2 * len(starts) + 2, np.int64)
    edges[0] = ascending[0]
    edges[1:-1:2] = stops
    edges[2::2] = starts
    edges[-1] = ascending[-1] + 1
    ranges: list[int] = edges.tolist()
    return ranges
