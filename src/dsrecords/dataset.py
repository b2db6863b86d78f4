"""`IndexedRecordDataset`: a dataset as a list that can be changed.

The class that users hold. It says what can be done with a dataset; how it is done is in `_dataset`:
`reading`, `iteration`, `editing`, `evolving`, `copies`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dsrecords._dataset import copies, evolving, joining, opening
from dsrecords._dataset.editing import Editing
from dsrecords._dataset.image_sizes import size_of_one, sizes_of_many
from dsrecords._dataset.iteration import Samples, transformed
from dsrecords._dataset.options import (
    Decodings,
    Functions,
    Transform,
    check_decode,
    check_on_error,
    check_transform,
    first_given,
    make_options,
)
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._dataset.skipping import OnError, Skipped, Unreadable, pass_over
from dsrecords._native import DatasetBase, native
from dsrecords._order.permutation import Permutation
from dsrecords._read.selection import several
from dsrecords._schema.binding import Deserializer
from dsrecords._schema.resolve import Serializer
from dsrecords._schema.tabular import ExportsArrow
from dsrecords.errors import DSRecordsError

# What few programs ask for is imported where they do: an import that is not needed costs every
# process that reads.
if TYPE_CHECKING:
    from dsrecords._dataset.facts import Info
    from dsrecords._dataset.filtering import Predicate
    from dsrecords._dataset.windows import Windows
    from dsrecords.viewer.notebook import Frame

_ALL = slice(None)  # of indices

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Selector = slice | range | list[int] | list[bool] | np.ndarray | Permutation


def open(
    path: Path | Sequence[Path],
    *,
    index_path: Path | None = None,
    decode: Decodings | None = None,
    copy: bool = True,
    transform: Transform | None = None,
    verify: bool | str = True,
    on_error: OnError = "raise",
    lock: bool = True,
    drop_behind: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    cache_limit: int | str | None = None,
) -> IndexedRecordDataset:
    """Open a dataset that exists; its schema is in the file.

    The arguments are those of `IndexedRecordDataset`.

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
        lock=lock,
        drop_behind=drop_behind,
        storage_options=storage_options,
        cache=cache,
        cache_limit=cache_limit,
    )


def concat(datasets: Sequence[IndexedRecordDataset]) -> IndexedRecordDataset:
    """Return several datasets, or views of them, as one: the records of each behind the others'.

    No data is copied, and what the others show later is not seen. How samples are read (`decode`,
    `transform`, `verify`, `on_error`) and the metadata are those of the first. The result is only
    read; it pickles with the paths of the files.

    Args:
        datasets: at least one. The same may be there twice.

    Raises:
        ValueError: there are none.
        SchemaError: one has another schema than the first; names the first difference.
        ReadOnlyError: one is of dsrecords 0.4.
    """
    for dataset in datasets:
        if not isinstance(dataset, IndexedRecordDataset):
            raise TypeError(f"concat takes a list of datasets, not {dataset!r}")
    readings = [dataset._reading for dataset in datasets]
    if not readings:
        raise ValueError("concat takes at least one dataset")
    first = datasets[0]
    options = readings[0].options
    source = joining.joined(readings, options)
    whole = first._view(Reading(source.path, source, options))
    whole.path = source.path
    whole.index_path = ""
    return whole


def info(dataset: IndexedRecordDataset, *, exact: bool = False) -> Info:
    """Say what a dataset is: fields, sizes, versions, and what is out of the ordinary.

    Args:
        dataset: or a view of one.
        exact: whether to count the bytes of all records. Else, of more than 65,536 records, those
            of 4,096 are counted, and dead bytes only where there are none: so it takes the same
            time for any number of records.

    Raises:
        CorruptError: a record that was looked at is not what was written.
    """
    from dsrecords._dataset.facts import info_of

    return info_of(dataset._reading, exact)


