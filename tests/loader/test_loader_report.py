"""`Loader.report()`: what it makes of planted times, and of five bottlenecks that are real.

Four of them are told by the clock, and by what else the machine does meanwhile: those are tried by `make torture` alone.
"""

import io
import json
import os
import pickle
import time
import types
import zlib

import numpy as np
import pytest
from conftest import IN_FULL
from PIL import Image

import dsrecords
from dsrecords import vision
from dsrecords._format import kernels
from dsrecords._loader import iteration, loader, probes
from dsrecords._loader import report as reports
from dsrecords._loader.limits import Limits, machine
from dsrecords._loader.probes import Decoding, Probes
from dsrecords._loader.report import Setup, report_of
from dsrecords._loader.times import COLLATE, COPY, DECODE, READ, TRANSFORM, UNMEASURED, Times
from dsrecords._loader.transforms import held_part
from dsrecords._storage import registry
from dsrecords._storage.local import LocalStorage

# Whatever is measured of a machine that is busy may be anything.
real = pytest.mark.skipif(not IN_FULL, reason="measures this machine: make torture tries it")

LIMITS = Limits(cores=4, verify_rate=10e9, copy_rate=10e9)
FOUR = Setup(num_threads=4)


def planted(rows=100, waited=1.0, consumed=0.0, **stages):
    """Times of 100 samples in 10 batches. Of a stage: seconds of work, or what a `Spent` has."""
    times = Times()
    times.parts = 10
    times.rows = rows
    times.batches = 10
    times.samples = 100
    times.waited = waited
    times.consumed = consumed
    for name, values in stages.items():
        if isinstance(values, float):
            values = {"wall": values, "processor": values}
        for attribute, value in values.items():
            setattr(times.stages[name], attribute, value)
    return times


def reported(times, setup=FOUR, known=None, limits=LIMITS):
    return report_of(times, setup, limits, known or Probes())


# What is made of times


def test_waiting_for_the_disk():
    times = planted(read={"wall": 4.0, "processor": 1.0, "disk": 3.0, "disk_bytes": 6 * 10**8})
    report = reported(times)
    assert report.cause == "disk"
    # One second of work on four cores, in place of four seconds on four threads.
    assert report.gain == pytest.approx(4.0)
    assert report.predicted_rate == pytest.approx(400.0)
    assert report.rows["disk"].ms == pytest.approx(300.0)
    assert report.rows["disk"].percent == pytest.approx(75.0)
    assert report.rows["disk"].note == "200 MB/s a thread"


@pytest.mark.parametrize("shuffled", [False, True])
def test_samples_here_and_there_are_what_a_window_is_for(shuffled):
    times = planted(read={"wall": 4.0, "processor": 1.0, "disk": 3.0})
    times.recent.append(np.arange(0, 1000, 100) if shuffled else np.arange(10))
    assert ("window=" in reported(times).change) is shuffled


def test_a_storage_that_waits_without_a_disk():
    # On a disk of this machine it would have been counted: this may be the lock, or other programs.
    times = planted(read={"wall": 5.0, "processor": 1.0})
    assert reported(times).cause == "lock or core"
    remote = reported(times, FOUR._replace(is_remote=True))
    assert (remote.cause, remote.gain) == ("disk", pytest.approx(5.0))


def test_a_remote_storage_is_not_blamed_for_the_lock():
    spent = {"wall": 4.0, "processor": 1.0}
    times = planted(read={"wall": 0.04, "processor": 0.01}, transform=spent)
    report = reported(times, FOUR._replace(is_remote=True), Probes(held=1.0))
    assert report.cause == "transform"
    assert report.rows["disk"].ms == 0


def test_a_transform_that_holds_the_lock():
    report = reported(planted(transform=1.0, read=0.1), known=Probes(held=0.9))
    assert report.cause == "transform"
    assert "num_processes=4" in report.change
    # One thread at a time for a second; then four cores for 1.1 seconds.
    assert report.gain == pytest.approx(4 / 1.1)


