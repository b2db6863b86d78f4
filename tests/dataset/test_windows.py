"""`windows`: against slices of one long list."""

import collections
import copy
import multiprocessing
import pickle
import sys
import time

import numpy as np
import pytest
from conftest import flip, frames, large

import dsrecords
from dsrecords import CorruptError, IndexedRecordDataset, SchemaError, io

LENGTHS = [3, 0, 1, 25, 0, 0, 2, 4, 4, 0]
STARTS = np.cumsum([0, *LENGTHS])


def documents():
    return [np.arange(n) + 100 * i for i, n in enumerate(LENGTHS)]


@pytest.fixture
def tokens(path):
    """A dataset of documents of the lengths above, the items of which are all different."""
    samples = [{"n": i, "tokens": tokens} for i, tokens in enumerate(documents())]
    dsrecords.make_dataset(samples, path, {"n": "int64", "tokens": "int32[*]"})
    return dsrecords.open(path)


def expected(docs, length, stride=None, drop_last=True):
    """The windows as slices, each with where documents begin in it."""
    stride = stride or length
    flat = [item for doc in docs for item in doc]
    begins, at = [], 0
    for doc in docs:
        begins += [at] if len(doc) else []
        at += len(doc)
    windows, covered = [], 0
    for start in range(0, len(flat), stride):
        stop = min(start + length, len(flat))
        is_full = stop - start == length
        if is_full or (stop > covered and not drop_last):
            starts = [begin - start for begin in begins if start <= begin < stop]
            windows.append((flat[start:stop], starts))
        covered = stop
    return windows


def plain(windows):
    return [(window.values.tolist(), window.starts.tolist()) for window in windows]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("stride", [None, 1, 2, 5, 11, 60])
@pytest.mark.parametrize("length", [1, 3, 7, 39, 50])
def test_windows_are_slices_of_all_documents(tokens, length, stride, drop_last):
    wanted = expected(documents(), length, stride, drop_last)
    windows = tokens.windows("tokens", length, stride, drop_last, boundaries=True)
    assert len(windows) == len(wanted)
    assert plain(windows) == wanted == plain(windows[i] for i in range(len(windows)))
    assert plain(windows.__getitems__(range(len(windows)))) == wanted
    values = tokens.windows("tokens", length, stride, drop_last)
    assert [window.tolist() for window in values] == [window for window, _ in wanted]
    assert [row.tolist() for row in values.batch(slice(None))] == [window for window, _ in wanted]


BASES = {
    "view": lambda ds: ds[[3, 1, 0, 0, 7]],
    "shuffled": lambda ds: ds.shuffle(4),
    "filtered": lambda ds: ds.filter(lambda n: n % 2, "n"),
    "selected": lambda ds: ds.select_fields(["tokens"]),
    "empty": lambda ds: ds[:0],
    "no items": lambda ds: ds[[1, 4, 5]],
}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_windows_of_views(tokens, base):
    shown = base(tokens)
    docs = [sample["tokens"] for sample in shown]
    for arguments in [(4,), (4, 3, False), (2, 7)]:
        windows = shown.windows("tokens", *arguments, boundaries=True)
        assert plain(windows) == expected(docs, *arguments)


def test_windows_of_edited_records_and_a_dataset_that_changes_later(tokens):
    with tokens:
        tokens[2, "n"] = 77
        tokens[1] = {"n": 1, "tokens": [1, 2, 3, 4]}
        del tokens[6]
        tokens.append({"n": 8, "tokens": [9] * 5})
        windows = tokens.windows("tokens", 4, boundaries=True)
        wanted = expected([sample["tokens"] for sample in tokens], 4)
        tokens.append({"n": 8, "tokens": [9] * 50})
        del tokens[0]
        assert plain(windows) == wanted


