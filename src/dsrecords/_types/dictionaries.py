"""Dictionaries of `zstd(T)`: made of a field's payloads, used if they save more than they take.

A short string has little in it to refer back to. A dictionary is what the strings of a field have
in common: each can refer to that, and still be read alone. Knows nothing of files or records.
"""

from __future__ import annotations

from collections.abc import Sequence

from dsrecords._types import zstd_backends
from dsrecords._types.compressed import SMALLEST_DICTIONARY, Zstd

_LEAST_SAMPLES = 16  # bytes of samples for each byte of a dictionary
_MOST_JUDGED = 4096  # samples by which a dictionary is judged
_COST = 3  # bytes for each byte of a dictionary: it is in two headers, in base64

Samples = Sequence[bytes]


def train_dictionary(zstd: Zstd, samples: Samples) -> None:
    """Use a dictionary made of payloads of the inner type, if it saves more than it takes."""
    zstd.use(None)
    total = sum(map(len, samples))
    largest_size = min(zstd.size, total // _LEAST_SAMPLES)
    if largest_size < SMALLEST_DICTIONARY:
        return
    codec = zstd_backends.choose_codec()
    dictionary = codec.train(samples, largest_size)
    if dictionary is None:
        return
    step = len(samples) // _MOST_JUDGED + 1
    judged = samples[::step]
    size_without = _compressed_size(zstd, judged)
    zstd.use(dictionary)
    size_with = _compressed_size(zstd, judged)
    saved = size_without - size_with
    cost = _COST * len(dictionary)
    # The samples that are judged stand for all of them.
    if saved * len(samples) < cost * len(judged):
        zstd.use(None)


def _compressed_size(zstd: Zstd, samples: Samples) -> int:
    size = 0
    for sample in samples:
        size += len(zstd.compress(sample))
    return size
