"""Making whole datasets: of samples, of encoded records, and empty ones."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, NamedTuple

from dsrecords._read.open import default_index
from dsrecords._schema.encoded import Encoded
from dsrecords._schema.header import metadata_json, read_header
from dsrecords._schema.infer import LIMIT, infer_schema, infer_table
from dsrecords._schema.resolve import make_schema
from dsrecords._schema.samples import kept
from dsrecords._schema.schema import Schema
from dsrecords._schema.tabular import ExportsArrow, Tabular, as_tabular, iterable
from dsrecords._storage import files
from dsrecords._storage.local import LocalStorage
from dsrecords._storage.locations import local_path, located, make_access
from dsrecords._storage.registry import absolute, is_local
from dsrecords._types.base import describe
from dsrecords._warning import warn_user
from dsrecords._write.bad_samples import KEY, BadSamples, OnError, require_valid_on_error
from dsrecords._write.builder import PARTIAL, Builder, require_targets
from dsrecords._write.compiled import is_compiled
from dsrecords._write.dictionaries import encoded_with_dictionaries
from dsrecords._write.leftovers import remove_abandoned
from dsrecords._write.lock import Keep
from dsrecords._write.pool import Numbered, encoded
from dsrecords._write.progress import shown, shown_batches
from dsrecords._write.resume import ADVICE, rest_of, use_dictionaries
from dsrecords._write.rows import Rows, TableRows
from dsrecords._write.shard_pool import written_in_pool
from dsrecords._write.sharded import (
    Making,
    Target,
    by_count,
    by_size,
    bytes_of,
    even_bounds,
    require_valid_shards,
    target_of,
)
from dsrecords._write.writer import Writer
from dsrecords.errors import CorruptError, SchemaError

if TYPE_CHECKING:
    import logging
    from typing import TypeGuard

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Given = Iterable[Any] | Tabular
"""Samples, or a table of which each row is one."""

_GUESSED = (
    f"the schema was inferred from the first {LIMIT} samples: give a schema, such as what "
    "infer_schema(samples, limit=None) returns, which looks at all of them"
)


def make_dataset(
    samples: Iterable[Any] | ExportsArrow,
    path: _Path,
    schema: Any = None,
    index_path: _Path | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    num_workers: int = 0,
    id: bytes | None = None,
    on_error: OnError = "raise",
    resume: bool = False,
    lock: bool = True,
    shards: int | None = None,
    shard_size: int | str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[str, str]:
    """Write samples to a new dataset.

    It is written as `path` + ".partial" and renamed at the end: a failure leaves what was there,
    and a kill leaves a `.partial` that opens as a dataset of all that was written so far. Whether
    files can be made there is tried before the first sample is asked for.

    Args:
        samples: dicts (or dataclasses, named tuples) for a schema with names, else tuples or lists.
            Any iterable. Or a table: a DataFrame of pandas or Polars, a table of Arrow, a
            structured array, an open `.npz` file, or a dict of columns of equal lengths.
        path: of the data file; by custom it ends in `.rec`. If it is elsewhere, as
            "s3://bucket/train.rec", the files are made in a temporary folder of this machine, then
            copied: first the data file, then the index. What is there is replaced only by
            `overwrite`, and a copy that does not end leaves nothing that opens.
        schema: names to types, such as `{"image": "jpeg", "label": "int64"}`, or a list of types.
            Functions of `dsrecords.io` may stand for types, and a dataclass or TypedDict for a
            dict. Without a schema, a dataset of ours is written with its own, as long as no
            transform or decoding changes its samples. Of all else `infer_schema` looks at the
            first samples, and what it chose is logged as a warning of the logger "dsrecords".
        index_path: of the index; by default `path` with the ending `.idx`.
        metadata: anything that JSON can hold, kept in the header. By default empty; of a dataset,
            or a table that was made of one, those of the dataset.
        overwrite: whether a dataset that is there gives way. Who has it open goes on reading the
            old one.
        progress: whether to show a progress bar.
        num_workers: processes that encode samples. They help where encoding one takes longer than
            sending it to another process, as PNG and WebP do. Samples must pickle. The processes
            are forked where this one has a single thread. Beside other threads that is not safe:
            then they are spawned, functions in the schema must pickle, too, and a script needs
            `if __name__ == "__main__":`. On other systems than Linux they are threads.
        id: 16 bytes that identify the dataset; by default random. The same id and samples give the
            same bytes.
        on_error: what to do with a sample that cannot be encoded: "raise" its error; "skip" it; or
            a function that is called with the error, and may raise it. What is left out is told of
            by a warning at the end, and by the metadata: `metadata["skipped_samples"]`. Errors of
            the disk or of what is not installed are raised, and so is what iterating raises. If the
            first 1000 samples, or all of them, cannot be encoded, the first error is raised.
        resume: whether what is written stays if this fails, and is gone on with by the same call.
            All samples are given again, and each is encoded and compared with what is there.
        lock: False: nothing is locked, for file systems that have no locks. Then nobody keeps a
            second process from making the same dataset, or from writing to the one that gives way:
            what becomes of them then is not promised.
        shards: how many files to divide the samples into: `train-00000-of-00008.rec` and so on for
            the path `train.rec`, and a manifest `train.json`, by which they are opened as one. The
            samples keep their order. With `num_workers`, samples that are read by position are
            written by so many processes, each of them whole files.
        shard_size: how large each of the files may be instead, in bytes, or "500MB" (10⁶ bytes
            each), "1GB" or "1GiB" (2³⁰ bytes). One that has a single record may be larger.
        storage_options: how files elsewhere are reached: see `dsrecords.open`.

    Returns:
        (data path, index path); of several files a pattern that all their names match, and the
        path of the manifest. Either can be opened.

    Raises:
        FileExistsError: there is a file at either path, and `overwrite` is not given, or the file
            is not ours.
        SchemaError: there is no such type, or a sample does not fit: names its position and field.
            Or what `resume` finds is not the beginning of these samples.
        CorruptError: what `resume` finds is damaged.
        LockedError: another writer has the dataset, or is making it.
        OSError: no file can be made there, or the disk is full. If the index alone cannot be
            written, that is a warning: it can be made again.
        ReadOnlyError: the file system has no locks, and `lock=False` is not given.
    """
    data_path = local_path(_path_of(path))
    if not is_local(data_path):
        from dsrecords._write.elsewhere import make_elsewhere  # here, as few need it

        if index_path is not None or resume:
            text = "elsewhere an index lies beside its data file, and nothing is gone on with"
            raise ValueError(f"{data_path}: {text}: leave out index_path and resume")
        return make_elsewhere(
            located(data_path, make_access(storage_options, None, None)),
            overwrite,
            shards is not None or shard_size is not None,
            functools.partial(
                make_dataset,
                samples,
                schema=schema,
                metadata=metadata,
                progress=progress,
                num_workers=num_workers,
                id=id,
                on_error=on_error,
                shards=shards,
                shard_size=shard_size,
            ),
        )
    index = default_index(data_path) if index_path is None else os.fsdecode(index_path)
    require_valid_on_error(on_error)
    if shards is not None or shard_size is not None:
        require_valid_shards(shards, shard_size, resume, index_path)
        target = target_of(data_path, overwrite, lock, id)
        options = _Options(schema, metadata, progress, num_workers, on_error)
        return _make_shards(samples, target, options, shards, shard_size)
    return _make_one(
        samples,
        data_path,
        index,
        _Options(schema, metadata, progress, num_workers, on_error),
        overwrite,
        id,
        resume,
        lock,
    )


def _make_one(
    samples: Any,
    data_path: str,
    index: str,
    options: _Options,
    overwrite: bool,
    id: bytes | None,
    resume: bool,
    lock: bool,
) -> tuple[str, str]:
    """Write samples to one file: see `make_dataset`."""
    schema = options.schema
    paths = (data_path, index)
    require_targets(files.target(data_path), files.target(index), overwrite)
    # Now, as the samples may change the working directory. A link stays: what it leads to is made.
    data_path = files.target(absolute(data_path))
    index = files.target(absolute(index))
    given: _Given = as_tabular(samples) or iterable(samples)
    metadata = _metadata_of(given, options.metadata)
    total = _total(given)
    is_guessed = schema is None
    if is_guessed:
        given, schema = _with_inferred_schema(given, data_path)
    made = make_schema(schema)
    bad = None
    if options.on_error != "raise":
        bad = BadSamples(options.on_error)
    goes_on = resume and _use_dictionaries(made, data_path + PARTIAL)
    source = _Source(made, given, total, data_path, options.progress, options.num_workers, bad)
    records = source.records(one_by_one=goes_on or bad is not None, trained=goes_on)
    making = _Making(bad, keeps=resume, goes_on=goes_on, index_may_fail=True)
    try:
        build(
            data_path,
            index,
            made,
            metadata,
            records,
            overwrite,
            id,
            making=making,
            locks=lock,
        )
    except SchemaError as error:
        if is_guessed and error.record is not None and error.record >= _looked_at(given):
            error.message += f"; {_GUESSED}"
        raise
    return paths


class _Options(NamedTuple):
    """What was given to make a dataset of several files."""

    schema: Any
    metadata: dict[str, Any] | None
    progress: bool
    num_workers: int
    on_error: OnError


def _make_shards(
    samples: Any,
    target: Target,
    options: _Options,
    shards: int | None,
    shard_size: Any,
) -> tuple[str, str]:
    """Write samples to several files: see `make_dataset`."""
    making = Making(target)
    try:
        return _make_shards_with(making, samples, options, shards, shard_size)
    finally:
        making.close()  # an exception may have come just before `__exit__` began


def _make_shards_with(
    making: Making,
    samples: Any,
    options: _Options,
    shards: int | None,
    shard_size: Any,
) -> tuple[str, str]:
    target = making.target
    with making:
        making.begin()
        given: _Given = as_tabular(samples) or iterable(samples)
        metadata = _metadata_of(given, options.metadata)
        total = _total(given)
        if shards is not None and total is None:
            raise ValueError(
                "shards needs samples of which the number is known, such as a list: of an iterator "
                "give shard_size"
            )
        schema = options.schema
        if schema is None:
            given, schema = _with_inferred_schema(given, target.root)
        made = make_schema(schema)
        bad = None
        if options.on_error != "raise":
            bad = BadSamples(options.on_error)
        bounds = None
        if shards is not None:
            bounds = even_bounds(total or 0, shards)
        if bounds and _is_parallel(options) and _is_divisible(given) and not made.trainable():
            _write_in_pool(making, given, made, metadata, options, bounds)
            return making.finish(made, metadata)
        source = _Source(
            made, given, total, target.root, options.progress, options.num_workers, bad
        )
        records: Any = source.records(one_by_one=True, trained=False)
        divided = _divided(iter(records), made, metadata, bounds, shard_size)
        for number, some in enumerate(divided):
            making.write(number, made, metadata, build, some)
        paths = making.finish(made, _with_report(metadata, bad, making.count()))
    if bad is not None and bad.count:
        warn_user(f"{target.root}: {bad.summary()}")
    return paths


def _is_parallel(options: _Options) -> bool:
    return options.num_workers > 0 and options.on_error == "raise"


def _divided(
    records: Iterator[Encoded],
    schema: Schema,
    metadata: dict[str, Any],
    bounds: Sequence[int] | None,
    shard_size: Any,
) -> Iterator[Iterator[Encoded]]:
    """Divide records into those of each file."""
    if bounds is not None:
        return by_count(records, bounds)
    return by_size(records, schema, metadata, bytes_of(shard_size))


def _write_in_pool(
    making: Making,
    given: Any,
    schema: Schema,
    metadata: dict[str, Any],
    options: _Options,
    bounds: Sequence[int],
) -> None:
    """Write all files, each by one process."""
    written = written_in_pool(
        given,
        schema,
        metadata,
        making.target,
        bounds,
        options,
        build,
    )
    for shard in written:
        making.add(shard)


def _with_report(
    metadata: dict[str, Any],
    bad: BadSamples | None,
    count: int,
) -> dict[str, Any]:
    """Return metadata that says which samples were left out of `count` that were not."""
    if bad is None:
        return metadata
    bad.require_others(count)
    if not bad.count:
        return metadata
    return {**metadata, KEY: bad.report()}


def _is_divisible(given: Any) -> bool:
    """Whether several processes can each read a part of the samples."""
    return isinstance(given, (list, tuple)) or _is_read_by_position(given)


def _path_of(path: Any) -> str:
    """The path of a dataset as a string. Raises TypeError, as if it was exchanged for samples."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        order = "make_dataset(samples, path, schema)"
        raise TypeError(f"the path of a dataset is a string, not {describe(path)}: {order}")
    return os.fsdecode(path)


