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
FINDINGS = HERE / "findings"
sys.path[:0] = [str(HERE), str(HERE.parent)]

import bytes_by_hand as hand  # noqa: E402
from bytes_by_hand import NUMBER, PENDING, TEXT, Log  # noqa: E402

try:
    import atheris
except ImportError:  # the tests replay findings without it
    atheris = None

if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["dsrecords"]):
        import dsrecords
else:
    import dsrecords
from simulation import Machine  # noqa: E402
from workloads import INDEX, PATH  # noqa: E402

from dsrecords import DSRecordsError  # noqa: E402
from dsrecords._schema import make_schema  # noqa: E402
from dsrecords._types import parse  # noqa: E402

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
)


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
            steps += [lambda: ds.metadata, lambda: ds.batch(slice(None)), ds.check, lambda: _without_checks(decode)]
            steps += [lambda i=i: ds[i] for i in range(min(len(ds), 20))]
            steps += [lambda: ds.quick_remove_at(0) if len(ds) else None, ds.flush, ds.close]
        for step in steps:
            try:
                step()
            except DSRecordsError:
                continue


def _without_checks(decode):
    ds = dsrecords.open(PATH, decode=decode, verify=False, copy=False)
    return [ds[i] for i in range(min(len(ds), 20))]


def header(data):
    """The JSON of a header."""
    use({PATH: hand.header(data[:100_000])})


def log(data):
    """The frames of a log: sizes, kinds, payloads and checks are the fuzzer's, but the checks are then made right."""
    base = hand.header(NUMBER if data[:1] < b"\x80" else TEXT)
    use({PATH: base + right_checks(data[1:], 24 if data[:1] < b"\x80" else 40, len(base))})


def right_checks(data, head, start):
    """Frames with right checks, as far as their sizes lead from one to the next; payloads as well, where there is one."""
    data, at = bytearray(data), 0
    while at + 24 <= len(data):
        kind, size = struct.unpack_from("<IQ", data, at + 4)
        kind = kind % 5
        struct.pack_into("<I", data, at + 4, kind)
        if kind in (1, 2) and head == 40 and at + 40 <= len(data):
            length = struct.unpack_from("<Q", data, at + 16)[0]
            if at + 40 + length <= len(data):
                struct.pack_into("<I", data, at + 24, zlib.crc32(data[at + 40 : at + 40 + length]))
        covered = head if kind in (1, 2) else size
        if not 16 <= covered <= len(data) - at:
            break
        check = zlib.crc32(hand.ID + data[at + 4 : at + covered]) ^ (start + at >> 3 & 0xFFFFFFFF)
        struct.pack_into("<I", data, at, check)
        if not size or size & 7:
            break
        at += size
    return bytes(data)


def _five():
    five = Log(TEXT)
    for i in range(3):
        five.text(f"text {i}", i)
    five.text("pending", 3, kind=PENDING)
    five.commit(1, [1])
    return five


def index(data):
    """Slots and entries of an index; the slots' checksums are made right."""
    five = _five()
    slots = []
    for at in (0, 68):
        rest = data[at : at + 68].ljust(68, b"\0")
        if data[136:137] < b"\x80":  # of the right dataset and version, or most would be passed over
            rest = struct.pack("<HH16s", 1, 0, hand.ID) + rest[20:64] + struct.pack("<I", 12288)
        slots.append((hand.INDEX_MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest).ljust(4096, b"\0"))
    use({PATH: five.data, INDEX: b"".join(slots) + five.data[:4096] + data[137:]})


def payload(data):
    """The payload of a type, which the first byte chooses."""
    kind = TYPES[data[0] % len(TYPES)] if data else TYPES[0]
    one = Log({**make_schema([kind]).to_json(), "metadata": {}})
    one.record(b"", [data[1:]])
    use({PATH: one.data}, {0: "array"} if kind in ("png", "jpeg", "webp", "image") else None)


def types(data):
    """The name of a type."""
    with contextlib.suppress(DSRecordsError):
        parse(data.decode("utf-8", "surrogateescape"))


TARGETS = {function.__name__: function for function in (header, log, index, payload, types)}


def seeds(name):
    """What to begin with."""
    five = _five()
    if name == "header":
        return [
            five.data[40 : 40 + int.from_bytes(five.data[20:24], "little")],
            b'{"fields": [{"type": "int8?", "at": 16, "present": 17}], "head": 24}',
        ]
    if name == "log":
        numbers = Log()
        numbers.number(1)
        numbers.number(2, kind=PENDING)
        numbers.commit(2, [0])
        return [b"\xff" + five.data[4096:], b"\0" + numbers.data[4096:]]
    if name == "index":
        whole = hand.index(five, [five.frames[0], five.frames[3], five.frames[2]], edits=1)
        return [whole[12:80] + bytes(68) + b"\0" + whole[12288:], whole[12:80] + whole[12:80] + b"\xff" + whole[12288:]]
    if name == "types":
        return [kind.encode() for kind in TYPES]
    from dsrecords._types import parse

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


def campaign(minutes, names=tuple(TARGETS)):
    """Fuzz each target for some minutes. Returns how many inputs each got; raises AssertionError at the first finding."""
    runs = {}
    for name in names:
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
        runs[name] = max((int(a or b) for a, b in found), default=0)
        print(f"  {name}: {runs[name]:,}", flush=True)
    return runs


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
