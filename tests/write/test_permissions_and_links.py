"""What a file is besides its bytes: who may read it, its attributes, the links to it, and its name."""

import contextlib
import os
import signal
import stat
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from conftest import SCHEMA, SOURCE, row, rows

import dsrecords
from dsrecords import LockedError, make_dataset
from dsrecords._storage import files

ACCESS_LIST = "system.posix_acl_access"


def access_list(group, mask, user=1000, right=6):
    """A POSIX list of access, as bytes (acl(5)): 6 for the owner, `right` for a user, nothing for others."""
    entries = [(1, 6, -1), (2, right, user), (4, group, -1), (16, mask, -1), (32, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def attributes(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def set_attributes(path, values):
    try:
        for name, value in values.items():
            os.setxattr(path, name, value)
    except (AttributeError, OSError) as error:
        pytest.skip(f"no extended attributes here: {error}")


def index_of(path):
    return str(Path(path).with_suffix(".idx"))


def compact(path):
    with dsrecords.open(path) as ds:
        ds.compact()


def edit(path):
    with dsrecords.open(path) as ds:
        del ds[0]


def evolve(path):
    with dsrecords.open(path) as ds:
        ds.add_field("more", "int8?")
        ds.cast({"more": "int16?"})
        ds.rename_fields({"more": "most"})
        ds.drop_fields(["most"])


def make_again(path):
    make_dataset(rows(4), path, SCHEMA, overwrite=True)


def repair(path):
    with open(path, "ab") as file:
        file.write(b"what a killed writer left")
    dsrecords.repair(path, in_place=True)


REPLACING = pytest.mark.parametrize("change", [compact, edit, evolve, make_again, repair])


@pytest.fixture
def made(path):
    make_dataset(rows(5), path, SCHEMA)
    return path


# Permissions


@REPLACING
def test_what_replaces_a_file_has_its_permissions_owner_and_attributes(made, change):
    given = {ACCESS_LIST: access_list(group=0, mask=6), "user.origin": b"the lab"}
    before = {}
    for path in (made, index_of(made)):
        if os.geteuid() == 0:
            os.chown(path, 1234, 4321)
        set_attributes(path, given)
        before[path] = (mode(path), os.stat(path).st_uid, os.stat(path).st_gid, attributes(path))
    change(made)
    for path, wanted in before.items():
        status = os.stat(path)
        assert (mode(path), status.st_uid, status.st_gid, attributes(path)) == wanted


def test_a_new_index_view_or_tail_may_be_read_by_those_who_may_read_the_log(made, tmp_path):
    set_attributes(made, {ACCESS_LIST: access_list(group=4, mask=4), "user.origin": b"the lab"})
    with dsrecords.open(made) as ds:
        ds[:2].save_view(tmp_path / "view.idx")
        os.unlink(index_of(made))
    with pytest.warns(UserWarning, match="missing"):
        ds = dsrecords.open(made)
    ds.flush()
    ds.close()
    before = [Path(made).read_bytes(), Path(index_of(made)).read_bytes()]
    with dsrecords.open(made) as ds:
        ds.append({**row(6), "text": "xxxxxx"})
    log = bytearray(Path(made).read_bytes())
    log[log.index(b"xxxxxx")] ^= 1  # the head of the last record verifies, its payload does not
    Path(made).write_bytes(log)
    Path(index_of(made)).write_bytes(before[1])
    with dsrecords.open(made) as ds, pytest.warns(UserWarning, match="was moved to"):
        ds.append(row(9))
    assert Path(made).read_bytes().startswith(before[0])
    new = [tmp_path / "view.idx", index_of(made), *tmp_path.glob("*.tail-*")]
    assert len(new) == 3
    for path in new:
        assert (mode(path), attributes(path)) == (mode(made), {ACCESS_LIST: access_list(4, 4)})


def test_a_list_of_access_that_a_folder_gives_is_not_given_to_what_replaces_a_file(made, tmp_path):
    os.chmod(made, 0o600)
    set_attributes(tmp_path, {"system.posix_acl_default": access_list(group=6, mask=6)})
    compact(made)
    assert mode(made) == 0o600
    assert attributes(made) == {}


def test_a_temporary_file_is_nobody_elses_before_it_has_the_permissions(made, monkeypatch):
    os.chmod(made, 0o640)
    before, copied = [], files._copy_access

    def looks(fd, *arguments):
        before.append((os.fstat(fd).st_mode & 0o077, os.fstat(fd).st_size))
        copied(fd, *arguments)

    monkeypatch.setattr(files, "_copy_access", looks)
    compact(made)
    assert before and set(before) == {(0, 0)}


def refusing(name, number, when=lambda *arguments: True):
    def fails(*arguments):
        if when(*arguments):
            raise OSError(number, os.strerror(number))
        return getattr(os, name)(*arguments)

    return fails


class System:
    """The module `os`, some functions of which fail."""

    def __init__(self, **functions):
        self.__dict__.update(functions)

    def __getattr__(self, name):
        return getattr(os, name)


@pytest.mark.parametrize("number", [95, 38, 1, 13])
def test_file_systems_without_attributes_or_owners_replace_files_all_the_same(
    made, monkeypatch, number
):
    functions = ("listxattr", "fchown", "fchmod")
    monkeypatch.setattr(files, "os", System(**{name: refusing(name, number) for name in functions}))
    compact(made)
    assert list(dsrecords.open(made)) == rows(5)


def test_where_a_list_of_access_cannot_be_kept_the_group_gets_no_more_than_it_had(
    made, monkeypatch
):
    """The bits of a group are then those of the whole list."""
    set_attributes(made, {ACCESS_LIST: access_list(group=0, mask=6)})
    assert mode(made) == 0o660
    monkeypatch.setattr(files, "os", System(setxattr=refusing("setxattr", 95)))
    compact(made)
    assert mode(made) == 0o600


def test_where_a_group_cannot_be_kept_another_one_does_not_get_what_it_had(made, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give the file away first")
    os.chown(made, -1, 4321)
    os.chmod(made, 0o664)
    monkeypatch.setattr(files, "os", System(fchown=refusing("fchown", 1)))
    compact(made)
    assert mode(made) == 0o644


def test_a_full_disk_is_an_error_that_leaves_nothing(made, tmp_path, monkeypatch):
    set_attributes(made, {"user.origin": b"the lab"})
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(files, "os", System(setxattr=refusing("setxattr", 28)))
    with dsrecords.open(made) as ds, pytest.raises(OSError, match="No space"):
        ds.compact()
    assert sorted(os.listdir(tmp_path)) == before


# Symbolic links


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    make_dataset(rows(5), tmp_path / "store" / "data.rec", SCHEMA)
    return tmp_path / "store"


@pytest.fixture(params=["both", "data alone", "a chain", "a folder", "index alone"])
def linked(request, tmp_path, store):
    """A path that leads to `store/data.rec`."""
    here = tmp_path / "here"
    if request.param == "a folder":
        here.symlink_to("store")
        return str(here / "data.rec")
    here.mkdir()
    if request.param == "index alone":
        os.rename(store / "data.rec", here / "data.rec")
        (store / "data.rec").symlink_to(here / "data.rec")
        (here / "data.idx").symlink_to("../store/data.idx")
        return str(here / "data.rec")
    (here / "data.rec").symlink_to("../store/data.rec")
    if request.param == "both":
        (here / "data.idx").symlink_to("../store/data.idx")
    if request.param != "a chain":
        return str(here / "data.rec")
    (tmp_path / "first.rec").symlink_to("here/data.rec")
    return str(tmp_path / "first.rec")


@REPLACING
def test_what_a_link_leads_to_is_replaced_and_the_link_stays(linked, change, tmp_path, store):
    before = {path: os.readlink(path) for path in tmp_path.rglob("*") if path.is_symlink()}
    names = sorted(tmp_path.rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        change(linked)
        found = list(dsrecords.open(linked))
        assert found == list(dsrecords.open(store / "data.rec"))
    assert {path: os.readlink(path) for path in before} == before
    assert sorted(tmp_path.rglob("*")) == names


def test_a_view_that_is_a_link_stays_one(store, tmp_path):
    view = tmp_path / "view.idx"
    view.symlink_to("store/val.idx")
    ds = dsrecords.open(store / "data.rec")
    ds[:2].save_view(view)
    ds[:3].save_view(view, overwrite=True)
    assert view.is_symlink()
    assert list(dsrecords.open(store / "data.rec", index_path=store / "val.idx")) == rows(3)


def test_a_link_that_leads_nowhere_is_where_a_dataset_can_be_made(tmp_path, store):
    for name in ("a", "b"):
        (tmp_path / f"{name}.rec").symlink_to(f"store/{name}.rec")
    make_dataset(rows(3), tmp_path / "a.rec", SCHEMA)
    with dsrecords.IndexedRecordDataset(tmp_path / "b.rec", schema=SCHEMA) as ds:
        ds.append(row(0))
    (tmp_path / "c.rec").symlink_to("store/c.rec")
    dsrecords.open(store / "a.rec").compact(tmp_path / "c.rec")
    (tmp_path / "d.rec").symlink_to("store/d.rec")
    dsrecords.repair(store / "a.rec", tmp_path / "d.rec")
    assert all((tmp_path / f"{name}.rec").is_symlink() for name in "abcd")
    assert [len(dsrecords.open(store / f"{name}.rec")) for name in "abcd"] == [3, 1, 3, 3]
    assert sorted(path.name for path in tmp_path.iterdir() if "idx" in path.name) == []


def test_the_temporary_file_lies_beside_the_target_also_on_another_file_system(tmp_path):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no other file system")
    store = elsewhere / tmp_path.name
    store.mkdir()
    try:
        for name in ("data.rec", "data.idx"):
            (tmp_path / name).symlink_to(store / name)
        make_dataset(rows(5), tmp_path / "data.rec", SCHEMA)
        for change in (compact, edit, make_again):
            change(tmp_path / "data.rec")
        assert sorted(os.listdir(store)) == ["data.idx", "data.rec"]
        assert list(dsrecords.open(store / "data.rec")) == rows(4)
        assert (tmp_path / "data.rec").is_symlink() and (tmp_path / "data.idx").is_symlink()
    finally:
        for path in store.iterdir():
            path.unlink()
        store.rmdir()


def test_a_link_that_leads_elsewhere_by_now_is_not_written_through(tmp_path, store):
    make_dataset(rows(3), store / "other.rec", SCHEMA)
    link = tmp_path / "data.rec"
    link.symlink_to("store/data.rec")
    with dsrecords.open(link) as ds:
        ds.append(row(5))
        link.unlink()
        link.symlink_to("store/other.rec")
        with pytest.raises(dsrecords.ReadOnlyError):
            ds.compact()
    assert list(dsrecords.open(store / "other.rec")) == rows(3)
    assert list(dsrecords.open(store / "data.rec")) == rows(6)


def test_the_folder_above_a_link_is_that_of_what_it_leads_to(tmp_path, store):
    (store / "deep").mkdir()
    (tmp_path / "link").symlink_to("store/deep")
    make_dataset(rows(2), tmp_path / "data.rec", SCHEMA)
    assert len(dsrecords.open(f"{tmp_path}/link/../data.rec")) == 5


# Hard links


@pytest.mark.parametrize("change", [compact, make_again])
def test_a_file_with_other_names_parts_from_them_with_a_warning(made, tmp_path, change):
    os.link(made, tmp_path / "backup.rec")
    with pytest.warns(UserWarning, match=r"2 names \(hard links\)"):
        change(made)
    with pytest.warns(UserWarning, match="missing"):
        assert list(dsrecords.open(tmp_path / "backup.rec")) == rows(5)


def test_a_warning_that_is_an_error_comes_before_anything_is_replaced(made, tmp_path):
    os.link(made, tmp_path / "backup.rec")
    names = sorted(os.listdir(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="hard links"):
            make_again(made)
    assert os.path.samefile(made, tmp_path / "backup.rec")
    assert sorted(os.listdir(tmp_path)) == names


# What killed writers left


KILLED = """
import os, signal, sys
import dsrecords
from dsrecords._storage import files

def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def prepare(name, count):
    before = getattr(files, name)
    calls = []

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            killed()
        return before(*arguments, **options)
    setattr(files, name, counted)
"""


def killed(code, path):
    program = KILLED + code
    run = subprocess.run(
        [sys.executable, "-c", program, path], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    assert run.returncode == -signal.SIGKILL


AT = {
    "an index": "ds = dsrecords.open(sys.argv[1]); del ds[0]; prepare('rename', 1); ds.flush()",
    "a compaction": "ds = dsrecords.open(sys.argv[1]); del ds[0]; prepare('link', 1); ds.compact()",
    "both names": (
        "import os as real; real.unlink(sys.argv[1]); real.unlink(sys.argv[1][:-3] + 'idx')\n"
        "unlink = real.unlink\n"
        "def unlinked(path):\n"
        "    killed() if path.endswith('.partial') else unlink(path)\n"
        "real.unlink = unlinked\n"
        "dsrecords.make_dataset([{'a': 1}], sys.argv[1], {'a': 'int8'})"
    ),
}


@pytest.mark.parametrize("at", AT)
def test_what_a_killed_writer_left_is_removed_by_the_next_one(made, tmp_path, at):
    killed(AT[at], made)
    assert len(os.listdir(tmp_path)) > (1 if at == "both names" else 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with dsrecords.open(made) as ds:
            ds.append(ds[0])
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.rec"]


def test_what_a_killed_maker_of_a_view_left_is_removed_by_the_next_one(made, tmp_path):
    code = "prepare('link', 1); dsrecords.open(sys.argv[1])[:2].save_view(sys.argv[1] + '.view')"
    killed(code, made)
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    dsrecords.open(made)[:2].save_view(made + ".view")
    assert list(tmp_path.glob("*.tmp")) == []


def test_only_what_is_certainly_ours_and_nobodys_is_removed(made, tmp_path):
    log, index = Path(made).read_bytes(), Path(index_of(made)).read_bytes()
    stay = {
        "data.idx.0123456.tmp": index, "data.idx.0123456G.tmp": index, "data.idx.tmp": index,
        "data.rec.01234567.tmp": b"notes", "data.idx.76543210.tmp": b"", "data.idx.01234567.tmp.bak": index,
        "data.rec.partial": log, "other.idx.01234567.tmp": index, "data.rec.tail-100": log,
        "data.rec.89abcdef.tmp": log, "data.idx.89abcdef.tmp": index,
    }  # fmt: skip
    go = {"data.rec.partial.00000000.tmp": log, "data.rec.00000000.tmp": log, "data.idx.00000000.tmp": index,
          "data.rec.00000000.tmp.00000000.tmp": log}  # fmt: skip
    for name, data in (stay | go).items():
        (tmp_path / name).write_bytes(data)
    with contextlib.ExitStack() as held:
        for name in ("data.rec.89abcdef.tmp", "data.idx.89abcdef.tmp"):
            file = files.open_write(str(tmp_path / name))
            held.callback(file.close)
            assert files.lock(file.number)
        with dsrecords.open(made) as ds:
            ds.append(row(5))
    assert sorted(os.listdir(tmp_path)) == sorted(["data.rec", "data.idx", *stay])


def test_a_temporary_index_is_locked_while_it_is_written(made, monkeypatch):
    taken, pwrite = [], files.pwrite

    def looks(fd, data, offset):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.endswith(".tmp"):
            other = files.open_write(path)
            taken.append(files.lock(other.number))
            other.close()
        pwrite(fd, data, offset)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    monkeypatch.setattr(files, "pwrite", looks)
    compact(made)
    assert taken and not any(taken)


# Who has the lock


def test_a_locked_error_names_the_process_that_has_the_lock(made):
    if not os.path.exists("/proc/locks"):
        pytest.skip("this system does not tell")
    code = "import sys, dsrecords\nds = dsrecords.open(sys.argv[1]); ds.append(ds[0]); print(flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, made], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    other.stdout.readline()
    with dsrecords.open(made) as ds, pytest.raises(LockedError, match=rf"\(process {other.pid}\)"):
        ds.append(row(5))
    other.communicate(b"\n")
    with dsrecords.open(made) as one, dsrecords.open(made) as two:
        one.append(row(5))
        with pytest.raises(LockedError, match="another writer of this process"):
            two.append(row(5))


def test_where_the_system_does_not_tell_it_names_no_process(made, monkeypatch):
    monkeypatch.setattr(files, "lock_holder", lambda fd: 0)
    with dsrecords.open(made) as one, dsrecords.open(made) as two:
        one.append(row(5))
        with pytest.raises(LockedError, match="another writer has it"):
            two.append(row(5))


# Names


def test_data_files_with_other_endings_have_indices_of_their_own(tmp_path):
    for version, count in (("v1", 2), ("v2", 3), ("rec", 4)):
        data, index = make_dataset(rows(count), tmp_path / f"data.{version}", SCHEMA)
        assert index == {"rec": str(tmp_path / "data.idx")}.get(version, data + ".idx")
    for version, count in (("v1", 2), ("v2", 3), ("rec", 4)):
        with dsrecords.open(tmp_path / f"data.{version}") as ds:
            ds.append(row(count))
        assert list(dsrecords.open(tmp_path / f"data.{version}")) == rows(count + 1)
    assert len(os.listdir(tmp_path)) == 6


def test_a_pair_whose_ending_was_cut_off_stays_one(tmp_path):
    data = tmp_path / "data.v1"
    make_dataset(rows(3), data, SCHEMA, tmp_path / "data.idx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with dsrecords.open(data) as ds:
            assert ds.index_path == str(tmp_path / "data.idx")
            ds.append(row(3))
            ds.compact()
        make_dataset(rows(2), data, SCHEMA, overwrite=True)
        make_dataset(rows(5), tmp_path / "data.v2", SCHEMA)
        assert [len(dsrecords.open(tmp_path / f"data.v{i}")) for i in (1, 2)] == [2, 5]
    assert sorted(os.listdir(tmp_path)) == ["data.idx", "data.v1", "data.v2", "data.v2.idx"]


def test_a_view_is_never_taken_for_the_index_of_a_name_that_was_cut_off(tmp_path):
    data = tmp_path / "data.v1"
    make_dataset(rows(3), data, SCHEMA)
    dsrecords.open(data)[:1].save_view(tmp_path / "data.idx")
    (tmp_path / "data.v1.idx").unlink()
    with pytest.warns(UserWarning, match="missing"):
        assert len(dsrecords.open(data)) == 3


def test_paths_can_be_bytes_wherever_they_are_given(tmp_path):
    data = os.fsencode(tmp_path / "data.rec")
    index = os.fsencode(tmp_path / "other.idx")
    path, index_path = make_dataset(rows(3), data, SCHEMA, index)
    assert (path, index_path) == (os.fsdecode(data), os.fsdecode(index))
    with dsrecords.open(data, index_path=index) as ds:
        assert ds[:2].save_view(data + b".view") == path + ".view"
        assert ds.compact(data + b"2") == (path + "2", path + "2.idx")
    assert dsrecords.repair(data, data + b"3", index_path=index).output == path + "3"
    assert len(dsrecords.open(data + b"3")) == 3
