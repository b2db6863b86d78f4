"""Changing a dataset: adding, replacing and deleting samples, and compacting the files.

The first change takes the writer's lock, which is held until the dataset is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.options import Options
from dsrecords._dataset.parts import copied, made_of
from dsrecords._dataset.reading import Reading
from dsrecords._dataset.selected_fields import SelectedFields
from dsrecords._format.frame import DELETE, TAKE_LAST
from dsrecords._read.batch import as_array
from dsrecords._read.extents import check_extents
from dsrecords._read.open import State, default_index
from dsrecords._read.selection import several
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.source import Source
from dsrecords._schema.encoded import Encoded, Revised
from dsrecords._schema.header import metadata_json
from dsrecords._schema.schema import Schema
from dsrecords._schema.tabular import ExportsArrow, as_tabular, iterable
from dsrecords._shards.source import ShardsSource
from dsrecords._storage.files import Descriptor
from dsrecords._types.base import describe
from dsrecords._write.columns import Columns
from dsrecords._write.compact import compact
from dsrecords._write.compiled import compiled_encoder, is_compiled
from dsrecords._write.create import build
from dsrecords._write.gate import Gate
from dsrecords._write.lock import Keep, release_after_fork
from dsrecords._write.revise import Reviser
from dsrecords._write.rows import Rows, TableRows
from dsrecords._write.samples import extend
from dsrecords._write.writer import CLOSED, ListChangedError, Writer
from dsrecords.errors import ReadOnlyError, SchemaError, StaleViewError


class _Edit(NamedTuple):
    """An edit of the list: see `Writer.batch`."""

    records: Sequence[Encoded | Revised]
    op: int
    positions: Sequence[int]
    shared_parts: Sequence[int] = ()


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
        self._gate = Gate(reading.path)
        # What packs samples by C, and of which schema: see `compiled_encoder`.
        self._encoder: Any = None
        self._encoded_schema: Schema | None = None
        release_after_fork(self)

    def forked(self) -> None:
        """In a forked child: another thread of the parent may have been amid a change."""
        self._gate = Gate(self.reading.path)

    def begin(self) -> Writer:
        """Return the writer, before a change: whoever may not write learns it now.

        That is also so where there is nothing to write, such as an empty list of samples.

        Raises:
            ReadOnlyError: this is a view, or of dsrecords 0.4, or the writer does not go on.
            LockedError: another writer has the dataset.
            SchemaError: another writer has changed the schema, and what was given does not fit it.
        """
        reading = self.reading
        log = self._log()
        if reading.is_view():
            raise ReadOnlyError(
                "a view is read-only (as is a pickled copy of what has grown since): "
                "change the dataset that it was made from",
                file=reading.path,
            )
        writer = self.writer
        if writer is not None:
            writer.require_going_on()
            return writer
        with self._gate:  # of two threads, one takes the file's lock
            return self._open_writer(log)

    def _open_writer(self, log: State) -> Writer:
        if self.writer is not None:  # another thread was faster
            return self.writer
        writer = Writer(log, gate=self._gate)
        try:
            writer.open()
            self.reading.bind()
            self.writer = writer
        except BaseException:
            self.writer = None
            writer.let_go("it could not be opened for writing")
            raise
        return writer

    def _edit(self, make: Callable[[Snapshot], _Edit]) -> None:
        """Edit the list, at positions in the list that is shown.

        Args:
            make: what is to be done, from that list. It may call code of the user's.

        Raises:
            StaleViewError: another writer has edited it since, or code that this call runs has.
        """
        seen = self.reading.snapshot()
        known = self.reading.version()
        are_files_read_anew = self.writer is None
        writer = self.begin()
        are_files_read_anew |= writer.recover_if_interrupted()
        if are_files_read_anew and not self._log().shows(known):
            raise StaleViewError(
                "another writer changed it since it was opened, or the last change was interrupted "
                "and is done: look again, then repeat",
                file=self.reading.path,
            )
        while True:
            edit = make(seen)
            if not edit.positions:
                return
            try:
                writer.batch(edit.records, edit.op, edit.positions, edit.shared_parts, seen)
                return
            except ListChangedError:
                if writer.was_changed_here():
                    raise StaleViewError(
                        "it was edited by code that this edit has called (an index, a serializer): "
                        "nothing was done",
                        file=self.reading.path,
                    ) from None
            seen = self.reading.snapshot()  # another thread was faster: from what it left

    def _log(self) -> State:
        source = self.reading.opened()
        source.need_log()
        assert isinstance(source, State)  # all others have raised
        return source

    # Samples

    def append(self, sample: Any) -> None:
        """Add one sample."""
        writer = self.writer or self.begin()
        schema = self.reading.fields.schema
        encoder = self._encoder
        if schema is not self._encoded_schema:
            encoder = self._make_encoder(schema)
        if encoder is not None:
            left = encoder.append(writer, sample)
            if left is None:
                return
            if left:
                writer.add(left)
                return
        numbers = schema.picked(sample)
        if numbers is not None and writer.append_numbers(numbers):
            return
        encoded = schema.encode(sample, self.reading.count())
        writer.append(encoded)

    def _make_encoder(self, schema: Schema) -> Any:
        """What packs samples by C; None if Python does."""
        self._encoder = compiled_encoder(schema)
        self._encoded_schema = schema  # last, as another thread may ask
        return self._encoder

    def extend(self, samples: Iterable[Any] | ExportsArrow) -> None:
        """Add many samples, or a table; the position that an error names is among those given."""
        writer = self.begin()
        writer.recover_if_interrupted()  # also where there is nothing to add
        start = self.reading.count()
        schema = self.reading.fields.schema
        table = as_tabular(samples)
        try:
            if table is not None:
                TableRows(schema, table, table.batches(), start).write(writer)
            elif is_compiled():
                encoder = self._encoder
                if schema is not self._encoded_schema:
                    encoder = self._make_encoder(schema)
                extend(writer, schema, encoder, iterable(samples), start)
            elif schema.payloads:
                numbered = enumerate(iterable(samples), start)
                records = (schema.encode(sample, number) for number, sample in numbered)
                writer.extend(records)
            else:
                Rows(schema, iterable(samples), start).write(writer)
        except SchemaError as error:
            if error.record is not None:
                error.message = f"row {error.record - start} of those given: {error.message}"
            raise

    def extend_columns(self, columns: Any) -> None:
        """Add many samples, given field by field, as one batch."""
        writer = self.begin()
        writer.recover_if_interrupted()
        schema = self.reading.fields.schema
        prepared = Columns(schema, columns, self.reading.count())
        if prepared.count:
            writer.packed_batch(prepared.pack)

    def update(self, samples: Any, partial: bool) -> None:
        """Replace the samples at some positions, or with `partial` some of their fields."""
        if not isinstance(samples, Mapping):
            example = "ds.update({7: sample, 9: other})"
            raise TypeError(f"update takes a dict of positions and samples: {example}")
        reading = self.reading
        for index in samples:
            reading.refuse_edit(index)
            break

        def make(snapshot: Snapshot) -> _Edit:
            by_position: dict[int, Any] = {}
            for index, sample in samples.items():
                position = reading.position(index, snapshot)
                if position in by_position:
                    raise IndexError("two of the indices are the same record")
                by_position[position] = sample
            if partial:
                return self._revision(snapshot, by_position)
            return self._replacement(by_position)

        self._edit(make)

    def _replacement(self, samples: Mapping[int, Any]) -> _Edit:
        schema = self.reading.fields.schema
        records = [schema.encode(sample, i) for i, sample in samples.items()]
        # They are appended, then taken from the end, the last one first.
        positions = list(samples)[::-1]
        return _Edit(records, TAKE_LAST, positions)

    def _revision(self, snapshot: Snapshot, samples: Mapping[int, Any]) -> _Edit:
        schema = self.reading.fields.schema
        encoded = {i: schema.encode_some(part, i) for i, part in samples.items()}
        changed = {i: part for i, part in encoded.items() if part}
        reviser = Reviser(snapshot)
        replacements = [reviser.revised(i, part) for i, part in changed.items()]
        return _Edit(
            [replacement.record for replacement in replacements],
            TAKE_LAST,
            list(changed)[::-1],
            [replacement.shared_parts for replacement in replacements],
        )

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
        if len(key) > 2 and not several(key[0]):
            raise TypeError(
                "one item or part of a value is not replaced alone: replace the field, "
                f"ds[7, {key[1]!r}] = value; several fields are a list, ds[7, [...]] = ..."
            )
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
        writer = self.begin()
        log = self._log()
        writer.set_metadata(metadata_json(log.header, metadata))

    def delete(self, key: Any) -> None:
        """Delete the samples at an index, a slice, a list or a mask, as one edit."""
        if isinstance(key, tuple):
            raise TypeError(
                "samples are deleted whole: del ds[7], del ds[[7, 9]]; "
                "a field of all of them: ds.drop_fields(name)"
            )
        reading = self.reading
        if not several(key):
            reading.refuse_edit(key)

        def make(snapshot: Snapshot) -> _Edit:
            if several(key):
                found = reading.positions(key, snapshot)
                return _Edit([], DELETE, _ranges(found))
            position = reading.position(key, snapshot)
            return _Edit([], DELETE, [position, position + 1])

        self._edit(make)

    def take_last(self, index: int) -> None:
        """Put the last sample in the place of another, which is deleted."""
        reading = self.reading
        reading.refuse_edit(index)
        self._edit(lambda snapshot: _Edit([], TAKE_LAST, [reading.position(index, snapshot)]))

    # Files

    def flush(self, sync: bool) -> None:
        """Make all changes durable, and publish the index."""
        source = self.reading.opened()
        if self.writer is None and self._has_no_index(source):
            self.begin()
        if self.writer is not None:
            self.writer.checkpoint(sync)

    def _has_no_index(self, source: Source) -> bool:
        """Whether the list was made again from the log, so that an index is to be written."""
        if not isinstance(source, State) or self.reading.is_view():
            return False
        return source.slot is None and not source.refuses

    def refresh(self) -> None:
        """Read what others have written; a writer knows all already.

        Unless it lost the files, which were replaced, or left them to the process that it was
        forked from: then it is none any more.
        """
        writer = self.writer
        if writer is not None and not self.reading.is_view():
            if writer.in_place():
                writer.recover_if_interrupted()
                return
            if self.writer is not writer:  # a signal handler has compacted meanwhile
                return
            self.writer = None
        self.reading.refresh()

    def compact(self) -> None:
        """Write the records anew, in the place of the old files."""
        log = self._log()

        def write(snapshot: Snapshot, keep: Keep) -> None:
            check_extents(snapshot)
            everything = range(len(snapshot.entries))
            compact(
                log.path,
                log.index_path,
                snapshot,
                everything,
                snapshot.metadata(),
                replace=True,
                locks=log.locks,
                keep=keep,
            )

        self.rewrite(write)

    def compact_to(self, path: str) -> tuple[str, str]:
        """Write the records to a new dataset, and return its paths."""
        source = self.reading.opened()
        locks = True
        if not isinstance(source, ShardsSource):
            locks = self._log().locks
        index_path = default_index(path)
        snapshot = self.reading.snapshot()
        if isinstance(source, State) and not source.view:  # which may show a record repeatedly
            check_extents(snapshot)
        positions = self.reading.positions(slice(None), snapshot)
        fields = self.reading.fields
        if isinstance(fields, SelectedFields):
            build(
                path,
                index_path,
                fields.schema,
                self.reading.metadata(),
                made_of(snapshot, as_array(positions).tolist(), fields.schema, copied(fields)),
                locks=self.reading.options.lock,
            )
            return path, index_path
        compact(
            path,
            index_path,
            snapshot,
            positions,
            self.reading.metadata(),
            locks=locks,
        )
        return path, index_path

    def rewrite(
        self,
        write: Callable[[Snapshot, Keep], None],
        options: Options | None = None,
    ) -> None:
        """Put other files in the place of these.

        Args:
            write: makes them of the records, and gives away the descriptor that holds their lock.
            options: those that fit the new files, where the present ones do not.
        """
        writer = self.begin()
        log = self._log()
        with self._gate:
            writer.be_ready()
            writer.require_in_place()
            writer.require_own_log()
            writer.sync()  # a crash may leave the old log without its index: it must be whole then
            kept: list[Descriptor] = []
            try:
                write(log.snapshot, kept.append)
                self._go_on_with(kept[-1], writer, options)
            except BaseException:
                self._go_on_after_failure(kept, writer, options)
                raise

    def _go_on_with(
        self,
        descriptor: Descriptor,
        writer: Writer,
        options: Options | None,
    ) -> None:
        """Write to the new files from now on, whose lock is held already."""
        log = self._log()
        if options is not None:
            self.reading.options = options
        self.writer = None
        writer.let_go("the dataset was compacted")
        new = Writer(log, descriptor, gate=self._gate)
        new.open()
        self.reading.bind()
        self.writer = new

    def _go_on_after_failure(
        self,
        kept: list[Descriptor],
        writer: Writer,
        options: Options | None,
    ) -> None:
        """Let go of what there is of the new files and, if they are in place, of the old ones."""
        if self.writer is not None and writer.in_place():
            return
        self.writer = None
        writer.let_go("the dataset was compacted")
        for descriptor in kept:
            descriptor.close()
        self._log().reopen()
        self.reading.bind(options)

    def close(self) -> None:
        """Publish the index, and release the lock and the files."""
        writer = self.writer
        try:
            if writer is not None:
                writer.close()
        finally:
            if writer is not None:
                writer.let_go(CLOSED)  # once more, if an exception such as that of Ctrl-C came
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
    ascending = as_array(positions)
    steps = np.diff(ascending)
    if steps.min(initial=0) < 0:  # mostly they ascend, and sorting takes much longer than a look
        ascending = np.sort(ascending)
        steps = np.diff(ascending)
    is_gap = steps > 1  # a record that is named twice is no gap
    starts = ascending[1:][is_gap]
    stops = ascending[:-1][is_gap] + 1
    edges = np.empty(2 * len(starts) + 2, np.int64)
    edges[0] = ascending[0]
    edges[1:-1:2] = stops
    edges[2::2] = starts
    edges[-1] = ascending[-1] + 1
    ranges: list[int] = edges.tolist()
    return ranges
