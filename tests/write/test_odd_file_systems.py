"""File systems that cannot do all that others can: NFS, CIFS, FUSE, overlays, full disks, few addresses.

Most are simulated by the call that fails there; where the machine has them, they are real, and each such test runs in a child process
or on a mount of its own.
"""

import contextlib
import errno
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import SYNCS

import dsrecords
from dsrecords import IndexedRecordDataset, ReadOnlyError, make_dataset, repair
from dsrecords._native import core, native
from dsrecords._read import compiled
from dsrecords._storage import files

pytestmark = pytest.mark.slow

SCHEMA = {"v": "int64", "text": "str", "array": "int32[3]"}
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
NO_MAPPING = (errno.ENODEV, errno.ENOMEM)


def row(i):
    return {"v": i, "text": f"text {i}", "array": np.array([i, i + 1, i + 2], np.int32)}


def rows(count):
    return [row(i) for i in range(count)]


def values(path, **options):
    with dsrecords.open(path, **options) as ds:
        return [sample["v"] for sample in ds]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "data.rec")


@pytest.fixture
def made(path):
    make_dataset(rows(10), path, SCHEMA)
    return path


@pytest.fixture(autouse=True)
def real_syncs(monkeypatch):
    for name, real in SYNCS.items():
        monkeypatch.setattr(os, name, real)


