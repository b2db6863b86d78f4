"""`bfloat16`. Knows nothing of files, fields or records."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import DType
from dsrecords._types.casting import cast, out_of_range
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

    def __init__(self) -> None:
        super().__init__("bfloat16", "H")

    def native(self) -> DType:
        ml_dtypes = import_optional("ml_dtypes", "ml_dtypes")
        dtype: DType = np.dtype(ml_dtypes.bfloat16)
        return dtype

    def to_number(self, value: Any) -> int:
        if getattr(value, "dtype", None) != self.native():
            value = _FLOAT64_TYPE.to_number(value)
        rounded = self.array(value, self.name)
        return int(rounded.view(self.dtype))

    def from_number(self, number: int) -> float:
        data = _UINT32.pack(number << 16)
        (value,) = _FLOAT32.unpack(data)
        return value  # type: ignore[no-any-return]

    def array(self, values: Any, name: str) -> np.ndarray:
        native = self.native()
        # Rows of different lengths raise ValueError; `cast` says more of them.
        with contextlib.suppress(ValueError):
            given = np.asarray(values)
            is_masked = isinstance(values, np.ma.MaskedArray)
            if given.dtype == native and not is_masked:
                return given
        numbers = cast(values, _FLOAT64, name)
        with np.errstate(over="ignore"):
            result = numbers.astype(native)
        became_infinite = np.isinf(result.astype(np.float32))
        lost = became_infinite & np.isfinite(numbers)
        if lost.any():
            raise out_of_range(numbers[lost], name)
        return result

    def shown(self, numbers: np.ndarray) -> np.ndarray:
        return numbers.view(self.native())
