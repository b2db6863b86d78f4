"""Damages datasets bit by bit, and reads them with the compiled twin and without it: both must say the same.

What is compared is all that a caller sees: each value, with its type, or the class and the text of an error.
`python tests/read/twins.py 1000000` flips that many bits; a second number is the seed.
"""

import contextlib
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

import dsrecords
from dsrecords import make_dataset
from dsrecords._format import frame, kernels, log
from dsrecords._format.layout import PENDING, SHORT_ROW
from dsrecords._format.log import LogScanner
from dsrecords._native import core
from dsrecords._read import compiled
from dsrecords._tools.scan import dirty_padding
from dsrecords.errors import DSRecordsError

COUNT = 48  # records of a dataset
MODULES = (compiled, kernels, log, frame)
IN_FULL = bool(os.environ.get("DSRECORDS_TEST_FULL"))  # as `make torture` asks for
VERIFY = (True, "always", False)


def plain(i):
    return {"a": i, "b": i / 2, "c": -i / 3}


def every_number(i):
    return {
        "flag": i % 2 == 0,
        "tiny": -i,
        "byte": i,
        "short": -300 * i,
        "word": 900 * i,
        "half": i / 4,
        "single": i / 3,
        "maybe": None if i % 3 else i,
        "when": np.datetime64("2024-01-01T00:00:00", "s") + i,
        "kind": ("cat", "a dog")[i % 2],
        "pair": complex(i, -i),
        "large": 2**63 + i,
    }


def texts(i):
    return {
        "text": f"récord {i} " * (i % 5),
        "blob": None if i % 4 == 0 else bytes([i]) * (3 * i),
        "label": i,
        "box": np.full((2, 3), i, np.float32),
    }


def wide(i):
    numbers = {f"n{k}": i * k for k in range(40)}
    return {**numbers, "text": f"record {i}", "points": np.full((i % 4, 2), i, np.float32)}


NUMBERS = {
    "flag": "bool",
    "tiny": "int8",
    "byte": "uint8",
    "short": "int16",
    "word": "uint32",
    "half": "float16",
    "single": "float32",
    "maybe": "int16?",
    "when": "datetime64[s]",
    "kind": 'category[cat,"a dog"]',
    "pair": "complex64",
    "large": "uint64",
}
SCHEMAS = {
    "plain": (plain, {"a": "int64", "b": "float32", "c": "float64"}),
    "numbers": (every_number, NUMBERS),
    "texts": (
        texts,
        {"text": "str", "blob": "bytes?", "label": "int64", "box": "float32[2,3]"},
    ),
    "wide": (
        wide,
        {**{f"n{k}": "int64" for k in range(40)}, "text": "str", "points": "float32[*,2]"},
    ),
}


@contextlib.contextmanager
def by_python():
    """Let Python do all of it."""
    for module in MODULES:
        module.core = None
    try:
        yield
    finally:
        for module in MODULES:
            module.core = core


