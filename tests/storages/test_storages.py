"""Each storage passes the suite, and what only one of them promises."""

import itertools
import os
import random

import numpy as np
import pytest
from memory import MemoryFile, MemoryStorage

from dsrecords._storage import files, local
from dsrecords._storage.local import LocalStorage

pytest.register_assert_rewrite("suite")
from suite import DATA, StorageSuite, everything, ranges  # noqa: E402 - it is rewritten first

pytestmark = pytest.mark.slow

PAGE = files.PAGE_SIZE


class TestMemoryStorage(StorageSuite):
    """The suite does not rely on windows that are mappings."""

    @pytest.fixture(autouse=True)
    def folder(self):
        self.files = {}

    def put(self, data):
        self.files["data.rec"] = MemoryFile(data)

    def overwrite(self, offset, data):
        self.files["data.rec"].data[offset : offset + len(data)] = data

    def cut(self, size):
        del self.files["data.rec"].data[size:]

    def remove(self):
        del self.files["data.rec"]

    def open(self):
        return MemoryStorage(self.files, "data.rec")


class TestLocalStorage(StorageSuite):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "data.rec"

    def put(self, data):
        new = self.path.with_suffix(".new")
        new.write_bytes(data)
        os.replace(new, self.path)

    def overwrite(self, offset, data):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def cut(self, size):
        os.truncate(self.path, size)

    def remove(self):
        self.path.unlink()

    def open(self):
        return LocalStorage(str(self.path))

    def test_a_window_is_the_file_without_any_preparation(self, storage):
        window = storage.window(len(DATA))
        assert window == DATA
        self.overwrite(1000, b"new")
        assert window[1000:1003] == b"new"

    def test_a_window_that_is_there_is_not_made_again(self, storage, monkeypatch):
        window = storage.window(1000)
        monkeypatch.setattr(files, "map_read", None)
        monkeypatch.setattr(files, "size", None)
        assert storage.window(1000) is storage.window(10) is window

    def test_a_window_reaches_no_further_than_asked_for(self, storage):
        # Behind that a writer may cut off what a killed one left.
        assert len(storage.window(1000)) == 1000

    def test_the_version_is_that_of_the_path_until_the_file_is_replaced(self, storage):
        assert storage.version() == files.identity(storage.path)
        self.put(DATA)
        assert storage.version() != files.identity(storage.path)

    def test_a_replaced_file_stays_readable(self, storage):
        self.put(b"")
        assert storage.read(0, 100) == DATA[:100]
        assert storage.window(len(DATA)) == DATA

    def test_it_is_closed_with_the_last_reference_and_windows_stay(self, storage):
        window = storage.window(100)
        number = storage.descriptor.number
        descriptor = storage.descriptor
        storage.close()
        storage.close()
        assert descriptor.number == -1
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(number)
        for call in (
            storage.size,
            storage.version,
            lambda: storage.read(0, 1),
            lambda: storage.window(200),
        ):
            with pytest.raises(OSError, match="descriptor"):
                call()
        assert window == storage.window(100) == DATA[:100]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
    def test_only_regular_files_are_opened(self, tmp_path):
        os.mkfifo(self.path)
        for path in (self.path, tmp_path):
            with pytest.raises(
                OSError, match=r"not a regular file|Is a directory|Permission denied"
            ):
                LocalStorage(str(path))

    @pytest.mark.parametrize("call", ["pread", "size", "map_read"])
    def test_every_system_call_is_made_through_the_module_of_files(
        self, storage, monkeypatch, call
    ):
        def fails(*arguments):
            raise OSError(5, "planted")

        monkeypatch.setattr(files, call, fails)
        with pytest.raises(OSError, match="planted"):
            storage.window(storage.size() and len(storage.read(0, 100)))

    # Advice to the system

    @pytest.fixture
    def advice(self, storage, monkeypatch):
        """What the system is told of: (start, stop) of each part. Nothing is in memory."""
        told = []
        monkeypatch.setattr(files, "page_in_memory", lambda window, start: False)
        monkeypatch.setattr(
            files, "will_need", lambda window, start, size: told.append((start, start + size))
        )
        return told

    def test_parts_are_told_of_as_runs_of_whole_pages(self, storage, advice):
        storage.window(len(DATA))
        storage.ensure(
            *ranges(
                (5 * PAGE + 7, 6 * PAGE + 1), (1, 2), (PAGE - 1, PAGE), (3 * PAGE, 3 * PAGE + 1)
            )
        )
        # In the order in which the parts are read.
        assert advice == [(5 * PAGE, 7 * PAGE), (0, PAGE), (3 * PAGE, 4 * PAGE)]

    def test_parts_that_touch_or_overlap_are_one_run(self, storage, advice):
        storage.window(len(DATA))
        storage.ensure(*ranges((2 * PAGE, 3 * PAGE), (PAGE, 2 * PAGE), (0, 3 * PAGE - 1), (10, 20)))
        assert advice == [(0, 3 * PAGE)]

    def test_a_long_part_hides_no_later_gap(self, storage, advice):
        storage.window(len(DATA))
        storage.ensure(
            *ranges((0, 3 * PAGE), (1, 2), (2 * PAGE, 2 * PAGE + 1), (4 * PAGE, 4 * PAGE + 1))
        )
        assert advice == [(0, 3 * PAGE), (4 * PAGE, 5 * PAGE)]

    def test_of_random_parts_each_page_is_told_of_once(self, storage, advice):
        rng = random.Random(1)
        storage.window(len(DATA))
        for count in range(2, 60):
            pairs = [
                (start, start + rng.randrange(9000))
                for start in rng.sample(range(len(DATA) + 5000), count)
            ]
            advice.clear()
            storage.ensure(*ranges(*pairs))
            pages = {
                page
                for start, stop in pairs
                if start < min(stop, len(DATA))
                for page in range(start // PAGE, (min(stop, len(DATA)) - 1) // PAGE + 1)
            }
            told = [page for start, stop in advice for page in range(start // PAGE, stop // PAGE)]
            assert sorted(told) == sorted(pages)
            for (_, stop), (start, _) in itertools.pairwise(sorted(advice)):
                assert stop < start

    def test_only_windows_are_told_of(self, storage, advice):
        storage.ensure(*everything(len(DATA)))
        assert advice == []
        storage.window(PAGE + 1)
        storage.ensure(*ranges((0, 10), (3 * PAGE, 4 * PAGE), (PAGE, 9 * PAGE)))
        assert advice == [(0, 2 * PAGE)]

    @pytest.mark.parametrize("parts", [[], [(0, 10)]])
    def test_a_single_part_is_not_worth_a_call(self, storage, advice, parts):
        storage.window(len(DATA))
        storage.ensure(*ranges(*parts))
        assert advice == []

    @pytest.mark.parametrize(
        ("resident", "expected"), [((), 1), ((1,), 1), ((2,), 1), ((1, 2), 0), ((0, 1, 2), 0)]
    )
    @pytest.mark.parametrize("may_ask", [True, False])
    def test_what_is_in_memory_is_not_told_of(
        self, storage, advice, monkeypatch, resident, expected, may_ask
    ):
        starts = (0, 3 * PAGE, 6 * PAGE)
        storage.window(len(DATA))
        monkeypatch.setattr(files, "may_ask_for_pages", lambda fd: may_ask)
        of_whom = "page_in_memory" if may_ask else "in_memory"
        monkeypatch.setattr(files, of_whom, lambda _, start: starts.index(start) in resident)
        storage.ensure(*ranges(*((start, start + 1) for start in starts)))
        assert bool(advice) == expected

    def test_a_disk_that_turns_cold_is_noticed_within_four_calls(
        self, storage, advice, monkeypatch
    ):
        storage.window(len(DATA))
        asked = []
        is_warm = [True]
        monkeypatch.setattr(files, "may_ask_for_pages", lambda fd: True)
        monkeypatch.setattr(
            files, "page_in_memory", lambda _, start: asked.append(start) or is_warm[0]
        )
        parts = ranges((0, 1), (3 * PAGE, 3 * PAGE + 1), (6 * PAGE, 6 * PAGE + 1))
        for _ in range(1000):
            storage.ensure(*parts)
        assert advice == []
        assert 500 <= len(asked) < 700  # of 2,000
        is_warm[0] = False
        for _ in range(4):
            storage.ensure(*parts)
        assert advice
        advice.clear()
        storage.ensure(*parts)
        assert advice  # from now on each call looks

    def test_the_system_takes_the_advice(self, storage, monkeypatch):
        monkeypatch.setattr(files, "page_in_memory", lambda window, start: False)
        window = storage.window(len(DATA))  # which ends within a page
        storage.ensure(*everything(len(DATA)))
        storage.ensure(*ranges((len(DATA) - 1, len(DATA)), (0, 1)))
        assert window == DATA


def test_runs_of_no_parts():
    nothing = np.empty(0, np.uint64)
    for starts, stops in ((nothing, nothing), ranges((5, 5)), ranges((9, 3))):
        run_starts, run_stops = local._page_runs(starts, stops, 100)
        assert len(run_starts) == len(run_stops) == 0