def fails(number):
    def call(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return call


def named(number):
    return errno.errorcode[number]


# Directories that cannot be synced: CIFS, DrvFs, folders that may be written to and not read


@pytest.mark.parametrize("number", NO_SYNC, ids=named)
def test_a_directory_that_cannot_be_synced_is_no_failure(path, monkeypatch, number):
    real = os.fsync
    folders = []

    def fsync(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            folders.append(fd)
            raise OSError(number, os.strerror(number))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    make_dataset(rows(5), path, SCHEMA)
    with dsrecords.open(path) as ds:
        del ds[0]
        ds.flush(sync=True)
        ds.compact()
    assert len(folders) > 3
    assert values(path) == [1, 2, 3, 4]


def test_a_disk_that_fails_to_sync_a_directory_is_a_failure(path, monkeypatch):
    monkeypatch.setattr(files, "sync_directory", fails(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        make_dataset(rows(5), path, SCHEMA)


# File systems without flock


@pytest.mark.parametrize("number", NO_LOCKS, ids=named)
def test_without_locks_an_error_names_the_file_and_the_cure(made, monkeypatch, number):
    monkeypatch.setattr(files.fcntl, "flock", fails(number))
    for change in (
        lambda: dsrecords.open(made).append(row(1)),
        lambda: make_dataset(rows(1), made, SCHEMA, overwrite=True),
        lambda: make_dataset(rows(1), made + "2.rec", SCHEMA),
        lambda: IndexedRecordDataset(made + "3.rec", schema=SCHEMA),
    ):
        with pytest.raises(ReadOnlyError, match="lock=False") as told:
            change()
        assert str(told.value.file).startswith(made)
    assert sorted(os.listdir(os.path.dirname(made))) == ["data.idx", "data.rec"]
    assert values(made) == list(range(10))


def test_without_locks_everything_can_be_done_if_one_says_so(path, monkeypatch):
    monkeypatch.setattr(files.fcntl, "flock", fails(errno.ENOLCK))
    make_dataset(rows(5), path, SCHEMA, lock=False)
    make_dataset(rows(6), path, SCHEMA, lock=False, overwrite=True)
    with dsrecords.open(path, lock=False) as ds:
        ds.append(row(6))
        del ds[0]
        ds.compact()
        ds.add_field("w", "int8", lambda sample: 1)
        ds.compact(path + "2.rec")
        copy = pickle.loads(pickle.dumps(ds))
        ds.close()
        copy.append({**row(7), "w": 2})
        copy.close()
    assert values(path) == [1, 2, 3, 4, 5, 6, 7]
    assert values(path + "2.rec") == [1, 2, 3, 4, 5, 6]
    Path(path).with_suffix(".idx").unlink()
    assert repair(path, in_place=True, lock=False).records == 7
    IndexedRecordDataset(path + "3.rec", schema=SCHEMA, lock=False).close()


# Files that cannot be mapped


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", NO_MAPPING, ids=named)
@pytest.mark.parametrize("schema", [SCHEMA, {"v": "int64"}], ids=["payloads", "numbers"])
def test_what_cannot_be_mapped_is_read_and_equal(path, monkeypatch, number, schema):
    samples = [{key: row(i)[key] for key in schema} for i in range(3000)]
    make_dataset(samples, path, schema)
    with dsrecords.open(path) as ds:
        ds[4, "v"] = -4
        mapped = seen(ds)
    for call in ("map_read", "map_private"):
        monkeypatch.setattr(files, call, fails(number))
    for options in ({}, {"verify": "always"}, {"copy": False}):
        assert seen(dsrecords.open(path, **options)) == mapped
    with dsrecords.open(path) as ds:
        ds.append(samples[0])
        assert ds[-1]["v"] == 0
        assert ds.check() == []
        first = ds[1]["v"]
        ds.compact()
        assert ds[1]["v"] == first


def test_large_arrays_that_cannot_be_mapped_are_read_in_batches(path, monkeypatch):
    arrays = np.arange(6 * 20_000, dtype=np.int64).reshape(6, 20_000)
    make_dataset({"x": arrays}, path, {"x": "int64[20000]"})
    for call in ("map_read", "map_private"):
        monkeypatch.setattr(files, call, fails(NO_MAPPING[0]))
    for verify in (True, "always", False):
        with dsrecords.open(path, verify=verify) as ds:
            for _ in range(2):
                assert np.array_equal(ds.batch([4, 1])["x"], arrays[[4, 1]])


def seen(ds):
    batch = ds.batch([5, 4, 2999])
    some = [ds[i]["v"] for i in (4, 0, -1)]
    loop = [repr(sample) for sample in ds]
    return repr([some, batch, ds.column("v").tolist(), list(ds[[3, 1]]), loop])


def test_damage_is_found_where_nothing_can_be_mapped(made, monkeypatch):
    data = bytearray(Path(made).read_bytes())
    data[data.index(b"text 7")] ^= 1
    Path(made).write_bytes(data)
    monkeypatch.setattr(files, "map_read", fails(errno.ENODEV))
    ds = dsrecords.open(made)
    with pytest.raises(dsrecords.CorruptError, match="record 7, field 'text'"):
        ds[7]
    assert ds[6]["v"] == 6


LIMITED = """
import resource, sys, dsrecords
ds = dsrecords.open(sys.argv[1])
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20),) * 2)
print(sum(len(sample["b"]) for sample in ds), ds._reading.opened().storage._is_unmappable)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit addresses")
def test_a_file_larger_than_the_addresses_of_a_process_is_read(tmp_path):
    path = str(tmp_path / "large.rec")
    make_dataset(({"b": bytes(2**20)} for _ in range(100)), path, {"b": "bytes"})
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True
    )
    assert child.stdout.split() == [str(100 * 2**20), "True"]


# Flags that a file system does not know


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Linux tells the owner of a file")
def test_the_mapping_is_asked_what_is_in_memory_and_nothing_is_read_for_that(tmp_path, monkeypatch):
    path = str(tmp_path / "data.rec")
    make_dataset(({"b": bytes(3000)} for _ in range(300)), path, {"b": "bytes"})
    advice = []
    monkeypatch.setattr(files, "in_memory", None)  # it would begin to read ahead
    monkeypatch.setattr(files, "will_need", lambda *arguments: advice.append(arguments))
    ds = dsrecords.open(path)
    ds.batch(range(300))  # nothing is mapped before
    advice.clear()
    ds.batch(range(0, 300, 7))
    assert advice == []
    monkeypatch.setattr(compiled, "core", None)  # it asks by itself
    monkeypatch.setattr(files, "page_in_memory", lambda window, start: False)
    ds.batch(range(0, 300, 7))
    assert advice


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Linux tells the owner of a file")
def test_of_numbers_the_mapping_is_asked_as_well(tmp_path, monkeypatch):
    path = str(tmp_path / "data.rec")
    make_dataset(({"n": i} for i in range(9000)), path, {"n": "int64"})
    monkeypatch.setattr(files, "in_memory", None)
    monkeypatch.setattr(os, "preadv", None)
    ds = dsrecords.open(path)
    for _ in range(2):  # nothing is mapped before
        assert ds.batch(np.arange(0, 9000, 7))["n"].tolist() == list(range(0, 9000, 7))


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux tells it")
def test_pages_that_are_not_in_memory_are_told_of(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(9 * files.PAGE_SIZE))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        window = files.map_read(file.fileno(), 9 * files.PAGE_SIZE)
        assert files.page_in_memory(window, 0)
        os.posix_fadvise(file.fileno(), 5 * files.PAGE_SIZE, 0, os.POSIX_FADV_DONTNEED)
        told = [files.page_in_memory(window, page * files.PAGE_SIZE) for page in (0, 8)]
    if told == [True, True]:
        pytest.skip("this file system keeps what it is told to forget")
    assert told == [True, False]


@pytest.mark.skipif(not native, reason="it is of C")
def test_pages_beyond_a_mapping_are_not_in_memory():
    window = memoryview(bytes(100))
    assert not any(core.page_in_memory(window, offset) for offset in (-1, 100, 2**62))
    with pytest.raises(OverflowError):
        core.page_in_memory(window, 2**64)
    for start, length in ((-1, 10), (0, 0), (0, -1), (0, 101), (100, 1), (2**62, 2**62)):
        core.will_need(window, start, length)  # which is only advice


# Large writes


@pytest.mark.parametrize("limit", [1, 7, 4096, 100_000])
def test_writes_go_on_where_the_system_ends_them(path, monkeypatch, limit):
    real_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real_write(fd, data[:limit], offset))
    monkeypatch.setattr(
        os,
        "pwritev",
        lambda fd, buffers, offset: real_write(fd, b"".join(buffers)[:limit], offset),
    )
    written = [{"a": b"a" * 9, "b": b"bcd"}]
    if limit >= 4096:
        written = [{"a": b"a" * 70_000, "b": bytes(range(250)) * 1200}]
    make_dataset(written, path, {"a": "bytes", "b": "bytes"})
    assert list(dsrecords.open(path)) == written


def test_a_large_payload_is_not_copied_to_be_written(path, monkeypatch):
    payload = bytes(5_000_000)
    given = []
    real = os.pwrite

    def pwritev(fd, buffers, offset):
        given.extend(buffers)
        return real(fd, memoryview(buffers[0])[:1], offset)

    def pwrite(fd, data, offset):
        given.append(data)
        return real(fd, data[: 2**20], offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "pwrite", pwrite)
    make_dataset([{"b": payload}], path, {"b": "bytes"})
    large = [data for data in given if memoryview(data).nbytes > 2**20]
    assert len(large) >= 5
    assert all(data is payload or data.obj is payload for data in large)
    assert dsrecords.open(path)[0]["b"] == payload


# Indices that cannot be written, or read


def test_closing_warns_of_an_index_that_cannot_be_written_and_flushing_raises(made, monkeypatch):
    full = fails(errno.ENOSPC)
    monkeypatch.setattr(dsrecords._format.index, "publish_appended", full)
    monkeypatch.setattr(dsrecords._format.index, "publish_whole", full)
    ds = dsrecords.open(made)
    ds.append(row(10))
    with pytest.warns(UserWarning, match="data.idx cannot be written .*: all records are in"):
        ds.close()
    assert values(made) == list(range(11))
    ds = dsrecords.open(made)
    ds.append(row(11))
    with pytest.raises(OSError, match="No space"):
        ds.flush()
    ds.close()
    assert values(made) == list(range(12))


def test_closing_raises_where_the_log_could_not_be_synced(made, monkeypatch):
    ds = dsrecords.open(made)
    ds.append(row(10))
    monkeypatch.setattr(files, "sync", fails(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        ds.close()


def test_an_index_that_is_a_folder_is_no_index(made):
    index = Path(made).with_suffix(".idx")
    index.unlink()
    index.mkdir()
    with pytest.warns(UserWarning, match="not a regular file.*made again"):
        ds = dsrecords.open(made)
    assert [sample["v"] for sample in ds] == list(range(10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ReadOnlyError, match=r"data\.idx"):
            ds.append(row(1))


# Full disks


def test_a_full_disk_says_what_is_missing_and_compacting_elsewhere_works(
    made, tmp_path, monkeypatch
):
    ds = dsrecords.open(made)
    del ds[0]
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fails(errno.ENOSPC))
        with pytest.raises(OSError, match=r"No space.*compact\(output\)") as told:
            del ds[0]
    assert told.value.errno == errno.ENOSPC
    assert told.value.filename == made
    elsewhere = str(tmp_path / "elsewhere.rec")
    ds.compact(elsewhere)
    assert values(elsewhere) == values(made) == list(range(1, 10))
    ds.close()


@contextlib.contextmanager
def mounted(*arguments):
    """A folder that is mounted, or the test is left out."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", *(argument.format(folder) for argument in arguments), folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip(f"this machine does not mount: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def test_a_real_disk_that_is_full(tmp_path):
    with mounted("-t", "tmpfs", "-o", "size=2m", "none") as folder:
        path = os.path.join(folder, "data.rec")
        make_dataset(({"b": bytes(1000)} for _ in range(900)), path, {"b": "bytes"})
        Path(folder, "filler").write_bytes(bytes(os.statvfs(folder).f_bavail * 4096))
        ds = dsrecords.open(path)
        with contextlib.suppress(OSError):  # within its last block there is room, or there is not
            del ds[0]
        count = len(ds)
        with pytest.raises(OSError, match=r"No space.*compact\(output\)"):
            ds.append({"b": bytes(100_000)})
        elsewhere = str(tmp_path / "elsewhere.rec")
        ds.compact(elsewhere)
        ds.close()
        assert len(dsrecords.open(elsewhere)) == len(dsrecords.open(path)) == count


def test_a_real_mount_that_is_read_only(made):
    folder = os.path.dirname(made)
    with mounted("-o", "bind,ro", folder) as there:
        path = os.path.join(there, "data.rec")
        ds = dsrecords.open(path)
        if os.access(there, os.W_OK):
            pytest.skip("this machine ignores ro for bind mounts")
        assert len(list(ds)) == 10
        with pytest.raises(OSError, match="Read-only file system"):
            ds.append(row(1))


def test_a_real_overlay(made, tmp_path):
    lower = os.path.dirname(made)
    with mounted("-t", "tmpfs", "none") as upper:
        for name in ("upper", "work"):
            os.mkdir(os.path.join(upper, name))
        options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work"
        with mounted("-t", "overlay", "-o", options, "none") as folder:
            path = os.path.join(folder, "data.rec")
            with dsrecords.open(path) as ds:
                ds.append(row(10))
                del ds[0]
                ds.compact()
            assert values(path) == list(range(1, 11))
    assert values(made) == list(range(10))


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no tmpfs")
def test_a_batch_on_a_real_tmpfs_needs_no_advice(monkeypatch):
    advice = []
    monkeypatch.setattr(files, "will_need", lambda *arguments: advice.append(arguments))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = os.path.join(folder, "data.rec")
        make_dataset(({"b": bytes(3000)} for _ in range(300)), path, {"b": "bytes"})
        ds = dsrecords.open(path)
        ds.batch(range(300))
        advice.clear()
        ds.batch(range(0, 300, 7))
        assert advice == []


# Files that are read through once


def in_memory(path):
    """How many pages of a file are in the page cache."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        window = files.map_read(file.fileno(), size)
        return sum(files.page_in_memory(window, start) for start in range(0, size, files.PAGE_SIZE))


@pytest.mark.parametrize("schema", ["int64[1024]", "bytes"])
def test_a_loop_lets_the_system_forget_what_it_has_read_where_one_asks(path, schema):
    array = np.arange(1024)
    value = array if schema != "bytes" else array.tobytes()
    make_dataset([[value]] * 2000, path, [schema])
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    pages = os.path.getsize(path) // files.PAGE_SIZE
    with dsrecords.open(path, drop_behind=True) as ds:
        assert len(list(pickle.loads(pickle.dumps(ds))[:])) == 2000
    left = in_memory(path)
    assert dsrecords.open(path)[1999][0] is not None
    if on_disk(path):
        assert left < pages / 2
    with dsrecords.open(path) as ds:
        assert len(list(ds)) == 2000
    assert in_memory(path) > pages * 0.9


def on_disk(path):
    """Whether a file is on a disk, whose pages are only copies, and may be dropped."""
    with open("/proc/self/mounts") as mounts:
        kinds = {line.split()[1]: line.split()[2] for line in mounts}
    folder = os.path.realpath(path)
    while folder not in kinds:
        folder = os.path.dirname(folder)
    return kinds[folder] in ("ext4", "xfs", "btrfs")


@pytest.mark.skipif(not hasattr(os, "pwritev"), reason="without pwritev")
def test_more_than_two_gigabytes_in_one_write_are_written_in_several(monkeypatch):
    """The system takes at most 0x7ffff000 bytes at once. /dev/null takes them without a copy."""
    buffers = [bytes(2**26)] * 40
    wanted = [(2**26 * i, 2**26 * (i + 1)) for i in range(40)]
    written = []
    pwrite, pwritev = os.pwrite, os.pwritev

    def noted(function):
        def call(fd, data, offset):
            done = function(fd, data, offset)
            written.append((offset, offset + done))
            return done

        return call

    monkeypatch.setattr(os, "pwrite", noted(pwrite))
    monkeypatch.setattr(os, "pwritev", noted(pwritev))
    with open("/dev/null", "r+b", buffering=0) as file:
        files.pwritev(file.fileno(), buffers, 0)
    assert len(written) > 1
    assert written[0][0] == 0
    assert written[-1][1] == wanted[-1][1]
    assert all(stop == start for (_, stop), (start, _) in itertools.pairwise(written))
