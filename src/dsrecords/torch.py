"""Datasets for PyTorch's loader, read a batch at a time.

    DataLoader(dsrecords.torch.Dataset(ds), batch_size=256, collate_fn=dsrecords.torch.collate)

The package torch is needed when this module is imported.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from dsrecords._dataset.field_types import category_columns
from dsrecords._optional import import_optional
from dsrecords.dataset import IndexedRecordDataset

torch = import_optional("torch", "torch", extra="torch")
data = import_optional("torch.utils.data", "torch", extra="torch")

__all__ = ["Dataset", "Rows", "collate"]

_TorchDataset: Any = data.Dataset
_SHOWN = 3  # different shapes that a message lists


class Dataset(_TorchDataset):  # type: ignore[misc]
    """A dataset as a `torch.utils.data.Dataset`, for `DataLoader` and what is built on it.

    A loader asks for all samples of a batch at once, and gets `Rows`, which `collate` reads field
    by field. Any other `collate_fn` gets the samples that the dataset gives. It pickles small, and
    can be sent to workers of any start method.

    Args:
        dataset: an `IndexedRecordDataset`, a view of one, or what `concat`, `mix`, `zip` or
            `windows` have made of some.

    Raises:
        TypeError: it is none of these.

    Attributes:
        dataset: the same.
    """

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__getitems__") or not hasattr(dataset, "batch"):
            kind = type(dataset).__name__
            raise TypeError(f"a dataset such as dsrecords.open returns is expected, not {kind}")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Any) -> Any:
        """Return a sample, a part of one, or a view as a `Dataset` of its own."""
        found = self.dataset[key]
        is_view = type(found) is type(self.dataset)
        if is_view:
            return type(self)(found)
        return found

    def __getitems__(self, indices: Sequence[int]) -> Rows:
        """Return the samples at some indices, which are read when they are first used."""
        return Rows(self.dataset, indices)

    def __repr__(self) -> str:
        return f"<Dataset of {self.dataset!r}>"

    @property
    def fingerprint(self) -> str:
        """That of the dataset: so a `Sampler` of this is one of the dataset."""
        known: str = self.dataset.fingerprint
        return known


class Rows(Sequence[Any]):
    """Some samples of a dataset: a sequence, which can also be read field by field.

    Nothing is read before it is asked for. Who asks for samples and for columns reads twice. It
    pickles as the list of its samples.

    Args:
        dataset: that of a `Dataset`.
        indices: of the samples.

    Attributes:
        dataset, indices: the same.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    @property
    def has_columns(self) -> bool:
        """Whether columns are what the samples have.

        They are not where a `transform`, or a method of a subclass, makes the samples.
        """
        return all(_gives_what_is_stored(part) for part in _parts(self.dataset))

    @functools.cached_property
    def columns(self) -> Any:
        """The samples field by field, as `batch` returns them; read once."""
        return self.dataset.batch(self.indices)

    @functools.cached_property
    def samples(self) -> list[Any]:
        """The samples; read once. Some are left out where the dataset's `on_error` says so."""
        dataset = self.dataset
        if _overrides(dataset, "__getitem__") and not _overrides(dataset, "__getitems__"):
            return [dataset[index] for index in self.indices]
        found: list[Any] = dataset.__getitems__(self.indices)
        return found

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Any) -> Any:
        return self.samples[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.samples)

    def __repr__(self) -> str:
        return f"<Rows: {len(self.indices)} samples of {self.dataset!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.samples,)


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield a dataset, and those that it is made of."""
    yield dataset
    for part in getattr(dataset, "datasets", ()):
        yield from _parts(part)


def _gives_what_is_stored(dataset: Any) -> bool:
    if getattr(dataset, "transform", None) is not None:
        return False
    if _overrides(dataset, "__getitem__") or _overrides(dataset, "__getitems__"):
        return False
    return hasattr(dataset, "batch")


def _overrides(dataset: Any, name: str) -> bool:
    """Return whether a dataset is of a subclass with a method of its own."""
    if not isinstance(dataset, IndexedRecordDataset):
        return False
    return getattr(type(dataset), name) is not getattr(IndexedRecordDataset, name)


def collate(batch: Any) -> Any:
    """Make a batch of tensors: what a `DataLoader` takes as `collate_fn`.

    The samples of a `Dataset` are read field by field, and no sample is made:

    - Numbers, times excepted, become a tensor of the stored dtype, bfloat16 too; a `category` its
      numbers, as int64, which is what losses take.
    - Arrays of one shape become a tensor with one more dimension. Those of a type with a fixed
      shape are not copied again.
    - Strings and bytes, and lists of them, stay lists.
    - A struct is a dict of its parts.
    - Anything else becomes what PyTorch's `default_collate` makes of it.

    Samples that a `transform` has made, and plain lists of samples, go to `default_collate`.

    Args:
        batch: what the loader has got of a `Dataset`, a `Dataset`, or a list of samples.

    Returns:
        A dict of fields; a list where they have no names. Of `windows` a tensor, or with
        `boundaries` the tensor and a list of tensors.

    Raises:
        ValueError: a value is None, or the values of a field differ in shape; names the field.
        TypeError: PyTorch has no tensors of such values; names the field.
    """
    if isinstance(batch, Dataset):
        batch = batch.__getitems__(range(len(batch)))
    if not isinstance(batch, Rows):
        return _of_samples(batch)
    if not batch.has_columns:
        return _of_samples(batch.samples)
    return _of_columns(batch.columns, category_columns(batch.dataset))


# By columns


def _of_columns(columns: Any, categories: Collection[Any]) -> Any:
    """Return the tensors of what `batch` has returned.

    Args:
        columns: dicts, tuples or the values of windows.
        categories: which of them are numbers of categories.
    """
    if isinstance(columns, dict):
        tensors = {}
        for name, column in columns.items():
            tensors[name] = _of_column(column, repr(name), name in categories)
        return tensors
    if hasattr(columns, "_fields"):  # windows with the places where records begin in them
        values = _of_column(columns.values, "'values'")
        starts = [torch.from_numpy(array) for array in columns.starts]
        return type(columns)(values, starts)
    if isinstance(columns, tuple):
        return [
            _of_column(column, str(number), number in categories)
            for number, column in enumerate(columns)
        ]
    return _of_column(columns, "of windows")


def _of_column(column: Any, name: str, is_category: bool = False) -> Any:
    if isinstance(column, np.ma.MaskedArray):
        missing = int(column.mask.sum())
        if missing:
            raise _has_none(name, missing, len(column))
        column = column.data
    if isinstance(column, np.ndarray):
        if is_category:
            column = column.astype(np.int64)
        return _of_array(column, name)
    return _of_values(column, name)


def _of_array(array: np.ndarray, name: str) -> Any:
    """Return a tensor with the memory of an array, or of a copy where PyTorch cannot have it."""
    if array.dtype.kind in "mM":
        raise TypeError(
            f"field {name}: PyTorch has no times ({array.dtype}): make numbers of them in a "
            "transform, or leave the field out with select_fields"
        )
    if not array.flags.writeable:
        array = array.copy()
    if array.dtype.name == "bfloat16":
        bits = torch.from_numpy(array.view(np.uint16))
        return bits.view(torch.bfloat16)
    native = np.dtype(array.dtype.str).newbyteorder("=")
    array = array.astype(native, copy=False)
    try:
        # NumPy has two names for integers of 64 bits, of which PyTorch knows one.
        return torch.from_numpy(array.view(native))
    except TypeError:
        raise TypeError(f"field {name}: PyTorch has no tensors of {array.dtype}") from None


def _of_values(values: list[Any], name: str) -> Any:
    """Return what the values of one field become."""
    present = [value for value in values if value is not None]
    if all(_is_text(value) for value in present):
        return [_owned(value) for value in values]
    missing = len(values) - len(present)
    if missing:
        raise _has_none(name, missing, len(values))
    if _are_all(values, np.ndarray):
        return _of_arrays(values, name)
    if _are_all(values, dict):
        return _of_structs(values, name)
    return _by_default(values, name)


def _is_text(value: Any) -> bool:
    """Return whether a value is a string or bytes, or a list of them."""
    if isinstance(value, list):
        return all(_is_text(item) for item in value)
    return isinstance(value, (str, bytes, memoryview))


def _owned(text: Any) -> Any:
    """Return bytes for a view of the file, which a worker could not send."""
    if isinstance(text, memoryview):
        return bytes(text)
    if isinstance(text, list):
        return [_owned(item) for item in text]
    return text


def _are_all(values: list[Any], kind: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _of_arrays(arrays: list[np.ndarray], name: str) -> Any:
    kinds = {(array.shape, array.dtype) for array in arrays}
    if len(kinds) > 1:
        raise _differs(arrays, name)
    tensors = [_of_array(array, name) for array in arrays]
    # In a worker it stacks into memory that the training process has as well.
    return data.default_collate(tensors)


def _of_structs(structs: list[dict[Any, Any]], name: str) -> dict[Any, Any]:
    keys = structs[0].keys()
    if any(struct.keys() != keys for struct in structs):
        raise ValueError(f"field {name}: dicts with different keys have no batch: {_WAY_OUT}")
    tensors = {}
    for key in keys:
        values = [struct[key] for struct in structs]
        tensors[key] = _of_values(values, f"{name}, part {key!r}")
    return tensors


# By samples


def _of_samples(samples: Any) -> Any:
    """Return what `default_collate` makes of samples; its errors name the field."""
    try:
        return data.default_collate(samples)
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError):
        for name, values in _fields_of(samples):
            _by_default(values, name)
        raise


def _fields_of(samples: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the fields of samples that are dicts or tuples, with their values."""
    if not samples:
        raise ValueError(
            "a batch without samples, as none of its records can be read: default_collate takes "
            "none, so give a collate_fn that does"
        )
    first = samples[0]
    names: Any = ()
    if isinstance(first, dict):
        names = first
    elif isinstance(first, (tuple, list)):
        names = range(len(first))
    for name in names:
        yield repr(name), _values_of(samples, name)


