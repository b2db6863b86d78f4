"""Records as numbers of 64 bits, the same for equal ones.

They are made of numbers, and of the sizes and checksums of payloads: so the index alone is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsrecords.errors import SchemaError

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

BLOCK = 2**16
"""Records of which a field is read together."""

_NONE = 0x9E3779B97F4A7C15  # what stands for None
_WORD = 8  # bytes


def types_of(dataset: IndexedRecordDataset) -> dict[Any, str]:
    """Return the names of the types of all fields; without names by position."""
    schema = dataset.schema
    if isinstance(schema, dict):
        return dict(schema)
    return dict(enumerate(schema))


def digests_of(dataset: IndexedRecordDataset, fields: Sequence[Any]) -> np.ndarray:
    """Return a number for each record, the same for equal ones: uint64, (n,)."""
    count = len(dataset)
    digests = np.zeros(count, np.uint64)
    for start in range(0, count, BLOCK):
        stop = start + BLOCK
        block = dataset[start:stop]
        part = digests[start:stop]
        for field in fields:
            part ^= digests_of_field(block, field)
            part[:] = mixed(part)
    return digests


def digests_of_field(block: IndexedRecordDataset, field: Any) -> np.ndarray:
    """Return a number for each value of a field, the same for equal ones: uint64, (n,)."""
    type_name = types_of(block)[field]
    if type_name.startswith("zstd("):  # which may store one value in several ways
        column = block.column(field)
        return _digests_of_values(column)
    try:
        checksums = block.checksums(field)
    except SchemaError:
        return _digests_of_numbers(block, field)
    sizes = block.stored_sizes(field)
    together = sizes.astype(np.uint64)
    together <<= np.uint64(32)
    together ^= checksums
    found = mixed(together)
    found[sizes < 0] = _NONE
    return found


def _digests_of_numbers(block: IndexedRecordDataset, field: Any) -> np.ndarray:
    column = block.column(field)
    if not isinstance(column, np.ndarray):
        message = (
            "its values cannot be compared: of a file of dsrecords 0.4 make a dataset by "
            "dsrecords.upgrade, of MDS by dsrecords.convert; open others without functions that "
            "read the field"
        )
        raise SchemaError(message, file=block.path, field=field)
    found = np.zeros(len(column), np.uint64)
    for word in _words(column):
        found = mixed(found ^ word)
    is_none = np.ma.getmaskarray(column)
    found[is_none] = _NONE
    return found


def _words(column: np.ndarray) -> np.ndarray:
    """Return the bytes of numbers as words, zeros behind them: uint64, (words, n)."""
    data = np.ma.getdata(column)
    contiguous = np.ascontiguousarray(data)
    count = len(data)
    width = data.dtype.itemsize
    word_count = -(-width // _WORD)
    words = np.zeros((count, word_count), np.uint64)
    octets = contiguous.view(np.uint8)
    octets_of_words = words.view(np.uint8)
    octets_of_words[:, :width] = octets.reshape(count, width)
    return words.T


def _digests_of_values(values: Iterable[Any]) -> np.ndarray:
    digests = []
    for value in values:
        digest = hashlib.blake2b(digest_size=_WORD)
        _feed(digest.update, value)
        number = int.from_bytes(digest.digest(), "little")
        digests.append(number)
    return np.array(digests, np.uint64)


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    """Feed a value to a hash: what it is, and the bytes that it is made of."""
    kind = type(value).__name__
    update(kind.encode())
    if isinstance(value, np.ndarray):
        layout = f"{value.dtype.str}{value.shape}"
        update(layout.encode())
        update(value.tobytes())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _feed(update, key)
            _feed(update, item)
    elif isinstance(value, (list, tuple)):
        update(str(len(value)).encode())
        for item in value:
            _feed(update, item)
    elif isinstance(value, (bytes, memoryview)):
        update(bytes(value))
    else:
        text = repr(value)
        update(text.encode())


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return the numbers mixed by the finalizer of SplitMix64 (Steele, Lea, Flood 2014)."""
    found = numbers + np.uint64(_NONE)
    found ^= found >> np.uint64(30)
    found *= np.uint64(0xBF58476D1CE4E5B9)
    found ^= found >> np.uint64(27)
    found *= np.uint64(0x94D049BB133111EB)
    found ^= found >> np.uint64(31)
    return found
