"""A dataset is a list: any sequence of operations leaves it equal to a Python list to which the same was done."""

import collections
import contextlib
import gc
import os
import pickle
import shutil
import tempfile
import warnings
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

import dsrecords
from dsrecords import IndexedRecordDataset, StaleViewError
from dsrecords._format.entries import Entries
from dsrecords._format.layout import RECORD
from dsrecords._read.snapshot import Snapshot
from dsrecords._read.verification import REVISED, Verified
from dsrecords._storage import files
from dsrecords._write import writer as _writer

pytestmark = pytest.mark.slow

SCHEMA = {"n": "int64", "x": "float32?", "text": "str", "raw": "bytes?", "tags": "list[str]"}
CHANGES = [
    "append",
    "extend",
    "update",
    "update_fields",
    "set_metadata",
    "delete",
    "quick_remove_at",
    "flush",
    "compact",
]
SAMPLES = st.fixed_dictionaries(
    {
        "n": st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(width=32, allow_nan=False),
        "text": st.text(max_size=12),
        "raw": st.none() | st.binary(max_size=20),
        "tags": st.lists(st.text(max_size=3), max_size=3),
    }
)
SOME = st.lists(SAMPLES, max_size=6)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(width=32, allow_nan=False),
        "text": st.text(max_size=12),
        "raw": st.none() | st.binary(max_size=20),
        "tags": st.lists(st.text(max_size=3), max_size=3),
    },
)
METADATA = st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.text(max_size=9), max_size=3)
WHERE = st.integers(-40, 40)
SLICES = st.slices(12) | st.builds(slice, WHERE, WHERE)


COUNTS = collections.Counter()  # of runs, operations and crashes in this process


def plain(column):
    return column.tolist() if isinstance(column, np.ndarray) else column


class Killed(BaseException):
    """In the place of the end of the process."""


@contextlib.contextmanager
def killed_after(bytes_written):
    """Within, the process dies once it has written so many bytes: what it does afterwards reaches no file."""
    left, dead = bytes_written, False
    real = {
        name: getattr(files, name)
        for name in ("pwrite", "truncate", "sync", "rename", "link", "unlink", "create")
    }

    def pwrite(fd, data, offset):
        nonlocal left, dead
        data = bytes(data)
        if not dead:
            real["pwrite"](fd, data[:left], offset)
            left -= len(data)
            dead = left < 0
        if dead:
            raise Killed

    def unless_dead(name):
        def call(*arguments, **options):
            if dead:
                raise Killed
            return real[name](*arguments, **options)

        return call

    with contextlib.ExitStack() as stack:
        for name in real:
            stack.enter_context(
                mock.patch.object(files, name, pwrite if name == "pwrite" else unless_dead(name))
            )
        vector = lambda fd, buffers, offset: files.pwrite(fd, b"".join(buffers), offset)  # noqa: E731
        stack.enter_context(mock.patch.object(files, "pwritev", vector))
        with contextlib.suppress(Killed):
            yield


