"""Computations over the frames of many records: arrays in, arrays out, no state.

Knows nothing of files, and of frames only what every head has in common. The functions are called
through the module (`kernels.frame_checks(...)`), so that another implementation can replace them.

In all of them, `heads` is a structured array as `HeadLayout.dtype` describes it; an item is a whole
head, check included, and a multiple of 8 bytes.
"""

from __future__ import annotations

import numpy as np

from dsrecords._format.checksums import crc32
from dsrecords._format.layout import offset_mixes, padded_sizes

_CHECK_SIZE = 4  # bytes of a head that its check does not cover: the check itself
_WIDEST_TABLE = 1024  # bytes of head up to which tables pay; each byte takes 1 KiB of table
_MANY = 1000  # heads for which it pays to look for the bytes that all have in common
_ROWS = 32  # heads that are compared as one row


def crc_tables(head_size: int) -> np.ndarray | None:
    """Make the tables by which the checks of many heads are computed together.

    Args:
        head_size: in bytes.

    Returns:
        uint32, ((head_size - 4) * 256,): at 256 * i + b, what the byte b at position i behind the
        check adds to the CRC-32 of zeros. None for heads so wide that the tables do not pay.
    """
    if head_size > _WIDEST_TABLE:
        return None
    last = np.empty(256, np.uint32)
    crc_of_zero = crc32(b"\0")
    for byte in range(256):
        last[byte] = crc32(bytes([byte])) ^ crc_of_zero
    tables = [last]
    for _ in range(_CHECK_SIZE, head_size - 1):
        # One position earlier, which is one more zero byte behind it.
        later = tables[-1]
        low_bytes = later & np.uint32(255)
        shifted = later >> np.uint32(8)
        tables.append(shifted ^ last[low_bytes])
    tables.reverse()
    return np.concatenate(tables)


def frame_checks(
    heads: np.ndarray,
    offsets: np.ndarray,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Compute what the checks of many frames must be.

    Args:
        heads: structured, (n,), C-contiguous; the checks in them are not read.
        offsets: uint64, (n,): of the frames, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint32, (n,).
    """
    count = len(heads)
    data = heads.view(np.uint8)
    rows = data.reshape(count, heads.itemsize)
    if tables is None:
        crcs = np.empty(count, np.uint32)
        for i, row in enumerate(rows):
            crcs[i] = crc32(row[_CHECK_SIZE:], seed)
    else:
        crcs = _crcs_by_tables(rows, seed, tables)
    checks: np.ndarray = crcs ^ offset_mixes(offsets)
    return checks


def scan_frames(
    heads: np.ndarray,
    offset: int,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Verify frames without payloads that follow each other in the log.

    Args:
        heads: structured, (n,), C-contiguous: what the log holds from `offset` on, read as heads.
        offset: of the first, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint64, (m, 3), m <= n: offset, size and check of the frames before the first that does not
        verify, is of another kind than the first frame, or has a payload.
    """
    size = heads.itemsize
    kinds = heads["kind"]
    same_kind = kinds == kinds[:1]
    same_size = heads["size"] == size
    alike = _count_leading(same_kind & same_size)
    heads = heads[:alike]
    offsets = np.arange(
        offset,
        offset + alike * size,
        size,
        dtype=np.uint64,
    )
    checks = frame_checks(
        heads,
        offsets,
        seed,
        tables,
    )
    verified = _count_leading(checks == heads["check"])
    frames = np.empty((verified, 3), np.uint64)
    frames[:, 0] = offsets[:verified]
    frames[:, 1] = size
    frames[:, 2] = checks[:verified]
    return frames


def pack_frames(
    heads: np.ndarray,
    offset: int,
    seed: int,
    tables: np.ndarray | None,
) -> np.ndarray:
    """Complete the heads of records that are to follow each other in the log.

    Args:
        heads: structured, (n,), C-contiguous, with kinds, sizes and checksums of the payloads, and
            numbers set. Modified in ref: the sizes and checks of the frames are set.
        offset: of the first frame, in the log.
        seed: CRC-32 of the dataset's id.
        tables: of `crc_tables`.

    Returns:
        uint64, (n, 3): offset, size and check of each frame.
    """
    payload_sizes = padded_sizes(heads["sizes"])
    sizes = payload_sizes.sum(axis=1, dtype=np.uint64)
    sizes += np.uint64(heads.itemsize)
    ends = sizes.cumsum()
    ends += np.uint64(offset)
    offsets = ends - sizes
    heads["size"] = sizes
    checks = frame_checks(
        heads,
        offsets,
        seed,
        tables,
    )
    heads["check"] = checks
    frames = np.empty((len(heads), 3), np.uint64)
    frames[:, 0] = offsets
    frames[:, 1] = sizes
    frames[:, 2] = checks
    return frames


def _crcs_by_tables(
    rows: np.ndarray,
    seed: int,
    tables: np.ndarray,
) -> np.ndarray:
    """CRC-32 of many heads: from uint8, (n, head size), to uint32, (n,).

    CRC is linear: the checksum of a head is that of zeros, xor one number for each byte and its
    position. Instead of zeros it can be any bytes that the heads have in common.
    """
    count, size = rows.shape
    common = bytearray(size)
    positions = np.arange(_CHECK_SIZE, size)
    columns = rows.T[_CHECK_SIZE:]
    if count >= _MANY:
        differing = _differing_bits(rows)
        positions = differing[_CHECK_SIZE:].nonzero()[0]
        columns = columns[positions]
        positions += _CHECK_SIZE
        common = bytearray(rows[0])
        for position in positions.tolist():
            common[position] = 0
    common_crc = crc32(memoryview(common)[_CHECK_SIZE:], seed)
    crcs = np.full(count, common_crc, np.uint32)
    if len(positions):
        bases = 256 * (positions - _CHECK_SIZE)
        keys = columns + bases[:, None]
        # "wrap" only so that NumPy does not look for keys out of range: there are none.
        additions = tables.take(keys, mode="wrap")
        crcs ^= np.bitwise_xor.reduce(additions, axis=0)
    return crcs


def _differing_bits(rows: np.ndarray) -> np.ndarray:
    """Which bits are not the same in all rows: from uint8, (n, m), n > 0, to uint8, (m,).

    NumPy is slow on short rows: it gets many of them as one.
    """
    words = rows.view(np.uint64)
    count, width = words.shape
    in_blocks = count // _ROWS * _ROWS
    blocks = words[:in_blocks].reshape(-1, _ROWS * width)
    differences = blocks ^ np.tile(words[0], _ROWS)
    of_blocks = np.bitwise_or.reduce(differences, axis=0)
    of_the_rest = words[in_blocks:] ^ words[0]
    both = np.concatenate(
        [
            of_blocks.reshape(_ROWS, width),
            of_the_rest,
        ]
    )
    bits: np.ndarray = np.bitwise_or.reduce(both, axis=0)
    return bits.view(np.uint8)


def _count_leading(flags: np.ndarray) -> int:
    """How many items are true before the first that is not."""
    if flags.all():
        return len(flags)
    return int(flags.argmin())
