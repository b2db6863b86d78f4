"""The compiled twin gives what Python gives: on right files, on damaged ones, and of each checksum."""

import ast
import gc
import os
import random
import signal
import struct
import subprocess
import sys
import sysconfig
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import twins

import dsrecords
import hatch_build
from dsrecords import CorruptError, IndexedRecordDataset, Permutation, make_dataset
from dsrecords._native import core

ROOT = Path(__file__).parents[2]
of_twin = pytest.mark.skipif(core is None, reason="there is no compiled twin: see `make help`")
of_builtin = type(len)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "data.rec")


def run(code, **environment):
    variables = {name: value for name, value in os.environ.items() if name != "DSRECORDS_NATIVE"}
    variables["PYTHONPATH"] = str(Path(dsrecords.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, **environment},
        capture_output=True,
        text=True,
    )


# Checksums


@of_twin
@pytest.mark.parametrize("way", range(4))
def test_each_way_gives_the_checksum_of_zlib(way):
    if way >= len(core.crc32_ways()):
        pytest.skip("this processor does not know that way")
    rng = random.Random(way)
    data = rng.randbytes(4096)
    for size in [*range(600), 1023, 1024, 1025, 2047, 4000]:
        start = rng.randrange(64)
        part = memoryview(data)[start : start + size]
        seed = rng.choice([0, 1, 2**32 - 1, rng.randrange(2**32)])
        assert core.crc32(part, seed, way) == zlib.crc32(part, seed), (start, size, seed)


