"""Copies: `pickle`, `copy` and slicing make the same object, here and in other processes."""

import copy
import multiprocessing
import os
import pickle
import queue
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import flip, row, rows, shown

import dsrecords
from dsrecords import (
    CorruptError,
    IndexedRecordDataset,
    LockedError,
    ReadOnlyError,
    SchemaError,
    StaleViewError,
    io,
    make_dataset,
)

pytestmark = pytest.mark.slow

METHODS = multiprocessing.get_all_start_methods()
PICTURES = Path(__file__).parents[1] / "golden" / "pictures"
INITIALIZED = []  # a path for each call of `Words.__init__` in this process


def pickled(ds):
    return pickle.loads(pickle.dumps(ds))


REOPENED = {"pickle": pickled, "copy": copy.copy, "deepcopy": copy.deepcopy}
COPIES = {**REOPENED, "view": lambda ds: ds[:]}
every_copy = pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
every_reopened = pytest.mark.parametrize("make", REOPENED.values(), ids=REOPENED)


def backwards(text):
    return text[::-1].encode()


def forwards(data):
    return data.decode()[::-1]


def shouted(sample):
    return {**sample, "word": sample["word"].upper()}


def note(error):
    NOTED.append(error)


NOTED = []


class Words(IndexedRecordDataset):
    """A subclass as users write them: with attributes, and an `__init__` of another signature."""

    language = "none"

    def __init__(self, folder, *, language):
        INITIALIZED.append(folder)
        super().__init__(
            os.path.join(folder, "words.rec"),
            {"word": forwards},
            schema={"word": backwards, "picture": "jpeg", "n": io.save_int(bits=16)},
            transform=shouted,
            decode={"picture": "bytes"},
            on_error="skip",
        )
        self.language = language
        self.seen = []

    def first(self):
        return self[0]["word"]


WORDS = ["abc", "defg", "hi"]
PICTURE = (PICTURES / "red.jpg").read_bytes()


@pytest.fixture
def words(tmp_path):
    ds = Words(str(tmp_path), language="en")
    ds.extend({"word": word, "picture": PICTURE, "n": i} for i, word in enumerate(WORDS))
    ds.flush()
    ds.seen.append("something")
    INITIALIZED.clear()
    return ds


def described(ds):
    """What must be the same in a copy."""
    return {
        "class": type(ds),
        "attributes": (ds.language, ds.seen, ds.transform, ds.on_error, ds.path, ds.index_path),
        "functions": (
            ds.deserializers,
            ds.serializers[0],
            ds.serializers[2].func,
            ds.serializers[2].keywords,
        ),
        "samples": list(ds),
        "part": ds[1, ["n", "picture"]],
        "method": ds.first(),
        "schema": ds.schema,
        "initialized": list(INITIALIZED),
    }


@every_copy
def test_a_copy_of_a_subclass_is_the_same_object(words, make):
    wanted = described(words)
    assert (
        wanted["method"] == "ABC"
        and wanted["functions"][0] == [forwards, None, None]
        and not wanted["initialized"]
    )
    assert described(make(words)) == wanted
    assert described(make(make(words))) == wanted


@every_copy
def test_a_copy_of_a_view_of_a_subclass_is_the_same_object(words, make):
    view = words[[2, 0]]
    assert described(view)["method"] == "HI"
    assert described(make(view)) == described(view)
    assert len(make(view)) == 2
    with pytest.raises(ReadOnlyError, match="view"):
        make(view).append({"word": "x", "picture": PICTURE, "n": 1})


def as_told(ds, view, asked, answers):
    """In a worker: say what the two are; then, when told to, add to them."""
    answers.put((described(ds), described(view)))
    asked.get()
    ds.append({"word": "from a worker", "picture": PICTURE, "n": 9})
    ds.close()
    try:
        view.append({"word": "not", "picture": PICTURE, "n": 9})
    except ReadOnlyError as error:
        answers.put(str(error))


def answer_of(worker, answers):
    """What a worker says, however slow the machine is; a failure if it ends without a word."""
    while True:
        is_alive = worker.is_alive()  # asked first: what it said before its end is still there
        try:
            return answers.get(timeout=1)
        except queue.Empty:
            assert is_alive, f"the worker ended with {worker.exitcode}"


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_has_the_same_objects_and_can_write(words, method, tmp_path):
    words.close()
    reader = Words(str(tmp_path), language="en")  # which has no lock
    reader.seen.append("something")
    INITIALIZED.clear()
    view = reader[[2, 1]]
    context = multiprocessing.get_context(method)
    asked, answers = context.Queue(), context.Queue()
    worker = context.Process(target=as_told, args=(reader, view, asked, answers), daemon=True)
    worker.start()
    found = answer_of(worker, answers)
    asked.put("go on")
    assert "view is read-only" in answer_of(worker, answers)
    worker.join()
    assert worker.exitcode == 0
    assert found == (described(reader), described(view))
    reader.refresh()
    assert reader[-1, ["word", "n"]] == {"word": "from a worker", "n": 9}