class IndexedRecordDataset(DatasetBase, Sequence[Any]):
    """A dataset: a list of samples in a file, which can be read by many and changed by one.

    A sample is a dict where the schema has names, else a tuple: `ds[7]`. `ds[7, "label"]` is one of
    its fields, read alone; `ds[2:9]` and `ds[[5, 1]]` are views. Opening reads; the writer's lock
    is taken at the first change and held until `close`. Readers hold no lock and start no thread;
    they may be shared by threads and inherited by forked processes. Pickled and copied, a dataset
    of a subclass keeps its class and attributes; `__init__` is not called again.

    Args:
        path: of the data file, `.rec`, on this machine or elsewhere, as "s3://bucket/train.rec".
            Or many files as one, which are only read: a list of their paths, a pattern such as
            "train-*.rec", a folder, or a manifest, `.json`.
        deserializers: functions that read the fields (a list in their order, or a dict by name),
            such as `io.load_int`. Not needed for files whose schema has only types. A function of
            `io` gives the stored value; another gets the payload's bytes.
        serializers: functions of `io`, one's own, or types: what `schema` says in another way.
        index_path: of the index, or of a view (see `save_view`); by default `path` with the ending
            `.idx`.
        create: None: create the files if there are none and a schema or serializers are given.
            True: there must be none. False: never create.
        transform: called with each whole sample that is read; not for parts of samples, batches or
            columns.
        schema: names to types, or a list of types. If the files exist, it must be theirs.
        decode: how to read images, by field: "pil" (a `PIL.Image`, the default), "array" (the
            pixels as they are stored), "rgb", "gray" or "rgba" (uint8, upright), "bytes" (as they
            are stored), or a decoder such as `vision.Decode("rgb", size=(224, 224))`. Of a list it
            is said of its items; of a struct, or a list of structs, it is a dict by the names of
            the parts.
        copy: True: what is read is owned and can be written to. False: bytes and arrays are
            read-only views of the file.
        verify: True: the checksums of what is read are checked the first time that this process
            reads it. "always": each time. False: never; sizes and offsets still are.
        on_error: what iterating, `batch` and `column` (and PyTorch's loader, which calls
            `__getitems__`) do at a record that is damaged, or that cannot be decoded here. "raise":
            the CorruptError or DecodeError. "skip": it is left out, and the error is added to the
            list `skipped`; the first value of a field that cannot be decoded is a warning as well.
            A function: it is called with the error, and the record is left out, unless it raises.
        lock: False: changes take no lock, for file systems that have none. Then nobody keeps a
            second writer away: two at once can destroy the dataset.
        drop_behind: True: iterating lets the system forget what it has read, some hundred records
            at a time. For files that are read through once, in their order, and would push others
            out of memory.
        storage_options: how files elsewhere are reached, such as {"endpoint": "http://…", "region":
            "eu-central-1", "skip_signature": True}: the keys of obstore, in one dict. Of what is
            not given, the environment is asked.
        cache: a folder of this machine that keeps what was read of files elsewhere; many processes
            may share it. None: only the memory of the process does.
        cache_limit: how much is kept, in bytes or as "50GB"; what was read first goes first. None:
            256 MiB in memory, 100 GB in a folder.
        loaders, dumpers: other names of `deserializers` and `serializers`.

    Raises:
        FileNotFoundError: there is no such file, or no such index where `index_path` is given.
        FileExistsError: with `create=True`.
        SchemaError: the schema is not the file's.
        CorruptError: the file is not a dataset, or damaged.
    """

    _reading: Reading
    transform: Transform | None

    def __init__(
        self,
        path: Path | Sequence[Path],
        deserializers: Functions | None = None,
        serializers: Any = None,
        index_path: Path | None = None,
        create: bool | None = None,
        transform: Transform | None = None,
        *,
        schema: Any = None,
        decode: Decodings | None = None,
        copy: bool = True,
        verify: bool | str = True,
        on_error: OnError = "raise",
        lock: bool = True,
        drop_behind: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        cache: Path | None = None,
        cache_limit: int | str | None = None,
        loaders: Functions | None = None,
        dumpers: Any = None,
    ) -> None:
        check_transform(transform)
        check_on_error(on_error)
        path = opening.reached(path, storage_options, cache, cache_limit)
        self.path = opening.name_of(path)
        given_index_path = None
        if index_path is not None:
            given_index_path = opening.reached(index_path, storage_options, cache, cache_limit)
        self.index_path = opening.index_of(path, given_index_path)
        self.transform = transform
        self.on_error = on_error
        self._skipped = Skipped(on_error)
        options = make_options(
            first_given(schema, serializers, dumpers),
            first_given(deserializers, loaders),
            decode,
            copy,
            verify,
            lock,
            drop_behind,
        )
        source = opening.open_or_create(
            path,
            given_index_path,
            options,
            create,
        )
        self._reading = Reading(self.path, source, options)
        self._editing = Editing(self._reading)

    # What it is

    @property
    def schema(self) -> dict[str, str] | list[str]:
        """Names to types, or a list of types: what `make_dataset` takes."""
        return self._reading.fields.schema.types()

    def __dsrecords_schema__(self) -> dict[str, str] | list[str] | None:
        """Return the schema of its samples for `make_dataset`; None where they are not as stored.

        They are not where a `transform`, a `decode`, a function of the user's, or a method of a
        subclass makes them.
        """
        makes_others = any(
            getattr(type(self), name) is not getattr(IndexedRecordDataset, name)
            for name in ("__getitem__", "__iter__", "__getitems__")
        )
        has_functions = any(each is not None for each in self.deserializers)
        if makes_others or has_functions or self.decode or self.transform is not None:
            return None
        return self.schema

    @property
    def fields(self) -> tuple[Any, ...]:
        """The fields' names; their positions where they have no names."""
        return self._reading.fields.schema.keys

    @property
    def decode(self) -> dict[Any, Any]:
        """By field, how encoded values are decoded, as far as it was said; a copy."""
        return self._reading.fields.decodings()

    def categories(self, field: Any) -> list[str]:
        """Return the names of a field's categories: columns have their positions in this list.

        Raises:
            SchemaError: no such field, or it is not of type `category[…]`.
        """
        return self._reading.fields.schema.categories(field)

    @property
    def verify(self) -> bool | str:
        """When checksums are compared, as it was said: True, False or "always"."""
        return self._reading.options.verify

    @property
    def metadata(self) -> dict[str, Any]:
        """What was given to `make_dataset`, or last to `set_metadata`; a copy."""
        return self._reading.metadata()

    @property
    def skipped(self) -> list[Unreadable]:
        """The errors of the records that `on_error="skip"` has left out, of views as well.

        Always the same list. When it is asked for, what worker processes have left out is added:
        forked ones, and copies that were pickled in this process.
        """
        return self._skipped.errors()

    @property
    def dead_bytes(self) -> int:
        """By how many bytes `compact` would make the data file smaller.

        They are of records that were replaced or deleted, of payloads that no record has any more,
        and of the notes of those changes. Below 0 where compaction, which writes records in
        batches, would add more than it drops. Nothing but the index is read, unless records have
        heads of more than 256 bytes.

        Raises:
            CorruptError: a record is not what was written.
        """
        return self._reading.dead_bytes()

    @property
    def fingerprint(self) -> str:
        """16 letters that say which records this shows, and in which order; not their values.

        States of a `Sampler` are of a dataset with this fingerprint. It stays when a record is
        replaced or corrected. It changes with the number of records, with a compaction, and from
        one view to another, of whose records a thousand are compared.
        """
        return self._reading.fingerprint()

    @property
    def deserializers(self) -> list[Deserializer | None]:
        """The functions that were given to read the fields, in the order of the fields.

        None for a field without one, which is read as its type says. `deserializers` of another
        dataset takes the list.
        """
        return self._reading.fields.deserializers_in_order()

    @property
    def serializers(self) -> list[Serializer | str]:
        """The functions that were given to write the fields, in the order of the fields.

        The name of its type for a field without one, which is written as its type says.
        `serializers` of another dataset takes the list, and so does `make_dataset`.
        """
        return self._reading.fields.serializers_in_order()

    @property
    def files(self) -> list[str]:
        """The paths of the data files: one, or the many that are shown as one dataset."""
        return self._reading.files()

    def shard_of(self, index: int) -> tuple[str, int]:
        """Return which data file has a sample, and its position in that file.

        That file can be opened alone, to change the sample.

        Raises:
            IndexError: out of range.
        """
        return self._reading.where(index)

    loaders = deserializers
    dumpers = serializers

    def __len__(self) -> int:
        return self._reading.count()

    def view(self, *, height: int = 600) -> Frame:
        """Show the samples in a notebook, as `dsrecords view` shows them in the browser.

        What the files have is shown; of a view, the records that it shows. The server ends with
        the process, or by `close` of what is returned.

        Args:
            height: of the frame in pixels.

        Raises:
            ImportError: starlette or uvicorn is not installed.
        """
        from dsrecords.viewer.notebook import Frame, shown_of

        if self._editing.writer is not None:
            self.flush()
        return Frame(shown_of(self._reading), open_dataset=open, height=height)

    def __repr__(self) -> str:
        return f"<IndexedRecordDataset {self._reading.description()}>"

    def _repr_html_(self) -> str:
        """Return the first records as a table with thumbnails, which notebooks show."""
        from dsrecords._export.notebook import dataset_html

        return dataset_html(self._reading, repr(self))

    def _ipython_key_completions_(self) -> list[Any]:
        """Return what IPython completes within brackets: the names of fields, behind an index."""
        from dsrecords._export.notebook import key_completions

        return key_completions(self._reading)

    # Reading

    if TYPE_CHECKING:  # for editors and type checkers; the samples' types are known to the file

        @overload
        def __getitem__(self, key: int) -> Any: ...
        @overload
        def __getitem__(self, key: Selector) -> IndexedRecordDataset: ...
        @overload
        def __getitem__(self, key: Any) -> Any: ...

    def __getitem__(self, key: Any) -> Any:
        """Return a sample, parts of one, or a view.

        `ds[7]` is a sample. `ds[7, "label"]` and `ds[7, ["label", "image"]]` are parts of one, read
        alone. `ds[7, "steps", 3]`, `ds[7, "steps", 1:3, "image"]` and `ds[7, "meta", "author"]` are
        items of a list and parts of a struct, without decoding the others. `ds[2:9]`, `ds[[5, 1]]`,
        `ds[mask]` and `ds[permutation]` are views, which copy no data and go on showing what the
        list is now.

        Raises:
            IndexError, KeyError: out of range; the value of which a part is asked for is None.
            SchemaError: no such field or part.
            CorruptError: the record is not what was written; names record, field and byte offset.
            DecodeError: a value cannot be decoded here.
        """
        reading = self._reading
        transform = self.transform
        whole = reading.whole
        if key.__class__ is int and whole is not None:
            # Nearly every call is this one, which the base in C does by itself. It is written out:
            # one more call of a function, or of `read` as if it were a method, would cost a tenth.
            read = reading.read
            snapshot = whole.snapshot
            if transform is None:
                return read(snapshot, key)
            return transformed(transform, read(snapshot, key), snapshot, key)
        if key.__class__ is tuple:
            return reading.part(key)
        if key.__class__ is not int and several(key):
            return self._view(reading.selected(key))
        if transform is None:
            return reading.sample(key)
        snapshot = reading.snapshot()
        found = reading.position(key, snapshot)
        sample = reading.read(snapshot, found)
        return transformed(transform, sample, snapshot, found)

    _item = __getitem__  # what the base in C calls for all else

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the list as it is now, whatever is changed meanwhile."""
        now = self._reading.selected(slice(None))
        samples = Samples(now, self.transform, self.on_error, self._skipped)
        return iter(samples)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return samples for PyTorch's fetcher: `[ds[i] for i in indices]`, but read ahead.

        As iteration does, it leaves out what cannot be read where `on_error` says so.
        """
        now = self._reading
        samples = Samples(now, self.transform, self.on_error, self._skipped)
        return samples.at(indices)

    def prefetch(self, indices: Any, fields: Any = None) -> None:
        """Begin to fetch samples that will be read soon, and do not wait for them.

        For files elsewhere, where a sample that is read is waited for. Of files of this machine
        nothing is fetched. `Loader`, `batch` and loops do it for themselves. What cannot be
        fetched is an error when it is read.

        Args:
            indices: as of `batch`.
            fields: as of `batch`.

        Raises:
            IndexError: an index is out of range.
            SchemaError: there is no such field.
        """
        self._reading.prefetch(indices, fields)

    def batch(
        self,
        indices: Any,
        fields: Any = None,
        *,
        out: Mapping[Any, np.ndarray] | None = None,
    ) -> Any:
        """Read many samples, field by field.

        Args:
            indices: integers, a mask, a slice or a range.
            fields: which, a list; by default all. One field alone gives its column alone.
            out: by field, arrays of the column's dtype and shape to read scalars or arrays of one
                shape into. They are returned in its ref, and spare the memory of a new one for
                each batch.

        Returns:
            A dict (a tuple where fields have no names) of one column a field: an array (n,) of
            scalars, a masked one where they may be None; an array (n, …) of arrays of one shape; a
            list of anything else. Columns are shorter than the indices if records are left out,
            as `on_error` says; all of them by the same records.

        Raises:
            TypeError, IndexError: of the indices.
            SchemaError: no such field, or an array of `out` does not fit.
            CorruptError: a record is not what was written.
            DecodeError: a value cannot be decoded here.
        """
        return self._reading.batch(indices, fields, out, self._pass_over())

    def column(self, field: Any) -> Any:
        """Read one field of all samples, as `batch` does. Of the other fields nothing is read.

        Raises:
            SchemaError: no such field.
            CorruptError: a record is not what was written.
            DecodeError: a value cannot be decoded here.
        """
        return self._reading.column(field, self._pass_over())

    def shuffle(self, seed: int) -> IndexedRecordDataset:
        """Return a view of the same records in an order that the seed decides.

        It takes no time and no memory, however many records there are: the order is a formula, a
        `Permutation`. The same seed and number of records give the same order, everywhere. Another
        epoch takes another seed; the dataset itself does not change.

        Args:
            seed: 0 to 2**64 - 1.

        Raises:
            TypeError, ValueError: the seed is no such number.
        """
        return self._view(self._reading.shuffled(seed))

    def _pass_over(self) -> PassOver:
        if self.on_error == "raise":
            return None
        return functools.partial(pass_over, on_error=self.on_error, skipped=self._skipped)

    def lengths(self, field: Any) -> np.ndarray:
        """Return how long the values of a field are, from the index: no value is read.

        Returns:
            int64, (n,): the number of items of 1-D arrays and of lists of numbers, the number of
            bytes of strings (in UTF-8) and of bytes; 0 for a value that is None.

        Raises:
            SchemaError: no such field, or its type has no such length.
            CorruptError: a record is not what was written.
        """
        from dsrecords._dataset.lengths import lengths_of

        return lengths_of(self._reading, field)

    def stored_sizes(self, field: Any) -> np.ndarray:
        """Return how many bytes the values of a field take in the file, from the index.

        Returns:
            int64, (n,): of a number its width; of anything else the size of what is stored, which
            for `zstd(…)` is compressed; -1 for a value that is None.

        Raises:
            SchemaError: no such field, or a file of dsrecords 0.4.
            CorruptError: a record is not what was written.
        """
        from dsrecords._dataset.stored_values import stored_sizes

        return stored_sizes(self._reading, field)

    def checksums(self, field: Any) -> np.ndarray:
        """Return the CRC-32 of the values of a field as they are stored, from the index.

        Two values of one size and one checksum are equal, but for a chance of one in four thousand
        million: so copies of an image are found without reading any.

        Returns:
            uint32, (n,): 0 for a value that is None.

        Raises:
            SchemaError: no such field, or one of numbers, which have none.
            CorruptError: a record is not what was written.
        """
        from dsrecords._dataset.stored_values import checksums

        return checksums(self._reading, field)

    def image_size(self, index: int, field: Any) -> tuple[int, int] | None:
        """Return (height, width) of an image, from the header of its file; None if it is None.

        It is the size of the stored pixels, before an EXIF orientation is applied.

        Raises:
            IndexError: out of range.
            SchemaError: no such field, or none of images.
            DecodeError: the header cannot be read here.
        """
        return size_of_one(self._reading, index, field)

    def image_sizes(self, field: Any, indices: Any = _ALL) -> np.ndarray:
        """Return (height, width) of many images, from the headers of their files.

        Args:
            field: of images.
            indices: integers, a mask, a slice or a range; by default all.

        Returns:
            int64, (n, 2): the sizes of the stored pixels; zeros for an image that is None.

        Raises:
            As `image_size`; the error names the record.
        """
        return sizes_of_many(self._reading, field, indices)

    # Views, and what columns say. A view shows the records that were there when it was made.

    def filter(
        self, function: Predicate | str, fields: Any = None, batched: bool = False
    ) -> IndexedRecordDataset:
        """Return a view of the records that a function keeps. Each is looked at once, now.

        Args:
            function: a condition such as "label == 3 and score > 0.5", which is read by a parser
                and never run: docs/command.md has its grammar; it takes no `fields`. Or a function:
                called with each sample, before `transform`; what is true keeps it. With `batched`
                it is called with columns, as `batch` returns them, of many records at a time, and
                returns a mask: an array or a list of bools. What a masked array masks is not kept.
            fields: which the samples have, a list; by default all. Nothing else is read, and
                numbers are read from the index alone. One field alone gives its value alone.
            batched: whether the function takes columns: many times as fast where it is arithmetic.

        Raises:
            SchemaError: there is no such field; a condition that is none, or that does not fit the
                fields: names the column.
            TypeError, ValueError: the function returned no mask, or one of another length.
            CorruptError, DecodeError: a record cannot be read; see `on_error`.
        """
        pass_over = self._pass_over()
        if isinstance(function, str):
            if fields is not None or batched:
                raise TypeError("a condition names its fields: it takes neither fields nor batched")
            from dsrecords._dataset.conditions import filter_by_condition

            return self._view(filter_by_condition(self._reading, function, pass_over))
        from dsrecords._dataset.filtering import filter_records

        return self._view(filter_records(self._reading, function, fields, batched, pass_over))

    def sort(self, field: Any, reverse: bool = False) -> IndexedRecordDataset:
        """Return a view of the records in the order of a field: numbers, strings, bytes, times.

        Equal values keep their order, also with `reverse`. In both directions NaN and NaT come
        behind all others, and None last. Categories are in the order of their names in the schema.

        Raises:
            SchemaError: there is no such field, or its values have no order.
            CorruptError, DecodeError: a record cannot be read; see `on_error`.
        """
        from dsrecords._dataset.sorting import sort

        return self._view(sort(self._reading, field, reverse, self._pass_over()))

    def split(
        self,
        spec: Any,
        *,
        seed: int | None = 0,
        stratify: Any = None,
        group: Any = None,
        key: Any = None,
    ) -> Any:
        """Return views of parts that together have each record once.

        Sizes are rounded by the method of the largest remainder: each part gets its share, rounded
        down, and what is left over goes, one by one, to the parts of which most was cut off.

        Args:
            spec: how large the parts are: names to fractions, or a list of fractions, which add up
                to 1 (a millionth more or less is no error); or counts, which add up to all records.
            seed: of the shuffle, 0 to 2**64 - 1; the parts are shuffled as well. None: records stay
                in their order, and the first part has the first of them.
            stratify: a field of which each value is divided by the same shares, rounded up or down
                (within one record for two parts).
            group: a field; records of which it is equal come into one part. So parts are about as
                large as was asked for. For fractions alone.
            key: a field whose value alone decides, by its hash and the seed (None: 0): so records
                stay in their part when others are added, and are in the order of the list. Parts
                are about as large as was asked for, and may be empty. For fractions alone.

        Returns:
            A dict of views for a dict, a list for a list.

        Raises:
            TypeError: the spec is no dict or list of numbers.
            ValueError: fractions or counts do not add up, are not above 0 or mixed; a part would
                have no record of those that there are; two of the fields were given.
            SchemaError: there is no such field, or its values cannot be compared.
            CorruptError, DecodeError: a record cannot be read; see `on_error`.
        """
        from dsrecords._dataset.splitting import Rule, split

        rule = Rule(seed, stratify, group, key)
        return split(self._reading, spec, rule, self._pass_over(), self._view)

    def shard(self, num_shards: int, index: int) -> IndexedRecordDataset:
        """Return a view of one of equal parts, a run of the list: what one of many machines reads.

        Sizes differ by one at most, the larger ones first; the shards behind each other are the
        list. Records that lie side by side stay so: read them in any order with `shuffle`.

        Raises:
            ValueError: `num_shards` is below 1, or `index` is not 0 to num_shards - 1.
        """
        from dsrecords._dataset.splitting import shard

        return self._view(shard(self._reading, num_shards, index))

    def select_fields(self, fields: Sequence[Any]) -> IndexedRecordDataset:
        """Return a view whose samples have some of the fields alone, in this order.

        Of the others no payload is read. Where fields have no names, they are counted anew:
        `ds.select_fields([2, 0])` has samples of two items, 0 and 1. `transform` is called with
        these samples. A view that is saved with `save_view` has all fields again when it is opened.

        Raises:
            TypeError: it is no list.
            SchemaError: there is no such field, or one is named twice.
        """
        return self._view(self._reading.with_fields(fields))

    def with_decode(self, decode: Decodings, *, copy: bool | None = None) -> IndexedRecordDataset:
        """Return a view of the same records, whose images are read in another way.

        Args:
            decode: by field, as when a dataset is opened. Other fields are decoded as before.
            copy: whether what is read is owned, as when a dataset is opened; None: as before.

        Raises:
            TypeError: it is no dict.
            SchemaError: there is no such field, or it cannot be decoded so.
        """
        check_decode(decode)
        return self._view(self._reading.decoded(decode, copy))

    def windows(
        self,
        field: Any,
        length: int,
        stride: int | None = None,
        drop_last: bool = True,
        boundaries: bool = False,
    ) -> Windows:
        """Return the values of a field of 1-D arrays, all behind each other, as fixed windows.

        Window k has the items from k * stride on, whichever records they are in. How long the
        arrays are is taken from the index, when it is first needed, and no array is read; of types
        that do not say so there (`array`, `zstd`, a function of one's own) each is read once.

        Args:
            field: of type `T[*]`, `T[n]` or `list[T]` with numbers or times as T; or any field
                that is read as such arrays. None is as an empty array.
            length: items of a window.
            stride: items from the start of a window to that of the next; by default `length`.
            drop_last: False: if items are left over behind the last window, a shorter one has them.
            boundaries: whether each window comes as `(values, starts)`, of which `starts` says
                where in the window records begin: int64, ascending; not those of empty records.

        Returns:
            A Sequence of arrays (length,), which are owned. `[2:5]`, a list or a mask is a part of
            it, lazily; `batch(indices)` is one array (n, length), with `boundaries` the tuple of it
            and a list of starts; a list of arrays if the last one is shorter.

        Raises:
            SchemaError: there is no such field, or its values are no 1-D arrays.
            ValueError: `length` or `stride` is below 1.
        """
        from dsrecords._dataset.windows import Windows

        return Windows(self._reading, field, length, stride, drop_last, boundaries)

    def unique(self, field: Any) -> list[Any]:
        """Return the distinct values of a field, as samples have them, in ascending order.

        That is of categories the order of their names in the schema. NaN and NaT count as one value
        and come behind the others, None last. Memory is needed for the distinct values alone.

        Raises:
            SchemaError: there is no such field, or its values cannot be told apart.
            CorruptError, DecodeError: a record cannot be read; see `on_error`.
        """
        from dsrecords._dataset.counting import unique

        return unique(self._reading, field, self._pass_over())

    def value_counts(self, field: Any) -> dict[Any, int]:
        """Return how often there is each value of a field, the most frequent first.

        Equal counts are in the order of `unique`. NaN (or NaT) and None are counted, each as one
        value. Values are as samples have them: of categories the names.

        Raises:
            SchemaError, CorruptError, DecodeError: as `unique`.
        """
        from dsrecords._dataset.counting import value_counts

        return value_counts(self._reading, field, self._pass_over())

    # Other packages' tables. Fields are as they are stored: `decode`, `transform` and functions do
    # not count. What each type becomes is said in docs/tables.md.

    def to_arrow(self) -> Any:
        """Return all records as a `pyarrow.Table`, in memory.

        `pyarrow.table(ds)` is the same; `pyarrow.RecordBatchReader.from_stream(ds)` reads them
        batch by batch. `make_dataset(table, path)` makes a dataset of it again, with the same types
        and metadata.

        Raises:
            SchemaError: a value cannot be written in Arrow, or it is a file of dsrecords 0.4.
            CorruptError: a record is not what was written; see `on_error`.
            ImportError: pyarrow is not installed.
        """
        from dsrecords._export.tables import arrow_table

        return arrow_table(self._reading, self._pass_over())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return the records as a stream of Arrow, by which other packages take a dataset as it is.

        It has batches of up to 65,536 records, or about 64 MiB, of which one at a time is in
        memory, and shows the list as it is now, whatever is changed meanwhile. Raises as
        `to_arrow`.
        """
        from dsrecords._export.tables import arrow_stream

        return arrow_stream(self._reading, self._pass_over(), requested_schema)

    def to_pandas(self) -> Any:
        """Return all records as a `pandas.DataFrame`.

        Raises:
            As `to_arrow`; ImportError: pandas or pyarrow is not installed.
        """
        from dsrecords._export.tables import pandas_frame

        return pandas_frame(self._reading, self._pass_over())

    def to_polars(self) -> Any:
        """Return all records as a `polars.DataFrame`.

        Raises:
            As `to_arrow`; ImportError: Polars or pyarrow is not installed.
        """
        from dsrecords._export.tables import polars_frame

        return polars_frame(self._reading, self._pass_over())

    def to_huggingface(self) -> Any:
        """Return all records as a `datasets.Dataset` of Hugging Face, in memory.

        Images, sounds and videos have the features that decode them, categories are class labels.

        Raises:
            As `to_arrow`; ImportError: datasets or pyarrow is not installed.
        """
        from dsrecords._export.huggingface import huggingface_dataset

        return huggingface_dataset(self._reading, self._pass_over())

    # Changing the list

    def append(self, sample: Any) -> None:
        """Add a sample.

        When this returns, whoever opens the dataset sees it, and killing this process does not
        lose it.

        Raises:
            SchemaError: the sample does not fit; the dataset is as it was.
            LockedError: another writer has the dataset.
        """
        self._editing.append(sample)

    def extend(self, samples: Iterable[Any] | ExportsArrow) -> None:
        """Add samples, batch by batch: each is there as a whole or not at all.

        If one does not fit, those before it are added.

        Args:
            samples: any iterable of them, or a table, as `make_dataset` takes it.

        Raises:
            SchemaError: a sample does not fit; names its position among those given.
        """
        self._editing.extend(samples)

    def extend_columns(self, columns: Any) -> None:
        """Add many samples, given field by field; all at once or not at all.

        Args:
            columns: a dict (a list where fields have no names) of one sequence a field, all of one
                length: an array (n, …) or a list; masked arrays where values may be None.

        Raises:
            SchemaError: a column is missing, unknown, of another length, or a value does not fit.
        """
        self._editing.extend_columns(columns)

    def __setitem__(self, index: Any, sample: Any) -> None:
        """Replace one sample, or fields of one.

        `ds[7] = sample` replaces all of it; `ds[7, "label"] = 3` one field, and
        `ds[7, ["label", "caption"]] = {...}` (or a list of values) several. What is not replaced is
        not written again: a new label of an image takes some hundred bytes.

        Raises:
            SchemaError: a value does not fit, or there is no such field.
            IndexError: out of range.
        """
        self._editing.replace(index, sample)

    def update(self, samples: Mapping[int, Any], *, partial: bool = False) -> None:
        """Replace samples, all at once or not at all.

        Args:
            samples: positions to samples.
            partial: whether they are dicts of some fields, of which the others stay as they are.

        Raises:
            SchemaError: a value does not fit, or there is no such field; nothing was replaced.
            IndexError: out of range.
        """
        self._editing.update(samples, partial)

    def __delitem__(self, key: Any) -> None:
        """Delete one sample, or those of a slice, a list or a mask, at once.

        The others keep their order. Raises IndexError.
        """
        self._editing.delete(key)

    def quick_remove_at(self, index: int) -> None:
        """Delete one sample in constant time: the last one takes its place. Raises IndexError."""
        self._editing.take_last(index)

    # Changing the schema. Views and pickled copies of before become stale, as by `compact`: the
    # new dataset has another id.

    def add_field(
        self,
        name: Any,
        type: Any,
        values: Any = None,
        *,
        progress: bool = False,
    ) -> None:
        """Add a field behind the others.

        Args:
            name: of the field; None where fields have no names.
            type: a type or a serializer.
            values: a function that is called with each sample; or a list, an array or another
                iterable with a value for each record. By default None, for a type that may be None.
            progress: whether to show a progress bar.

        Raises:
            SchemaError: there is such a field; a value does not fit; there are not as many values
                as records. All is as it was.
        """
        evolving.add_field(self._editing, name, type, values, progress)

    def drop_fields(self, names: Any, *, progress: bool = False) -> None:
        """Take fields away: a list of their names (or positions), or one.

        Raises:
            SchemaError: there is no such field.
        """
        evolving.drop_fields(self._editing, names, progress)

    def rename_fields(
        self,
        names: Mapping[Any, str],
        *,
        progress: bool = False,
    ) -> None:
        """Give fields other names: old names (or positions) to new ones.

        Where fields had no names, all get one.

        Raises:
            SchemaError: no such field, or two of one name. All is as it was.
        """
        evolving.rename_fields(self._editing, names, progress)

    def cast(
        self,
        types: Mapping[Any, Any],
        *,
        progress: bool = False,
    ) -> None:
        """Give fields other types: names (or positions) to types.

        Each value is read, and written as the new type does. Between images, bytes and functions
        of one's own the bytes are kept; an image is decoded and encoded again only where it is not
        in the format of the new type.

        Raises:
            SchemaError: no such field, or a value does not fit: names record and field. All is as
                it was.
        """
        evolving.cast(self._editing, types, progress)

    def compare_schema(self, other: Any) -> str:
        """Say how another schema, or that of another dataset, differs from this one.

        Returns:
            The differences in words; empty if there are none.
        """
        if isinstance(other, IndexedRecordDataset):
            schema = other._reading.fields.schema
            return self._reading.difference(schema, other.path)
        return self._reading.difference(other, "the other")

    # Files

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Put other metadata in the place of what there is; all of it.

        Raises:
            SchemaError: it is not a dict that JSON can hold, or takes more than 16 MiB with the
                schema.
        """
        self._editing.set_metadata(metadata)

    def flush(self, sync: bool = False) -> None:
        """Make all changes durable against a loss of power, and publish the index.

        Args:
            sync: the files' names as well.
        """
        self._editing.flush(sync)

    def refresh(self) -> None:
        """See what others have written since. A view stays what it is: raises ReadOnlyError."""
        self._editing.refresh()

    def compact(self, output: Path | None = None) -> tuple[str, str]:
        """Write the dataset without what was replaced and deleted.

        Args:
            output: path of a new dataset; by default the files are replaced, and views and pickled
                copies of before become stale.

        Returns:
            (data path, index path)

        Raises:
            CorruptError: a record is damaged; all is as it was.
            FileExistsError: `output` exists.
        """
        if output is not None:
            return self._editing.compact_to(os.fsdecode(output))
        self._editing.compact()
        return self.path, self.index_path

    defrag = compact

    def save_view(self, index_path: Path, *, overwrite: bool = False) -> str:
        """Save which records this shows, in this order: 16 bytes a record; no data is copied.

        `dsrecords.open(path, index_path=...)` opens it, read-only, and shows them for as long as
        the dataset is not compacted. What is appended, replaced or deleted later does not change
        what a view shows; opening it warns after edits.

        Args:
            index_path: of the view; by custom it ends in `.idx`.
            overwrite: whether a view that is there gives way.

        Returns:
            The view's path.

        Raises:
            ValueError: it is the path of the dataset's own index.
            FileExistsError: there is a file, and `overwrite` is not given, or the file is not a
                view.
            StaleViewError: the dataset was compacted or replaced since this view of it was made.
        """
        view_path = os.fsdecode(index_path)
        copies.save_view(self._reading, view_path, overwrite)
        return view_path

    def check(
        self,
        *,
        decode: bool = False,
        progress: bool = False,
    ) -> list[DSRecordsError]:
        """Look at every byte of the dataset.

        Args:
            decode: whether to decode each value that this shows as well (pictures, sounds,
                messages), as it is read here; what `decode` leaves as bytes, as its type says.
            progress: whether to show a progress bar of the bytes, and one of what is decoded.

        Returns:
            What is wrong: an empty list, or an error for each thing; none is raised.

        Raises:
            ImportError: a package is missing that a value needs to be decoded.
        """
        return self._reading.problems(decode, progress)

    def close(self) -> None:
        """Publish the index and release the lock. What comes after it raises ValueError.

        Views of it stay open.
        """
        self._editing.close()

    def __enter__(self) -> IndexedRecordDataset:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Copies: views, and what `pickle` and `copy` make

    def _view(self, reading: Reading) -> IndexedRecordDataset:
        """Return an object that differs from this one in the list that it shows."""
        view = copies.blank(type(self))
        vars(view).update(vars(self))
        view.transform = self.transform
        view._reading = reading
        view._editing = Editing(reading)
        return view

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__getstate__()
        return copies.blank, (type(self),), state

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes; in the place of what is open, from what it is opened again."""
        state = dict(vars(self))
        state["transform"] = self.transform
        source = self._reading.opened()
        state["path"] = source.path
        state["index_path"] = source.index_path
        state["_reading"] = copies.origin_of(self._reading)
        del state["_editing"]
        state["_skipped"] = self._skipped.shared(self.on_error)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes = dict(state)
        self.transform = attributes.pop("transform")
        self._reading = copies.reopened(attributes.pop("_reading"))
        vars(self).update(attributes)
        self._editing = Editing(self._reading)
        self._skipped = Skipped(*state["_skipped"])


if native:
    # The slot of the base itself: so `dataset[i]` is a call of C, without a frame of Python's.
    IndexedRecordDataset.__getitem__ = DatasetBase.__getitem__  # type: ignore[method-assign]
