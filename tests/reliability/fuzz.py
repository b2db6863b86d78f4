"""Targets for a fuzzer: bytes in, files out with all checksums right, and everything done with them that one does with a dataset.

What is fuzzed are the bytes behind the checksums, which would else shield the parser. Only a DSRecordsError may come out, and
soon. `campaign` runs atheris on each target; what it finds is kept in `findings/`, where the tests replay it.
"""

import contextlib
import re
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

HERE = Path(__file__).parent
NAMED = "/sim/named.idx"
FINDINGS = HERE / "findings"
sys.path[:0] = [str(HERE), str(HERE.parent)]

import bytes_by_hand as hand  # noqa: E402
from bytes_by_hand import DELETE, NUMBER, PENDING, REVISION, TAKE_LAST, TEXT, Log  # noqa: E402

try:
    import atheris
except ImportError:  # the tests replay findings without it
    atheris = None

if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["dsrecords"]):
        import dsrecords
else:
    import dsrecords
import numpy as np  # noqa: E402
from google.protobuf import timestamp_pb2  # noqa: E402
from operations import INDEX, PATH  # noqa: E402
from simulation import Machine  # noqa: E402

from dsrecords import DSRecordsError, StoredFile  # noqa: E402
from dsrecords._schema.resolve import make_schema  # noqa: E402
from dsrecords._types.parse import parse  # noqa: E402

TYPES = (
    "str",
    "bytes",
    "json",
    "array",
    "int8[3]",
    "float32[*,2]",
    "bool[*,*]",
    "list[int16]",
    "list[bool?]",
    "list[str]",
    "list[bytes?]",
    "list[json]",
    "list[array]",
    "list[float64[*]]",
    "list[list[uint8]]",
    "list[list[str?]?]",
    "png",
    "jpeg",
    "webp",
    "image",
    "audio",
    "msgpack",
    "protobuf[google.protobuf.Timestamp]",
    "zstd(bytes)",
    "zstd(list[str])",
    "list[zstd(str)]",
    "{a:int8?,b:str?,c:{d:list[str]}}",
    "list[{a:int8,b:float32[2]}]",
    "list[{a:str?}?]",
    "bfloat16[*]",
    "list[datetime64[s]]",
    "list[category[a,b]?]",
    "ext(fuzz.own)",
    "map[int8?]",
    "file",
)
# Numbers of the head: the fuzzer says which bytes there are; their checks are made right.
SCALARS = (
    "bool",
    "float16?",
    "category[a,b]",
    "category[a]?",
    "datetime64[us]?",
    "timedelta64[Y]",
    "bfloat16?",
    "uint64",
)
ENCODED = ("png", "jpeg", "webp", "image", "audio")
KINDS = (
    1,
    2,
    3,
    4,
    5,
    6,
    200,
)  # of frames: all that are known, one to be refused, one to be skipped
SLOT_FIELDS = 92  # bytes of a slot behind its checksum, but for the zeros at its end
BASE_AT, ROW_AT = 56, 60  # in these
dsrecords.register_type("fuzz.own", bytes, bytes)


def use(files, decode=None):
    """Whatever these files hold, each step gives something or raises a DSRecordsError."""
    with Machine(files).running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = dsrecords.open(PATH, decode=decode)
        except DSRecordsError:
            ds = None
        steps = [lambda: dsrecords.repair(PATH)]
        if ds is not None:
            steps += [
                lambda: ds.metadata,
                lambda: ds.batch(slice(None)),
                ds.check,
                lambda: _without_checks(decode),
            ]
            steps += [lambda i=i: ds[i] for i in range(min(len(ds), 20))]
            steps += [lambda: _each_field_alone(ds), lambda: _revise(ds)]
            steps += [lambda: ds.quick_remove_at(0) if len(ds) else None, ds.flush, ds.close]
        for step in steps:
            try:
                step()
            except DSRecordsError:
                continue


def _without_checks(decode):
    ds = dsrecords.open(PATH, decode=decode, verify=False, copy=False)
    return [ds[i] for i in range(min(len(ds), 20))]


def _each_field_alone(ds):
    for key in _keys(ds)[:20]:
        ds.column(key)
        if len(ds):
            ds[-1, key]


def _revise(ds):
    """Write a field of a record alone, as it is."""
    for key in _keys(ds)[:20] if len(ds) else ():
        ds[0, key] = ds[0, key]


def _keys(ds):
    return list(ds.schema) if isinstance(ds.schema, dict) else list(range(len(ds.schema)))


def header(data):
    """The JSON of a header."""
    use({PATH: hand.header(data[:100_000])})


def log(data):
    """The frames of a log: sizes, kinds, payloads, tables and edits are the fuzzer's; the checks are then made right, and the chain."""
    contents = NUMBER if data[:1] < b"\x80" else TEXT
    base = hand.header(contents)
    use({PATH: base + right_checks(data[1:], Log(contents))})