@pytest.mark.parametrize("held", [None, 0.0, 0.6])
def test_a_transform_that_leaves_the_lock_to_others(held):
    report = reported(planted(transform={"wall": 4.0, "processor": 3.0}), known=Probes(held=held))
    assert (report.cause, report.gain) == ("cores", 1.0)
    assert "transform" in report.change


def test_cores_that_others_have():
    spent = {"wall": 4.0, "processor": 1.0}
    report = reported(planted(decode=spent))
    assert (report.cause, report.gain) == ("lock or core", 1.0)
    assert "other programs" in report.change
    assert report.rows["lock or core"].percent == pytest.approx(75)
    assert "most is decode" in report.change
    assert "num_processes" not in report.change
    assert "num_processes=4" in reported(planted(transform=spent)).change


def test_threads_that_wait_for_each_other_alone():
    """Sixteen threads that work all the time on four cores wait for three quarters of it."""
    spent = {"wall": 16.0, "processor": 4.0}
    assert reported(planted(decode=spent), Setup(num_threads=16)).cause == "cores"


def test_a_transform_in_processes_may_hold_its_lock():
    setup = Setup(num_threads=4, num_processes=4)
    assert reported(planted(transform=1.0), setup, Probes(held=1.0)).cause == "cores"


def test_a_transform_that_waits_wants_threads():
    spent = {"wall": 100.0, "processor": 1.0}
    report = reported(planted(transform=spent))
    assert report.cause == "threads"
    assert "num_threads=32" in report.change
    assert report.gain == pytest.approx(8.0)
    assert report.rows["transform"].ms == pytest.approx(10_000)


def test_more_threads_are_no_help_where_one_holds_the_lock():
    report = reported(planted(transform=1.0), Setup(num_threads=1), Probes(held=1.0))
    assert (report.cause, report.gain) == ("transform", pytest.approx(4.0))


def test_pictures_that_could_be_smaller():
    known = Probes(decodings=(Decoding("photo", 10e-3, 4e6, 2e-3, 1e5),))
    report = reported(planted(decode=1.0, collate=0.1), known=known)
    assert report.cause == "decode"
    assert "decode={'photo': vision.Resize(256)}" in report.change
    assert report.gain == pytest.approx(1.1 / (0.2 + 0.1 * 1e5 / 4e6))
    assert report.rows["decode"].note == "2.5 ns a pixel, of 2.5 alone"


def test_pillow_where_others_are_faster():
    known = Probes(decodings=(Decoding("photo", 10e-3, 4e6, None, 4e6),))
    setup = FOUR._replace(lacks_vision=True, sizes=("photo",))
    report = reported(planted(decode=1.0), setup, known)
    assert report.cause == "decode"
    assert "pip install 'dsrecords[vision]'" in report.change
    assert report.gain == pytest.approx(1 / 0.37)
    # Nothing is promised of pictures that are not resized, or where the packages are there.
    assert reported(planted(decode=1.0), setup._replace(sizes=()), known).cause == "cores"
    assert reported(planted(decode=1.0), FOUR._replace(sizes=("photo",)), known).cause == "cores"


def test_verifying_each_time():
    known = Probes(bytes=10**6, read=2e-3, verify=3e-3)
    setup = FOUR._replace(verify="always")
    report = reported(planted(read=1.0), setup, known)
    assert report.cause == "verify"
    assert report.gain == pytest.approx(2.5)
    assert report.rows["verify"].ms == pytest.approx(60.0)
    assert report.rows["read"].ms == pytest.approx(40.0)
    assert "of 10 GB/s" in report.rows["verify"].note


