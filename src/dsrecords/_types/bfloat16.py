"""`bfloat16`. Knows nothing of files, fields or records."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.array_likes import as_array
from dsrecords._types.base import DType
from dsrecords._types.casting import cast, out_of_range, to_array
from dsrecords._types.numbers import Float
from dsrecords._types.scalars import Scalar

_FLOAT32 = struct.Struct("<f")
_UINT32 = struct.Struct("<I")
_FLOAT64 = np.dtype("<f8")
_FLOAT64_TYPE = Float("bfloat16", "d")  # checks values before they are rounded


class BFloat16(Scalar):
    """The upper half of a float32: its range, but 8 bits of precision.

    Values are floats; arrays are of `ml_dtypes.bfloat16`.
    """

    present = Scalar.present | {float}

    def __init__(self) -> None:
        super().__init__("bfloat16", "H")

    def native(self) -> DType:
        ml_dtypes = import_optional("ml_dtypes", "ml_dtypes")
        dtype: DType = np.dtype(ml_dtypes.bfloat16)
        return dtype

    def to_number(self, value: Any) -> int:
        given = as_array(value)
        if given is None:
            number = _FLOAT64_TYPE.to_number(value)
            given = np.asarray(number)
        rounded = self.single(given)
        return int(rounded.view(self.dtype))

    def from_number(self, number: int) -> float:
        data = _UINT32.pack(number << 16)
        (value,) = _FLOAT32.unpack(data)
        return value  # type: ignore[no-any-return]

    def array(self, values: Any, name: str) -> np.ndarray:
        native = self.native()
        given = to_array(values, name)
        if given.dtype == native:
            return given
        numbers = cast(given, _FLOAT64, name)
        with np.errstate(over="ignore"):
            result = numbers.astype(native)
        became_infinite = np.isinf(result.astype(np.float32))
        lost = became_infinite & np.isfinite(numbers)
        if lost.any():
            raise out_of_range(numbers[lost], name)
        return result

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        return numbers.view(self.native())
