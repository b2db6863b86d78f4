"""`stats`: what the values of each field are like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsrecords._stats import kinds
from dsrecords._stats.distribution import Distribution, Numbers
from dsrecords._stats.field_stats import FieldStats
from dsrecords._stats.text import table
from dsrecords.errors import DSRecordsError, SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

_BLOCK = 2**16  # records whose numbers, or strings, are read together
_BLOCK_OF_ARRAYS = 256
_MOST_STRINGS = 100_000  # distinct ones that are counted
_MOST_IMAGES = 1000  # whose headers are read
_CHARACTERS = "characters"
_ITEMS = "items"
_BYTES = "bytes"


class Stats(Mapping[Any, FieldStats]):
    """What `dsrecords.stats` found: a mapping of fields to `FieldStats`. Shown, it is a table.

    Attributes:
        records: how many the dataset has.
    """

    def __init__(self, records: int, fields: Sequence[FieldStats]) -> None:
        self.records = records
        self._fields = {field.name: field for field in fields}

    def __getitem__(self, name: Any) -> FieldStats:
        return self._fields[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data: of the records, and of each field a dict."""
        return {
            "records": self.records,
            "fields": [field.to_dict() for field in self.values()],
        }

    def __repr__(self) -> str:
        return table(self.records, list(self.values()))


def stats(
    dataset: IndexedRecordDataset,
    fields: Sequence[Any] | None = None,
    *,
    bins: int = 20,
    top: int = 20,
    progress: bool = False,
) -> Stats:
    """Look at all values of a dataset: ranges, means, lengths, nulls, counts and histograms.

    Numbers, and the sizes and lengths of most other values, are read from the index. Strings and
    arrays are read from the data, once and twice; images, sounds and the like are not read, but for
    the headers of 1,000 images. A record that cannot be read is an error, or left out, as the
    dataset's `on_error` says.

    Args:
        dataset: or a view of one.
        fields: which, a list; by default all.
        bins: of a histogram, at most. Of integers, each bin has equally many whole numbers.
        top: how many of the most frequent values are kept.
        progress: whether to show a progress bar.

    Returns:
        A mapping of fields to their `FieldStats`, plain data; `to_dict()` is all of it for JSON.

    Raises:
        SchemaError: there is no such field, or it is read by a function of one's own.
        ValueError: `bins` or `top` is below 1.
        CorruptError, DecodeError: a record cannot be read; see `on_error`.
    """
    if bins < 1 or top < 1:
        raise ValueError(f"bins and top are 1 or more, not {bins} and {top}")
    names = list(dataset.fields if fields is None else fields)
    whole = dataset[:]  # as it is now, whatever is changed meanwhile
    shown = whole.select_fields(names)
    types = _types(shown)
    with _Progress(len(names) * len(whole), progress) as bar:
        found = []
        for name, type_name in zip(names, types):
            field = _Field(whole, name, type_name, bins, top, bar)
            found.append(field.looked_at())
    return Stats(len(whole), found)


def _types(dataset: IndexedRecordDataset) -> list[str]:
    schema = dataset.schema
    if isinstance(schema, dict):
        return list(schema.values())
    return list(schema)


class _Progress:
    """A progress bar that counts values, or nothing."""

    def __init__(self, total: int, is_shown: bool) -> None:
        self._bar: Any = None
        if is_shown:
            from tqdm import tqdm

            class Bar(tqdm):  # type: ignore[type-arg]
                monitor_interval = 0  # no thread: others may fork

            self._bar = Bar(total=total, desc="stats", unit=" values", dynamic_ncols=True)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int) -> None:
        """Count values that were looked at."""
        if self._bar is not None:
            self._bar.update(count)