class Odd(IndexedRecordDataset):
    """A subclass that can be neither made nor initialized without arguments."""

    def __new__(cls, path, extra):
        return super().__new__(cls)

    def __init__(self, path, extra):
        super().__init__(path)
        self.extra = extra
        self.transform = self.only_label  # a method of the object itself

    def only_label(self, sample):
        return self.extra, sample["label"]


@every_copy
def test_neither_new_nor_init_of_a_subclass_is_called(made, make):
    twin = make(Odd(made, "extra"))
    assert type(twin) is Odd and list(twin) == [("extra", i) for i in range(10)]


def test_methods_of_the_object_are_those_of_the_copy(made):
    for make in (pickled, copy.deepcopy):
        twin = make(Odd(made, "extra"))
        assert twin.transform.__self__ is twin


class Keeps(IndexedRecordDataset):
    """A subclass that has something which does not pickle, and says so in the usual way."""

    def __init__(self, path):
        super().__init__(path)
        self.lock = open(os.devnull)  # noqa: SIM115
        self.count = 7

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("lock").close()
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        self.lock = None


def test_a_subclass_can_leave_out_what_does_not_pickle(made):
    twin = pickled(Keeps(made))
    assert twin.lock is None and twin.count == 7 and list(twin) == rows(10)


def test_deepcopy_copies_what_the_attributes_hold_and_copy_does_not(words):
    assert copy.copy(words).seen is words.seen
    deep = copy.deepcopy(words)
    deep.seen.append("more")
    assert words.seen == ["something"]


# What was given


@every_reopened
@pytest.mark.parametrize(
    "given",
    [
        {"serializers": [backwards, "int8"]},
        {"serializers": (backwards, "int8")},
        {"dumpers": [backwards, io.save_int(bits=8)]},
        {"schema": [backwards, "int8"]},
    ],
    ids=shown,
)
def test_a_copy_writes_with_the_serializers_that_were_given(path, make, given):
    ds = IndexedRecordDataset(path, [forwards, None], **given)
    ds.append(("abc", 1))
    twin = make(ds)
    ds.close()
    twin.append(("defg", 2))
    twin.extend([("hi", 3)])
    twin[0] = ("abcd", 4)
    assert list(twin) == [("abcd", 4), ("defg", 2), ("hi", 3)]
    twin.close()
    assert list(IndexedRecordDataset(path, [bytes, None])) == [
        (b"dcba", 4),
        (b"gfed", 2),
        (b"ih", 3),
    ]


@dataclass
class Point:
    x: float
    name: str | None = None


@every_reopened
def test_a_copy_of_a_dataset_whose_schema_was_a_class_checks_it_as_the_first_does(path, make):
    ds = IndexedRecordDataset(path, schema=Point)
    twin = make(ds)
    twin.append(Point(1.5))
    twin.close()
    assert list(IndexedRecordDataset(path, schema=Point)) == [{"x": 1.5, "name": None}]
    with dsrecords.open(path) as other:
        other.drop_fields("name")
    for one in (ds, twin := make(IndexedRecordDataset(path, schema={"x": "float64"}))):
        other = dsrecords.open(path)
        if one is twin:
            other.add_field("y", "int8?")
            other.close()
        with pytest.raises(SchemaError, match="schema given is not that of the file"):
            one.refresh()


@every_reopened
def test_a_copy_compresses_with_the_dictionary_of_the_file(path, make):
    text = "a text that is much like all others, but for its number: {}"
    make_dataset([{"t": text.format(i)} for i in range(2000)], path, {"t": "zstd(str)"})
    ds = IndexedRecordDataset(path, schema={"t": "zstd(str)"})
    twin = make(ds)
    before = os.path.getsize(path)
    twin.append({"t": text.format(-1)})
    assert os.path.getsize(path) - before < len(text) + 40
    assert dsrecords.open(path)[-1] == {"t": text.format(-1)}