KINDS = {
    "uint16[*]": np.uint16,
    "float32[*]": np.float32,
    "bool[*]": bool,
    "datetime64[s][*]": "M8[s]",
    "list[int16]": np.int16,
    "list[float64]": np.float64,
    "list[bool]": bool,
    "array": np.int8,
    "int64[*]?": np.int64,
    "list[uint8]?": np.uint8,
    "zstd(int32[*])": np.int32,
    "zstd(list[int32])": np.int32,
}


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_other_types(path, kind):
    if kind.startswith("zstd"):
        pytest.importorskip("zstandard")
    docs = [np.arange(n).astype(KINDS[kind]) for n in [3, 0, 6, 2]]
    given = [list(doc) if "list" in kind else doc for doc in docs]
    if kind.endswith("?"):
        given[1] = None
    dsrecords.make_dataset([{"x": doc} for doc in given], path, {"x": kind})
    windows = dsrecords.open(path).windows("x", 4)
    assert windows.dtype == KINDS[kind]
    flat = np.concatenate(docs)
    batch = windows.batch([1, 0])
    assert batch.dtype == KINDS[kind] and np.array_equal(batch, [flat[4:8], flat[:4]])
    assert [window.dtype for window in windows] == [windows.dtype] * 2


def test_arrays_of_a_fixed_shape_and_fields_without_names(path):
    dsrecords.make_dataset(
        [(i, np.arange(3) + 3 * i) for i in range(5)], path, ["int8", "int64[3]"]
    )
    ds = dsrecords.open(path)
    assert ds.windows(1, 4).batch([0, -1]).tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert ds.select_fields([1]).windows(0, 15)[0].tolist() == list(range(15))


def test_functions_of_the_user_may_give_the_arrays(path):
    docs = [bytes(range(n)) for n in (3, 0, 5)]
    dsrecords.make_dataset([{"x": doc} for doc in docs], path, {"x": "bytes"})
    ds = IndexedRecordDataset(path, {"x": lambda data: np.frombuffer(data, np.uint8)})
    assert list(map(list, ds.windows("x", 3, drop_last=False))) == [[0, 1, 2], [0, 1, 2], [3, 4]]
    ds = IndexedRecordDataset(path, {"x": lambda data: np.zeros(3, "i4" if len(data) else "i8")})
    with pytest.raises(SchemaError, match=r"record 1, field 'x'.*one dtype"):
        ds.windows("x", 3)[0]