def _metadata_of(given: _Given, metadata: dict[str, Any] | None) -> dict[str, Any]:
    """What was given as metadata; if nothing was, what a dataset or a table of one says."""
    if metadata is not None:
        return metadata
    if isinstance(given, Tabular) or hasattr(type(given), "__dsrecords_schema__"):
        return dict(getattr(given, "metadata", {}))
    return {}


def _total(given: _Given) -> int | None:
    """How many samples are given; None if that is not known."""
    if isinstance(given, Tabular):
        return given.count
    if isinstance(given, Sized):
        return len(given)
    return None


def _looked_at(given: _Given) -> int:
    """How many of the first samples certainly fit the schema that was inferred."""
    if isinstance(given, Tabular):
        return 0  # of some columns the type alone was looked at
    return LIMIT


def _use_dictionaries(schema: Schema, partial: str) -> bool:
    """Compress with the dictionaries with which what is left was compressed.

    Returns:
        Whether anything is left.
    """
    if not files.exists(partial):
        return False
    if not schema.trainable():
        return True
    try:
        left = read_header(LocalStorage(partial))
    except FileNotFoundError:  # its maker was alive, and has ended
        return False
    except CorruptError as error:
        error.message += f"; {ADVICE}"
        raise
    use_dictionaries(schema, left.schema)
    return True


