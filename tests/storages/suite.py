"""What every storage must pass: subclass `StorageSuite`, and say how files are made."""

import contextlib
import itertools
import os
import random
import threading

import numpy as np
import pytest

from dsrecords._storage.base import Storage
from dsrecords.errors import CorruptError

DATA = random.Random(20_261_125).randbytes(200_000)
FAR = (2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
NOWHERE = 2**64 - 1


def ranges(*pairs):
    """The arguments of `ensure`."""
    starts, stops = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(starts, np.uint64), np.array(stops, np.uint64)


def everything(size):
    """The same, for a whole file: as two parts, since a storage may have nothing to do for one."""
    return ranges((0, size // 2), (size // 2, size))


class StorageSuite:
    """The contract of `Storage`, as tests.

    A subclass says how files come to be where its storages read them.
    """

    def put(self, data):
        """Make a file of these bytes; a new one, if there is one already."""
        raise NotImplementedError

    def overwrite(self, offset, data):
        """Write into the file, in place; behind its end it grows."""
        raise NotImplementedError

    def cut(self, size):
        """Make the file shorter, in place."""
        raise NotImplementedError

    def remove(self):
        """Remove the file."""
        raise NotImplementedError

    def open(self):
        """A storage of the file."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self):
        self.put(DATA)
        return self.open()

    def test_it_has_all_methods_and_a_path(self, storage):
        assert isinstance(storage, Storage)
        assert isinstance(storage.path, str)
        assert storage.path

    def test_it_says_whether_windows_need_ensuring(self, storage):
        assert isinstance(storage.needs_ensuring, bool)
        if not storage.needs_ensuring:
            assert storage.window(len(DATA)) == DATA

    def test_a_file_that_is_not_there(self):
        with pytest.raises(FileNotFoundError) as caught:
            self.open()
        self.put(DATA)
        assert caught.value.filename == self.open().path

    # Reading

    def test_all_of_the_file(self, storage):
        assert storage.size() == len(DATA)
        data = storage.read(0, len(DATA))
        assert type(data) is bytes
        assert data == DATA

    @pytest.mark.parametrize("length", [0, 1, 2, 7, 4095, 4096, 4097, 20_000])
    @pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 4097, 29_999])
    def test_a_part_of_the_file(self, storage, offset, length):
        assert storage.read(offset, length) == DATA[offset : offset + length]

    @pytest.mark.parametrize("missing", [1, 100, 2**20, *FAR])
    @pytest.mark.parametrize("kept", [0, 1, 4097, len(DATA)])
    def test_a_read_is_short_at_the_end_of_the_file(self, storage, kept, missing):
        assert storage.read(len(DATA) - kept, kept + missing) == DATA[len(DATA) - kept :]

    @pytest.mark.parametrize("length", [0, 1, 2**20, *FAR])
    @pytest.mark.parametrize("offset", [len(DATA), len(DATA) + 1, *FAR])
    def test_there_is_nothing_behind_the_end_of_the_file(self, storage, offset, length):
        assert storage.read(offset, length) == b""

    @pytest.mark.parametrize(
        ("offset", "length"), [(-1, 1), (-1, 0), (0, -1), (-(2**64), 1), (0, -(2**64)), (-5, -5)]
    )
    def test_there_is_no_negative_offset_or_length(self, storage, offset, length):
        with pytest.raises(ValueError, match=r"\d|negative"):
            storage.read(offset, length)

    def test_a_read_has_no_position(self, storage):
        assert storage.read(100, 10) == storage.read(100, 10) == DATA[100:110]

    def test_an_empty_file(self):
        self.put(b"")
        storage = self.open()
        assert storage.size() == 0
        assert storage.read(0, 100) == storage.read(100, 100) == b""
        assert len(storage.window(0)) == 0
        storage.ensure(*everything(100))
        with pytest.raises(CorruptError) as caught:
            storage.window(1)
        assert caught.value.offset == 0

    def test_what_is_overwritten_is_read_as_it_is_now(self, storage):
        version = storage.version()
        assert storage.read(990, 20) == DATA[990:1010]
        self.overwrite(1000, b"new")
        assert storage.read(990, 20) == DATA[990:1000] + b"new" + DATA[1003:1010]
        assert storage.version() == version

    # Windows

    @pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, len(DATA)])
    def test_a_window_is_the_beginning_of_the_file(self, storage, length):
        window = storage.window(length)
        storage.ensure(*everything(length))
        assert len(window) >= length
        assert window[:length] == DATA[:length]

    def test_a_window_is_made_of_bytes_and_read_only(self, storage):
        window = storage.window(10)
        assert isinstance(window, memoryview)
        assert window.readonly
        assert (window.format, window.ndim, window.itemsize) == ("B", 1, 1)

    def test_a_window_grows(self, storage):
        windows = [storage.window(length) for length in (1, 10, 5000, 4000, len(DATA), 7)]
        storage.ensure(*everything(len(DATA)))
        for window in windows:  # those that were there before as well
            assert window == DATA[: len(window)]
        assert len(storage.window(len(DATA))) == len(DATA)

    def test_what_a_small_window_was_prepared_for_is_in_a_larger_one(self, storage):
        storage.window(10_000)
        storage.ensure(*ranges((100, 200), (9000, 9100)))
        window = storage.window(len(DATA))
        assert window[100:200] == DATA[100:200]
        assert window[9000:9100] == DATA[9000:9100]

    @pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) + 4096, 2**40, 2**62])
    @pytest.mark.parametrize("before", [0, 100, len(DATA)])
    def test_a_file_that_is_shorter_than_a_window_is_an_error(self, storage, before, length):
        storage.window(before)
        with pytest.raises(CorruptError, match="cut short") as caught:
            storage.window(length)
        assert caught.value.file == storage.path
        assert caught.value.offset == len(DATA)
        window = storage.window(len(DATA))  # it can be used as before
        storage.ensure(*everything(len(DATA)))
        assert window == DATA

    def test_a_window_outlives_its_storage(self, storage):
        window = storage.window(100)
        storage.ensure(*everything(100))
        del storage
        assert window[:100] == DATA[:100]

    # Windows to write to

    @pytest.mark.parametrize("length", [1, 4095, 4096, 4097, len(DATA)])
    def test_a_writable_window_is_the_beginning_of_the_file(self, storage, length):
        window = storage.writable_window(length)
        assert len(window) >= length
        assert window[:length] == DATA[:length]

    def test_a_writable_window_is_made_of_bytes(self, storage):
        window = storage.writable_window(10)
        assert isinstance(window, memoryview)
        assert not window.readonly
        assert (window.format, window.ndim, window.itemsize) == ("B", 1, 1)

    def test_what_is_written_to_a_window_shows_nowhere_else(self, storage):
        window = storage.window(5000)
        storage.ensure(*everything(5000))
        writable = storage.writable_window(5000)
        another = storage.writable_window(5000)
        writable[100:105] = b"mine!"
        another[4500:4506] = b"others"
        assert writable[:4990] == DATA[:100] + b"mine!" + DATA[105:4990]
        assert another[:4400] == DATA[:4400]
        assert window[:5000] == storage.window(5000)[:5000] == DATA[:5000]
        assert storage.read(0, 5000) == self.open().read(0, 5000) == DATA[:5000]

    @pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) + 4096, 2**40, 2**62, 2**66])
    def test_a_file_that_is_shorter_than_a_writable_window_is_an_error(self, storage, length):
        with pytest.raises(CorruptError, match="cut short") as caught:
            storage.writable_window(length)
        assert caught.value.file == storage.path
        assert caught.value.offset == len(DATA)

    def test_a_writable_window_outlives_its_storage(self, storage):
        window = storage.writable_window(100)
        del storage
        window[0] = 7
        assert window[:100] == b"\x07" + DATA[1:100]

    # Preparing

    @pytest.mark.parametrize(
        "parts",
        [
            [],
            [(0, 0)],
            [(5, 5), (5, 5)],
            [(10, 20)],
            [(0, 1), (len(DATA) - 1, len(DATA))],
            [
                (40_000, 41_000),
                (10, 20),
                (30_000, 30_001),
                (10, 20),
                (0, 50_000),
            ],  # in no order, one within another
            [
                (100, 200),
                (200, 300),
                (250, 400),
                (4096, 8192),
                (8192, 8193),
            ],  # touching, overlapping
            [(200, 100), (30, 40), (NOWHERE, 0)],  # one that ends before it begins
            [(len(DATA), len(DATA) + 10), (0, 5)],  # behind the end
            [(len(DATA) - 10, len(DATA) + 10**6), (0, NOWHERE)],
            [(NOWHERE, NOWHERE), (2**63, NOWHERE), (2**62, 2**62 + 1)],
            [(i, i + 3) for i in range(0, 3000, 7)],
        ],
    )
    def test_parts_of_any_kind_can_be_prepared(self, storage, parts):
        storage.ensure(*ranges(*parts))  # before there is any window
        window = storage.window(len(DATA))
        assert storage.ensure(*ranges(*parts)) is None
        for start, stop in parts:
            assert window[start:stop] == DATA[start:stop]

    def test_parts_may_be_any_part_of_an_array(self, storage):
        window = storage.window(len(DATA))
        table = np.array([(0, 9, 10), (0, 20_000, 20_010), (0, 30_000, 30_010)], np.uint64)
        table.setflags(write=False)
        storage.ensure(table[:, 1], table[:, 2])
        assert window[20_000:20_010] == DATA[20_000:20_010]

    def test_it_says_whether_there_is_room(self, storage):
        assert storage.is_full() is False  # nothing was prepared

    @pytest.mark.parametrize("parts", [[], [(0, 10)], [(0, 5), (100, 200), (9000, 9100)]])
    def test_what_seems_ready_is_ready(self, storage, parts):
        window = storage.window(len(DATA))
        starts, stops = ranges(*parts)
        for _ in range(2):
            is_ready = storage.seems_ready(starts)
            assert isinstance(is_ready, bool)
            if is_ready:
                assert all(window[start:stop] == DATA[start:stop] for start, stop in parts)
            storage.ensure(starts, stops)

    # Files that change

    def test_a_file_that_grows_is_the_same_file(self, storage):
        version = storage.version()
        old = storage.window(len(DATA))
        storage.ensure(*everything(len(DATA)))
        self.overwrite(len(DATA), b"more")
        assert storage.version() == version == self.open().version()
        assert storage.size() == len(DATA) + 4
        assert storage.read(len(DATA) - 1, 100) == DATA[-1:] + b"more"
        new = storage.window(len(DATA) + 4)
        storage.ensure(*everything(len(DATA) + 4))
        assert new == DATA + b"more"
        assert old == DATA

    def test_a_file_that_was_cut_is_short(self, storage):
        storage.window(1000)
        self.cut(2000)
        assert storage.size() == 2000
        assert storage.read(1990, 100) == DATA[1990:2000]
        assert storage.read(2000, 100) == storage.read(3000, 100) == b""
        with pytest.raises(CorruptError, match="cut short") as caught:
            storage.window(2001)
        assert caught.value.offset == 2000
        storage.ensure(*ranges((0, 10), (1500, 30_000)))
        assert len(storage.window(2000)) >= 2000

    def test_versions_tell_a_file_that_was_replaced(self, storage):
        version = storage.version()
        hash(version)
        assert self.open().version() == version
        self.put(DATA[::-1])
        new = self.open()
        assert new.version() != version
        assert storage.version() == version
        assert new.read(0, 100) == DATA[::-1][:100]

    def test_a_storage_never_reads_the_file_that_took_the_place_of_its_own(self, storage):
        window = storage.window(1000)
        storage.ensure(*everything(1000))
        self.put(DATA[::-1])
        assert window[:1000] == DATA[:1000]
        for read in (
            lambda: storage.read(2000, 100) == DATA[2000:2100],
            lambda: storage.size() == len(DATA),
            lambda: len(storage.window(3000)) >= 3000,
        ):
            with contextlib.suppress(OSError):
                assert read()

    def test_a_file_that_was_removed(self, storage):
        self.remove()
        with pytest.raises(FileNotFoundError):
            self.open()
        with contextlib.suppress(OSError):
            assert storage.read(0, 100) == DATA[:100]

    # Threads and processes

    def test_threads_may_use_one_storage(self, storage):
        errors = []
        go = threading.Barrier(8)

        def reads(seed):
            rng = random.Random(seed)
            go.wait()
            try:
                for length in sorted(rng.randrange(1, len(DATA)) for _ in range(100)):
                    start = rng.randrange(length)
                    assert storage.read(start, 1000) == DATA[start : start + 1000]
                    window = storage.window(length)
                    storage.ensure(*ranges((start, length), (0, 1)))
                    assert window[start:length] == DATA[start:length]
                    assert storage.size() == len(DATA)
            except BaseException as error:  # noqa: BLE001 - to be raised by the test itself
                errors.append(error)

        threads = [threading.Thread(target=reads, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors[0]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_forked_processes_may_use_one_storage(self, storage):
        window = storage.window(1000)
        storage.ensure(*everything(1000))
        children = [
            in_a_fork(lambda i=i: self.read_and_compare(storage, window, i)) for i in range(3)
        ]
        self.read_and_compare(storage, window, 3)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [
            0,
            0,
            0,
        ]

    @staticmethod
    def read_and_compare(storage, window, seed):
        rng = random.Random(seed)
        assert window[:1000] == DATA[:1000]
        larger = storage.window(len(DATA))
        for start, length in itertools.product(rng.sample(range(len(DATA)), 20), (1, 5000)):
            stop = min(start + length, len(DATA))
            assert storage.read(start, length) == DATA[start:stop]
            storage.ensure(*ranges((start, stop), (stop, stop)))
            assert larger[start:stop] == DATA[start:stop]


def in_a_fork(function):
    """Call a function in a forked process; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        function()
    except BaseException:  # noqa: BLE001 - whatever it is, this process must end here
        os._exit(1)
    os._exit(0)
