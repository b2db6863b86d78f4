"""Reading a part of a batch: from indices to columns, pictures decoded and transforms applied."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.field_types import category_columns, schema_by_key
from dsrecords._dataset.skipping import UNREADABLE, Unreadable
from dsrecords._dataset.windows import Windows
from dsrecords._loader.assembly import Part
from dsrecords._loader.keys import Key
from dsrecords._loader.pictures import Picture, channels_first, pictures_of
from dsrecords._loader.randomness import Randomness
from dsrecords._loader.structure import Columns, Structure, collated
from dsrecords._loader.times import COLLATE, DECODE, READ, TRANSFORM, Times
from dsrecords._order.combined import Combined
from dsrecords._types.budget import in_call
from dsrecords.dataset import IndexedRecordDataset
from dsrecords.errors import annotate, in_words

Target = tuple[np.dtype[Any], tuple[int, ...]]  # dtype and row shape of a column
Transform = Callable[..., Any]


class Samples(NamedTuple):
    """Samples of a batch.

    Attributes:
        indices: int64, (n,).
        draws: where in the epoch they were drawn: int64, (n,); None: each sample comes once.
        randomness: of the epoch.
    """

    indices: np.ndarray
    draws: np.ndarray | None
    randomness: Randomness

    def within(self, start: int, stop: int) -> Samples:
        """Return some of them."""
        draws = self.draws
        if draws is not None:
            draws = draws[start:stop]
        return Samples(self.indices[start:stop], draws, self.randomness)

    def uniform(self, count: int) -> np.ndarray:
        """Return numbers in [0, 1), as `Randomness.uniform`: float64, (n, count)."""
        return self.randomness.uniform(self.indices, self.draws, count)

    def generator(self, row: int) -> np.random.Generator:
        """Return the generator of one of them."""
        draw = None
        if self.draws is not None:
            draw = int(self.draws[row])
        return self.randomness.generator(int(self.indices[row]), draw)


class Reader:
    """How the samples of a dataset become the rows of a batch. Threads may share it; it pickles.

    Args:
        dataset: with a length and samples by index.
        fields: which of its fields, or None: all.
        decode: by field, how pictures are decoded.
        transform: called with each sample, or None.
        is_channels_first: whether a transform gets pictures with their channels first.

    Attributes:
        stored: the dataset, with the pictures as they are stored, and nothing transformed.
        pictures: the fields that are decoded here.
        transforms: what is called with each sample.
        gets_channels_first: as it was given.
        is_remote: whether the files are read through another storage than this machine's.

    Raises:
        SchemaError: there is no such field, or it cannot be decoded so.
        TypeError: the dataset cannot do what is asked for.
    """

    def __init__(
        self,
        dataset: Any,
        fields: Sequence[Key] | None,
        decode: Mapping[Key, Any],
        transform: Transform | None,
        is_channels_first: bool,
    ) -> None:
        self.gets_channels_first = is_channels_first
        dataset = _with_fields(dataset, fields)
        self.fields: Sequence[Key] | None = fields
        if isinstance(dataset, IndexedRecordDataset):
            self.fields = None
        self.transforms = _called(_own_transform(dataset), transform)
        self._takes_rng = any(each.takes_rng for each in self.transforms)
        self._by_sample = bool(self.transforms) or not _reads_columns(dataset)
        pictures: list[Picture] = []
        others = dict(decode)
        if _has_transforms_within(dataset):
            self._by_sample = True
        else:
            pictures, others = pictures_of(dataset, decode)
        self.pictures = pictures
        self._takes_out = isinstance(dataset, IndexedRecordDataset)
        self._dataset = _plain(dataset, others, None)
        self.stored = self._dataset
        self._encoded = self._dataset
        self.is_remote = _is_remote(self._dataset)
        self._others: Any = None  # the fields that are no pictures; None: there are only these
        if pictures:
            self._split_fields(dataset, others)

    def _split_fields(self, dataset: Any, others: Mapping[Key, Any]) -> None:
        """Read pictures as they are stored, and all else apart from them."""
        decodings: dict[Key, Any] = {}
        for picture in self.pictures:
            if not picture.is_raw:
                decodings[picture.key] = "bytes"
        self.stored = _plain(dataset, {**others, **decodings}, None)
        self._encoded = _plain(dataset, {**others, **decodings}, False)
        keys = {picture.key for picture in self.pictures}
        shown = self.fields
        if shown is None:
            shown = list(schema_by_key(dataset))
        self._others = [key for key in shown if key not in keys]
        self._shown = list(shown)

    def decoded_columns(self) -> list[Key]:
        """Return the fields whose columns are pictures as they were decoded."""
        if self._by_sample:
            return []
        return [picture.key for picture in self.pictures]

    def categories(self) -> list[Key]:
        """Return the fields whose columns are the numbers of categories."""
        if self._by_sample:
            return []
        return category_columns(self.stored, self.fields)

    @property
    def verify(self) -> bool | str | None:
        """When checksums are compared; None where the samples have none."""
        return _verify_of(self.stored)

    @property
    def is_costly(self) -> bool:
        """Whether a sample takes long enough to share a batch among threads."""
        return self._by_sample or bool(self.pictures)

    def targets_of(self, arrays: Mapping[Key, np.ndarray]) -> dict[Key, Target]:
        """Return which columns of a batch can be read into memory that is given.

        Args:
            arrays: of a batch, by field.

        Returns:
            By field, dtype and shape of a row.
        """
        if not self._takes_out or self._by_sample:
            return {}
        decoded = self.decoded_columns()
        fixed = {key: array for key, array in arrays.items() if key not in decoded}
        return {key: (array.dtype, array.shape[1:]) for key, array in fixed.items()}

    def prefetch(self, indices: np.ndarray) -> None:
        """Let a dataset elsewhere fetch samples that will be read, without waiting for them."""
        if self.is_remote and isinstance(self._dataset, _FETCH_AHEAD):
            self._dataset.prefetch(indices, *self._not_all_fields())

    def _not_all_fields(self) -> list[Any]:
        """Return the fields that are read of a dataset that has others, in a list; or nothing."""
        if self.fields is None:
            return []
        return [list(self.fields)]

    def read(
        self,
        part: Part,
        samples: Samples,
        targets: Mapping[Key, Target],
        times: Times,
    ) -> Structure:
        """Make the rows of a part.

        Args:
            part: takes the columns.
            samples: which.
            targets: by field, dtype and row shape of columns that can be read into memory.
            times: what this takes is added to it.

        Raises:
            CorruptError, DecodeError: a sample cannot be read; names record and field.
            Exception: what a transform of the user's raises, with a note that names the sample.
        """
        if self._by_sample:
            return self._by_row(part, samples, times)
        return self._by_column(part, samples, targets, times)

    # Column by column

    def _by_column(
        self,
        part: Part,
        samples: Samples,
        targets: Mapping[Key, Target],
        times: Times,
    ) -> Structure:
        if self.pictures:
            structure, columns = self._with_pictures(part, samples, targets, times)
        else:
            with times.stage(READ):
                batch = self._batch(part, samples.indices, targets)
            structure = Structure(batch)
            columns = structure.columns(batch)
        with times.stage(COLLATE):
            for key, column in columns.items():
                part.put(key, column)
        return structure

    def _with_pictures(
        self,
        part: Part,
        samples: Samples,
        targets: Mapping[Key, Target],
        times: Times,
    ) -> tuple[Structure, Columns]:
        found: Columns = {}
        if self._others:
            with times.stage(READ):
                others = self._read_others(part, samples.indices, targets)
            found.update(Structure(others).columns(others))
            found = dict(zip(self._others, found.values()))
        for picture in self.pictures:
            found[picture.key] = self._decoded(picture, part, samples, times)
        columns = {key: found[key] for key in self._shown}
        example: Any = columns
        if not isinstance(getattr(self._dataset, "schema", {}), dict):
            example = tuple(columns.values())
        structure = Structure(example)
        return structure, structure.columns(example)

    def _batch(self, part: Part, indices: np.ndarray, targets: Mapping[Key, Target]) -> Any:
        batch = self._dataset.batch
        if self._takes_out:
            return batch(indices, out=_targets(part, targets))
        if self.fields is not None:
            return batch(indices, list(self.fields))
        return batch(indices)

    def _read_others(self, part: Part, indices: np.ndarray, targets: Mapping[Key, Target]) -> Any:
        if self._takes_out:
            wanted = {key: targets[key] for key in self._others if key in targets}
            out = _targets(part, wanted)
            return self._dataset.batch(indices, self._others, out=out)
        return self._dataset.batch(indices, self._others)

    def _decoded(
        self,
        picture: Picture,
        part: Part,
        samples: Samples,
        times: Times,
    ) -> Any:
        """Return the column of a field of pictures: those of one shape in the batch's memory."""
        key = picture.key
        indices = samples.indices
        with times.stage(READ):
            values = self._values(picture, indices)
        times.stored_bytes += sum(_size_of(value) for value in values)
        with times.stage(DECODE):
            randoms = _randoms(picture, samples)
            has_nulls = any(value is None for value in values)
            target = None
            if picture.shape is not None and not has_nulls:
                target = part.target(key, np.dtype(np.uint8), picture.shape)
            if target is None:
                return in_call(self._decoded_list, picture, values, indices, randoms)
            for row, value in enumerate(values):
                part.stopped.check()
                index = int(indices[row])
                out = target[row]
                self._at(picture, index, picture.decode_into, value, out, randoms[row])
            return target

    def _values(self, picture: Picture, indices: np.ndarray) -> Sequence[Any]:
        """The stored values of a field of pictures: views of the file."""
        if picture.is_raw:
            return [self._encoded[index, picture.key] for index in indices.tolist()]
        (values,) = _values_of(self._encoded.batch(indices, [picture.key]))
        found: Sequence[Any] = values
        return found

    def _decoded_list(
        self,
        picture: Picture,
        values: Sequence[Any],
        indices: np.ndarray,
        randoms: Any,
    ) -> list[Any]:
        decoded = []
        for value, index, random in zip(values, indices.tolist(), randoms):
            array = self._decode(picture, value, random, index)
            decoded.append(array)
        return decoded

    def _decode(self, picture: Picture, value: Any, random: Any, index: int) -> Any:
        if value is None:
            return None
        return self._at(picture, index, picture.decode, value, random)

    def _at(
        self,
        picture: Picture,
        index: int,
        function: Callable[..., Any],
        *arguments: Any,
    ) -> Any:
        """Return what a decoder's function returns; what it raises says of which sample it is."""
        try:
            return function(*arguments)
        except UNREADABLE as error:
            raise self._placed(error, picture, index) from error.__cause__
        except Exception as error:
            annotate(error, self._where(index, picture.key))
            raise

    def _placed(self, error: Unreadable, picture: Picture, index: int) -> Unreadable:
        """Return the same error, which says where."""
        kind = type(error)
        file, record = self._place(index)
        return kind(error.message, file=file, record=record, field=picture.key)

    def _place(self, index: int) -> tuple[str | None, int]:
        """Return the file of a sample and its position there, as far as they are known."""
        shard_of = getattr(self._dataset, "shard_of", None)
        if shard_of is None:
            return None, index
        file, record = shard_of(index)
        return file, record

    def _where(self, index: int, key: Any = None) -> str:
        file, record = self._place(index)
        return in_words(file, record, key)

    # Sample by sample

    def _by_row(self, part: Part, samples: Samples, times: Times) -> Structure:
        indices = samples.indices
        with times.stage(READ):
            rows = _read_samples(self.stored, indices)
        for picture in self.pictures:
            with times.stage(DECODE):
                self._decode_within(rows, picture, samples)
        if self.transforms:
            with times.stage(TRANSFORM):
                for row, value in enumerate(rows):
                    part.stopped.check()
                    rows[row] = self._transform(value, samples, row)
        with times.stage(COLLATE):
            structure, columns = collated(rows)
            for key, column in columns.items():
                part.put_rows(key, column)
        return structure

    def _decode_within(self, rows: list[Any], picture: Picture, samples: Samples) -> None:
        """Put the decoded pictures of one field into samples."""
        randoms = _randoms(picture, samples)
        key: Any = picture.key
        for row, index in enumerate(samples.indices.tolist()):
            sample = rows[row]
            decoded = self._decode(picture, sample[key], randoms[row], index)
            if self.gets_channels_first:
                decoded = channels_first(decoded)
            if isinstance(sample, tuple):
                values = list(sample)
                values[key] = decoded
                rows[row] = tuple(values)
            else:
                sample[key] = decoded

    def _transform(self, sample: Any, samples: Samples, row: int) -> Any:
        try:
            rng = None
            if self._takes_rng:
                rng = samples.generator(row)
            for transform in self.transforms:
                sample = transform(sample, rng)
        except Exception as error:
            index = int(samples.indices[row])
            annotate(error, f"{self._where(index)}, in transform")
            raise
        return sample