class _Field:
    """Looks at one field."""

    def __init__(
        self,
        dataset: IndexedRecordDataset,
        name: Any,
        type_name: str,
        bins: int,
        top: int,
        bar: _Progress,
    ) -> None:
        self._dataset = dataset
        self._name = name
        self._type = type_name
        self._bins = bins
        self._top = top
        self._bar = bar
        self._kind = kinds.kind_of(type_name)
        self._records = 0
        self._nulls = 0
        self._numbers = Numbers(bins)

    def looked_at(self) -> FieldStats:
        """Return what the values are like."""
        if self._kind in (kinds.NUMBER, kinds.TIME):
            found = self._of_numbers()
        elif self._kind == kinds.CATEGORY:
            found = self._of_categories()
        elif self._kind == kinds.STRING:
            found = self._of_strings()
        elif self._kind == kinds.ARRAY:
            found = self._of_arrays()
        else:
            found = self._of_others()
        return found

    def _columns(self, size: int = _BLOCK) -> Iterator[Any]:
        """Yield the column of the field, some records at a time."""
        count = len(self._dataset)
        for start in range(0, count, size):
            yield self._dataset[start : start + size].column(self._name)

    def _arrays(self) -> Iterator[np.ndarray]:
        """Yield the values of numbers that are not None, some records at a time."""
        for column in self._columns():
            if not isinstance(column, np.ndarray):
                raise self._unknown()
            known = column
            if np.ma.isMaskedArray(column):
                known = column.compressed()
            if known.dtype.kind == "V":  # bfloat16, with which NumPy does not compute
                known = known.astype(np.float32)
            self._records += len(column)
            self._nulls += len(column) - len(known)
            yield known

    def _unknown(self) -> SchemaError:
        message = "it is read by a function or a decoding of its own: open the dataset without it"
        return SchemaError(message, file=self._dataset.path, field=self._name)

    # Numbers

    def _of_numbers(self) -> FieldStats:
        for array in self._arrays():
            self._numbers.add(array)
            self._bar.add(len(array) // 2)
        self._numbers.begin_histogram()
        first = (self._records, self._nulls)
        for array in self._arrays():
            self._numbers.add_again(array)
            self._bar.add(len(array) - len(array) // 2)
        self._records, self._nulls = first
        counted = self._counted_integers()
        return self._result(values=self._numbers.distribution(), counted=counted)

    def _counted_integers(self) -> list[tuple[Any, int]] | None:
        counts = self._numbers.exact_counts
        if counts is None or self._kind == kinds.TIME:
            return None
        found = np.flatnonzero(counts)
        numbers = [distance + self._numbers.minimum for distance in found.tolist()]
        values: list[Any] = numbers
        if self._type.startswith("bool"):
            values = [bool(number) for number in numbers]
        return list(zip(values, counts[found].tolist()))

    def _of_categories(self) -> FieldStats:
        names = self._dataset.categories(self._name)
        totals = np.zeros(len(names), np.int64)
        for array in self._arrays():
            totals += np.bincount(array, minlength=len(names))
            self._bar.add(len(array))
        pairs = zip(names, totals.tolist())
        counted = [pair for pair in pairs if pair[1]]
        return self._result(counted=counted)

    # Payloads

    def _of_strings(self) -> FieldStats:
        counts: Counter[Any] | None = Counter()
        lengths = []
        for column in self._columns():
            known = [value for value in column if value is not None]
            self._records += len(column)
            self._nulls += len(column) - len(known)
            lengths.append(_int_array(map(len, known), len(known)))
            if counts is not None:
                counts.update(known)
                if len(counts) > _MOST_STRINGS:
                    counts = None
            self._bar.add(len(column))
        counted = None
        if counts is not None:
            counted = list(counts.items())
        found = _distribution(lengths, self._bins)
        return self._result(lengths=found, unit=_CHARACTERS, counted=counted)

    def _of_arrays(self) -> FieldStats:
        for values in self._items():
            self._numbers.add(values)
        self._numbers.begin_histogram()
        records = self._records
        for values in self._items():
            self._numbers.add_again(values)
        self._records = records
        lengths = self._lengths_in_index()
        return self._result(
            values=self._numbers.distribution(),
            lengths=lengths,
            unit=_ITEMS,
        )

    def _items(self) -> Iterator[np.ndarray]:
        """Yield all items of some arrays as one array (n,)."""
        for column in self._columns(_BLOCK_OF_ARRAYS):
            self._records += len(column)
            self._bar.add(len(column) // 2)
            known = [np.ravel(value) for value in column if value is not None]
            if not known:
                continue
            items = np.concatenate(known)
            if items.dtype.kind == "V":
                items = items.astype(np.float32)
            yield items

    def _of_others(self) -> FieldStats:
        self._records = len(self._dataset)
        lengths = self._lengths_in_index()
        unit = _ITEMS
        if self._type.removesuffix("?") == "bytes":
            unit = _BYTES
        heights = None
        widths = None
        image_sizes = self._image_sizes()
        if image_sizes is not None:
            heights = _distribution([image_sizes[:, 0]], self._bins)
            widths = _distribution([image_sizes[:, 1]], self._bins)
        self._bar.add(self._records)
        return self._result(
            lengths=lengths,
            unit=unit,
            heights=heights,
            widths=widths,
        )

    def _lengths_in_index(self) -> Distribution | None:
        """Return how long values are that are not None, if the index says so."""
        try:
            lengths = self._dataset.lengths(self._name)
        except SchemaError:
            return None
        known = self._dataset.stored_sizes(self._name) >= 0
        return _distribution([lengths[known]], self._bins)

    def _image_sizes(self) -> np.ndarray | None:
        """Return the sizes of some images; None if they are none, or cannot be read here."""
        count = len(self._dataset)
        some = np.linspace(0, count - 1, min(count, _MOST_IMAGES)).astype(np.int64)
        try:
            sizes = self._dataset.image_sizes(self._name, some)
        except (DSRecordsError, ImportError):
            return None
        return sizes[sizes.any(axis=1)]

    def _stored_sizes(self) -> Distribution | None:
        """Return how many bytes payloads take, and note which are None."""
        try:
            sizes = self._dataset.stored_sizes(self._name)
        except SchemaError:  # a file of dsrecords 0.4 does not say
            return None
        known = sizes[sizes >= 0]
        self._nulls = len(sizes) - len(known)
        return _distribution([known], self._bins)

    def _result(
        self,
        values: Distribution | None = None,
        lengths: Distribution | None = None,
        unit: str = "",
        heights: Distribution | None = None,
        widths: Distribution | None = None,
        counted: list[tuple[Any, int]] | None = None,
    ) -> FieldStats:
        sizes = None
        if self._kind in (kinds.STRING, kinds.ARRAY, kinds.OTHER):
            sizes = self._stored_sizes()
        distinct = None
        top: list[tuple[Any, int]] = []
        if counted is not None:
            distinct = len(counted)
            top = sorted(counted, key=lambda pair: -pair[1])[: self._top]
        if lengths is None:
            unit = ""
        return FieldStats(
            name=self._name,
            type=self._type,
            records=self._records,
            nulls=self._nulls,
            nans=self._numbers.nans,
            infinities=self._numbers.infinities,
            values=values,
            lengths=lengths,
            length_unit=unit,
            sizes=sizes,
            heights=heights,
            widths=widths,
            distinct=distinct,
            top=tuple(top),
        )


def _int_array(values: Any, count: int) -> np.ndarray:
    return np.fromiter(values, np.int64, count)


def _distribution(arrays: Sequence[np.ndarray], bins: int) -> Distribution | None:
    """Return how the numbers of some arrays of integers are distributed; None if there is none."""
    numbers = Numbers(bins)
    for array in arrays:
        numbers.add(array)
    numbers.begin_histogram()
    for array in arrays:
        numbers.add_again(array)
    return numbers.distribution()