class List(RuleBasedStateMachine):
    """`ds` writes, `reader` has the same files open; `model` is what `ds` must be, `read` what `reader` must be."""

    views = Bundle("views")
    view_files = Bundle("view_files")
    pickles = Bundle("pickles")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "data.rec")
        self.ds = self.reader = None
        self.model, self.read = [], []
        self.metadata, self.read_metadata = {}, {}
        self.small_index = mock.patch.object(_writer, "_BYTES_A_FRAME", _writer._BYTES_A_FRAME)
        self.saved = {}  # how often a view was saved at a path
        COUNTS["runs"] += 1
        self.version = 0  # of the list: pickles of before an edit are stale

    @initialize(samples=SOME, few_rewritten=st.booleans())
    def make(self, samples, few_rewritten):
        """`few_rewritten`: after edits, checkpoints do what they do where the index is large."""
        if few_rewritten:
            self.small_index.new = 1
        self.small_index.start()
        dsrecords.make_dataset(samples, self.path, SCHEMA)
        self.ds, self.reader = dsrecords.open(self.path), dsrecords.open(self.path)
        self.model, self.read = list(samples), list(samples)

    def teardown(self):
        try:
            if self.ds is not None:
                self.ds.flush()  # which writes anew a slot that a killed writer left half written
                assert self.ds.check() == []
                self.ds.close()
                self.reader.close()
                with dsrecords.open(self.path) as ds:
                    assert list(ds) == self.model
                    assert ds.metadata == self.metadata
        finally:
            self.small_index.stop()
            shutil.rmtree(self.folder)

    def edited(self):
        self.version += 1

    # Changes

    @rule(sample=SAMPLES)
    def append(self, sample):
        self.ds.append(sample)
        self.model.append(sample)

    @rule(samples=SOME)
    def extend(self, samples):
        self.ds.extend(iter(samples))
        self.model.extend(samples)

    @rule(samples=SOME)
    def extend_up_to_a_wrong_one(self, samples):
        with pytest.raises(dsrecords.SchemaError, match=f"row {len(samples)} of those given"):
            self.ds.extend([*samples, {"n": 1}])
        self.model.extend(samples)

    @rule(samples=SOME)
    def extend_columns(self, samples):
        self.ds.extend_columns({name: [sample[name] for sample in samples] for name in SCHEMA})
        self.model.extend(samples)

    @rule(key=SLICES)
    def extend_columns_with_a_batch_of_its_own(self, key):
        if len(self.model) < 60:
            self.ds.extend_columns(self.ds.batch(key))
            self.model.extend(self.model[key])

    @rule(i=WHERE, sample=SAMPLES)
    def replace(self, i, sample):
        if -len(self.model) <= i < len(self.model):
            self.ds[i] = sample
            self.model[i] = sample
            self.edited()
        else:
            with pytest.raises(IndexError):
                self.ds[i] = sample

    @rule(samples=st.dictionaries(st.integers(0, 15), SAMPLES, max_size=4))
    def update(self, samples):
        samples = {i: sample for i, sample in samples.items() if i < len(self.model)}
        self.ds.update(samples)
        for i, sample in samples.items():
            self.model[i] = sample
        if samples:
            self.edited()

    @rule(i=WHERE, part=PARTS, as_list=st.booleans())
    def replace_fields(self, i, part, as_list):
        names = list(part)
        values = list(part.values()) if as_list else part
        if -len(self.model) <= i < len(self.model):
            self.ds[i, names] = values
            self.model[i] = {**self.model[i], **part}
            if part:
                self.edited()
        else:
            with pytest.raises(IndexError):
                self.ds[i, names] = values

    @rule(parts=st.dictionaries(st.integers(0, 15), PARTS, max_size=4))
    def update_fields(self, parts):
        parts = {i: part for i, part in parts.items() if i < len(self.model)}
        self.ds.update(parts, partial=True)
        for i, part in parts.items():
            self.model[i] = {**self.model[i], **part}
        if any(parts.values()):
            self.edited()

    @rule(metadata=METADATA)
    def set_metadata(self, metadata):
        self.ds.set_metadata(metadata)
        self.metadata = metadata

    @rule(i=WHERE)
    def delete(self, i):
        if -len(self.model) <= i < len(self.model):
            del self.ds[i]
            del self.model[i]
            self.edited()
        else:
            with pytest.raises(IndexError):
                del self.ds[i]

    @rule(key=SLICES)
    def delete_a_slice(self, key):
        before = len(self.model)
        del self.ds[key]
        del self.model[key]
        if len(self.model) < before:
            self.edited()

    @rule(data=st.data())
    def delete_by_a_mask(self, data):
        mask = data.draw(
            st.lists(st.booleans(), min_size=len(self.model), max_size=len(self.model))
        )
        del self.ds[mask]
        self.model = [sample for sample, gone in zip(self.model, mask, strict=True) if not gone]
        if any(mask):
            self.edited()

    @rule(i=WHERE)
    def quick_remove_at(self, i):
        if -len(self.model) <= i < len(self.model):
            self.ds.quick_remove_at(i)
            last = self.model.pop()
            if i % (len(self.model) + 1) < len(self.model):
                self.model[i % (len(self.model) + 1)] = last
            self.edited()
        else:
            with pytest.raises(IndexError):
                self.ds.quick_remove_at(i)

    # Files

    @rule(sync=st.booleans())
    def flush(self, sync):
        self.ds.flush(sync=sync)

    @rule()
    def compact(self):
        self.ds.compact()
        self.edited()

    @rule()
    def compact_to_an_output(self):
        data, index = self.ds.compact(os.path.join(self.folder, "output.rec"))
        with dsrecords.open(data) as output:
            assert list(output) == self.model
        os.remove(data)
        os.remove(index)

    @rule()
    def refresh_the_reader(self):
        self.reader.refresh()
        self.read, self.read_metadata = list(self.model), self.metadata

    @rule(given_schema=st.booleans())
    def close_and_reopen(self, given_schema):
        self.ds.close()
        self.ds = IndexedRecordDataset(self.path, schema=SCHEMA if given_schema else None)

    @rule()
    def reopen_without_close(self):
        self.ds = None  # the lock goes with the last reference
        self.ds = dsrecords.open(self.path)

    @rule()
    def reopen_without_the_index(self):
        self.ds.close()
        with contextlib.suppress(FileNotFoundError):  # who only reads does not make it again
            os.remove(self.path.replace(".rec", ".idx"))
        self.ds = dsrecords.open(self.path)

    @rule()
    def reopen_the_reader(self):
        self.reader = dsrecords.open(self.path, verify="always")
        self.read, self.read_metadata = list(self.model), self.metadata

    # Crashes

    @rule(
        what=st.sampled_from(CHANGES),
        written=st.integers(0, 400) | st.integers(0, 20_000),
        samples=st.lists(SAMPLES, min_size=1, max_size=3),
    )
    def killed_amid(self, what, written, samples):
        """The writer dies after so many bytes. The operation is there as a whole or not at all."""
        model, before = list(self.model), self.version_of_the_list()
        metadata = self.metadata
        at = len(model) // 2
        if what in ("update", "update_fields", "delete", "quick_remove_at") and not model:
            return
        with killed_after(written):
            if what == "append":
                model.append(samples[0])
                self.ds.append(samples[0])
            elif what == "extend":
                model += samples
                self.ds.extend(samples)
            elif what == "update":
                model[at] = samples[0]
                self.ds.update({at: samples[0]})
            elif what == "update_fields":
                part = {name: samples[0][name] for name in ("n", "raw")}
                model[at] = {**model[at], **part}
                self.ds.update({at: part}, partial=True)
            elif what == "set_metadata":
                metadata = {"after so many": written}
                self.ds.set_metadata(metadata)
            elif what == "delete":
                del model[at : at + 3]
                del self.ds[at : at + 3]
            elif what == "quick_remove_at":
                model[at] = model[-1]
                model.pop()
                self.ds.quick_remove_at(at)
            else:
                getattr(self.ds, what)()
        COUNTS["crashes"] += 1
        self.ds = None  # the lock goes with the process
        gc.collect()  # which hypothesis, when it traces lines, keeps some frames of
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self.ds = dsrecords.open(self.path)
            found = list(self.ds)
            assert found in (self.model, model)
            found_metadata = self.ds.metadata
            assert found_metadata in (self.metadata, metadata)
            self.ds.extend([])  # recovers
            assert list(self.ds) == found
            assert self.ds.metadata == found_metadata
            if any("is missing" not in str(warning.message) for warning in told):
                # It was killed between the two renames of a compaction: the index is that of the dataset before.
                assert what == "compact"
                self.ds.flush()
        assert not [name for name in os.listdir(self.folder) if ".tail-" in name]
        self.model, self.metadata = found, found_metadata
        if self.version_of_the_list() != before:
            self.edited()

    def version_of_the_list(self):
        """What changes with each edit, and only then."""
        version = self.ds._reading.version()
        return version.id, version.mark.edits

    # Views and copies

    @rule(target=view_files, key=SLICES)
    def save_view(self, key):
        path = os.path.join(self.folder, f"view-{len(os.listdir(self.folder))}.idx")
        self.ds[key].save_view(path, overwrite=os.path.exists(path))
        number = self.saved[path] = self.saved.get(path, 0) + 1  # an inode may come back
        return path, number, self.model[key], self.ds._reading.fields.header.id

    @rule(view=view_files)
    def a_view_file_shows_what_it_showed_or_is_stale(self, view):
        path, number, wanted, id = view
        if self.saved[path] != number:
            return  # another one was saved in its place
        if id != self.ds._reading.fields.header.id:
            with pytest.raises(StaleViewError):
                dsrecords.open(self.path, index_path=path)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where the list was edited since
            assert list(dsrecords.open(self.path, index_path=path)) == wanted

    @rule(target=views, key=SLICES, of_reader=st.booleans())
    def view(self, key, of_reader):
        return (self.reader[key], self.read[key]) if of_reader else (self.ds[key], self.model[key])

    @rule(target=views, data=st.data())
    def view_of_a_list(self, data):
        if not self.model:
            return multiple()
        indices = data.draw(
            st.lists(st.integers(-len(self.model), len(self.model) - 1), max_size=8)
        )
        return self.ds[indices], [self.model[i] for i in indices]

    @rule(target=views, data=st.data(), view=views)
    def view_of_a_view(self, data, view):
        mask = data.draw(st.lists(st.booleans(), min_size=len(view[0]), max_size=len(view[0])))
        return view[0][mask], [
            sample for sample, chosen in zip(view[1], mask, strict=True) if chosen
        ]

    @rule(view=views)
    def a_view_shows_what_it_showed(self, view):
        assert list(view[0]) == view[1]
        assert plain(view[0].column("n")) == [sample["n"] for sample in view[1]]

    @rule(target=pickles, key=st.none() | SLICES)
    def pickle(self, key):
        if key is None:
            return pickle.dumps(self.ds), list(self.model), self.version
        return pickle.dumps(self.ds[key]), self.model[key], self.version

    @rule(one=pickles)
    def a_copy_shows_the_same_or_is_stale(self, one):
        data, wanted, version = one
        if version == self.version:
            assert list(pickle.loads(data)) == wanted
        else:
            with pytest.raises(StaleViewError):
                pickle.loads(data)

    # Reading

    @rule(data=st.data())
    def batch(self, data):
        if self.model:
            indices = data.draw(
                st.lists(st.integers(-len(self.model), len(self.model) - 1), max_size=8)
            )
            names = data.draw(
                st.none() | st.lists(st.sampled_from(list(SCHEMA)), min_size=1, unique=True)
            )
            batch = self.ds.batch(indices, names)
            assert list(batch) == (list(SCHEMA) if names is None else names)
            for name, column in batch.items():
                assert plain(column) == [self.model[i][name] for i in indices]

    @rule(name=st.sampled_from(list(SCHEMA)))
    def column(self, name):
        assert plain(self.ds.column(name)) == [sample[name] for sample in self.model]

    @rule(i=WHERE, name=st.sampled_from(list(SCHEMA)))
    def part(self, i, name):
        if -len(self.model) <= i < len(self.model):
            assert self.ds[i, name] == self.model[i][name]
        else:
            with pytest.raises(IndexError):
                self.ds[i, name]

    @invariant()
    def all_are_what_they_must_be(self):
        COUNTS["operations"] += 1
        if self.ds is not None:
            assert len(self.ds) == len(self.model)
            assert list(self.ds) == self.model
            assert list(self.reader) == self.read
            assert self.ds.metadata == self.metadata
            assert self.reader.metadata == self.read_metadata

    @invariant()
    def whoever_opens_it_now_sees_the_same(self):
        if self.ds is not None:
            assert dsrecords.open(self.path).batch(slice(None), "text") == [
                sample["text"] for sample in self.model
            ]


