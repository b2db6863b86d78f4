"""What batches are made of in the end: arrays of NumPy's, tensors of PyTorch's, arrays of JAX's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from typing import Any, Protocol

import numpy as np

from dsrecords._loader.buffers import Allocate
from dsrecords._loader.keys import Key
from dsrecords._loader.nulls import unmasked
from dsrecords.errors import SchemaError

Columns = dict[Key, Any]

_32_BITS = {
    np.dtype(np.int64): np.dtype(np.int32),
    np.dtype(np.uint64): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.complex64),
}
# Dtypes of the package ml_dtypes, which PyTorch has too, by their names.
_ALSO_IN_TORCH = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
)
_OF_NUMBERS = "biufc"


class Format(Protocol):
    """What the arrays of a batch are.

    Attributes:
        allocate: makes the memory of batches; None: it is NumPy's.
    """

    allocate: Allocate | None

    def converted(self, columns: Columns) -> Columns:
        """Return the columns of a batch in this format. Raises SchemaError if one cannot be."""

    def moved(self, batch: Any) -> Any:
        """Return a batch on the device, once it is there."""

    def delivered(self, batch: Any) -> None:
        """Note that the thread that calls this uses the batch from now on."""


def format_of(name: str, device: Any, categories: Collection[Key]) -> Format:
    """Return a format by its name.

    Args:
        name: "numpy", "torch" or "jax".
        device: as its package names it, or None.
        categories: the columns that are numbers of categories.

    Raises:
        ValueError: there is none of this name, or it has no devices.
        ImportError: its package is not installed; says how to install it.
    """
    if name == "numpy":
        if device is not None:
            raise ValueError(f"device={device!r} is for format='torch' or 'jax', not 'numpy'")
        return Numpy()
    if name == "torch":
        return Torch(device, categories)
    if name == "jax":
        return Jax(device)
    raise ValueError(f"format is 'numpy', 'torch' or 'jax', not {name!r}")


class Numpy:
    """Batches of arrays. Values that may be None are in masked arrays."""

    allocate: Allocate | None = None

    def converted(self, columns: Columns) -> Columns:
        return columns

    def moved(self, batch: Any) -> Any:
        return batch

    def delivered(self, batch: Any) -> None:
        pass


class Torch:
    """Batches of tensors, which share the memory of the arrays.

    Categories are copied: PyTorch's losses and `Embedding` take no numbers of 16 bits.

    Args:
        device: where they are to be, as PyTorch names it; None: they stay in the main memory.
        categories: the columns that are numbers of categories, and become int64.
    """

    def __init__(self, device: Any, categories: Collection[Key] = ()) -> None:
        self._torch = _package("torch", "torch")
        self._categories = frozenset(categories)
        self.allocate: Allocate | None = None
        self._device = None
        self._stream: Any = None
        if device is None:
            return
        self._device = self._torch.device(device)
        if self._device.type == "cuda":
            self.allocate = self._pinned
            self._stream = self._torch.cuda.Stream(self._device)

    def _pinned(self, size: int) -> np.ndarray:
        """Memory that the device can copy from by itself."""
        memory = self._torch.empty(size, dtype=self._torch.uint8, pin_memory=True)
        array: np.ndarray = memory.numpy()
        return array

    def converted(self, columns: Columns) -> Columns:
        return _converted(columns, "PyTorch", self._tensor)

    def _tensor(self, array: np.ndarray, key: Key) -> Any:
        """A tensor of an array; the array itself where PyTorch has no such dtype (of times)."""
        if key in self._categories:
            array = array.astype(np.int64)
        name = array.dtype.name
        if name in _ALSO_IN_TORCH:
            bits = array.view(f"uint{8 * array.dtype.itemsize}")
            return self._of_numbers(bits).view(getattr(self._torch, name))
        if array.dtype.kind not in _OF_NUMBERS:
            return array
        return self._of_numbers(array)

    def _of_numbers(self, array: np.ndarray) -> Any:
        array = in_native_order(array)
        if not array.flags.writeable or min(array.strides, default=0) < 0:
            array = array.copy()
        try:
            return self._torch.from_numpy(array)
        except (TypeError, ValueError):  # of more than 64 bits, or where strides are no items
            return array

    def moved(self, batch: Any) -> Any:
        if self._device is None:
            return batch
        if self._stream is None:
            return self._mapped(self._move, batch)
        with self._torch.cuda.stream(self._stream):
            moved = self._mapped(self._move, batch)
        # The thread waits, not the training: memory that was copied from is used again.
        self._stream.synchronize()
        return moved

    def _move(self, tensor: Any) -> Any:
        return tensor.to(self._device, non_blocking=True)

    def delivered(self, batch: Any) -> None:
        if self._stream is not None:
            self._mapped(self._use, batch)

    def _use(self, tensor: Any) -> Any:
        """Keep a tensor's memory until what this thread does with it is done."""
        stream = self._torch.cuda.current_stream(self._device)
        if tensor.is_cuda:
            tensor.record_stream(stream)
        return tensor

    def _mapped(self, function: Any, value: Any) -> Any:
        """What a function returns for each tensor of a batch, in its place."""
        if isinstance(value, self._torch.Tensor):
            return function(value)
        if isinstance(value, dict):
            return {key: self._mapped(function, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._mapped(function, each) for each in value]
        if isinstance(value, tuple):
            values = [self._mapped(function, each) for each in value]
            return type(value)(*values) if hasattr(value, "_fields") else tuple(values)
        return value


class Jax:
    """Batches of arrays of JAX's.

    Unless `jax_enable_x64` is set, JAX has no numbers of 64 bits: floats become float32, as JAX
    does it everywhere, and integers int32, if all of them can.

    Args:
        device: where they are to be, or a sharding; None: JAX's default.
    """

    allocate: Allocate | None = None

    def __init__(self, device: Any) -> None:
        self._jax = _package("jax", "jax")
        self._device = device

    def converted(self, columns: Columns) -> Columns:
        return _converted(columns, "JAX", self._array)

    def _array(self, array: np.ndarray, key: Key) -> Any:
        """An array of JAX's; the array itself where JAX has no such dtype (of times)."""
        is_extended = array.dtype.name in _ALSO_IN_TORCH
        if array.dtype.kind not in _OF_NUMBERS and not is_extended:
            return array
        if not self._jax.config.jax_enable_x64:
            array = _in_32_bits(array, key)
        return self._jax.device_put(in_native_order(array), self._device)

    def moved(self, batch: Any) -> Any:
        return self._jax.block_until_ready(batch)

    def delivered(self, batch: Any) -> None:
        pass


def _converted(
    columns: Columns,
    format: str,
    convert: Callable[[np.ndarray, Key], Any],
) -> Columns:
    """Return columns, all of whose arrays are converted, also those within lists.

    Raises:
        SchemaError: a value is masked.
    """

    def value_of(value: Any, key: Key) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return convert(unmasked(value, key, format), key)

    found: Columns = {}
    for key, column in columns.items():
        if isinstance(column, list):
            found[key] = [value_of(value, key) for value in column]
        else:
            found[key] = value_of(column, key)
    return found


def _in_32_bits(array: np.ndarray, key: Key) -> np.ndarray:
    dtype = _32_BITS.get(array.dtype)
    if dtype is None:
        return array
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype.name)
        if array.min() < limits.min or array.max() > limits.max:
            raise SchemaError(
                f"an integer does not fit into {dtype}, the largest that JAX has unless it is told "
                "jax.config.update('jax_enable_x64', True)",
                field=key,
            )
    return array.astype(dtype)


def in_native_order(array: np.ndarray) -> np.ndarray:
    """Return an array whose numbers are as the processor has them: other packages know no other."""
    if array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _package(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        message = f"format={module!r} needs the package {module}: pip install 'dsrecords[{extra}]'"
        raise ImportError(message, name=module) from None