@pytest.mark.parametrize(
    ("verify", "read", "expected"),
    [
        (True, 1.0, 60.0),  # the first time, when reading takes longer than it does again
        (True, 0.2, 0.0),
        (True, 0.3, 10.0),
        (False, 1.0, 0.0),
        (None, 1.0, 0.0),
    ],
)
def test_what_verifying_took(verify, read, expected):
    known = Probes(bytes=10**6, read=2e-3, verify=3e-3)
    report = reported(planted(read=read), FOUR._replace(verify=verify), known)
    assert report.rows["verify"].ms == pytest.approx(expected)
    assert report.cause == "cores"


def test_verifying_is_worked_out_from_bytes_where_nothing_can_be_read_again():
    times = planted(read=1.0)
    times.batch_bytes = 5 * 10**9
    report = reported(times, FOUR._replace(verify="always"))
    assert report.rows["verify"].ms == pytest.approx(50.0)
    assert reported(times).rows["verify"].ms == 0


def test_a_training_that_is_slow():
    report = reported(planted(waited=0.05, consumed=1.0, read=0.5))
    assert (report.cause, report.gain) == ("training", 1.0)
    assert report.rate == report.predicted_rate == pytest.approx(100 / 1.05)
    assert report.rows["training"].percent == pytest.approx(100 * 3.7 / 4.2)


def test_no_more_is_promised_than_the_training_takes():
    report = reported(planted(waited=0.5, consumed=0.5, decode=4.0), known=Probes(
        decodings=(Decoding("photo", 10e-3, 4e6, 1e-3, 1e5),)))  # fmt: skip
    # The loader makes 100 samples/s, and could make 1,000; the training takes 200.
    assert report.gain == pytest.approx(2.0)


def test_without_threads():
    report = reported(planted(waited=1.0, consumed=1.0, read=1.0), Setup(num_threads=0))
    assert report.cause == "threads"
    assert "num_threads=4, in place of 0" in report.change
    # Both took a second, one after the other; then the training alone counts.
    assert report.gain == pytest.approx(2.0)
    assert report.rows["training"].percent == pytest.approx(50.0)


def test_too_few_threads():
    report = reported(planted(decode=1.0), Setup(num_threads=1))
    assert (report.cause, report.gain) == ("threads", pytest.approx(4.0))


def test_small_batches():
    report = reported(planted(read=1.0), known=Probes(larger=0.1))
    assert (report.cause, report.gain) == ("batch size", pytest.approx(10.0))


def test_a_field_that_nobody_asks_for():
    decodings = (Decoding("a", 3e-3, 1e5, None, 1e5), Decoding("b", 1e-3, 1e5, None, 1e5))
    known = Probes(decodings=decodings, unused=("a", "label"))
    report = reported(planted(decode=1.0), known=known)
    assert report.cause == "fields"
    assert "'a', 'label'" in report.change
    assert report.gain == pytest.approx(4.0)


def test_processes_that_wait_for_what_is_sent():
    times = planted(transform=1.0)
    times.sent = 2.0
    report = reported(times, Setup(num_threads=4, num_processes=4))
    assert report.rows["processes"].ms == pytest.approx(200.0)
    assert report.cause == "cores"


def test_rows_add_up():
    spent = {"wall": 1.5, "processor": 0.5}
    times = planted(waited=2.0, consumed=0.5, read=1.0, decode=spent, collate=0.2, copy=0.3)
    report = reported(times)
    assert sum(share.percent for share in report.rows.values()) == pytest.approx(100.0)
    assert sum(share.ms for share in report.rows.values()) == pytest.approx(4 * 2500 / 10)
    assert report.rows["lock or core"].ms == pytest.approx(100)
    assert report.rows["all else"].ms == pytest.approx(1000 - 300 - 200)


def test_of_parts_some_are_measured():
    whole = reported(planted(read=1.0))
    part = reported(planted(rows=10, read=0.1))
    assert part.rows["read"].ms == pytest.approx(whole.rows["read"].ms)


