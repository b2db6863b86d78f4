"""The power fails, or the process is killed, at every moment of many runs: what was promised is there, and nothing else."""

import random
from unittest import mock

import power_loss
import pytest
from operations import SMALL_INDEX, all_short
from power_loss import LostError, Tally

from dsrecords._format import index as _index
from dsrecords._format import log as _log
from dsrecords._format.layout import RECORD
from dsrecords._storage import files
from dsrecords._write import recovery as _recovery
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.exhaustive
SEED = 20_261_122
PARTS = 7  # of all short runs; some are tried here


@pytest.mark.parametrize("part", range(2))
def test_every_crash_of_a_dataset_that_is_created_leaves_a_state_that_the_list_was_in(part):
    tally = Tally()
    power_loss.created(tally, SEED, draws=1, again=0.01, part=part, parts=PARTS)
    print(tally)
    assert tally["states"] > 1000
    assert tally["crashes in recovery"] > 100


@pytest.mark.parametrize("part", range(3))
def test_every_crash_leaves_a_state_that_the_list_was_in(part):
    tally = Tally()
    power_loss.short(tally, SEED, draws=1, again=0.01, every=90, part=part, parts=PARTS)
    power_loss.long(tally, SEED + 2 + part, draws=2, again=0.002)
    print(tally)
    assert tally["crashes in recovery"] > 100
    assert (
        tally["refused until mended"] > 150
    )  # the simulation does reach the states where later writes outlived earlier ones


KINDS = {
    "publish_appended": ((("append", "publish", "extend", "describe", "publish"), SMALL_INDEX),),
    "publish_whole": (
        (("delete", "publish", "revise", "publish"), SMALL_INDEX),
        (("revise", "replace", "revise", "replace", "publish", "append", "publish"), 0),  # so many
    ),
    "publish_slot": (
        (("revise", "publish", "append", "describe", "publish", "delete_ranges", "publish"), 0),
        (("remove", "publish", "reopen", "update", "reopen", "append"), 0),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_checkpoint_may_be_cut_off_at_each_call(kind, monkeypatch):
    publish, called = getattr(_index, kind), []

    def noted(*arguments, **options):
        called.append(kind)
        return publish(*arguments, **options)

    monkeypatch.setattr(_index, kind, noted)
    start, tally = power_loss.start_of("a dataset"), Tally()
    for operations, small_index in KINDS[kind]:
        before = len(called)
        power_loss.survey(
            operations, start, tally, SEED, draws=3, again=0.02, small_index=small_index
        )
        assert len(called) > before
    assert tally["states"] > 150


class Without:
    """A module as it is at each moment, but for some of its functions."""

    def __init__(self, module, **others):
        self._module = module
        self.__dict__.update(others)

    def __getattr__(self, name):
        return getattr(self._module, name)


def nothing(*arguments, **options):
    pass


def index_first(writer, publish=_writer.Writer._publish):
    publish(writer)
    files.sync(writer._file.number)


def any_slot(storage):
    slots = [
        _index.Slot(*_index._SLOT.unpack_from(storage.read(at, _index._SLOT_SIZE), 12))
        for at in (0, 4096)
        if storage.read(at, 8) == _index.MAGIC
    ]
    return sorted(slots, key=lambda slot: -slot.seq)


def one_slot(fd, slot, write=_index._write_slot, pwrite=files.pwrite):
    with mock.patch.object(files, "pwrite", lambda fd, data, offset: pwrite(fd, data, 0)):
        write(fd, slot)


def no_metadata(fd, *, metadata=False):
    if not metadata:
        files.sync(fd)


ONLY_NAMES = Without(files, sync=nothing)
DEFECTS = {
    "the log is not synced before the index": [(_writer, "files", ONLY_NAMES)],
    "the index is written before the log is synced": [
        (_writer, "files", Without(files, sync=nothing)),
        (_writer.Writer, "_publish", index_first),
    ],
    "the index is not synced before its slot, or before it is renamed": [
        (_index, "files", ONLY_NAMES)
    ],
    "a new log is renamed before it is synced": [(_writer.Writer, "sync", nothing)],
    "the directory is not synced": [(files, "sync_directory", nothing)],
    "the cut of a torn tail is not synced": [
        (_recovery, "files", Without(files, sync=no_metadata)),
        (_writer, "files", Without(files, sync=no_metadata)),
    ],
    "a torn tail is neither zeroed nor cut": [
        (files, "truncate", nothing),
        (_recovery, "files", Without(files, pwrite=nothing)),
    ],
    "a torn tail is not zeroed": [(_recovery, "files", Without(files, pwrite=nothing))],
    "records of a batch count without their commit": [(_writer, "PENDING", RECORD)],
    "the checksums of payloads are not compared": [
        (_log.LogScanner, "_with_bad_payload", lambda walk, found, *arguments: found),
        (_log.LogScanner, "_suspects", lambda walk, heads, offsets: offsets < 0),
    ],
    "the checks of frames are not compared": [
        (_log.LogScanner, "_verifies", lambda walk, at, covered: True)
    ],
    "the checksum of a slot is not compared": [(_index, "read_slots", any_slot)],
    "the slots do not alternate": [(_index, "_write_slot", one_slot)],
    "the index is written in place after an edit": [(_writer.Writer, "_publish", None)],
}


def in_place(writer, publish=_writer.Writer._publish):
    writer._rows_differ = False
    publish(writer)


DEFECTS["the index is written in place after an edit"] = [(_writer.Writer, "_publish", in_place)]


# Of a long run in which what a killed writer left lacks nothing but the zeros at its end.
SEEDS = {"a torn tail is not zeroed": 20_261_775}


def test_what_a_killed_writer_left_does_not_come_back():
    for seed in SEEDS.values():
        power_loss.long(Tally(), seed, draws=3, again=0.005)


@pytest.mark.usefixtures("by_python")  # the defect is one of Python
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    starts = {name: power_loss.start_of(name) for name in ("a dataset", "nothing")}
    for patch in DEFECTS[defect]:
        monkeypatch.setattr(*patch)
    with pytest.raises(LostError):
        all_runs(starts.values(), SEEDS.get(defect))


def all_runs(starts, seed=None):
    if seed is not None:
        power_loss.long(Tally(), seed, draws=3, again=0.005)
    runs = all_short()
    random.Random(SEED).shuffle(runs)  # to be caught the sooner
    for number, operations in enumerate(runs):
        for start in starts:
            small_index = SMALL_INDEX * (number % 2)
            power_loss.survey(
                operations, start, Tally(), SEED, draws=3, again=0.05, small_index=small_index
            )
