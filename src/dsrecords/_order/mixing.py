"""`mix`: datasets as one, each with its share of any stretch of it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._order.combined import Combined
from dsrecords._order.permutation import Permutation, derived_seed
from dsrecords._order.schedule import Change, Schedule, groups_of
from dsrecords._order.sources import (
    check_source,
    joined,
    passes_over,
    prefetch,
    read_columns,
    read_samples,
    schema_of,
)
from dsrecords.errors import SchemaError

_STOPS = ("first_exhausted", "all_exhausted")
_KEPT = 64  # permutations of sources that are kept for the next sample

Changes = Sequence[Change]


class Origin(NamedTuple):
    """Where a sample of a mixture comes from.

    Attributes:
        dataset: which of the datasets, by its position among them.
        record: the index of the sample in it.
    """

    dataset: int
    record: int


def mix(
    datasets: Sequence[Any],
    weights: Sequence[Any] | None = None,
    *,
    seed: int | None = 0,
    stop: str | int = "first_exhausted",
    schedule: Changes = (),
) -> Mixture:
    """Return datasets as one, in which each has its share of any stretch, and not by chance.

    A step of a mixture is one sample. Of the first n steps under some weights, for any n, each
    dataset has its share to within two samples; of two datasets, to within a half, rounded. Which
    dataset has a step is a formula, so that any sample can be read at once.

    Each dataset is gone through in an order of its own. When it is exhausted before the mixture
    ends, it begins again, in another order.

    Args:
        datasets: with samples by index. They may have different fields.
        weights: of the datasets: numbers of at least 0. By default all have the same.
        seed: of the orders in which datasets are gone through. None: as they are, again and again.
        stop: "first_exhausted": with the last sample of the dataset that ends first;
            "all_exhausted": when each sample of each dataset was there at least once; or after so
            many steps.
        schedule: (step, weights): other weights from a step on; any number of them. With a global
            batch of G samples, step t of a training begins at step t · G of the mixture.

    Raises:
        ValueError: no datasets, or other weights than datasets; an empty dataset with a weight;
            a mixture that never ends.
        TypeError: a dataset has no length or no indices.
    """
    datasets = list(datasets)
    if weights is None:
        weights = [1] * len(datasets)
    return Mixture(
        datasets,
        weights,
        seed,
        stop,
        schedule,
    )


class Group(NamedTuple):
    """Samples that are read together.

    Attributes:
        dataset: which of the datasets they are of.
        records: their indices in it: int64, (n,).
        places: where they belong among those that were asked for: int64, (n,).
    """

    dataset: int
    records: np.ndarray
    places: np.ndarray


class Mixture(Combined):
    """Datasets as one: what `mix` returns.

    Args:
        datasets, weights, seed, stop, schedule: as those of `mix`.
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        weights: Sequence[Any],
        seed: int | None,
        stop: str | int,
        schedule: Changes,
    ) -> None:
        for number, dataset in enumerate(datasets):
            check_source(dataset, number)
        if not datasets or len(weights) != len(datasets):
            raise ValueError(f"{len(weights)} weights for {len(datasets)} datasets")
        self._seed = seed
        self._schedule = Schedule(weights, schedule)
        self._lengths = [len(dataset) for dataset in datasets]
        self._check_empty()
        self._passes_over = any(passes_over(dataset) for dataset in datasets)
        self._permutations: dict[tuple[int, int], Permutation] = {}
        count = self._end(stop)
        super().__init__(datasets, count)
        self._count = count

    def _check_empty(self) -> None:
        for phase in self._schedule.phases:
            for number, weight in enumerate(phase.shares.weights):
                if weight and not self._lengths[number]:
                    raise ValueError(f"dataset {number} has no samples, and a weight: leave it out")

    def _end(self, stop: str | int) -> int:
        """Return how many steps the mixture has."""
        if not isinstance(stop, str):
            steps = operator.index(stop)
            if steps < 0:
                raise ValueError(f"a mixture ends after 0 steps or more, not {stop}")
            return steps
        if stop not in _STOPS:
            raise ValueError(
                f"stop is 'first_exhausted', 'all_exhausted' or a number, not {stop!r}"
            )
        ends = []
        for source, length in enumerate(self._lengths):
            end = self._schedule.end_of(source, length)
            ends.append(end)
        known = [end for end in ends if end is not None]
        if stop == "first_exhausted":
            if not known:
                raise ValueError("no dataset is ever exhausted with these weights: give steps")
            return min(known)
        if len(known) < len(ends):
            never = ends.index(None)
            raise ValueError(
                f"dataset {never} is never exhausted, as its weight is 0: leave it out, or give "
                "a number of steps"
            )
        return max(known)

    # What it is

    @property
    def weights(self) -> tuple[int, ...]:
        """The weights at the first step, as the integers that are counted with."""
        return self._schedule.phases[0].shares.weights

    @property
    def schema(self) -> dict[str, str] | list[str]:
        """The schema of the datasets. Raises SchemaError if theirs are not the same."""
        first = schema_of(self.datasets[0], 0)
        for number, source in enumerate(self.datasets):
            other = schema_of(source, number)
            if other != first:
                raise SchemaError(
                    f"the datasets of a mixture have different schemas: 0 has {first}, {number} "
                    f"has {other}; batch reads the fields that they share, if you name them"
                )
        found: dict[str, str] | list[str] = first
        return found

    def own_schedule(self) -> Schedule | None:
        """Return whose turn it is at each step; None of a view, whose steps are any."""
        if self.is_view():
            return None
        return self._schedule

    def counts(self) -> list[int]:
        """Return how many samples each dataset has among all steps, with repetitions."""
        if not self.is_view():
            return self._schedule.counts(len(self))
        everything = slice(None)
        sources, _ = self.sources(everything)
        counts = np.bincount(sources, minlength=len(self.datasets))
        return [int(count) for count in counts]

    def source(self, index: int) -> Origin:
        """Return which dataset a sample is of, and which record of it.

        Raises:
            IndexError: out of range.
        """
        return self._origin(self.position_of(index))

    def sources(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the same of many samples: datasets and records, two arrays, int64, (n,)."""
        return self._origins(self.positions_of(indices))

    def _origin(self, step: int) -> Origin:
        source, number = self._schedule.at(step)
        length = self._lengths[source]
        turn = number // length
        record = number % length
        if self._seed is not None:
            permutation = self._permutation(source, turn)
            record = permutation[record]
        return Origin(source, record)

    def _origins(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sources, numbers = self._schedule.at_many(steps)
        all_lengths = np.array(self._lengths, np.int64)
        lengths = all_lengths[sources]
        turns = numbers // lengths
        records = numbers - turns * lengths
        if self._seed is None:
            return sources, records
        for source, places in groups_of(sources):
            records[places] = self._permuted(
                source,
                turns[places],
                records[places],
            )
        return sources, records

    def _permuted(
        self,
        source: int,
        turns: np.ndarray,
        records: np.ndarray,
    ) -> np.ndarray:
        """Return the records of one dataset at some positions of its turns."""
        permuted = np.empty_like(records)
        for turn, places in groups_of(turns):
            permutation = self._permutation(source, turn)
            permuted[places] = permutation.array(records[places])
        return permuted

    def _permutation(self, source: int, turn: int) -> Permutation:
        """Return the order in which a dataset is gone through, this time."""
        key = (source, turn)
        permutation = self._permutations.get(key)
        if permutation is None:
            assert self._seed is not None
            seed = derived_seed(self._seed, source)
            seed = derived_seed(seed, turn)
            permutation = Permutation(self._lengths[source], seed)
            if len(self._permutations) >= _KEPT:
                self._permutations.clear()
            self._permutations[key] = permutation
        return permutation

    def _parts(self) -> tuple[Any, ...]:
        phases = []
        for phase in self._schedule.phases:
            changed = (phase.start, phase.shares.weights)
            phases.append(changed)
        return "mix", phases, self._seed

    # Reading

    def _sample(self, position: int, part: tuple[Any, ...]) -> Any:
        source, record = self._origin(position)
        dataset = self.datasets[source]
        if part:
            return dataset[(record, *part)]
        return dataset[record]

    def _groups(self, positions: np.ndarray) -> list[Group]:
        """Return which samples are read together.

        Where a dataset may leave out what it cannot read, each sample is read by itself, so that it
        is known which one is missing.
        """
        sources, records = self._origins(positions)
        groups = []
        if self._passes_over:
            for place, source in enumerate(sources.tolist()):
                places = np.array([place])
                group = Group(source, records[places], places)
                groups.append(group)
            return groups
        for source, places in groups_of(sources):
            group = Group(source, records[places], places)
            groups.append(group)
        return groups

    def _samples(self, positions: np.ndarray) -> list[Any]:
        samples: list[Any] = []
        groups = self._groups(positions)
        for group in groups:
            source = self.datasets[group.dataset]
            samples += read_samples(source, group.records)
        order = self._order_of(groups)
        if order is None:
            return samples
        return [samples[place] for place in order.tolist()]

    def _columns(self, positions: np.ndarray, fields: Any) -> Any:
        fields = self._common(fields)
        groups = self._groups(positions)
        if not groups:
            return read_columns(self.datasets[0], 0, positions, fields)
        chunks = []
        for group in groups:
            chunk = read_columns(
                self.datasets[group.dataset],
                group.dataset,
                group.records,
                fields,
            )
            chunks.append(chunk)
        order = self._order_of(groups)
        return joined(chunks, order)

    def _prefetch(self, positions: np.ndarray, fields: Any) -> None:
        sources, records = self._origins(positions)
        for source, places in groups_of(sources):
            prefetch(self.datasets[source], records[places], fields)

    def _order_of(self, groups: list[Group]) -> np.ndarray | None:
        """Return in which order samples that were read by groups belong; None if in theirs."""
        if self._passes_over or len(groups) < 2:
            return None
        of_all = [group.places for group in groups]
        places = np.concatenate(of_all)
        return places.argsort()

    def _common(self, fields: Any) -> Any:
        """Return the fields that are read. Raises SchemaError if their types differ."""
        if fields is None:
            if self._has_no_fields():
                return None
            schema = self.schema
            if isinstance(schema, dict):
                return list(schema)
            return None
        names = fields
        if not isinstance(fields, (list, tuple)):
            names = [fields]
        for name in names:
            self._check_common(name)
        return fields

    def _has_no_fields(self) -> bool:
        """Return whether samples are single values, such as windows, in all datasets."""
        return not any(hasattr(source, "schema") for source in self.datasets)

    def _check_common(self, name: Any) -> None:
        first = None
        for number, source in enumerate(self.datasets):
            schema = schema_of(source, number)
            try:
                found = schema[name]
            except (KeyError, IndexError, TypeError):
                raise SchemaError(
                    f"dataset {number} of the mixture has no field {name!r}"
                ) from None
            if first is None:
                first = found
            if found != first:
                raise SchemaError(
                    f"field {name!r} is {first} in dataset 0 of the mixture, and {found} in "
                    f"dataset {number}"
                )