@of_twin
def test_checksums_of_large_payloads_let_other_threads_run():
    data = np.random.default_rng(0).bytes(2**22 + 13)
    wanted = zlib.crc32(data)
    found = []
    threads = [threading.Thread(target=lambda: found.append(core.crc32(data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 4


def power_of_x(exponent):
    """What x^exponent leaves when it is divided by the polynomial of CRC-32; and the quotient."""
    polynomial = 0x104C11DB7
    left, quotient = 1 << exponent, 0
    while left.bit_length() > 32:
        shift = left.bit_length() - 33
        left ^= polynomial << shift
        quotient |= 1 << shift
    return left, quotient


def reflected(number, bits):
    return int(format(number, f"0{bits}b")[::-1], 2)


@pytest.mark.parametrize(
    ("name", "exponents"),
    [
        ("BY_64", (64,)),
        ("BY_128", (160, 96)),
        ("BY_256", (288, 224)),
        ("BY_512", (544, 480)),
        ("BY_1024", (1056, 992)),
        ("BY_2048", (2080, 2016)),
    ],
)
def test_constants_of_folding_are_what_their_powers_leave(name, exponents):
    source = (ROOT / "native" / "crc32.c").read_text(encoding="utf-8")
    _, _, rest = source.partition(f"{name}[2] = {{")
    numbers = ast.literal_eval(f"[{rest.partition('}')[0]}]")
    expected = [reflected(power_of_x(exponent)[0], 32) << 1 for exponent in exponents]
    assert numbers[: len(expected)] == expected
    assert f"{{0x1DB710641, {reflected(power_of_x(64)[1], 33):#X}".replace("0X", "0x") in source


# Both ways


@of_twin
def test_damaged_records_are_read_alike(tmp_path):
    assert twins.compare_reading(tmp_path, 500, 1) > 100


@of_twin
def test_damaged_logs_are_walked_alike(tmp_path):
    assert twins.compare_walking(tmp_path, 150, 1) > 50


@of_twin
@pytest.mark.long
def test_many_damaged_records_are_read_alike(tmp_path):
    assert twins.compare_reading(tmp_path, 50_000, 2) > 5000


@of_twin
@pytest.mark.long
def test_many_damaged_logs_are_walked_alike(tmp_path):
    assert twins.compare_walking(tmp_path, 3000, 2) > 1000


@of_twin
@pytest.mark.exhaustive
@pytest.mark.skipif(not twins.IN_FULL, reason="minutes: `make torture` runs it")
def test_a_million_damaged_records_are_read_alike(tmp_path):
    assert twins.compare_reading(tmp_path, 1_000_000, 3) > 100_000


@of_twin
@pytest.mark.exhaustive
@pytest.mark.skipif(not twins.IN_FULL, reason="minutes: `make torture` runs it")
def test_many_thousand_damaged_logs_are_walked_alike(tmp_path):
    assert twins.compare_walking(tmp_path, 50_000, 3) > 10_000


@of_twin
def test_heads_are_packed_alike():
    twins.compare_packing(100, 1)


@of_twin
def test_records_are_written_alike(tmp_path):
    twins.compare_writing(tmp_path)


@of_twin
def test_records_that_change_while_they_are_packed_are_left_to_python():
    class Odd:
        def __index__(self):
            payloads[:] = [b"much longer than it was"]
            return 5

    payloads = [b"short"]
    numbers = [Odd()]
    pack = struct.Struct("<4xq").pack
    assert core.pack_records(1, 0, 40, 1, pack, 16, [(numbers, payloads)], 0, 8) is None
    frames, rows, _ = core.pack_records(1, 0, 40, 1, pack, 16, [([5], payloads)], 0, 8)
    assert len(frames) == 64
    assert len(rows) == 16
    for odd in (
        3,
        (),
        ([5],),
        ([5], [3]),
        ([5], ["text"]),
        ([5], []),
        ((5,), [b""]),
        (["5"], [b""]),
    ):
        assert core.pack_records(1, 0, 40, 1, pack, 16, [odd], 0, 8) is None
    large = [bytes(2**17)]
    assert core.pack_records(1, 0, 40, 1, pack, 16, [([5], large)], 0, 8) is None


@of_twin
@pytest.mark.parametrize("n", [1, 2, 3, 64, 1000, 2**16 + 1, 10**12])
def test_permutations_are_alike(n):
    positions = np.arange(min(n, 5000), dtype=np.int64)
    network = Permutation(n, 5)._network
    found = np.empty_like(positions)
    network.encrypt_all(positions, found)
    assert found.tolist() == [network.encrypt(cell) for cell in positions.tolist()]


@of_twin
@pytest.mark.parametrize("name", twins.SCHEMAS)
@pytest.mark.parametrize("shape", [dict, tuple])
def test_samples_of_these_types_are_read_by_c(name, shape, path):
    make, schema = twins.SCHEMAS[name]
    samples = [make(i) for i in range(20)]
    if shape is tuple:
        make_dataset([tuple(sample.values()) for sample in samples], path, [*schema.values()])
    else:
        make_dataset(samples, path, schema)
    ds = dsrecords.open(path)
    assert type(ds._reading.read) is of_builtin
    with twins.by_python():
        expected = dsrecords.open(path)
        assert type(expected._reading.read) is not of_builtin
        wanted = [twins.seen(expected[i]) for i in range(20)]
    assert [twins.seen(ds[i]) for i in range(20)] == wanted


def test_functions_of_users_are_called_once_for_each_value(path):
    make_dataset([(i, f"{i}") for i in range(5)], path, ["int64", "str"])
    calls = []

    def read(data):
        calls.append(bytes(data))
        raise LookupError("no")

    ds = IndexedRecordDataset(path, deserializers=[None, read])
    with pytest.raises(LookupError):
        ds[3]
    assert calls == [b"3"]


# What C must withstand


@of_twin
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("crc32", ()),
        ("crc32", ("text",)),
        ("crc32", (b"", "0")),
        ("crc32", (b"", 0, 99)),
        ("frame_checks", (bytes(64), 3, 32, 4, bytes(24), 0, bytearray(12))),
        ("frame_checks", (bytes(64), 2, 32, 40, bytes(16), 0, bytearray(8))),
        ("frame_checks", (bytes(64), 2, 32, -1, bytes(16), 0, bytearray(8))),
        ("frame_checks", (bytes(64), 2, 32, 4, bytes(15), 0, bytearray(8))),
        ("frame_checks", (bytes(64), 2, 32, 4, bytes(16), 0, bytes(8))),
        ("frame_checks", (bytes(64), -2, 32, 4, bytes(16), 0, bytearray(8))),
        ("frame_checks", (bytes(64), 2, 0, 0, bytes(16), 0, bytearray(8))),
        ("copy_payloads", (bytes(64), 2, bytes(16), 8, None, None, bytearray(15))),
        ("copy_payloads", (bytes(64), 2, bytes(15), 8, None, None, bytearray(16))),
        ("copy_payloads", (bytes(64), 2, bytes(16), 8, bytes(7), None, bytearray(16))),
        ("copy_payloads", (bytes(64), 2, bytes(16), 8, bytes(8), bytes(1), bytearray(16))),
        ("copy_payloads", (bytes(64), 2, bytes(16), 2**63, None, None, bytearray(16))),
        ("copy_payloads", (bytes(64), 2, bytes(16), -1, None, None, bytearray(16))),
        ("load_payloads", (bytes(64), 2, bytes(16), bytes(15), None, None, True, False)),
        ("load_payloads", (bytes(64), -1, bytes(16), bytes(16), None, None, True, False)),
        ("walk", (bytes(64), 8, 0, 64, 1, 0, 0, 32, 0, 0, bytearray(64), 16)),
        ("walk", (bytes(64), 0, 0, 64, 1, 0, 0, 15, 0, 0, bytearray(64), 16)),
        ("walk", (bytes(64), 0, 0, 64, 1, 0, 0, 32, 5000, 0, bytearray(64), 16)),
        ("walk", (bytes(64), 0, 0, 64, 1, 0, 0, 32, 0, 0, bytearray(64), 24)),
        ("walk", (bytes(64), 0, -1, 64, 1, 0, 0, 32, 0, 0, bytearray(64), 16)),
        ("pack_records", (3, 0, 32, 0, print, 16, [], 0, 0)),
        ("pack_records", (1, 0, 15, 0, print, 16, [], 0, 0)),
        ("pack_records", (1, 0, 32, 5000, print, 16, [], 0, 0)),
        ("pack_records", (1, 0, 32, 0, print, 24, [], 0, 0)),
        ("pack_records", (1, 0, 32, 0, print, 16, (), 0, 0)),
        ("pack_records", (1, 0, 32, 0, print, 16, [], 0, -1)),
        ("permute", (bytes(15), 2, 1, 1, bytes(16), bytearray(16))),
        ("permute", (bytes(16), 2, 32, 1, bytes(16), bytearray(16))),
        ("permute", (bytes(16), 2, 1, 2**32, bytes(16), bytearray(16))),
        ("permute", (bytes(16), 2, 1, 1, bytes(16 * 65), bytearray(16))),
        ("permute", (bytes(16), 2, 1, 1, bytes(16), bytes(16))),
        ("gather_numbers", (None, None, 8, 0, None, 0, 1, 2, (), 99)),
        ("gather_numbers", (None, None, 16, 0, None, 0, 1, 2, ((16, 8, bytearray(16)),), 99)),
        ("gather_numbers", (None, None, 24, 0, None, 0, 1, 2, ((16, 8, bytearray(15)),), 99)),
        ("gather_numbers", (None, None, 24, 0, bytes(8), 0, 1, 2, (), 99)),
        (
            "gather_heads",
            (None, None, 24, 0, None, 0, 1, 2, bytearray(47), bytearray(16), 0, b"", 99),
        ),
        (
            "gather_heads",
            (None, None, 24, 0, None, 0, 1, 2, bytearray(48), bytearray(16), 1, b"", 99),
        ),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_are_errors(name, arguments):
    with pytest.raises((ValueError, TypeError, BufferError, OverflowError)):
        getattr(core, name)(*arguments)


@of_twin
def test_offsets_beyond_the_log_are_left_to_python():
    far = np.array([2**64 - 8, 2**63, 60], np.uint64)
    for start in far:
        starts = np.array([0, start], np.uint64)
        target = bytearray(32)
        assert core.copy_payloads(bytes(64), 2, starts, 16, None, None, target) == -2
        sizes = np.array([4, 16], np.uint64)
        assert core.load_payloads(bytes(64), 2, starts, sizes, None, None, False, False) == 1
    huge = np.array([2**64 - 2], np.uint64)
    zero = np.array([0], np.uint64)
    assert core.load_payloads(bytes(64), 1, zero, huge, None, None, False, False) == 0


@of_twin
def test_lists_whose_attributes_are_anything_are_left_to_python():
    class Odd(core.Snapshot):
        pass

    called = []
    steps = ((0, ord("q"), 0, 16, 8, -1, None, None, None),)
    reader = core.Reader("schema", ("a",), steps, lambda *given: called.append(given), *LAYOUT)
    odd = Odd()
    for values in ({}, {"schema": "schema"}, {"entries": 3}, {"verified": []}, {"data": b"x"}):
        for name, value in values.items():
            setattr(odd, name, value)
        odd.mode = 2
        reader.read(odd, 0)
    entries = type("Some", (core.Entries,), {})()
    odd.entries = entries
    odd.verified = type("Known", (core.Verified,), {})()
    odd.verified.bits = memoryview(bytearray(8))
    odd.data = memoryview(bytes(10))
    entries.mapped_words = memoryview(bytes(32)).cast("Q")
    entries.direct = 2
    entries.row_size = 16
    for wide in (np.zeros(3, "V3"), np.zeros(3, np.complex128), bytes(8)):
        odd.verified.bits = memoryview(wide)
        reader.read(odd, 2)
    odd.verified.bits = memoryview(bytearray(8))
    entries.mapped_words = memoryview(bytes(32)).cast("Q")
    for direct, row_size in ((2, 16), (9, 16), (2, 0), (2, -8), (2, 3), (2, 2**62), (-1, 16)):
        entries.direct = direct
        entries.row_size = row_size
        for i in (0, 1, 2, 8, 2**40):
            reader.read(odd, i)
    assert len(called) == 5 + 3 + 7 * 5
    assert called[-1] == (odd, 2**40)
    reader.read(None, -1)
    reader.read(odd, "index")


LAYOUT = (24, 0, 0, 1, 1, 1, 2, True)  # of `core.Reader`, behind what it calls


@of_twin
@pytest.mark.parametrize(
    "step",
    [
        (0, ord("q"), 0, 17, 8, -1, None, None, None),
        (0, ord("q"), 0, -1, 8, -1, None, None, None),
        (0, ord("q"), 0, 16, 8, 24, None, None, None),
        (1, 0, 0, 0, 0, -1, None, None, None),
        (5, 0, 0, 0, 0, -1, None, None, None),
        (0, ord("q"), 0, 2**63 - 1, 2**63 - 1, -1, None, None, None),
        (0, ord("q"), 0, 20, 4, -1, None, None, None),
        (0, ord("x"), 0, 16, 8, -1, None, None, None),
        (0,),
        "step",
    ],
    ids=str,
)
def test_steps_outside_of_the_head_are_errors(step):
    with pytest.raises((ValueError, TypeError)):
        core.Reader("schema", ("a",), (step,), print, *LAYOUT)


def test_threads_read_large_payloads_while_the_log_grows(path):
    payload = bytes(range(256)) * 1024  # large enough for the lock to be released
    make_dataset([(payload, i) for i in range(8)], path, ["bytes", "int64"])
    wrong = []
    with dsrecords.open(path) as ds:

        def read():
            for k in range(200):
                i = k % len(ds)
                found = ds[i]
                if found[0] != payload or found[1] != i:
                    wrong.append(i)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(8, 60):
            ds.append((payload, i))
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_list_is_freed_with_its_mapping(path):
    make_dataset([(i, "x") for i in range(100)], path, ["int64", "str"])
    kept = []
    for _ in range(5):
        ds = dsrecords.open(path)
        ds[3]
        ds[5:9][1]
        ds.batch([1, 2])
        kept.append(ds)
    before = open_files()
    kept.clear()
    del ds
    gc.collect()
    assert open_files() <= before - 5


def open_files():
    """How many mappings of data files this process has."""
    if not os.path.exists("/proc/self/maps"):
        pytest.skip("this system does not tell")
    with open("/proc/self/maps", encoding="utf-8") as file:
        return sum(".rec" in line for line in file)


def test_cycles_through_a_reader_are_collected(path):
    make_dataset([(i,) for i in range(3)], path, ["int64"])

    class Kept(IndexedRecordDataset):
        pass

    ds = Kept(path)
    ds[0]
    ds.itself = ds
    ds._reading.snapshot().back = ds._reading.snapshot()
    del ds
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Kept]


def test_reading_while_the_interpreter_ends(path):
    make_dataset([(i, "text") for i in range(100)], path, ["int64", "str"])
    code = f"""
import atexit, dsrecords
ds = dsrecords.open({path!r})
class Late:
    def __del__(self):
        assert tuple(ds[5]) == (5, "text")
late = Late()
atexit.register(lambda: print(tuple(ds[7])))
ds[3]
"""
    done = run(code)
    assert (done.stdout, done.stderr, done.returncode) == ("(7, 'text')\n", "", 0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX alone has it")
def test_a_long_loop_can_be_interrupted(path):
    make_dataset([(i, i / 2) for i in range(1000)], path, ["int64", "float64"])
    ds = dsrecords.open(path)
    times = []

    def stop(*_):
        times.append(1)
        if len(times) == 3:
            raise KeyboardInterrupt

    def read_for_ever():
        while True:
            for i in range(1000):
                assert ds[i] == (i, i / 2)

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_for_ever()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert ds[3] == (3, 1.5)


# Which one is at work


def test_the_variable_decides_which_is_at_work():
    code = "import dsrecords; print(dsrecords.native)"
    assert run(code, DSRECORDS_NATIVE="0").stdout == "False\n"
    assert "DSRECORDS_NATIVE is 0 or 1, not 'yes'" in run(code, DSRECORDS_NATIVE="yes").stderr
    if core is not None:
        assert run(code, DSRECORDS_NATIVE="1").stdout == "True\n"
        assert run(code).stdout == "True\n"


def test_a_twin_that_is_missing_is_an_error_where_it_is_asked_for():
    code = (
        "import sys; sys.modules['dsrecords._native._core'] = None\n"
        "import dsrecords; print(dsrecords.native)"
    )
    assert run(code).stdout == "False\n"
    asked = run(code, DSRECORDS_NATIVE="1")
    if sys.version_info >= (3, 11):
        assert "DSRECORDS_BUILD=require pip install dsrecords" in asked.stderr
    assert asked.returncode == 1


def test_the_command_says_which_is_at_work():
    pytest.importorskip("click")
    code = "import sys; from dsrecords._cli.main import main; sys.exit(main(['--version']))"
    assert "(pure Python)" in run(code, DSRECORDS_NATIVE="0").stdout


def test_it_is_not_built_where_it_cannot_be(monkeypatch, tmp_path):
    target = tmp_path / "core.so"
    monkeypatch.setattr(hatch_build, "_compiler", lambda: ["no-such-compiler"])
    with pytest.raises(hatch_build.CannotBuildError):
        hatch_build.build(target)
    monkeypatch.setattr(
        hatch_build, "_compiler", lambda: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    with pytest.raises(hatch_build.CannotBuildError):
        hatch_build.build(target)
    assert list(tmp_path.iterdir()) == []


def test_the_compiler_that_is_named_is_taken_or_none(monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent --flag")
    assert hatch_build._compiler() == ["/nonexistent", "--flag"]
    assert "/nonexistent" in hatch_build.problem() or sys.version_info < (3, 11)
    monkeypatch.delenv("CC")
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "no-such-compiler -pthread")
    assert hatch_build._compiler() == ["cc"]


def test_where_it_cannot_be_built_an_old_one_is_removed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(hatch_build, "ROOT", tmp_path)
    monkeypatch.setenv("CC", "/nonexistent")
    target = tmp_path / hatch_build.MODULE
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    hatch_build.main([])
    assert not target.exists()
    assert "without the compiled part" in capsys.readouterr().out


def test_the_name_of_a_wheel_says_what_it_is_for(monkeypatch):
    monkeypatch.delenv("_PYTHON_HOST_PLATFORM", raising=False)
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-11.0-arm64")
    assert hatch_build._platform() == "macosx_11_0_arm64"


@of_twin
def test_damage_is_told_of_at_each_reading(path):
    make_dataset([(i, f"text {i}") for i in range(50)], path, ["int64", "str"])
    with dsrecords.open(path) as ds:
        offset = ds._reading.snapshot().entries.ref(7).offset
    with open(path, "r+b") as file:
        file.seek(offset + 42)
        file.write(b"\xff")
    ds = dsrecords.open(path)
    for _ in range(3):
        with pytest.raises(CorruptError, match="record 7"):
            ds[7]
        assert ds[8] == (8, "text 8")


@of_twin
def test_bytes_are_verified_as_they_are_copied():
    rng = random.Random(5)
    data = rng.randbytes(2**18)
    sizes = [*range(1, 300), 511, 512, 513, 1023, 1024, 4000, 2**16 - 1, 2**16, 2**17 + 77]
    for size in sizes:
        starts = np.array([rng.randrange(64), rng.randrange(64, 128)], np.uint64)
        parts = [data[start : start + size] for start in starts.tolist()]
        checksums = np.array([zlib.crc32(part) for part in parts], np.uint32)
        for wrong in (-1, 0, 1):
            stored = checksums.copy()
            if wrong >= 0:
                stored[wrong] ^= 1
            target = bytearray(2 * size + 8)
            with memoryview(target) as room:
                found = core.copy_payloads(data, 2, starts, size, stored, None, room[: 2 * size])
            assert found == wrong
            if wrong < 0:
                assert target == parts[0] + parts[1] + bytes(8)


@of_twin
@pytest.mark.parametrize(
    "indices",
    [
        np.array([5, 0, 5, 99]),
        np.array([3]),
        np.array([], np.int64),
        np.arange(99, -1, -3),
        np.array([1, -1]),
        np.array([7, 8], np.int32),
        np.array([[1]]),
        np.array([100]),
        np.array([2**63 - 1, 0]),
        [4, 2],
    ],
)
def test_batches_of_numbers_are_read_quickly_and_slowly_alike(tmp_path, indices):
    path = tmp_path / "numbers.rec"
    schema = {"i": "int64", "d": "datetime64[ns]", "f": "float16", "b": "bool"}
    row = {"d": np.datetime64(5, "ns"), "f": 0.5, "b": True}
    make_dataset([{"i": i, **row} for i in range(100)], path, schema)
    found = []
    for given in (indices, indices if isinstance(indices, list) else indices.tolist()):
        ds = dsrecords.open(path)
        try:
            batch = ds.batch(given)
        except (TypeError, IndexError) as error:
            found.append((type(error), str(error)))
        else:
            found.append({name: (column.dtype, column.tolist()) for name, column in batch.items()})
    assert found[0] == found[1]