def test_how_it_is_shown():
    report = reported(planted(decode=1.0), Setup(num_threads=1))
    assert repr(report) == "<Report: threads, 100 samples/s, 4.00 × possible>"
    lines = str(report).splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:12]] == list(report.rows)
    assert lines[4].split() == ["decode", "100.00", "100.0"]
    assert lines[-1].endswith("about 400 samples/s, 4.0 × as many.")


def test_as_a_dict():
    report = reported(planted(decode=1.0), FOUR._replace(sizes=("photo",)))
    values = json.loads(json.dumps(report.as_dict()))
    assert values["rows"]["decode"] == {"ms": 100.0, "percent": 25.0, "note": ""}
    assert values["limits"]["cores"] == 4
    assert values["setup"]["sizes"] == ["photo"]
    assert values["cause"] == "cores"


# What is measured


def test_of_quick_parts_one_in_32_is_measured():
    times = Times()
    measured = 0
    for _ in range(3200):
        if times.measures_next():
            measured += 1
            part = Times()
            part.count_part(np.arange(4))
            part.stages[READ].wall = 1e-6
            times.add(part)
    assert 100 <= measured <= 110
    assert times.rows == 4 * measured


def test_long_parts_are_all_measured():
    times = Times()
    for _ in range(100):
        assert times.measures_next()
        part = Times()
        part.count_part(np.arange(4))
        part.stages[READ].wall = 1.0
        times.add(part)
    assert len(times.recent) == 64


def test_what_waits_is_no_work():
    times = Times()
    with times.stage(READ):
        time.sleep(0.05)
    spent = times.stages[READ]
    assert spent.wall >= 0.05
    assert spent.processor < 0.01
    assert spent.idle >= 0.04


def test_times_pickle_and_add_up():
    times = planted(read={"wall": 4.0, "processor": 1.0, "disk": 3.0, "faults": 2, "disk_bytes": 5})
    times.recent.append(np.arange(3))
    times.sent = 0.5
    copy = pickle.loads(pickle.dumps(times))
    copy.add(times)
    assert (copy.rows, copy.parts, copy.sent) == (200, 20, 1.0)
    spent = copy.stages[READ]
    assert (spent.wall, spent.processor, spent.disk) == (8.0, 2.0, 6.0)
    assert (spent.faults, spent.disk_bytes) == (4, 10)


def test_nothing_is_kept_of_what_is_not_measured():
    UNMEASURED.count_part(np.arange(3))
    UNMEASURED.add(planted(read=1.0))
    with UNMEASURED.stage(READ):
        pass
    assert UNMEASURED.work() == 0
    assert UNMEASURED.rows == 0
    assert not UNMEASURED.recent


def test_the_limits_of_this_machine():
    limits = machine()
    assert limits is machine()
    assert limits.cores >= 1
    assert limits.verify_rate > 1e7
    assert limits.copy_rate > 1e7


# Loaders


@pytest.fixture
def four_cores(monkeypatch):
    """A machine of which all is known, so that nothing depends on this one."""
    monkeypatch.setattr(loader, "machine", lambda: LIMITS)


@pytest.fixture
def numbers(tmp_path):
    path = str(tmp_path / "numbers.rec")
    dsrecords.make_dataset({"x": np.ones((256, 16), np.float32), "label": np.arange(256)}, path)
    return path


def gone_through(loader):
    for _ in loader:
        pass
    return loader.report()


def test_nothing_was_measured_yet(numbers, four_cores):
    with pytest.raises(RuntimeError, match="go through some batches"):
        dsrecords.Loader(dsrecords.open(numbers), 32).report()


@pytest.mark.parametrize("threads", [0, 2])
def test_of_a_running_iteration(numbers, four_cores, threads):
    made = dsrecords.Loader(dsrecords.open(numbers), 32, num_threads=threads)
    batches = iter(made)
    next(batches)
    next(batches)
    report = made.report()
    assert (report.batches, report.samples) == (2, 64)
    assert 0 <= report.waited <= 1
    for _ in batches:
        pass
    assert made.report().samples == 256
    next(iter(made))
    assert made.report().samples == 32