class _Source(NamedTuple):
    """What is to be written.

    Attributes:
        schema: of the dataset.
        given: samples, or a table.
        total: how many there are; None if that is not known.
        path: of the data file, for the progress bar.
        progress: whether to show one.
        num_workers: processes that encode samples.
        bad: takes the errors of samples that are left out; None: they are raised.
    """

    schema: Schema
    given: _Given
    total: int | None
    path: str
    progress: bool
    num_workers: int
    bad: BadSamples | None

    def records(self, one_by_one: bool, trained: bool) -> Iterable[Encoded] | Rows | TableRows:
        """Return what is given as records that can be written.

        Args:
            one_by_one: whether each is encoded alone, though many could be together.
            trained: whether the schema has its dictionaries.
        """
        schema = self.schema
        given = self.given
        trains = len(schema.trainable()) > 0 and not trained
        one_by_one = one_by_one or self.num_workers > 0 or trains
        if isinstance(given, Tabular):
            if not one_by_one:
                batches = shown_batches(given.batches(), self.total, self.path, self.progress)
                return TableRows(schema, given, batches, 0)
            given = given.samples(schema.named)
        if trains:
            samples = self._numbered(given)
            return encoded_with_dictionaries(schema, samples, self.num_workers, self.bad)
        if one_by_one or (schema.payloads and not is_compiled()):
            return encoded(schema, self._numbered(given), self.num_workers, self.bad)
        return Rows(schema, shown(given, self.total, self.path, self.progress), 0)

    def _numbered(self, given: Iterable[Any]) -> Numbered:
        """Return the samples with their positions.

        Of what has positions itself, such as a dataset of PyTorch, a sample that cannot be read is
        left out as well.
        """
        bad = self.bad
        if bad is None or not _is_read_by_position(given):
            return enumerate(shown(given, self.total, self.path, self.progress))
        positions = shown(range(len(given)), self.total, self.path, self.progress)
        return _read_by_position(given, positions, bad)