def seen(value):
    """A value in a form that can be compared: every byte of it, and what it is."""
    if isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        return "masked", str(value.dtype), mask.tolist(), value.data[~mask].tobytes()
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, memoryview):
        return "view", bytes(value)
    if isinstance(value, dict):
        return {key: seen(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [seen(each) for each in value]
    return type(value).__name__, repr(value)


def outcome(function, *arguments):
    """What a caller sees of a call."""
    try:
        return seen(function(*arguments))
    except (DSRecordsError, ValueError, TypeError, LookupError, OSError) as error:
        return type(error).__name__, str(error)


def answers(path, positions, verify, copy, field):
    """All that is read of some records of a dataset."""
    try:
        ds = dsrecords.open(path, verify=verify, copy=copy)
    except DSRecordsError as error:
        return [(type(error).__name__, str(error))]
    with ds:
        found = []
        for i in positions:
            found.append(outcome(ds.__getitem__, i))
            found.append(outcome(ds.__getitem__, i))
            found.append(outcome(ds.__getitem__, (i, field)))
            found.append(outcome(ds.batch, [i, (i + 1) % COUNT]))
            found.append(outcome(ds.batch, [i, i], [field]))
        found.append(outcome(ds.column, field))
        found.append(outcome(list, ds))
        return found


class Damaged:
    """A dataset, of which bits are flipped and put back.

    Args:
        folder: where its files are.
        name: one of SCHEMAS.
        is_edited: whether some of its records were replaced, corrected or removed.
    """

    def __init__(self, folder, name, is_edited=False):
        make, schema = SCHEMAS[name]
        self.path = str(Path(folder) / f"{name}{is_edited}.rec")
        self.keys = list(schema)
        make_dataset([make(i) for i in range(COUNT)], self.path, schema)
        if is_edited:
            with dsrecords.open(self.path) as ds:
                key = self.keys[-1]
                for i in range(0, COUNT, 5):
                    ds[i, key] = make(i + 1)[key]
                ds[7] = make(8)
                del ds[COUNT - 5]
                ds.append(make(3))
        with dsrecords.open(self.path) as ds:
            entries = ds._reading.snapshot().entries
            refs = [entries.ref(entries.row(i)) for i in range(COUNT)]
            self.places = [(ref.offset, ref.size or 64) for ref in refs]
            self.base = ds._reading.opened().slot.base
            self.row_size = entries.row_size
        self.files = [Path(self.path), Path(self.path[:-4] + ".idx")]
        self.contents = [file.read_bytes() for file in self.files]

    def flip(self, rng, count):
        """Flip a bit in each of `count` records, in its frame or in its row; return which records."""
        fresh = [bytearray(content) for content in self.contents]
        positions = rng.sample(range(COUNT), count)
        for i in positions:
            number = rng.randrange(4) == 0
            start, size = self.places[i]
            if number:
                start = self.base + self.row_size * i
                size = self.row_size
            content = fresh[number]
            content[min(start + rng.randrange(size), len(content) - 1)] ^= 1 << rng.randrange(8)
        for file, content in zip(self.files, fresh, strict=True):
            file.write_bytes(content)
        return positions


def compare_reading(folder, flips, seed):
    """Flip some bits, and read what was damaged in both ways. Returns how many values were wrong in neither."""
    rng = random.Random(seed)
    datasets = [Damaged(folder, name, edited) for name in SCHEMAS for edited in (False, True)]
    done = 0
    errors = 0
    while done < flips:
        damaged = rng.choice(datasets)
        positions = damaged.flip(rng, 24)
        done += len(positions)
        verify = rng.choice(VERIFY)
        copy = rng.random() < 0.7
        field = rng.choice(damaged.keys)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            in_c = answers(damaged.path, positions, verify, copy, field)
            with by_python():
                in_python = answers(damaged.path, positions, verify, copy, field)
        assert in_c == in_python, (damaged.path, positions, verify, copy, field)
        errors += sum(isinstance(each, tuple) and each[0] == "CorruptError" for each in in_c)
    return errors


class Bytes:
    """A log in memory."""

    path = "log"
    needs_ensuring = False

    def __init__(self, data):
        self.data = data

    def size(self):
        return len(self.data)

    def read(self, offset, length):
        return bytes(self.data[offset : offset + length])


def walked(data, header, row_size, payloads_from, only_last, proving):
    """All that a scan of a log finds; with `proving`, also which records that it has not proven are damaged."""
    scanner = LogScanner(
        Bytes(data),
        header.frames,
        header.size,
        len(data),
        header.raw.check,
        row_size,
        payloads_from,
        only_last,
        proving,
    )
    found = []
    try:
        found.extend(
            (batch.rows.tolist(), batch.op, list(batch.positions), batch.end) for batch in scanner
        )
    except DSRecordsError as error:
        found.append(str(error))
    rows = [row for batch in found if isinstance(batch, tuple) for row in batch[0]]
    fault = scanner.fault
    told = (fault and fault[:6], scanner.misplaced, scanner.end, scanner.last, scanner.check)
    damaged = []
    for offset in scanner.take_unproven():
        frame = scanner.frame(offset)
        if frame.problem or dirty_padding(scanner, header, frame):
            damaged.append(offset)
    return rows, told, damaged


def compare_walking(folder, flips, seed):
    """Flip bits of a log, one at a time, and walk along it in both ways. Returns how many faults there were."""
    rng = random.Random(seed)
    datasets = [Damaged(folder, name, edited) for name in SCHEMAS for edited in (False, True)]
    headers = []
    for damaged in datasets:
        with dsrecords.open(damaged.path) as ds:
            headers.append(ds._reading.opened().header)
    faults = 0
    for _ in range(flips):
        number = rng.randrange(len(datasets))
        header = headers[number]
        data = bytearray(datasets[number].contents[0])
        data[rng.randrange(header.size, len(data))] ^= 1 << rng.randrange(8)
        row_size = rng.choice([SHORT_ROW, header.schema.layout.long_row_size])
        payloads_from = rng.choice([0, header.size, len(data) // 2, len(data)])
        only_last = rng.random() < 0.3
        proving = rng.random() < 0.4
        if proving:  # as `check` does
            only_last = False
        arguments = (bytes(data), header, row_size, payloads_from, only_last, proving)
        rows, told, damaged = walked(*arguments)
        with by_python():
            expected_rows, expected_told, expected_damaged = walked(*arguments)
        assert rows == expected_rows
        assert told == expected_told
        assert damaged == expected_damaged
        faults += told[0] is not None
    return faults


def compare_packing(count, seed):
    """Complete random heads in both ways."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        headers = []
        for name in SCHEMAS:
            with dsrecords.open(Damaged(folder, name).path) as ds:
                headers.append(ds._reading.opened().header)
    for _ in range(count):
        frames = rng.choice(headers).frames
        dtype = frames.layout.dtype
        number = rng.randrange(1, 40)
        data = rng.randbytes(number * dtype.itemsize)
        heads, other = (np.frombuffer(bytearray(data), dtype) for _ in range(2))
        for each in (heads, other):
            each["sizes"] %= 1000
        offset = 8 * rng.randrange(2**40)
        offsets = kernels.pack_frames(heads, PENDING, offset, frames.seed, frames.tables)
        with by_python():
            expected = kernels.pack_frames(other, PENDING, offset, frames.seed, frames.tables)
        assert offsets.tolist() == expected.tolist()
        assert heads.tobytes() == other.tobytes()


def written(folder, name, start, count):
    """What a writer makes of some records: by one call, and one by one."""
    make, schema = SCHEMAS[name]
    path = str(Path(folder) / "written.rec")
    make_dataset([], path, schema, id=bytes(16), overwrite=True)
    with dsrecords.open(path) as ds:
        ds.extend([make(i) for i in range(start, start + count)])
        for i in range(start, start + count):
            ds.append(make(i))
    return [Path(path).read_bytes(), Path(path[:-4] + ".idx").read_bytes()]


def compare_writing(folder):
    """Write some records in both ways: the files are the same, to the last byte."""
    for name in SCHEMAS:
        for start, count in ((0, 1), (1, 2), (3, 40)):
            in_c = written(folder, name, start, count)
            with by_python():
                assert written(folder, name, start, count) == in_c


if __name__ == "__main__":
    asked = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as scratch:
        errors = compare_reading(scratch, asked, seed)
        print(errors, "errors of reading, the same in both ways")
    with tempfile.TemporaryDirectory() as scratch:
        faults = compare_walking(scratch, asked // 20, seed)
        print(faults, "faults of walking, the same in both ways")
