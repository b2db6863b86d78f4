"""Samples with named fields: dicts, dataclasses, named tuples, structured rows. Knows no types."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def named_fields(sample: Any) -> Mapping[Any, Any] | None:
    """Return the fields of a sample by name, or None for a sample whose fields have no names.

    A dict is returned as it is. A dataclass or a named tuple becomes a dict, and so do the
    dataclasses and named tuples that it contains. So does a row of a structured array.
    """
    if isinstance(sample, Mapping):
        return sample
    is_class = isinstance(sample, type)
    if dataclasses.is_dataclass(sample) and not is_class:
        fields = {}
        for field in dataclasses.fields(sample):
            value = getattr(sample, field.name)
            fields[field.name] = _with_dicts(value)
        return fields
    if isinstance(sample, tuple) and hasattr(sample, "_asdict"):
        values = sample._asdict()
        fields = {}
        for name, value in values.items():
            fields[name] = _with_dicts(value)
        return fields
    if isinstance(sample, np.void) and sample.dtype.names:
        return {name: sample[name] for name in sample.dtype.names}
    return None


def kept(sample: Any) -> Any:
    """Return a sample that stays as it is if its giver puts the next one in its place.

    A generator may fill one dict, or one array, again and again.
    """
    if isinstance(sample, dict):
        return {key: _kept_value(value) for key, value in sample.items()}
    if type(sample) in (list, tuple):
        return type(sample)(map(_kept_value, sample))
    return _kept_value(sample)


def _kept_value(value: Any) -> Any:
    if isinstance(value, (np.ndarray, list, dict, bytearray)):
        return copy.deepcopy(value)
    return value


def _with_dicts(value: Any) -> Any:
    """Return a value in which dataclasses and named tuples are replaced by dicts."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
        return _items_with_dicts(value)
    if isinstance(value, Mapping):
        return value
    fields = named_fields(value)
    if fields is None:
        return value
    return fields


def _items_with_dicts(items: Sequence[Any]) -> Sequence[Any]:
    # The first item that is not None stands for all: a long list of numbers is not walked.
    for item in items:
        if item is None:
            continue
        if _with_dicts(item) is item:
            return items
        return [_with_dicts(each) for each in items]
    return items