def _is_read_by_position(given: Any) -> TypeGuard[Sequence[Any]]:
    """Whether samples are read by their positions, which may fail for one of them alone."""
    if isinstance(given, (list, tuple)):
        return False
    if isinstance(given, Sequence):
        return True
    has_positions = hasattr(given, "__getitem__") and hasattr(given, "__len__")
    return has_positions and not hasattr(given, "__iter__")


def _read_by_position(given: Sequence[Any], positions: Iterable[int], bad: BadSamples) -> Numbered:
    for position in positions:
        try:
            sample = given[position]
        except Exception as error:  # noqa: BLE001 - it is raised again unless it may be left out
            bad.leave_out(position, error)
        else:
            yield position, sample


class _Making(NamedTuple):
    """How a dataset is made.

    Attributes:
        bad: takes the errors of samples that are left out; None: they are raised.
        keeps: whether what is written stays if an error comes.
        goes_on: whether to go on with what was left; then records are given one by one.
        index_may_fail: whether the log stays where its index cannot be written.
    """

    bad: BadSamples | None = None
    keeps: bool = False
    goes_on: bool = False
    index_may_fail: bool = False


def build(
    path: str,
    index_path: str,
    schema: Schema,
    metadata: dict[str, Any],
    records: Iterable[Encoded] | Rows | TableRows,
    overwrite: bool = False,
    id: bytes | None = None,
    temporary: str = PARTIAL,
    held: bool = False,
    making: _Making = _Making(),  # noqa: B008 - it never changes
    locks: bool = True,
    keep: Keep | None = None,
) -> None:
    """Write encoded records to a new dataset. If they raise, no trace of it is left.

    Args:
        path: of the data file.
        index_path: of the index.
        schema: of the records.
        metadata: a dict, kept in the header.
        records: in their order.
        overwrite: whether a dataset that is there gives way.
        id: 16 bytes; by default random.
        temporary: what is added to the path until all is written.
        held: whether the lock of the dataset that gives way is held already.
        making: what else there is to say.
        locks: whether files are locked.
        keep: called with the descriptor of the new `.rec`, which holds its lock; None: that is
            released.

    Raises:
        FileExistsError: there is a file, and `overwrite` is not given, or the file is not ours.
        LockedError: another writer has the dataset, or is making it.
    """
    if id is not None and (type(id) is not bytes or len(id) != 16):
        raise ValueError("id must be 16 bytes")
    path = files.target(path)
    index_path = files.target(index_path)
    builder = Builder(
        path,
        index_path,
        path + temporary,
        schema,
        metadata,
        id,
        overwrite,
        held,
        locks,
        resume=making.goes_on,
        keeps=making.keeps,
    )
    try:
        builder.begin()
        remove_abandoned(index_path)
        if overwrite:
            _warn_of_other_names(path)
        _write(records, builder)
        if making.bad is not None or making.goes_on:
            _describe(builder.writer, metadata, making.bad)
        builder.finish(overwrite, making.index_may_fail)
        _tell(path, index_path, builder, making.bad)
        builder.leave(keep)
    except BaseException as error:
        builder.abandon(error, keeps=making.keeps)
        raise