def test_of_single_samples(numbers, four_cores):
    report = gone_through(dsrecords.Loader(dsrecords.open(numbers), num_threads=1))
    assert (report.batches, report.samples) == (8, 256)


def test_of_samples_that_are_no_dataset(four_cores):
    report = gone_through(dsrecords.Loader([{"x": number} for number in range(20)], 5))
    assert report.samples == 20
    assert report.rows["verify"].ms == 0


def test_of_samples_without_names(tmp_path, four_cores):
    path = str(tmp_path / "tuples.rec")
    dsrecords.make_dataset([(number, f"{number}") for number in range(50)], path, ["int64", "str"])
    report = gone_through(dsrecords.Loader(dsrecords.open(path), 10, transform=tuple))
    assert report.samples == 50
    assert gone_through(dsrecords.Loader(dsrecords.open(path), 10)).samples == 50


def test_of_several_datasets(numbers, four_cores):
    both = dsrecords.mix([dsrecords.open(numbers), dsrecords.open(numbers)], [1, 1])
    assert gone_through(dsrecords.Loader(both, 32)).samples > 256


def test_files_that_are_gone(numbers, four_cores):
    made = dsrecords.Loader(dsrecords.open(numbers, verify="always"), 32)
    for _ in made:
        pass
    os.remove(numbers)
    assert made.report().samples == 256


def jpeg(side):
    rough = Image.fromarray(np.arange(0, 192, 4, dtype=np.uint8).reshape(4, 4, 3))
    file = io.BytesIO()
    rough.resize((side, side), Image.Resampling.BILINEAR).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path):
    path = str(tmp_path / "pictures.rec")
    rows = [{"photo": jpeg(40), "mask": jpeg(30), "label": number} for number in range(8)]
    dsrecords.make_dataset(rows, path, {"photo": "jpeg", "mask": "jpeg", "label": "int64"})
    return dsrecords.open(path)


def only_label(sample):
    return sample["label"]


def photo_and_label(sample):
    return {"photo": sample["photo"].mean(), "label": sample.get("label")}


def everything(sample):
    return {**sample}


def itself(sample):
    return sample


def unused_of(dataset, transform):
    made = dsrecords.Loader(dataset, 4, transform=transform)
    for _ in made:
        pass
    return probes.probed(made._reader, list(made._times.recent)).unused


def test_what_a_transform_asks_for(pictures):
    assert unused_of(pictures, only_label) == ("photo", "mask")
    assert unused_of(pictures, photo_and_label) == ("mask",)
    assert unused_of(pictures, everything) == ()
    assert unused_of(pictures, itself) == ()
    assert unused_of(pictures, None) == ()


def named(function):
    """What `held_part` asks of a reader."""
    return types.SimpleNamespace(transforms=[lambda value, *_: function(value)])


@real
@pytest.mark.exhaustive
def test_what_a_transform_holds():
    assert held_part(named(in_python), {}, 0) > 0.7
    assert held_part(named(lambda _: time.sleep(0.05)), {}, 0) < 0.7
    assert held_part(named(len), 3, 0) is None


def test_a_transform_that_fails_when_it_is_called_once_more(pictures):
    called = []

    def transform(sample):
        called.append(sample["label"])
        if len(called) > 8:
            raise KeyError("once more")
        return sample["label"]

    assert unused_of(pictures, transform) == ()
    assert len(called) == 10  # once for what it asks for, once for what it holds


@pytest.mark.parametrize("decoder", [None, vision.RandomResizedCrop(16), vision.Decode("gray")])
def test_how_pictures_are_decoded(pictures, decoder):
    decode = {} if decoder is None else {"photo": decoder}
    made = dsrecords.Loader(pictures, 4, decode=decode)
    for _ in made:
        pass
    first, second = probes.probed(made._reader, list(made._times.recent)).decodings
    assert (first.key, first.pixels, second.pixels) == ("photo", 1600, 900)
    assert first.alone > 0
    # They are small enough.
    assert first.smaller is None