def right_checks(data, empty):
    """Frames with right checks, as far as their sizes lead from one to the next; also those within them.

    Args:
        data: the frames.
        empty: the log that they are behind.
    """
    data, at, pending = bytearray(data), 0, []
    head, prev, start = empty.head_size, empty.prev, empty.size
    while at + 24 <= len(data):
        size = int.from_bytes(data[at + 8 : at + 14], "little")
        kind = data[at + 14] if data[at + 14] in KINDS else KINDS[data[at + 14] % len(KINDS)]
        is_pending = hand.is_pending(kind)
        struct.pack_into(
            "<IQ", data, at + 4, 0 if is_pending else prev, hand.MARK << 56 | kind << 48 | size
        )
        if kind in (1, 2) and empty.payload_count:
            _right_payload(data, at, at + head)
        elif kind == 3 and at + 40 <= len(data):
            struct.pack_into("<I", data, at + 32, zlib.crc32(b"".join(pending)))
            pending = []
        covered = head if kind in (1, 2, 4) else 32 if kind >= 128 else size
        if not 16 <= covered <= len(data) - at:
            break
        check = hand.frame_check(hand.ID, data[at + 4 : at + covered], start + at)
        struct.pack_into("<I", data, at, check)
        if is_pending:
            pending.append(check.to_bytes(4, "little"))
        else:
            prev = check
        if kind == 4 and empty.payload_count and at + head + 16 <= len(data):
            table = hand.table_checksum(check, data[at + head : at + head + 8])
            struct.pack_into("<II", data, at + head + 8, table, 0)
        if not size or size & 7:
            break
        at += size
    return bytes(data)


def _right_payload(data, at, start):
    """Let the head at this place have the checksum of its payload, which begins at `start`, if it is there."""
    if start <= len(data):
        length = struct.unpack_from("<Q", data, at + 16)[0]
        if start + length <= len(data):
            struct.pack_into("<I", data, at + 24, zlib.crc32(data[start : start + length]))


def _five():
    """A log of all kinds of frames, and its list: the places of the frames of its records."""
    five = Log(TEXT)
    for i in range(3):
        five.text(f"text {i}", i)
    five.text("pending", 3, kind=PENDING)
    five.commit(TAKE_LAST, [1])
    five.metadata({"a": 1})
    five.frame(200, bytes(24))
    five.text(five.old(five.frames[0].offset), 4, kind=REVISION)
    five.commit(TAKE_LAST, [0])
    return five, [five.frames[4], five.frames[3], five.frames[2]]


def right_slot(data, flags):
    """A slot of these fields, of the right dataset and version, or most would be passed over."""
    data = data.ljust(SLOT_FIELDS, b"\0")
    beginning = struct.pack("<HH16s", hand.VERSION, flags, hand.ID)
    base = struct.pack("<I", 12288)
    return finished(beginning + data[len(beginning) : BASE_AT] + base + data[ROW_AT:SLOT_FIELDS])


def finished(fields):
    """A slot with a right checksum."""
    fields = fields.ljust(hand.SLOT_SIZE - 12, b"\0")
    return hand.INDEX_MAGIC + struct.pack("<I", zlib.crc32(fields)) + fields


def index(data):
    """Slots and rows of an index; the slots' checksums are made right."""
    five, _ = _five()
    chosen = data[2 * SLOT_FIELDS :]
    slots = []
    for at in (0, SLOT_FIELDS):
        fields = data[at : at + SLOT_FIELDS]
        slot = right_slot(fields, 0) if chosen[:1] < b"\x80" else finished(fields)
        slots.append(slot.ljust(4096, b"\0"))
    use({PATH: five.data, INDEX: b"".join(slots) + five.data[:4096] + chosen[1:]})


def payload(data):
    """The payload of a type, which the first byte chooses."""
    kind = TYPES[data[0] % len(TYPES)] if data else TYPES[0]
    one = Log({**make_schema([kind]).to_json(), "metadata": {}})
    one.record(b"", [data[1:]])
    decode = (
        "array"
        if kind in ENCODED
        else timestamp_pb2.Timestamp
        if kind.startswith("protobuf")
        else None
    )
    use({PATH: one.data}, None if decode is None else {0: decode})


def scalars(data):
    """The numbers of heads, which are of every kind of scalar."""
    schema = make_schema(list(SCALARS))
    size = schema.layout.size - 16
    one = Log({**schema.to_json(), "metadata": {}})
    for at in range(0, min(len(data), 8 * size), size):
        one.record(data[at : at + size].ljust(size, b"\0"))
    use({PATH: one.data})