@every_reopened
def test_functions_that_followed_their_fields_are_those_of_the_copy(path, make):
    with IndexedRecordDataset(
        path,
        {"w": forwards},
        schema={"w": backwards, "x": "jpeg", "n": "int8"},
        decode={"x": "bytes"},
    ) as ds:
        ds.append({"w": "abc", "x": PICTURE, "n": 1})
        ds.rename_fields({"w": "word", "x": "image"})
        ds.cast({"n": "int64"})
        ds.add_field("again", backwards, lambda sample: sample["word"])
        ds.flush()
        twin = make(ds)
    assert twin.serializers == [backwards, "jpeg", "int64", backwards] == ds.serializers
    twin.append({"word": "de", "image": PICTURE, "n": 2, "again": "fg"})
    assert twin[1, ["word", "image", "n"]] == {"word": "de", "image": PICTURE, "n": 2}
    assert twin.deserializers == [forwards, None, None, None]
    with pytest.raises(SchemaError, match="deserializer"):
        twin[1, "again"]


@every_copy
def test_options_are_those_of_the_copy(made, make):
    ds = IndexedRecordDataset(
        made, copy=False, verify="always", transform=dict.values, on_error=note
    )
    twin = make(ds)
    assert isinstance(twin[2, "blob"], memoryview)
    assert next(iter(twin[2])) == 2
    assert twin[3, "text"] == ""
    assert twin[2, "text"] == row(2)["text"]
    flip(made, Path(made).read_bytes().index(row(2)["text"].encode()))
    with pytest.raises(CorruptError):  # which has been read before: "always"
        twin[2]
    NOTED.clear()
    assert len(list(twin)) == 9 and [error.record for error in NOTED] == [2]


@every_reopened
def test_where_a_dataset_or_a_view_file_was_opened_the_copy_is(made, tmp_path, make):
    index = str(tmp_path / "view.idx")
    dsrecords.open(made)[[7, 2]].save_view(index)
    ds = dsrecords.open(made, index_path=index)
    twin = make(ds)
    assert (twin.path, twin.index_path) == (made, index) and twin.column("label").tolist() == [7, 2]
    with pytest.raises(ReadOnlyError, match="view"):
        twin.append(row(1))


# A serializer that does not pickle


def test_a_serializer_that_does_not_pickle_is_named_when_a_copy_is_to_write(
    path,
):
    with IndexedRecordDataset(
        path, {"w": forwards}, schema={"w": lambda text: backwards(text), "n": "int8"}
    ) as ds:
        ds.append({"w": "abc", "n": 1})
        twin = pickled(ds)
    assert list(twin) == list(pickled(twin)) == [{"w": "abc", "n": 1}]
    for one in (twin, pickled(twin)):
        with pytest.raises(
            SchemaError, match=r"field 'w'.*serializer .*<lambda> did not pickle.*top of a module"
        ) as caught:
            one.append({"w": "de", "n": 2})
        assert (caught.value.field, caught.value.record) == ("w", 1)
        one.close()
    assert len(dsrecords.open(path)) == 1


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_copies_in_one_process_write_with_functions_that_do_not_pickle(path, make):
    with IndexedRecordDataset(
        path, {"w": forwards}, schema={"w": lambda text: backwards(text)}
    ) as ds:
        ds.append({"w": "abc"})
        twin = make(ds)
    twin.append({"w": "de"})
    assert list(twin) == [{"w": "abc"}, {"w": "de"}]


# Which list, and who writes


@every_reopened
def test_a_copy_has_no_writer_and_goes_its_own_way(made, make):
    ds = dsrecords.open(made)
    ds.append(row(10))
    twin = make(ds)
    with pytest.raises(LockedError):
        twin.append(row(11))
    ds.append(row(11))
    assert len(twin) == 11
    ds.close()
    twin.refresh()
    twin.append(row(12))
    assert list(twin) == rows(13)
    twin.close()
    assert list(dsrecords.open(made)) == rows(13)


@every_reopened
def test_a_copy_of_a_list_that_others_have_edited_since_is_stale(made, make):
    ds = dsrecords.open(made)
    with dsrecords.open(made) as other:
        del other[0]
    for one in (ds, ds[2:4]):
        with pytest.raises(StaleViewError, match=r"data\.rec"):
            make(one)


@every_reopened
def test_closing_a_copy_leaves_the_first_open(made, make):
    ds = dsrecords.open(made)
    make(ds).close()
    assert list(ds) == rows(10)
    ds.close()
    with pytest.raises(ValueError, match="closed"):
        make(ds)


def test_views_share_the_errors_that_were_skipped_and_other_copies_begin_without(made):
    flip(made, Path(made).read_bytes().index(row(5)["text"].encode()))
    ds = dsrecords.open(made, on_error="skip")
    view = ds[3:]
    assert len(list(view)) == 6 and len(list(ds)) == 9
    assert view.skipped is ds.skipped and [error.record for error in ds.skipped] == [5, 5]
    for make in REOPENED.values():
        for one in (ds, view):
            assert make(one).skipped == []
    assert len(list(pickled(ds))) == 9 and len(ds.skipped) == 2