# Five bottlenecks


class Slow:
    """A storage that takes its time for whatever is to be read, and counts it."""

    needs_ensuring = True
    calls = 0

    def __init__(self, path):
        self._storage = LocalStorage(path.removeprefix("slow://"))
        self.path = path

    def seems_ready(self, starts):
        return False

    def ensure(self, starts, stops):
        Slow.calls += 1
        time.sleep(0.02)

    def __getattr__(self, name):
        return getattr(self._storage, name)


@real
@pytest.mark.exhaustive
def test_a_slow_storage(numbers, four_cores, monkeypatch):
    monkeypatch.setitem(registry._openers, "slow", Slow)
    made = dsrecords.Loader(dsrecords.open(f"slow://{numbers}"), 64, num_threads=1)
    before = Slow.calls
    for _ in made:
        pass
    waited = 0.02 * (Slow.calls - before)
    assert waited > 0
    report = made.report()
    assert report.cause == "disk"
    assert report.rows["disk"].ms * report.batches / 1e3 >= 0.5 * waited
    assert report.gain > 5


def in_python(sample):
    total = 0
    for number in range(30_000):
        total += number % 7
    return total


@real
@pytest.mark.exhaustive
def test_a_transform_in_python(numbers, four_cores):
    dataset = dsrecords.open(numbers)[:64]
    report = gone_through(dsrecords.Loader(dataset, 32, num_threads=4, transform=in_python))
    assert report.cause == "transform"
    assert "num_processes=4" in report.change
    assert report.rows["transform"].ms > 5 * report.rows["read"].ms


class SlowDecoder:
    """Pictures as they are, by Pillow, ten times: so that no smaller ones take a fifth as long."""

    def decode_image(self, data):
        for _ in range(10):
            found = np.array(Image.open(io.BytesIO(data)))
        return found


@real
@pytest.mark.exhaustive
def test_large_pictures(tmp_path, four_cores):
    path = str(tmp_path / "large.rec")
    dsrecords.make_dataset([{"photo": jpeg(800)}] * 4, path, {"photo": "jpeg"})
    decode = {"photo": SlowDecoder()}
    report = gone_through(dsrecords.Loader(dsrecords.open(path), 2, num_threads=4, decode=decode))
    assert report.cause == "decode"
    assert "'photo': vision.Resize(256)" in report.change
    assert report.rows["decode"].ms > 5 * report.rows["read"].ms


def slow_crc32(data, seed=0):
    """The same checksum, twenty times: elsewhere it takes too little for a margin of five."""
    for _ in range(20):
        found = zlib.crc32(data, seed)
    return found


@real
@pytest.mark.exhaustive
def test_verifying_large_arrays_again(tmp_path, four_cores, monkeypatch):
    monkeypatch.setattr(kernels, "crc32", slow_crc32)
    path = str(tmp_path / "arrays.rec")
    dsrecords.make_dataset({"x": np.ones((32, 2**16), np.float32)}, path)
    made = dsrecords.Loader(dsrecords.open(path, verify="always"), 8, num_threads=4)
    report = gone_through(made)
    assert report.cause == "verify"
    assert "verify=True" in report.change
    assert report.rows["verify"].ms > report.rows["read"].ms


def test_a_slow_training(numbers, four_cores, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(iteration, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    made = dsrecords.Loader(dsrecords.open(numbers), 32, num_threads=2)
    for _ in made:
        clock[0] += 1.0
    report = made.report()
    assert report.cause == "training"
    assert report.rate == pytest.approx(32.0)
    assert report.rows["training"].percent > 90


def test_each_stage_has_a_row():
    assert {READ, DECODE, TRANSFORM, COLLATE, COPY} <= set(reports.ROWS)
