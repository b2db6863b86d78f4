"""A small dataset with every type, each of its bytes damaged in turn: what is read was written, or an error says where.

Outcomes of one damage: "told of" (an error that names the file, and of a record its position; of a payload its field), "harmless"
(every value is right). `LostError` is raised for a wrong value, a record that is missing without a word, another error, an error
of another record than the damaged one.
"""

import functools
import random
import struct
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
from operations import INDEX, PATH, small_writers
from power_loss import LostError
from simulation import Machine

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, UnsupportedVersionError, repair
from dsrecords._format.layout import REVISION
from dsrecords._read.plan import Plan

PICTURES = Path(__file__).parents[1] / "golden" / "pictures"
SCALARS = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
FILES = {
    "jpeg": "red.jpg",
    "png": "alpha.png",
    "webp": "red.webp",
    "image": "red.gif",
}  # and a sound, see `encoded`
OTHERS = {
    "str": "été 漢字",
    "bytes": b"\0\1\2",
    "json": {"a": [1, None, 2.5]},
    "int16[2,2]": np.array([[1, -2], [3, 4]], "<i2"),
    "float32[*,2]": np.array([[0.5, 1.5]], "<f4"),
    "array": np.array(["2026-11-22"], "M8[D]"),
    "list[int32]": [1, -2],
    "list[bool?]": [True, None],
    "list[str?]": ["a", None, ""],
    "list[float16[2]]": [np.array([1, 2], "<f2")],
    "list[list[str]]": [["b"], []],
    "zstd(str)": "a text " * 5,
    "{a: int8, b: str?}": {"a": 1, "b": None},
    "list[{a: int8, b: float32[2]}]": [{"a": 1, "b": np.array([1, 2], "<f4")}],
    "category[cat,dog]": "dog",
    "datetime64[s]": np.datetime64("2026-11-22T13:49:05", "s"),
    "timedelta64[ms]": np.timedelta64(90, "ms"),
    "bfloat16": -1.5,
    "bfloat16[2]": np.array([1, -2], ml_dtypes.bfloat16),
    "msgpack": {"a": [1, None, b"b"]},
    "protobuf[a.B]": b"\x08\x01",
    "ext(damage.own)": b"own",
    "list[json]": [{"a": 1}, [None]],
    "list[array]": [np.arange(2)],
    "list[{a:int8}?]": [None, {"a": 1}],
}
dsrecords.register_type("damage.own", bytes, bytes)
SCHEMA = {name: name for name in (*SCALARS, *OTHERS)} | {
    f"{name} or None": f"{name}?" for name in ("bool", "int64", "float32", "str", "array")
}
# So few that their heads are in the rows of the index as well.
FEW = ("int64", "bool or None", "float32 or None", "str", "str or None", "bytes", "int16[2,2]")
REVISED = ("int64", "str or None")  # fields of which one record gets others alone
METADATA = {"made by": "a test"}


def sample(i, images=False):
    """Sample number i; the images only where they are asked for: they are most of the bytes."""
    scalars = {
        name: i % 2 == 1 if name == "bool" else i + 0.5 if "float" in name else i + 1
        for name in SCALARS
    }
    optional = {
        "bool or None": None if i % 2 else True,
        "int64 or None": None if i % 3 == 0 else -i,
        "float32 or None": 0.5,
    }
    optional |= {
        "str or None": None if i % 2 == 0 else "there",
        "array or None": None if i % 2 else np.arange(i),
    }
    return scalars | OTHERS | optional | (encoded() if images else {})


@functools.cache
def encoded():
    """Files of others, as bytes: pictures, and a sound."""
    sound = (
        b"RIFF"
        + struct.pack(
            "<I4s4sIHHIIHH4sI", 44, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 8
        )
        + bytes(range(8))
    )
    return {name: (PICTURES / file).read_bytes() for name, file in FILES.items()} | {"audio": sound}


