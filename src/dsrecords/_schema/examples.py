"""Values of one field, and how messages of inference show them. Knows no types."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dsrecords._types.base import describe
from dsrecords.errors import SchemaError

_LONGEST_SHOWN = 60  # characters of a value in a message


class Example(NamedTuple):
    """One value of a field."""

    value: Any
    sample: int  # position of the sample that has it


Examples = Sequence[Example]


def several_types(
    one: Example,
    other: Example,
    hint: str = "",
) -> SchemaError:
    """Return the error that two values of a field have different types.

    Args:
        one: a value.
        other: a value of another type.
        hint: what follows the advice to give a schema.
    """
    values = f"{shown(one)} and {shown(other)}"
    advice = f"give a schema that says which{hint}"
    if _is_nan(one.value) or _is_nan(other.value):
        advice = "a value that is missing must be given as None, not NaN"
    return SchemaError(f"values of several types, such as {values}: {advice}")


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def shown(example: Example) -> str:
    """Return a value and its sample, as messages show them."""
    value = _shown_value(example.value)
    return f"{value} (sample {example.sample})"


def _shown_value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return describe(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    full = repr(value)
    if len(full) <= _LONGEST_SHOWN:
        return full
    start = full[:_LONGEST_SHOWN]
    return f"{start}… ({describe(value)})"
