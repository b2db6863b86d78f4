"""Datasets that are made of others: what mixtures and zipped datasets have in common."""

from __future__ import annotations

import abc
import operator
from collections.abc import Iterator, Mapping, Sequence
from copy import copy as copied
from typing import Any, TypeVar

import numpy as np

from dsrecords._order.fingerprints import fingerprint, known_by, spread
from dsrecords._order.permutation import Permutation
from dsrecords._order.shown import EXPECTED, as_indices, out_of_range, positions_at, positions_in
from dsrecords._order.sources import with_decode

Combined_ = TypeVar("Combined_", bound="Combined")

_AHEAD = 256  # samples that a loop reads together


class Combined(Sequence[Any]):
    """A list of samples that others hold.

    A slice, a list of indices and a mask are views: the same, of which other samples are shown.

    Args:
        datasets: what it is made of.
        count: of its samples.

    Attributes:
        datasets: the same, a tuple.
    """

    def __init__(self, datasets: Sequence[Any], count: int) -> None:
        self.datasets = tuple(datasets)
        self._whole = range(count)
        self._shown: Any = self._whole

    # What subclasses define

    @abc.abstractmethod
    def _sample(self, position: int, part: tuple[Any, ...]) -> Any:
        """Return one sample, or the part of it that stands behind its index."""

    @abc.abstractmethod
    def _samples(self, positions: np.ndarray) -> list[Any]:
        """Return many samples (int64, (n,)); some may be left out, as their dataset says."""

    @abc.abstractmethod
    def _columns(self, positions: np.ndarray, fields: Any) -> Any:
        """Return many samples field by field, as `batch` does."""

    @abc.abstractmethod
    def _prefetch(self, positions: np.ndarray, fields: Any) -> None:
        """Let the datasets begin to fetch many samples."""

    @abc.abstractmethod
    def _parts(self) -> tuple[Any, ...]:
        """Return what two of one class and of the same sources differ by."""

    # What it is

    def __len__(self) -> int:
        return len(self._shown)

    @property
    def fingerprint(self) -> str:
        """16 letters that say which records it shows, and in which order."""
        known = [known_by(source) for source in self.datasets]
        count = len(self)
        some = np.array(spread(count), np.int64)
        positions = positions_at(self._shown, some)
        return fingerprint(
            known,
            self._parts(),
            count,
            positions.tolist(),
        )

    def is_view(self) -> bool:
        """Return whether this shows a selection."""
        if not isinstance(self._shown, range):
            return True
        return self._shown != self._whole

    # Reading

    def __getitem__(self, key: Any) -> Any:
        """Return a sample, parts of one, or a view, as a dataset does."""
        part: tuple[Any, ...] = ()
        if isinstance(key, tuple):
            part = key[1:]
            key = key[0]
        elif _means_many(key):
            return self._view(key)
        position = self.position_of(key)
        return self._sample(position, part)

    def position_of(self, index: Any) -> int:
        """Return the position, among all samples, of the one that is shown at an index."""
        try:
            number = operator.index(index)
            return int(self._shown[number])
        except TypeError:
            kind = type(index).__name__
            raise TypeError(f"{EXPECTED}, not {kind}") from None
        except IndexError:
            raise out_of_range(index, len(self)) from None

    def _view(self: Combined_, key: Any) -> Combined_:
        view = copied(self)
        view._shown = self._selected(key)
        return view

    def _selected(self, key: Any) -> Any:
        """Return the positions at many indices: a range, a formula, or int64, (n,)."""
        if isinstance(key, slice):
            return self._shown[key]
        count = len(self)
        is_permutation = isinstance(key, Permutation) and key.n == count
        if is_permutation and not self.is_view():
            return key
        indices = as_indices(key, count)
        return positions_at(self._shown, indices)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _AHEAD):
            window = slice(start, start + _AHEAD)
            positions = self.positions_of(window)
            yield from self._samples(positions)

    def positions_of(self, indices: Any) -> np.ndarray:
        """Return the same of many: int64, (n,)."""
        selected = self._selected(indices)
        return positions_in(selected)

    def __getitems__(self, indices: Any) -> list[Any]:
        """Return samples for PyTorch's fetcher, read together."""
        positions = self.positions_of(indices)
        return self._samples(positions)

    def batch(self, indices: Any, fields: Any = None) -> Any:
        """Read many samples, field by field, as `IndexedRecordDataset.batch` does.

        Args:
            indices: integers, a mask, a slice or a range.
            fields: which, a list; by default all. One field alone gives its column alone.

        Raises:
            TypeError: a dataset has no method `batch`.
            SchemaError: there is no such field, or its type is not the same in all datasets.
        """
        positions = self.positions_of(indices)
        return self._columns(positions, fields)

    def prefetch(self, indices: Any, fields: Any = None) -> None:
        """Begin to fetch samples of files elsewhere, as `IndexedRecordDataset.prefetch` does.

        Args:
            indices: as of `batch`.
            fields: as of `batch`.
        """
        positions = self.positions_of(indices)
        self._prefetch(positions, fields)

    def column(self, field: Any) -> Any:
        """Read one field of all samples, as `batch` does."""
        if isinstance(field, (list, tuple)):
            raise TypeError("a column is of one field; for several call batch(slice(None), [...])")
        return self.batch(slice(None), field)

    def with_decode(
        self: Combined_, decode: Mapping[Any, Any], *, copy: bool | None = None
    ) -> Combined_:
        """Return a view of the same samples, whose images are read in another way.

        Args:
            decode: by field, as `IndexedRecordDataset.with_decode` takes it.
            copy: whether what is read is owned; None: as before.

        Raises:
            TypeError: a dataset has no method `with_decode`.
            SchemaError: there is no such field, or it cannot be decoded so.
        """
        view = copied(self)
        datasets = []
        for number, source in enumerate(self.datasets):
            decodings = self._decodings_of(number, decode)
            decoded = with_decode(source, number, decodings, copy)
            datasets.append(decoded)
        view.datasets = tuple(datasets)
        return view

    def _decodings_of(self, number: int, decode: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return those of the decodings that are for the fields of one dataset."""
        return dict(decode)

    def __repr__(self) -> str:
        kind = type(self).__name__
        sources = len(self.datasets)
        view = ""
        if self.is_view():
            view = " (view)"
        return f"<{kind} of {sources} datasets: {len(self):,} samples{view}>"


def _means_many(key: Any) -> bool:
    if not hasattr(key, "__index__"):
        return True
    return np.ndim(key) > 0  # arrays have it too