def _values_of(samples: Sequence[Any], name: Any) -> list[Any]:
    """Return a field of samples. Raises ValueError if one of them has no such field."""
    values = []
    for number, sample in enumerate(samples):
        try:
            values.append(sample[name])
        except (KeyError, IndexError, TypeError):
            shown = f"sample {number} of the batch"
            raise ValueError(f"field {name!r}: {shown} does not have it, the first does") from None
    return values


def _by_default(values: list[Any], name: str) -> Any:
    """Return what `default_collate` makes of the values of a field. Its errors name the field."""
    try:
        return data.default_collate(values)
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        missing = sum(value is None for value in values)
        if missing:
            raise _has_none(name, missing, len(values)) from None
        if _are_all(values, (np.ndarray, torch.Tensor)):
            raise _differs(values, name) from error
        raise TypeError(f"field {name}: {_reason(values[0], error)}: {_WAY_OUT}") from error


_WAY_OUT = (
    "make tensors of it in a transform or a collate_fn of your own, or leave the field out with "
    "select_fields"
)


def _reason(value: Any, error: Exception) -> str:
    kind = type(value)
    if kind.__module__.startswith("PIL."):
        return (
            "Pillow's images cannot be stacked. Read them as arrays, with decode='rgb', or "
            "of one size, with decode=dsrecords.vision.Decode('rgb', size=(224, 224)), for this "
            "field. Or"
        )
    return f"values such as this {kind.__name__} cannot be stacked ({error})"