_FETCH_AHEAD = (IndexedRecordDataset, Combined, Windows)


def _is_remote(dataset: Any) -> bool:
    """Return whether files are read through another storage than this machine's, of any dataset."""
    if isinstance(dataset, Combined):
        return any(map(_is_remote, dataset.datasets))
    return "://" in str(getattr(dataset, "path", ""))


def _randoms(picture: Picture, samples: Samples) -> Any:
    """Random numbers of pictures: the same for all fields, so a mask is cut as its image is."""
    if not picture.num_random:
        return [None] * len(samples.indices)
    return samples.uniform(picture.num_random)


class Called:
    """A function of the user's: `function(value)`, or `function(value, rng)`.

    Attributes:
        takes_rng: whether it is the latter.
    """

    def __init__(self, function: Transform) -> None:
        self._function = function
        self.takes_rng = takes_rng(function)

    def __call__(self, value: Any, rng: np.random.Generator | None) -> Any:
        if not self.takes_rng:
            return self._function(value)
        return self._function(value, rng)


def _called(*functions: Transform | None) -> list[Called]:
    """Return the functions that are given."""
    return [Called(function) for function in functions if function is not None]


def takes_rng(function: Transform) -> bool:
    """Return whether a function has a second argument that must be given, or one named `rng`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # of some functions written in C
        return False
    positional = [each for each in parameters if each.kind in _POSITIONAL]
    if len(positional) < 2:
        return False
    second = positional[1]
    return second.name == "rng" or second.default is inspect.Parameter.empty


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _with_fields(dataset: Any, fields: Sequence[Key] | None) -> Any:
    if fields is None:
        return dataset
    if not isinstance(fields, (list, tuple)):
        raise TypeError(f"fields is a list of fields, not {fields!r}")
    if isinstance(dataset, IndexedRecordDataset):
        return dataset.select_fields(fields)
    if isinstance(dataset, Combined):
        return dataset
    kind = type(dataset).__name__
    raise TypeError(f"fields is for datasets, not for {kind}")


def _plain(dataset: Any, decode: Mapping[Key, Any], copy: bool | None) -> Any:
    """Return a dataset that raises what is wrong, and transforms nothing itself."""
    if isinstance(dataset, IndexedRecordDataset):
        view = dataset.with_decode(decode, copy=copy)
        view.transform = None
        view.on_error = "raise"
        return view
    if isinstance(dataset, Combined):
        return dataset.with_decode(decode, copy=copy)
    if decode:
        kind = type(dataset).__name__
        raise TypeError(f"decode is for datasets with images, not for {kind}")
    return dataset


def _own_transform(dataset: Any) -> Transform | None:
    if isinstance(dataset, IndexedRecordDataset):
        return dataset.transform
    return None


def _has_transforms_within(dataset: Any) -> bool:
    """Return whether the datasets that one is made of transform samples: then they decode."""
    for source in getattr(dataset, "datasets", ()):
        if getattr(source, "transform", None) is not None or _has_transforms_within(source):
            return True
    return False


def _reads_columns(dataset: Any) -> bool:
    """Return whether a dataset has a method `batch`, as all must have that it is made of."""
    if not hasattr(dataset, "batch"):
        return False
    return all(_reads_columns(source) for source in getattr(dataset, "datasets", ()))


def _verify_of(dataset: Any) -> bool | str | None:
    """When checksums of a dataset are compared: of the first, where it is made of several."""
    for source in getattr(dataset, "datasets", ()):
        return _verify_of(source)
    found: bool | str | None = getattr(dataset, "verify", None)
    return found


def _read_samples(dataset: Any, indices: np.ndarray) -> list[Any]:
    numbers = indices.tolist()
    together = getattr(dataset, "__getitems__", None)
    if together is not None:
        return list(together(numbers))
    return [dataset[number] for number in numbers]


def _values_of(batch: Any) -> list[Any]:
    if isinstance(batch, dict):
        return list(batch.values())
    return list(batch)


def _targets(part: Part, targets: Mapping[Key, Target]) -> dict[Any, np.ndarray]:
    out = {}
    for key, (dtype, row_shape) in targets.items():
        target = part.target(key, dtype, row_shape)
        if target is not None:
            out[key] = target
    return out


def _size_of(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    return len(value)
