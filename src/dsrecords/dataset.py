"""`IndexedRecordDataset`: a dataset as a list that can be changed. What the list means; not how it is written and opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dsrecords._dataset.evolving import Evolving
from dsrecords._dataset.reading import Closed, Functions
from dsrecords._format.frame import DELETE, RECORD, TAKE_LAST
from dsrecords._read.open import State, default_index
from dsrecords._read.selection import several
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.views import save as save_view
from dsrecords._schema.resolve import make_schema
from dsrecords._storage import files
from dsrecords._tools.check import check
from dsrecords._v04.detect import is_v04_file
from dsrecords._v04.reader import V04State
from dsrecords._write.columns import Columns
from dsrecords._write.compact import compact
from dsrecords._write.create import create as create_files
from dsrecords._write.rows import Rows
from dsrecords._write.writer import Writer, writer_of
from dsrecords.errors import CorruptError, ReadOnlyError, SchemaError, StaleViewError

Path = str | os.PathLike[str]


def open(
    path: Path,
    *,
    index_path: Path | None = None,
    decode: Mapping[Any, str] | None = None,
    copy: bool = True,
    transform: Callable[[Any], Any] | None = None,
    verify: bool | str = True,
    on_error: str | Callable[[CorruptError], object] = "raise",
) -> IndexedRecordDataset:
    """Open a dataset that exists; its schema is in the file. The arguments are those of `IndexedRecordDataset`.

    Raises:
        FileNotFoundError: there is no such file. Nothing is ever created.
        CorruptError: the file is not a dataset, or damaged.
    """
    return IndexedRecordDataset(
        path,
        index_path=index_path,
        create=False,
        decode=decode,
        copy=copy,
        transform=transform,
        verify=verify,
        on_error=on_error,
    )


class IndexedRecordDataset(Evolving):
    """A dataset: a list of samples in a file, which can be read by many and changed by one.

    A sample is a dict where the schema has names, else a tuple. Opening reads; the writer's lock is taken at the first change and
    held until `close`. Readers hold no lock and start no thread; they may be shared by threads, inherited by forked processes and
    pickled.

    Args:
        path: of the data file, `.rec`.
        deserializers: functions that read the fields (a list in their order, or a dict by name), such as `io.load_int`. Not
            needed for files whose schema has only types. A function of `io` gives the stored value; another gets the payload's
            bytes.
        serializers: functions of `io`, one's own, or types: what `schema` says in another way.
        index_path: of the index, or of a view (see `save_view`); by default `path` with the ending `.idx`.
        create: None: create the files if there are none and a schema or serializers are given. True: there must be none. False:
            never create.
        transform: called with each whole sample that is read; not for parts of samples, batches or columns.
        schema: names to types, or a list of types. If the files exist, it must be theirs.
        decode: how to read images, by field: "pil" (a `PIL.Image`, the default), "array" (uint8, height × width × channel, RGB)
            or "bytes" (as they are stored).
        copy: True: what is read is owned and can be written to. False: bytes and arrays are read-only views of the file.
        verify: True: the checksums of what is read are checked the first time that this process reads it. "always": each time.
            False: never; sizes and places still are.
        on_error: what iterating (and PyTorch's loader, which calls `__getitems__`) does at a record that is damaged. "raise": the
            CorruptError. "skip": it is left out, and the error is added to the list `skipped` of this dataset and its views, in
            this process. A function: it is called with the error, and the record is left out, unless it raises.
        loaders, dumpers: other names of `deserializers` and `serializers`.

    Raises:
        FileNotFoundError: there is no such file, or no such index where `index_path` is given.
        FileExistsError: with `create=True`.
        SchemaError: the schema is not the file's.
        CorruptError: the file is not a dataset, or damaged.
    """

    def __init__(
        self,
        path: Path,
        deserializers: Functions | None = None,
        serializers: Any = None,
        index_path: Path | None = None,
        create: bool | None = None,
        transform: Callable[[Any], Any] | None = None,
        *,
        schema: Any = None,
        decode: Mapping[Any, str] | None = None,
        copy: bool = True,
        verify: bool | str = True,
        on_error: str | Callable[[CorruptError], object] = "raise",
        loaders: Functions | None = None,
        dumpers: Any = None,
    ) -> None:
        if verify not in (True, False, "always"):
            raise ValueError(f"verify can be True, False or 'always', not {verify!r}")
        if transform is not None and not callable(transform):
            raise TypeError(
                f"transform is a function that is called with each sample, not {transform!r}"
            )
        self.path = os.fsdecode(path)
        self.index_path = (
            default_index(self.path) if index_path is None else os.fsdecode(index_path)
        )
        given = next((one for one in (schema, serializers, dumpers) if one is not None), None)
        self._given = None if given is None else make_schema(given)
        self._deserializers = loaders if deserializers is None else deserializers
        if on_error not in ("raise", "skip") and not callable(on_error):
            raise ValueError(f"on_error can be 'raise', 'skip' or a function, not {on_error!r}")
        self._decode, self._copy, self.transform, self._verify = decode, copy, transform, verify
        self.on_error, self.skipped = on_error, []
        self._index_must_exist = index_path is not None
        self._writer: Writer | None = None
        self._frozen: Snapshot | None = None  # of a view: the list as it was
        self._selection: Any = None  # of a view: positions in that list, a range or int64 (n,)
        self._version: tuple[bytes, int, int] | None = (
            None  # of a view: of which list, see `_list_version`
        )
        if create or (create is None and self._given is not None and not files.exists(self.path)):
            self._create(must=bool(create))
        absolute = os.path.abspath(self.path), os.path.abspath(self.index_path)
        try:
            options: dict[str, Any] = {"index_must_exist": self._index_must_exist}
            opener: Any = State
            if is_v04_file(absolute[0]):
                opener, options = (
                    V04State,
                    {
                        **options,
                        "deserializers": self._deserializers,
                        "given": self._given is not None,
                    },
                )
            self._state: Any = opener(*absolute, verify, **options)
        except FileNotFoundError as error:
            if error.filename != absolute[0]:
                raise
            how = (
                "make_dataset makes one"
                if create is False
                else "to create it, give serializers=[...] or schema={...}"
            )
            hint = f"{self.path} does not exist; {how}"
            raise FileNotFoundError(error.errno, hint) from None
        self._bind()

    def _create(self, must: bool) -> None:
        if self._given is None:
            raise SchemaError(
                "to create a dataset, give serializers=[...] or schema={...}", file=self.path
            )
        try:
            create_files(self.path, self.index_path, self._given)
        except FileExistsError:
            if must or not files.exists(self.path):
                raise  # else another process was faster, and it is opened

    if TYPE_CHECKING:  # what an index gives, for editors and type checkers; the samples' types are known to the file alone

        @overload
        def __getitem__(self, key: int) -> Any: ...
        @overload
        def __getitem__(
            self, key: slice | range | list[int] | list[bool] | np.ndarray
        ) -> IndexedRecordDataset: ...
        @overload
        def __getitem__(self, key: Any) -> Any: ...
        def __getitem__(self, key: Any) -> Any: ...

    # Changing

    def _change(self, positions: bool = True) -> Writer:
        """The writer, ready. `positions`: whether the change is of places in the list, which must still mean what they meant."""
        self._state.need_log()
        if self._is_view():
            text = "a view is read-only (as is a pickled copy of what has grown since): change the dataset that it was made from"
            raise ReadOnlyError(text, file=self.path)
        if self._writer is not None:
            return self._writer
        known = self._list_version()
        writer = writer_of(self, self._state)
        self._bind()
        if positions and self._list_version() != known:
            raise StaleViewError(
                "another writer changed it since it was opened: look again, then repeat",
                file=self.path,
            )
        return writer

    def append(self, sample: Any) -> None:
        """Add a sample. When this returns, whoever opens the dataset sees it, and killing this process does not lose it.

        Raises:
            SchemaError: the sample does not fit; the dataset is as it was.
            LockedError: another writer has the dataset.
        """
        writer = self._writer or self._change(positions=False)
        if (head := self._schema.packed(sample, RECORD)) is not None:
            writer.append_packed(head)
        else:
            writer.append(self._schema.encode(sample, len(self)))

    def extend(self, samples: Iterable[Any]) -> None:
        """Add samples, batch by batch: each is there as a whole or not at all. If one does not fit, those before it are added.

        Raises:
            SchemaError: a sample does not fit; names its position among those given.
        """
        writer, start, schema = self._change(positions=False), len(self), self._schema
        try:
            if schema.payloads:
                writer.extend(
                    schema.encode(sample, start + number) for number, sample in enumerate(samples)
                )
            else:
                Rows(schema, samples, start).write(writer)
        except SchemaError as error:
            if error.record is not None:
                error.message = f"row {error.record - start} of those given: {error.message}"
            raise

    def extend_columns(self, columns: Any) -> None:
        """Add many samples, given field by field; all at once or not at all.

        Args:
            columns: a dict (a list where fields have no names) of one sequence a field, all of one length: an array (n, …) or a
                list; masked arrays where values may be None.

        Raises:
            SchemaError: a column is missing, unknown, of another length, or a value does not fit.
        """
        writer = self._change(positions=False)
        prepared = Columns(self._schema, columns, len(self))
        if prepared.count:
            writer.packed_batch(prepared.pack)

    def __setitem__(self, index: Any, sample: Any) -> None:
        """Replace one sample, whole. Raises SchemaError, IndexError."""
        if several(index) or isinstance(index, tuple):
            raise TypeError(
                "one whole sample at a time: ds[7] = sample; for several ds.update({7: sample, 9: other})"
            )
        self.update({index: sample})

    def update(self, samples: Mapping[int, Any]) -> None:
        """Replace samples, all at once or not at all. Raises SchemaError, IndexError."""
        if not isinstance(samples, Mapping):
            raise TypeError(
                "update takes a dict of positions and samples: ds.update({7: sample, 9: other})"
            )
        writer = self._change()
        with writer.mutex:
            positions = [self._position(index, self._snapshot()) for index in samples]
            if len(set(positions)) < len(positions):
                raise IndexError("two of the indices are the same record")
            encoded = [
                self._schema.encode(sample, i) for i, sample in zip(positions, samples.values())
            ]
            if encoded:  # they are appended, then taken from the end, the last one first
                writer.batch(encoded, TAKE_LAST, positions[::-1])

    def __delitem__(self, key: Any) -> None:
        """Delete one sample, or those of a slice, a list or a mask, at once; the others keep their order. Raises IndexError."""
        if isinstance(key, tuple):
            raise TypeError(
                "samples are deleted whole: del ds[7], del ds[[7, 9]]; a field of all of them: ds.drop_fields(name)"
            )
        writer = self._change()
        with writer.mutex:
            snapshot = self._snapshot()
            found = (
                self._positions(key, snapshot) if several(key) else [self._position(key, snapshot)]
            )
            positions = np.unique(np.asarray(found, np.int64))
            if len(positions):
                writer.batch((), DELETE, positions.tolist())

    def quick_remove_at(self, index: int) -> None:
        """Delete one sample in constant time: the last one takes its place. Raises IndexError."""
        writer = self._change()
        with writer.mutex:
            writer.batch((), TAKE_LAST, [self._position(index, self._snapshot())])

    # Files

    def flush(self, sync: bool = False) -> None:
        """Make all changes durable against a loss of power, and publish the index; `sync` the files' names as well."""
        self._snapshot()  # raises if closed
        if self._writer is not None:
            self._writer.checkpoint(sync)

    def refresh(self) -> None:
        """See what others have written since. A view stays what it is: raises ReadOnlyError."""
        if self._is_view():
            raise ReadOnlyError(
                "a view does not change: refresh the dataset that it was made from", file=self.path
            )
        if self._writer is None:
            self._state.refresh()
            self._bind()

    def compact(self, output: Path | None = None) -> tuple[str, str]:
        """Write the dataset without what was replaced and deleted.

        Args:
            output: path of a new dataset; by default the files are replaced, and views and pickled copies of before become stale.

        Returns:
            (data path, index path)

        Raises:
            CorruptError: a record is damaged; all is as it was.
            FileExistsError: `output` exists.
        """
        self._state.need_log()
        if output is not None:
            index_path = default_index(os.fspath(output))
            snapshot = self._snapshot()
            compact(os.fspath(output), index_path, snapshot, self._positions(slice(None), snapshot))
            return os.fspath(output), index_path
        state = self._state
        self._rewrite(
            lambda now: compact(
                state.path, state.index_path, now, range(len(now.entries)), replace=True
            )
        )
        return self.path, self.index_path

    defrag = compact

    def _rewrite(
        self, write: Callable[[Snapshot], Any], adopt: Callable[[], None] = lambda: None
    ) -> None:
        """Put other files in the place of these: `write` does it, and `adopt` fits this object to what they hold."""
        writer, state = self._change(), self._state
        with writer.mutex:
            writer.be_ready()
            writer.sync()  # the old log may be found without its index after a crash: it must be whole then
            try:
                descriptor = write(state.snapshot)
            except BaseException:
                if (
                    not writer.in_place()
                ):  # the new files are there, and the old writer must not go on with the old ones
                    self._writer = None
                    state.reopen()
                    adopt()
                    self._bind()
                raise
            writer.let_go("the dataset was compacted")
            adopt()
            self._writer = Writer(state, descriptor)
            self._bind()

    def save_view(self, index_path: Path, *, overwrite: bool = False) -> str:
        """Save which records this shows, in this order: 16 bytes a record, and no data is copied.

        `dsrecords.open(path, index_path=...)` opens it, read-only, and shows them for as long as the dataset is not compacted.
        What is appended, replaced or deleted later does not change what a view shows; opening it warns after edits.

        Args:
            index_path: of the view; by custom it ends in `.idx`.
            overwrite: whether a view that is there gives way.

        Returns:
            The view's path.

        Raises:
            ValueError: it is the path of the dataset's own index.
            FileExistsError: there is a file, and `overwrite` is not given, or the file is not a view.
            StaleViewError: the dataset was compacted or replaced since this view of it was made.
        """
        self._state.need_log()
        view = self[:] if self._selection is None else self
        own = [self.index_path] * (not self._state.view) + [default_index(self.path)]
        save_view(view._snapshot(), view._selection, os.fspath(index_path), own, overwrite)
        return os.fspath(index_path)

    def check(self) -> list[CorruptError]:
        """Look at every byte of the dataset. Returns what is wrong: an empty list, or an error for each thing; none is raised."""
        return self._state.problems() if isinstance(self._state, V04State) else check(self._state)

    def close(self) -> None:
        """Publish the index, let go of the lock. What comes after it raises ValueError; views of it stay open."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._writer, self._frozen, self._state = None, None, Closed(self.path)

    def __enter__(self) -> IndexedRecordDataset:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Copies in other processes

    def __getstate__(self) -> dict[str, Any]:
        arguments = {
            "path": self._state.path, "index_path": self._state.index_path, "deserializers": self._deserializers,
            "transform": self.transform, "decode": self._decode, "copy": self._copy, "verify": self._verify,
            "on_error": self.on_error,
        }  # fmt: skip
        whole = len(self._snapshot().entries) if self._selection is None else None
        shown = self._selection if whole is None else range(whole)
        return {
            "arguments": arguments,
            "version": self._list_version(),
            "selection": shown,
            "view": whole is None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        arguments = state["arguments"]
        if arguments["index_path"] == default_index(arguments["path"]):
            arguments = {**arguments, "index_path": None}
        self.__init__(**arguments)  # type: ignore[misc]
        selection, count = state["selection"], len(self)
        highest = (
            int(
                max(selection[0], selection[-1])
                if isinstance(selection, range)
                else selection.max()
            )
            if len(selection)
            else -1
        )
        if self._list_version() != state["version"] or highest >= count:
            raise StaleViewError(
                "the dataset was changed since this copy of it was made", file=self.path
            )
        if state["view"] or len(selection) != count:
            view = self._view(slice(None))
            self.__dict__.update(view.__dict__)
            self._select(selection)