def view(data):
    """An index that is opened by its name, as a view is; its slot's checksum is made right."""
    five, _ = _five()
    slot = right_slot(data[:SLOT_FIELDS], data[0] % 2 if data else 1)
    rows = data[SLOT_FIELDS:]
    files = {PATH: five.data, NAMED: slot.ljust(8192, b"\0") + five.data[:4096] + rows}
    with Machine(files).running(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(DSRecordsError):
            ds = dsrecords.open(PATH, index_path=NAMED)
            for step in (
                lambda: ds.batch(slice(None)),
                ds.check,
                lambda: [ds[i] for i in range(min(len(ds), 20))],
            ):
                with contextlib.suppress(DSRecordsError):
                    step()


def types(data):
    """The name of a type."""
    with contextlib.suppress(DSRecordsError):
        parse(data.decode("utf-8", "surrogateescape"))


TARGETS = {
    function.__name__: function for function in (header, log, index, view, payload, scalars, types)
}


def seeds(name):
    """What to begin with."""
    five, places = _five()
    if name == "header":
        return [
            five.data[40 : 40 + int.from_bytes(five.data[20:24], "little")],
            b'{"fields": [{"type": "int8?", "at": 16, "present": 17}], "head": 24}',
        ]
    if name == "log":
        numbers = Log()
        numbers.number(1)
        numbers.number(2, kind=PENDING)
        numbers.commit(DELETE, [(0, 1)])
        numbers.number(3)
        return [b"\xff" + five.data[4096:], b"\0" + numbers.data[4096:]]
    if name == "index":
        rows = []
        for row_size in (16, 48):
            whole = hand.index(five, places, row_size=row_size)
            fields = whole[4096 + 12 :][:SLOT_FIELDS]
            rows.append(fields + bytes(SLOT_FIELDS) + b"\0" + whole[12288:])
            rows.append(fields + fields + b"\xff" + whole[12288:])
        return rows
    if name == "view":
        rows = []
        for row_size in (16, 48):
            whole = hand.view(five, places, row_size=row_size)
            slot = whole[: hand.SLOT_SIZE] if any(whole[:8]) else whole[4096:]
            fields = slot[12 : 12 + SLOT_FIELDS]
            rows += [b"\1" + fields[1:] + whole[12288:], b"\0" + fields[1:] + whole[12288:]]
        return rows
    if name == "scalars":
        return [bytes(range(100)), bytes(64)]
    if name == "types":
        return [kind.encode() for kind in TYPES + SCALARS]
    pictures = {"png": "red.png", "jpeg": "red.jpg", "webp": "red.webp", "image": "red.bmp"}
    values = {
        "str": "été",
        "bytes": b"abc",
        "json": {"a": [1, None]},
        "array": [[1.5]],
        "int8[3]": [1, 2, 3],
        "float32[*,2]": [[1, 2]],
        "bool[*,*]": [[True]],
        "list[int16]": [1, 2],
        "list[bool?]": [True, None],
        "list[str]": ["a", ""],
        "list[bytes?]": [None, b"a"],
        "list[json]": [{}, 1],
        "list[array]": [[1]],
        "list[float64[*]]": [[1.0], []],
        "list[list[uint8]]": [[1], []],
        "list[list[str?]?]": [None, [None, "a"]],
        "audio": (np.arange(4, dtype="int16"), 8000),
        "msgpack": {"a": [1, None, b"b", 0.5]},
        "protobuf[google.protobuf.Timestamp]": timestamp_pb2.Timestamp(seconds=1, nanos=2),
        "zstd(bytes)": b"abc" * 20,
        "zstd(list[str])": ["a", "b" * 50],
        "list[zstd(str)]": ["a" * 50, ""],
        "{a:int8?,b:str?,c:{d:list[str]}}": {"a": 1, "b": None, "c": {"d": ["x"]}},
        "list[{a:int8,b:float32[2]}]": [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}],
        "list[{a:str?}?]": [None, {"a": "b"}, {"a": None}],
        "bfloat16[*]": [1.0, 2.0],
        "list[datetime64[s]]": [np.datetime64(5, "s")],
        "list[category[a,b]?]": ["a", None],
        "ext(fuzz.own)": b"own",
        "map[int8?]": {"a": 1, "b": None},
        "file": StoredFile(b"abc", ".txt"),
    }
    made = []
    for number, kind in enumerate(TYPES):
        data = (
            (HERE.parent / "golden" / "pictures" / pictures[kind]).read_bytes()
            if kind in pictures
            else parse(kind).dump(values[kind])
        )
        made.append(bytes([number]) + data)
    return made


def campaign(name, minutes):
    """Fuzz a target for some minutes. Returns how many inputs it got; raises AssertionError at the first finding."""
    command = [
        sys.executable,
        str(Path(__file__)),
        name,
        f"-max_total_time={int(minutes * 60)}",
        "-max_len=4096",
        "-timeout=10",
    ]
    command += ["-rss_limit_mb=2048", f"-artifact_prefix={FINDINGS}/{name}-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{name}: {(done.stdout + done.stderr)[-6000:]}")
    found = re.findall(r"Done (\d+) (?:runs )?in|#(\d+)\s+DONE", done.stderr)
    return max((int(a or b) for a, b in found), default=0)


def main():
    import tempfile

    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds(sys.argv[1])):
            Path(corpus, f"seed-{number}").write_bytes(data)
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
