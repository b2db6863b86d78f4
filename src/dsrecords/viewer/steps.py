"""Step files: which samples some steps of training were made of, as `Loader.indices` says."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

_MOST = 2**53  # indices are numbers of JavaScript


class Step(NamedTuple):
    """A step of training.

    Attributes:
        name: as the file has it.
        indices: of its samples, in their order.
    """

    name: str
    indices: list[int]


def read_steps(path: str) -> list[Step]:
    """Return the steps in a JSON file.

    It has an object of lists by step, `{"1200": [5, 3], "1201": [4, 9]}`, a list of lists, which
    are the steps from 0 on, or one list of indices.

    Raises:
        ValueError: it has something else.
        OSError: it cannot be read.
    """
    with open(path, encoding="utf-8") as file:
        try:
            stated = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
    steps = [Step(str(name), indices) for name, indices in _pairs(stated)]
    if not steps:
        raise ValueError(f"{path}: it has no steps")
    for step in steps:
        if not _are_indices(step.indices):
            raise ValueError(
                f"{path}: step {step.name} is not a list of indices, as "
                "`loader.indices(step).tolist()` gives it"
            )
    return steps


def _pairs(stated: Any) -> list[tuple[Any, Any]]:
    """Names of steps and what should be their indices."""
    if isinstance(stated, dict):
        return list(stated.items())
    if isinstance(stated, list) and stated and all(isinstance(one, list) for one in stated):
        return list(enumerate(stated))
    return [(0, stated)]


def _are_indices(given: Any) -> bool:
    if not isinstance(given, list):
        return False
    return all(type(index) is int and 0 <= index < _MOST for index in given)