def test_files_of_0_4_give_arrays_too():
    from test_filter import opened_0_4

    ds, samples = opened_0_4()
    letters = IndexedRecordDataset(ds.path, deserializers=[io.load_int, load_letters])
    flat = [ord(letter) for _, text in samples for letter in text]
    windows = letters.windows(1, 10)
    assert (
        len(windows) == len(flat) // 10
        and windows[-1].tolist() == flat[: len(flat) // 10 * 10][-10:]
    )


def load_letters(data):
    return np.frombuffer(bytes(data), np.uint8)


# A sequence


def test_it_is_a_sequence_of_arrays_that_are_owned(tokens):
    windows = tokens.windows("tokens", 4)
    flat = np.concatenate(documents())
    assert windows[-1].tolist() == flat[32:36].tolist() and len(windows) == 9
    assert [w.tolist() for w in windows[7:1:-3]] == [flat[28:32].tolist(), flat[16:20].tolist()]
    assert windows[[1, -1]][1].tolist() == windows[8].tolist()
    assert len(windows[np.arange(9) > 6]) == 2 and len(windows[2:][1:][::2]) == 3
    windows[0][:] = 0
    assert windows[0].tolist() == flat[:4].tolist() and windows.num_items == 39
    assert repr(windows) == f"<Windows 'tokens' of {tokens.path!r}: 9 windows of 4>"
    for key in (9, -10):
        with pytest.raises(IndexError, match="out of range: 9"):
            windows[key]
    assert windows.batch([]).shape == (0, 4)


def test_windows_in_the_order_of_a_formula(tokens):
    windows = tokens.windows("tokens", 4)
    order = dsrecords.Permutation(len(windows), 3)
    shuffled = windows[order]
    assert [w.tolist() for w in shuffled] == [windows[i].tolist() for i in order]
    assert len(pickle.dumps(shuffled)) < 1000


def test_a_batch_with_boundaries_is_one_array_and_the_starts(tokens):
    values, starts = tokens.windows("tokens", 4, boundaries=True).batch([0, 3, 7])
    assert values.shape == (3, 4) and values.dtype == np.int32
    assert [(v.tolist(), s.tolist()) for v, s in zip(values, starts, strict=True)] == [
        expected(documents(), 4)[i] for i in (0, 3, 7)
    ]


COPIES = {
    "pickle": lambda windows: pickle.loads(pickle.dumps(windows)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_are_small_and_show_the_same(tokens, make):
    windows = tokens.windows("tokens", 4, 3, drop_last=False, boundaries=True)
    assert plain(make(windows)) == plain(windows)
    assert plain(make(windows[1:4])) == plain(windows[1:4])
    assert len(pickle.dumps(windows)) < 1000


# What is read


def test_lengths_come_from_the_index_and_no_payload_is_touched(path):
    samples = [{"tokens": np.full(50, i)} for i in range(20)]
    dsrecords.make_dataset(samples, path, {"tokens": "int64[*]"})
    for frame in frames(path)[:20]:
        flip(path, frame.offset + frame.size - 8)  # within the payload
    windows = dsrecords.open(path).windows("tokens", 100)
    assert len(windows) == 10 and windows.num_items == 1000
    with pytest.raises(CorruptError, match="record 6, field 'tokens'"):
        windows[3]


def test_a_loop_reads_each_record_once(path):
    read = collections.Counter()

    def load(data):
        read[len(data)] += 1
        return np.frombuffer(bytes(data), np.uint8)

    lengths = [1000, 3, 2000, 5, 10, 700, 1]
    dsrecords.make_dataset([(bytes(n),) for n in lengths], path, ["bytes"])
    windows = IndexedRecordDataset(path, [load]).windows(0, 16, 7, drop_last=False)
    assert len(windows) == 530
    read.clear()
    assert len(list(windows)) == 530
    assert read == dict.fromkeys(lengths, 1)


def test_with_a_large_stride_records_between_windows_are_not_read(tokens):
    flip(tokens.path, frames(tokens.path)[6].offset + frames(tokens.path)[6].size - 8)
    assert len(list(dsrecords.open(tokens.path).windows("tokens", 3, 34))) == 2
    with pytest.raises(CorruptError, match="record 6"):
        list(dsrecords.open(tokens.path).windows("tokens", 3))


def test_prefix_sums_of_many_records_take_a_fraction_of_a_second(path):
    docs = [np.arange(n, dtype=np.uint8) for n in range(4)]
    dsrecords.make_dataset({"x": docs * 15_000}, path, {"x": "uint8[*]"})
    windows = dsrecords.open(path).windows("x", 100)
    start = time.process_time()
    assert len(windows) == 900
    assert time.process_time() - start < 0.06  # 0.01 s here, for 60,000 records
    assert windows[-1].tolist() == ([0, 0, 1, 0, 1, 2] * 20)[-100:]


# What cannot be done


REFUSED = [
    "int64",
    "str",
    "bytes",
    "float32[2,2]",
    "float32[*,4]",
    "list[str]",
    "list[int8?]",
    "json",
    "png",
]


@pytest.mark.parametrize("kind", REFUSED)
def test_other_types_are_refused_at_once(path, kind):
    with IndexedRecordDataset(path, schema={"x": kind}) as ds:
        with pytest.raises(SchemaError, match=r"field 'x': windows are of 1-D arrays"):
            ds.windows("x", 3)
        with pytest.raises(SchemaError, match="no field"):
            ds.windows("y", 3)


@pytest.mark.parametrize(("length", "stride"), [(0, None), (-1, None), (3, 0), (3, -2)])
def test_lengths_and_strides_below_one_are_refused(tokens, length, stride):
    with pytest.raises(ValueError, match="must be 1 or more"):
        tokens.windows("tokens", length, stride)
    with pytest.raises(TypeError):
        tokens.windows("tokens", 2.5)


# PyTorch


@pytest.mark.large
@pytest.mark.parametrize(
    ("num_workers", "method"),
    [(0, None), *((2, method) for method in multiprocessing.get_all_start_methods())],
)
def test_torch_loads_windows_in_batches(tokens, num_workers, method):
    data = large("torch.utils.data")
    windows = tokens.windows("tokens", 4)
    loader = data.DataLoader(
        windows, batch_size=3, num_workers=num_workers, multiprocessing_context=method
    )
    batches = list(loader)
    assert [batch.shape for batch in batches] == [(3, 4)] * 3
    flat = sys.modules["torch"].cat(batches).flatten().tolist()
    assert flat == np.concatenate(documents())[:36].tolist()