def made(images=False, few=False):
    """Files of a closed dataset with all kinds of changes, published in both ways; and the states of its list.

    With `few` types, each row of the index has a copy of the head.
    """
    schema = SCHEMA | ({name: name for name in encoded()} if images else {})
    if few:
        schema = {name: schema[name] for name in FEW}

    def of(i):
        whole = sample(i, images)
        return {name: whole[name] for name in schema}

    part = {name: of(7)[name] for name in REVISED}
    machine = Machine()
    with small_writers(), machine.running():
        ds = IndexedRecordDataset(PATH, schema=schema)
        ds.extend([of(i) for i in range(3)])
        ds[1] = of(5)
        ds.set_metadata(METADATA)
        del ds[0]
        ds.update({1: part}, partial=True)
        ds.flush()
        ds.append(of(6))
        ds.close()
    # Batches are of two.
    states = [(), (0, 1), (0, 1, 2), (0, 5, 2), (5, 2)]
    rows = [[of(i) for i in state] for state in states]
    rows.append([of(5), of(2) | part])
    rows.append([of(5), of(2) | part, of(6)])
    return machine.contents(), rows


def appended():
    """The same of a dataset that has only grown, record by record."""
    machine, rows = Machine(), [sample(i) for i in range(4)]
    with small_writers(), machine.running(), IndexedRecordDataset(PATH, schema=SCHEMA) as ds:
        for row in rows:
            ds.append(row)
    return machine.contents(), [rows[:count] for count in range(len(rows) + 1)]


def same(a, b):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b)
        )
    if isinstance(a, dict):
        return (
            isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        )
    if isinstance(a, list):
        return (
            isinstance(b, list)
            and len(a) == len(b)
            and all(same(*pair) for pair in zip(a, b, strict=True))
        )
    return type(a) is type(b) and a == b


def same_column(a, b):
    """Masked where the other is, and of the same values elsewhere; a list where the other is one."""
    if isinstance(b, np.ma.MaskedArray):
        return (
            isinstance(a, np.ma.MaskedArray)
            and same(np.ma.getmaskarray(a), np.ma.getmaskarray(b))
            and same(a.filled(0), b.filled(0))
        )
    return same(a, b)


