"""Array-likes of any package as NumPy arrays: the one door through which they come in.

Knows nothing of types. No package is imported here but what the bytes of a tensor need: who has a
tensor, a series or a column has imported what made it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from dsrecords._optional import import_optional
from dsrecords._types.base import describe, masked
from dsrecords._types.nullable_arrays import from_nullable
from dsrecords.errors import SchemaError

_ARRAY_PROTOCOLS = (
    "__array__",
    "__array_interface__",
    "__array_struct__",
)
_UNITS = (  # attributes that give the values of an array a unit
    "unit",  # of astropy
    "units",  # of pint and unyt
)
_WITH_FIELDS = (
    np.recarray,
    np.generic,
)
_TORCH_ONLY = (  # dtypes of torch that only ml_dtypes has, under the same names
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
)
_VIEWS = {  # integers of torch that NumPy has too, by their bytes
    1: "int8",
    2: "int16",
}


def as_array(value: Any) -> np.ndarray | None:
    """Return an array-like as a NumPy array, or None if a value is none.

    A value without dimensions, such as a tensor of one number or a scalar of Arrow, becomes an
    array of shape (). Lists are no array-likes.

    Raises SchemaError if it means more than its values (a mask, a unit, a palette), if some of them
    are missing, or if its package does not give them.
    """
    array = as_column(value)
    if isinstance(array, np.ma.MaskedArray):
        if array.ndim == 0:
            raise SchemaError(f"a value expected, not {_described_null(value)}")
        if array is value:
            raise masked("an array")
        raise SchemaError(f"{describe(value)} has missing values, which are no numbers: fill them")
    return array


def _described_null(value: Any) -> str:
    if isinstance(value, np.ma.MaskedArray):
        return "a missing value"
    return f"a null ({describe(value)})"


def as_column(value: Any) -> np.ndarray | None:
    """Return what `as_array` does, but a masked array where values are missing or masked."""
    cls = value.__class__
    if cls is np.ndarray:
        array: np.ndarray = value
        return array
    if isinstance(value, type):  # np.ndarray itself has `__array__`
        return None
    if isinstance(value, np.ma.MaskedArray):
        _require_plain(value)
        return value
    try:
        column = from_nullable(value)
        if column is None:
            column = _from_protocol(value)
        return column
    except SchemaError:
        raise
    except Exception as error:  # whatever a package raises that does not give its values
        reason = f"{type(error).__name__}: {error}"
        raise SchemaError(f"no array can be made of {describe(value)} ({reason})") from error


def item_of(value: Any) -> Any:
    """Return the Python value of an array-like without dimensions; any other value as it is.

    Raises what `as_array` does.
    """
    array = as_array(value)
    if array is None or array.ndim > 0:
        return value
    item = array.item()
    if isinstance(item, np.generic):  # of a dtype that Python has not, such as longdouble
        return value
    return item


def is_instance_of(value: Any, module: str, name: str) -> bool:
    """Return whether a value is of a class of a package, which is imported if there is one."""
    package = sys.modules.get(module)
    cls = getattr(package, name, None)
    return cls is not None and isinstance(value, cls)


def _from_protocol(value: Any) -> np.ndarray | None:
    if is_instance_of(value, "torch", "Tensor"):
        return _from_torch(value)
    if any(hasattr(value, name) for name in _ARRAY_PROTOCOLS):
        _require_plain(value)
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    return None


def _require_plain(value: Any) -> None:
    """Raise SchemaError if an array has a unit, a scale or a palette, which its values lack."""
    if is_instance_of(value, "astropy.io.fits", "FITS_rec"):
        raise SchemaError(
            "the columns of a FITS table may be scaled: give them one by one, as table['name']"
        )
    if getattr(value, "palette", None) is not None:  # an image of Pillow
        raise SchemaError("an image with a palette: convert it first, as image.convert('RGB')")
    if isinstance(value, np.ndarray) and hasattr(value, "unmasked"):  # of astropy
        raise masked("an array")
    if isinstance(value, _WITH_FIELDS):  # whose fields may be called so
        return
    for name in _UNITS:
        unit = getattr(value, name, None)
        if unit is not None:
            advice = "give its .value (or .magnitude), or convert it"
            raise SchemaError(f"{describe(value)} has the unit {str(unit)!r}: {advice}")


def _from_torch(tensor: Any) -> np.ndarray:
    """Return the values of a tensor of PyTorch, wherever and however it holds them."""
    torch: Any = sys.modules["torch"]
    _require_dense(tensor, torch)
    tensor = tensor.detach().cpu()
    tensor = tensor.resolve_conj().resolve_neg()
    for name in _TORCH_ONLY:
        if tensor.dtype is getattr(torch, name, None):
            ml_dtypes = import_optional("ml_dtypes", "ml_dtypes")
            size = tensor.element_size()
            integers = getattr(torch, _VIEWS[size])
            raw: np.ndarray = tensor.view(integers).numpy()
            return raw.view(getattr(ml_dtypes, name))
    array: np.ndarray = tensor.numpy()
    return array


def _require_dense(tensor: Any, torch: Any) -> None:
    """Raise SchemaError for tensors whose elements are not simply there, one behind the other."""
    problem = ""
    if tensor.is_sparse or tensor.layout is not torch.strided:
        problem = "a sparse tensor: give tensor.to_dense()"
    elif tensor.is_quantized:
        problem = "a quantized tensor: give tensor.dequantize()"
    elif tensor.is_nested:
        problem = "a nested tensor: give its parts, tensor.unbind()"
    elif tensor.is_meta:
        problem = "a tensor on the device meta, which has no values"
    elif hasattr(tensor, "get_mask"):
        problem = "a masked tensor: fill it first"
    if problem:
        raise SchemaError(f"an array expected, not {problem}")