def _has_none(name: str, missing: int, count: int) -> ValueError:
    return ValueError(
        f"field {name}: {missing} of {count} values are None, which no tensor holds: replace them "
        "in a transform, leave these samples out with filter, or say to dsrecords.Loader, with "
        "fill_null, what stands in their place"
    )


def _differs(arrays: list[Any], name: str) -> ValueError:
    """Return the error of arrays of different shapes or dtypes."""
    shapes = dict.fromkeys(tuple(array.shape) for array in arrays)
    kinds = dict.fromkeys(str(array.dtype) for array in arrays)
    if len(shapes) == 1:
        return ValueError(f"field {name}: arrays of {_some(kinds)} cannot be stacked: {_WAY_OUT}")
    return ValueError(
        f"field {name}: arrays of the shapes {_some(shapes)} cannot be stacked: pad them in a "
        "transform or a collate_fn of your own, or by dsrecords.Loader, with pad; images get one "
        "size from dsrecords.vision.Decode('rgb', size=(224, 224)) in decode"
    )


def _some(names: dict[Any, Any]) -> str:
    """Return the first of some names, and whether there are more."""
    shown = [str(name) for name in names]
    if len(shown) <= _SHOWN:
        return " and ".join(shown)
    first = ", ".join(shown[:_SHOWN])
    return f"{first} and {len(shown) - _SHOWN} more"