class Damaged:
    """A dataset to be damaged: its files, what it must read as, and which bytes are of which record and field.

    Attributes:
        row_size: of the rows of its index.
        places: of each record: offset and end of its head (and of the table behind it, if it is a revision), and by field where
            its payloads are.
        head: offset and end of the head of a record.
        table: the same of the table of a revision, or of the head if there is none.
    """

    def __init__(self, files, states):
        self.files, self.states, self.rows = files, states, states[-1]
        self.grown = [len(state) for state in states] == [*range(len(states))]
        rows, self.known = self.rows, [row for state in states for row in state]
        self.decode = {name: "bytes" for name in encoded() if name in rows[0]}
        with Machine(files).running():
            ds = self.open()
            if not all(same(*pair) for pair in zip(ds, rows, strict=True)):
                raise LostError("it does not even read back undamaged")
            self.metadata = ds.metadata
            self.places = []
            snapshot, schema = ds._reading.snapshot(), ds._reading.fields.header.schema
            self.row_size = snapshot.entries.row_size
            together = [
                field.key
                for field in schema.fields
                if field.number_slot >= 0 or field.key == "int16[2,2]"
            ]
            self.columns = ds.batch(slice(None), together)
            nothing = Plan(ds._reading.fields.header, [], copy=True, shape=tuple)
            for i in range(len(rows)):
                ref = snapshot.entries.ref(snapshot.entries.row(i))
                _, payloads = snapshot.kept(i, nothing)
                fields = {
                    field.key: (payload.offset, payload.offset + payload.size)
                    for field, payload in zip(schema.payloads, payloads, strict=True)
                    if payload.offset
                }
                end = ref.offset + schema.layout.size
                if i == 0:
                    self.head = self.table = (ref.offset, end)
                if files[PATH][ref.offset + 14] == REVISION:
                    self.table = (end, end + schema.layout.table_size)
                    end += schema.layout.table_size
                self.places.append((ref.offset, end, fields))

    def open(self):
        return dsrecords.open(PATH, decode=self.decode)

    def owner(self, at):
        """Record and field that a byte of the log belongs to; the field is None in a head, both are None elsewhere."""
        for i, (offset, end, fields) in enumerate(self.places):
            if offset <= at < end:
                return i, None
            for field, (start, stop) in fields.items():
                if start <= at < stop:
                    return i, field
        return None, None

    def look(self, files, where=None):
        """Read all that can be read. `where`: file and offset of the one byte that was damaged, if it was one."""
        machine = Machine(files)
        with machine.running(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ds = self.open()
            except (CorruptError, UnsupportedVersionError) as error:
                if error.file not in (PATH, INDEX):
                    raise LostError(f"the error does not name the file: {error}") from error
                if where and where[0] == INDEX and not isinstance(error, UnsupportedVersionError):
                    raise LostError(
                        f"an index that is damaged is made again, but: {error}"
                    ) from error
                return "told of"
            if len(ds) != len(self.rows):
                raise LostError(f"{len(ds)} records instead of {len(self.rows)}")
            owner = self.owner(where[1]) if where and where[0] == PATH else (None, None)
            told = 0
            for i, row in enumerate(self.rows):
                try:
                    if not same(ds[i], row):
                        raise LostError(f"record {i} is wrong")
                except CorruptError as error:
                    told += 1
                    if error.file != PATH or error.record != i or error.offset is None:
                        raise LostError(
                            f"record {i}: the error says something else: {error}"
                        ) from error
                    if where and where[0] == PATH and (owner[0] != i or error.field != owner[1]):
                        raise LostError(
                            f"the damage is in record {owner[0]}, field {owner[1]!r}, the error says: {error}"
                        ) from error
            if told > 1 and where:
                raise LostError(f"one byte took {told} records")
            self._look_at_metadata(ds)
            self._look_at_columns(told)
            if where and where[0] == PATH and not ds.check():
                raise LostError("check() finds nothing wrong")
        return "told of" if told else "harmless"

    def _look_at_metadata(self, ds):
        try:
            if ds.metadata != self.metadata:
                raise LostError(f"the metadata is {ds.metadata}")
        except CorruptError as error:
            if error.file != PATH:
                raise LostError(f"metadata: the error says something else: {error}") from error

    def _look_at_columns(self, told):
        ds = self.open()
        try:
            found = ds.batch(slice(None), list(self.columns))
            for key, column in self.columns.items():
                if not same_column(found[key], column):
                    raise LostError(f"the column {key!r} is wrong")
        except CorruptError as error:
            if not told:
                raise LostError(
                    f"a column is refused that can be read record by record: {error}"
                ) from error

    def flip(self, path, at, mask):
        data = bytearray(self.files[path])
        data[at] ^= mask
        return {**self.files, path: bytes(data)}


def flips(damaged, tally, masks, places):
    """Bytes of both files, xored with each of some masks. `masks`: from an offset to them; `places`: of (path, offset)."""
    for path, at in places:
        for mask in masks(at):
            try:
                tally[damaged.look(damaged.flip(path, at, mask), (path, at))] += 1
            except Exception as error:
                raise LostError(f"{path}, byte {at} xor {mask}: {error!r}") from error


def everywhere(damaged, quiet_stride=1):
    """All bytes of both files; only one in so many where a long stretch of zeros or the copy of the header is."""
    for path, data in damaged.files.items():
        quiet = quiet_parts(path, data)
        for at in range(len(data)):
            if at % quiet_stride == 0 or not any(start <= at < stop for start, stop in quiet):
                yield path, at


def structure(damaged):
    """The bytes that say where and what the others are: a head, the table of a revision, the slots and the rows."""
    for start, stop in (damaged.head, damaged.table):
        yield from ((PATH, at) for at in range(start, stop))
    index = len(damaged.files[INDEX])
    for start, stop in ((0, 128), (4096, 4224), (rows_offset(damaged), index)):
        yield from ((INDEX, at) for at in range(start, stop))


def rows_offset(damaged):
    """Where the rows of the index begin."""
    return len(damaged.files[INDEX]) - damaged.row_size * len(damaged.rows)


def quiet_parts(path, data):
    """Where a file's bytes are of one kind: the padding of headers and slots, and the copy of the header."""
    size = int.from_bytes(data[16:20], "little") if path == PATH else 0
    if path == INDEX:
        base = int.from_bytes(data[68:72], "little") or int.from_bytes(data[4164:4168], "little")
        return [(128, 4096), (4096 + 128, 8192), (8192, base)]
    return [(40 + int.from_bytes(data[20:24], "little"), size)]


def every_bit(at):
    return [1 << bit for bit in range(8)]


def one_bit(seed):
    return lambda at: [1 << random.Random(seed + at).randrange(8)]


def disaster(files, rng):
    """Larger damage: a burst of random bytes, a block of zeros, blocks that changed places, in either file.

    Returns what it is called, where it is (path, offset, size), and the files with it; they may be as they were.
    """
    path = rng.choice([PATH, PATH, INDEX])
    data = bytearray(files[path])
    kind, size = (
        rng.choice(["bursts", "zeroed blocks", "swapped blocks"]),
        rng.choice([1, 2, 4, 8, 16, 64, 512, 4096]),
    )
    at = rng.randrange(max(1, len(data) - size))
    at -= at % (8 if rng.random() < 0.5 else 1)
    if kind == "bursts":
        data[at : at + size] = rng.randbytes(len(data[at : at + size]))
    elif kind == "zeroed blocks":
        data[at : at + size] = bytes(len(data[at : at + size]))
    else:
        other = rng.randrange(max(1, len(data) - size))
        if abs(at - other) >= size:
            data[at : at + size], data[other : other + size] = (
                data[other : other + size],
                data[at : at + size],
            )
    return kind, (path, at, size), {**files, path: bytes(data)}


def disasters(damaged, tally, count, seed):
    """So many larger damages; what happens to change no byte, as a block of zeros that is zeroed, does not count."""
    rng = random.Random(seed)
    while count:
        kind, (path, at, size), files = disaster(damaged.files, rng)
        if files == damaged.files:
            continue
        count -= 1
        tally[kind] += 1
        try:
            tally[damaged.look(files)] += 1
        except Exception as error:
            raise LostError(f"{kind}, {size} bytes at {at} of {path}: {error!r}") from error


def cuts(damaged, tally, places, mend=1):
    """Files cut short: {path: length}; None for a file that is gone. Every `mend`-th is mended as well."""
    for number, cut in enumerate(places):
        files = {
            path: data[: cut.get(path)]
            for path, data in damaged.files.items()
            if cut.get(path, 0) is not None
        }
        try:
            tally[look_at_cut(damaged, files, number % mend == 0)] += 1
        except Exception as error:
            raise LostError(f"cut to {cut}: {error!r}") from error


def look_at_cut(damaged, files, mend):
    """A prefix of what was committed, or an error; what can be mended in place is mended once and for all."""
    machine = Machine(files)
    with machine.running(), warnings.catch_warnings(), small_writers():
        warnings.simplefilter("ignore")
        try:
            found = list(damaged.open())
            outcome = "a prefix"
        except (CorruptError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and PATH in files:
                raise
            outcome = "told of"
        else:
            if not any(same(found, state) for state in damaged.states):
                raise LostError(f"{len(found)} records, which is no state that was committed")
        if mend and PATH in files:
            _mend_twice(damaged, machine, outcome, found if outcome == "a prefix" else None)
    return outcome


def _mend_twice(damaged, machine, outcome, found):
    before = machine.contents()
    try:
        first = repair(PATH)
    except CorruptError:
        first = None
    if machine.contents() != before:
        raise LostError("looking changed the files")
    try:
        repair(PATH, in_place=True)
    except CorruptError:
        if machine.contents() != before:
            raise LostError("it cannot be mended in place, and was changed") from None
        if found is not None:
            raise
        if first is not None:
            repair(PATH, "/sim/saved.rec")
            saved = list(dsrecords.open("/sim/saved.rec", decode=damaged.decode))
            if len(saved) != first.records or not all(
                any(same(row, known) for known in damaged.known) for row in saved
            ):
                raise LostError("what was saved is not what was written") from None
        return
    mended = machine.contents()
    again = repair(PATH, in_place=True)
    if again.problems or machine.contents() != mended:
        raise LostError(f"mended twice: {again.problems}")
    if found is not None and not same(list(damaged.open()), found):
        raise LostError("mending changed the list")