TestList = pytest.mark.exhaustive(List.TestCase)
TestList.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def run(seed, examples, phases=tuple(Phase)):
    """So many runs from a seed, for the trials in full. Returns how many runs, operations and crashes there were."""
    COUNTS.clear()
    more = settings(TestList.settings, max_examples=examples, database=None, phases=phases)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* is missing: the list was made again")
        run_state_machine_as_test(seeded(seed)(type("Seeded", (List,), {})), settings=more)
    return dict(COUNTS)


# Planted defects


def settled(entries, rows, right=Entries._without_rows):
    """What stands for a row is put in its place, where others look at it as well."""
    edited = right(entries, rows)
    edited.settle()
    return edited


def unrevised(verified, row, parts, remember=Verified.remember):
    remember(verified, row, parts & ~REVISED)


DEFECTS = {
    "edits change what views show": (Entries, "_without_rows", settled),
    "it is forgotten that a record is a revision": (Verified, "remember", unrevised),
    "compaction keeps the metadata that was there first": (
        Snapshot,
        "metadata",
        lambda snapshot, mark=None: snapshot.header.metadata,
    ),
    "records of a batch count without their commit": (_writer, "PENDING", RECORD),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(defect, monkeypatch):
    monkeypatch.setattr(*DEFECTS[defect])
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever difference comes first
        [run(seed, 25, [Phase.generate]) for seed in range(12, 100)]