def _warn_of_other_names(path: str) -> None:
    """Warn, before a file gives way, if it has other names: these keep the old file."""
    names = files.hard_links(path)
    if names > 1:
        warn_user(
            f"{path}: this file has {names} names (hard links). Under this one there will be a new "
            "file; the other ones go on showing the old records"
        )


def _write(records: Iterable[Encoded] | Rows | TableRows, builder: Builder) -> None:
    writer = builder.writer
    if isinstance(records, (Rows, TableRows)):
        records.write(writer)
        return
    if builder.kept:
        records = rest_of(records, writer.state.snapshot)
        _logger().warning("%s: %d samples were there already", writer.state.path, builder.kept)
    writer.extend(records)


def _describe(writer: Writer, metadata: dict[str, Any], bad: BadSamples | None) -> None:
    """Let the metadata say which samples were left out."""
    snapshot = writer.state.snapshot
    described = metadata
    if bad is not None:
        bad.require_others(len(snapshot.entries))
        if bad.count:
            described = {**metadata, KEY: bad.report()}
    text = metadata_json(writer.state.header, described)
    is_there = metadata_json(writer.state.header, snapshot.metadata())
    if text != is_there:
        writer.set_metadata(text)


def _tell(path: str, index_path: str, builder: Builder, bad: BadSamples | None) -> None:
    """Warn of what is not as it should be, though the dataset is made."""
    if builder.index_problem:
        warn_user(
            f"{index_path} could not be written ({builder.index_problem}): {path} is whole, and "
            "its index is made again whenever it is opened; dsrecords.open(path).flush() writes it"
        )
    if bad is not None and bad.count:
        warn_user(f"{path}: {bad.summary()}")


def create(
    path: str,
    index_path: str,
    schema: Schema,
    locks: bool = True,
) -> None:
    """Make a dataset without records.

    Raises:
        FileExistsError: there is one, perhaps as another process was faster.
    """
    temporary = f".{os.urandom(4).hex()}.tmp"
    build(
        path,
        index_path,
        schema,
        {},
        (),
        temporary=temporary,
        locks=locks,
    )


def _with_inferred_schema(given: _Given, path: str) -> tuple[_Given, Any]:
    """All that is given, and the schema that the first samples have, or the columns of a table."""
    stated = _stated_schema(given)
    if stated is not None:
        return given, stated
    basis = "from the first samples"
    if isinstance(given, Tabular):
        basis = "from the columns of the table"
        schema = infer_table(given)
    elif isinstance(given, (list, tuple)):
        schema = infer_schema(given)
    else:
        # Once only: some can be iterated over once, whatever they look like.
        iterator = iter(given)
        first = [kept(sample) for sample in itertools.islice(iterator, LIMIT)]
        schema = infer_schema(first)
        given = itertools.chain(first, iterator)
    _logger().warning("%s: no schema was given; %s: %r", path, basis, schema)
    return given, schema


def _stated_schema(given: Any) -> Any:
    """The schema of a dataset of ours, if its samples are what it stores; None of all else."""
    state = getattr(type(given), "__dsrecords_schema__", None)
    if state is None:
        return None
    return state(given)


def _logger() -> logging.Logger:
    import logging  # here, as few need it

    return logging.getLogger("dsrecords")
