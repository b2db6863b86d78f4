"""Splitting the records of a list into parts, by chance or by a field; cutting it into shards."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dsrecords._dataset.field_values import all_values, codes_of, plan_for_values
from dsrecords._dataset.key_hashes import parts_by_key
from dsrecords._dataset.reading import PassOver, Reading
from dsrecords._dataset.shares import Parts, counts_of, parts_of
from dsrecords._order.permutation import Permutation

_ONLY_FRACTIONS = {  # and why
    "group": "groups stay whole, so that counts could not be kept",
    "key": "the value alone decides, whatever the number of records",
}
_LARGE_GROUP = 10  # as many such groups would fill the smallest part


class Rule(NamedTuple):
    """How records come into parts.

    Attributes:
        seed: of the shuffle; None: there is none.
        stratify: the field of which each value is to be divided by the shares.
        group: the field whose equal values stay together.
        key: the field whose values alone decide.
    """

    seed: int | None
    stratify: Any
    group: Any
    key: Any


def split(
    reading: Reading,
    spec: Any,
    rule: Rule,
    pass_over: PassOver,
    view: Callable[[Reading], Any],
) -> Any:
    """Return views of the parts, as `IndexedRecordDataset.split` does; `view` makes each."""
    parts = parts_of(spec)
    _check_rule(rule, parts)
    now = reading.selected(slice(None))
    selections = _selections(
        now,
        parts,
        rule,
        pass_over,
    )
    _require_records(
        selections,
        parts,
        now.count(),
        rule,
    )
    views = [view(now.selected(selection)) for selection in selections]
    if parts.named:
        return dict(zip(parts.names, views))
    return views


def _selections(
    now: Reading,
    parts: Parts,
    rule: Rule,
    pass_over: PassOver,
) -> list[Any]:
    """Return what selects the records of each part: slices, formulas, or int64, (n,)."""
    if rule.key is not None:
        seed = rule.seed or 0
        return parts_by_key(
            now,
            rule.key,
            seed,
            parts.shares,
            pass_over,
        )
    if rule.stratify is None and rule.group is None:
        return _cut(now.count(), parts, rule.seed)
    if rule.stratify is not None:
        field = rule.stratify
        divide = _stratified
    else:
        field = rule.group
        divide = _grouped
    plan = plan_for_values(now, field, "split")
    values = all_values(now, plan, pass_over)
    codes = codes_of(values.column, field)
    order = _order(len(codes), rule.seed)
    part_of = divide(codes[order], parts, rule.seed)
    indices = values.indices[order]
    selections = []
    for number in range(len(parts.names)):
        is_in_part = part_of == number
        selections.append(indices[is_in_part])
    return selections


def _cut(
    count: int,
    parts: Parts,
    seed: int | None,
) -> list[Any]:
    """Return runs of all records, shuffled or not: they cost nothing, however many there are."""
    selections: list[Any] = []
    order: Any = None
    if seed is not None:
        order = Permutation(count, seed)
    start = 0
    for size in counts_of(parts, count):
        stop = start + size
        selection = slice(start, stop)
        if order is not None:
            selection = order[selection]
        selections.append(selection)
        start = stop
    return selections


def _order(count: int, seed: int | None) -> np.ndarray:
    """Return the numbers 0 to count - 1, shuffled unless the seed is None: int64, (n,)."""
    if seed is None:
        return np.arange(count)
    return Permutation(count, seed).array()


def _check_rule(rule: Rule, parts: Parts) -> None:
    fields = {
        "stratify": rule.stratify,
        "group": rule.group,
        "key": rule.key,
    }
    given = [name for name, field in fields.items() if field is not None]
    if len(given) > 1:
        names = "= and ".join(given)
        raise ValueError(f"{names}= exclude each other")
    if parts.counts is None:
        return
    for name in given:
        if name in _ONLY_FRACTIONS:
            reason = _ONLY_FRACTIONS[name]
            raise ValueError(f"{name}= takes fractions, not counts: {reason}")


def _require_records(
    selections: list[Any],
    parts: Parts,
    count: int,
    rule: Rule,
) -> None:
    """Raise ValueError if a part has no records; of an empty dataset, or by a key, it may."""
    if count == 0 or rule.key is not None:
        return
    for name, selection in zip(parts.names, selections):
        if isinstance(selection, slice):
            selection = range(count)[selection]
        if not len(selection):
            what = f"{count} records, or their groups, are too few"
            raise ValueError(f"part {name!r} would be empty: {what}")


# By a field


def _stratified(
    codes: np.ndarray,
    parts: Parts,
    seed: int | None,
) -> np.ndarray:
    """Return the part of each record, so that each value is divided by the shares.

    Records of one value lie side by side once they are sorted. Of that row the first part takes
    records at even distances, the second of what is left, and so on: so each part has the size
    that it would have without values, and of a value its share, rounded up or down. This says how
    many of each value a part gets, and it gets the next ones of the value. So a record whose value
    is corrected moves one or two others of each value, and not half of them.

    Args:
        codes: of the values: int64, (n,).
        parts: the parts.
        seed: not used, as the records are shuffled already.
    """
    count = len(codes)
    part_of = np.empty(count, np.int64)
    by_value = np.argsort(codes, kind="stable")
    left = by_value
    sizes = counts_of(parts, count)
    for number, size in enumerate(sizes[:-1]):
        total = max(len(left), 1)
        taken_before = np.arange(len(left) + 1) * size // total
        is_taken = np.diff(taken_before) > 0
        part_of[left[is_taken]] = number
        left = left[~is_taken]
    part_of[left] = len(sizes) - 1
    part_numbers = np.arange(len(sizes))
    taken = np.bincount(codes * len(sizes) + part_of)
    part_of[by_value] = np.repeat(np.resize(part_numbers, len(taken)), taken)
    return part_of


def _grouped(
    codes: np.ndarray,
    parts: Parts,
    seed: int | None,
) -> np.ndarray:
    """Return the part of each record, the same for records of one group.

    Large groups come first, the largest of them before the others. Each goes to the part of which
    the greatest share is still lacking with it. The small ones follow in a shuffled row, which is
    cut so that each part gets what it lacks.

    Args:
        codes: of the groups: int64, (n,).
        parts: the parts.
        seed: of the order of the groups; None: as their values first appear, or are sorted.
    """
    sizes = np.bincount(codes)
    part_of_group = np.zeros(len(sizes), np.int64)
    groups = np.flatnonzero(sizes)
    order = _order(len(groups), seed)
    groups = groups[order]
    shares = np.array(parts.shares, np.float64)
    wanted = shares * len(codes)
    lacking = wanted.copy()
    is_large = sizes[groups] * _LARGE_GROUP > wanted.min(initial=np.inf)
    large = groups[is_large]
    by_size = np.argsort(-sizes[large], kind="stable")
    for group in large[by_size].tolist():
        size = sizes[group]
        still_lacking = (lacking - size) / wanted
        part = still_lacking.argmax()
        lacking[part] -= size
        part_of_group[group] = part
    small = groups[~is_large]
    part_of_group[small] = _cut_row(sizes[small], lacking)
    found: np.ndarray = part_of_group[codes]
    return found


def _cut_row(sizes: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Return the part of each of a row of groups, so that parts get what they lack: int64, (n,)."""
    wanted = np.maximum(lacking, 0.0)
    limits = np.cumsum(wanted)[:-1]
    total = sizes.sum()
    if total:  # else all were large, and what is lacking may be nothing
        limits *= total / wanted.sum()
    stops = np.cumsum(sizes)
    middles = stops - sizes / 2
    found: np.ndarray = np.searchsorted(limits, middles, side="right")
    return found


# Shards


def shard(
    reading: Reading,
    num_shards: Any,
    index: Any,
) -> Reading:
    """Return a view of one of equal parts of a list, as `IndexedRecordDataset.shard` does."""
    num_shards = operator.index(num_shards)
    index = operator.index(index)
    if num_shards < 1:
        raise ValueError(f"num_shards must be 1 or more, not {num_shards}")
    if not 0 <= index < num_shards:
        raise ValueError(f"index must be 0 to {num_shards - 1}, not {index}")
    now = reading.selected(slice(None))
    size, larger = divmod(now.count(), num_shards)
    start = size * index + min(index, larger)
    stop = start + size
    if index < larger:
        stop += 1
    return now.selected(slice(start, stop))
