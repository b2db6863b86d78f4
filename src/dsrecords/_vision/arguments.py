"""What decoders of images are given: each argument is checked where the decoder is made."""

from __future__ import annotations

import math
from typing import Any

from dsrecords._types.image_conversion import MODES
from dsrecords._vision.filters import INTERPOLATIONS


def check_mode(mode: Any) -> None:
    """Raise ValueError unless it is the name of a mode."""
    _check_name("mode", mode, tuple(MODES))


def check_interpolation(interpolation: Any) -> None:
    """Raise ValueError unless it is the name of a filter."""
    _check_name("interpolation", interpolation, INTERPOLATIONS)


def _check_name(
    name: str,
    given: Any,
    names: tuple[str, ...],
) -> None:
    if given not in names:
        expected = ", ".join(names)
        raise ValueError(f"{name} must be one of {expected}, not {given!r}")


def check_size(size: Any) -> None:
    """Raise ValueError unless it is a length, or (height, width)."""
    if not _is_size(size):
        expected = "(height, width) or an int, above 0"
        raise ValueError(f"size must be {expected}, not {size!r}")


def check_length(name: str, length: Any) -> None:
    """Raise ValueError unless it is a number of pixels, or None."""
    if length is not None and not _is_length(length):
        raise ValueError(f"{name} must be an int above 0, not {length!r}")


def check_max_size(max_size: Any, size: Any) -> None:
    """Raise ValueError unless it is a number of pixels, or None, and goes with a size."""
    check_length("max_size", max_size)
    if max_size is not None and isinstance(size, tuple):
        raise ValueError("max_size is for a size that is an int or None")


def check_flip(flip: Any) -> None:
    """Raise ValueError unless it is a probability."""
    if not _is_number(flip) or not 0 <= flip <= 1:
        raise ValueError(f"flip must be a probability from 0 to 1, not {flip!r}")


def check_range(
    name: str,
    values: Any,
    most: float,
) -> None:
    """Raise ValueError unless it is (least, greatest), of numbers above 0.

    Args:
        name: of the argument.
        values: of the argument.
        most: how large they may be.
    """
    if _is_range(values, most):
        return
    bound = ""
    if most < math.inf:
        bound = f" and at most {most:g}"
    expected = f"(least, greatest), of numbers above 0{bound}"
    raise ValueError(f"{name} must be {expected}, not {values!r}")


def _is_range(values: Any, most: float) -> bool:
    if not isinstance(values, tuple) or len(values) != 2:
        return False
    least, greatest = values
    if not _is_number(least) or not _is_number(greatest):
        return False
    if least > greatest or greatest > most:
        return False
    return least > 0 and math.isfinite(greatest)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float))


def _is_size(value: Any) -> bool:
    if not isinstance(value, tuple):
        return _is_length(value)
    if len(value) != 2:
        return False
    height, width = value
    return _is_length(height) and _is_length(width)


def _is_length(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value > 0
