"""Array-likes of any package as NumPy arrays: the one door through which they come in.

Knows nothing of types. No package is imported: who has a tensor has imported what made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dsrecords._types.base import masked


def as_array(value: Any) -> np.ndarray | None:
    """Return an array-like as a NumPy array, or None if a value is none.

    Raises SchemaError if it means more than its values, such as which of them are masked.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise masked("an array")
    if hasattr(value, "__array__"):
        return np.asarray(value)
    return None
