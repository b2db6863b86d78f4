"""The suite of tests/golden/: each file read by the library, by the short reader of examples/, and by read_by_hand.py."""

import json
import random
import re
import runpy
import struct
import sys
import warnings
from pathlib import Path

import conformance
import golden_by_hand
import make_golden
import pytest
import read_by_hand
from conformance import GOLDEN, bytes_of, file_of, is_described, plain, stored

import dsrecords
from dsrecords import IndexedRecordDataset, io

READER = Path(__file__).parents[2] / "examples" / "read_dsrecords.py"
CASES = conformance.read_manifest()
ERRORS = {
    "corrupt": dsrecords.CorruptError,
    "unsupported": dsrecords.UnsupportedVersionError,
    "stale": dsrecords.StaleViewError,
}
ERRORS_BY_HAND = {
    "corrupt": read_by_hand.CorruptError,
    "unsupported": read_by_hand.UnsupportedVersionError,
    "stale": read_by_hand.StaleViewError,
}


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["name"])


def keys_of(case):
    """What a field is named in the library: by its name, else by its position."""
    return [i if name is None else name for i, (name, _) in enumerate(case["fields"])]


# The library


def opened(case, functions=None):
    dsrecords.register_type("golden.own", make_golden.reverse, make_golden.back)
    options = {"create": False, "index_path": file_of(case, "view")}
    return IndexedRecordDataset(file_of(case, "log"), functions, **options)


def opened_as_it_is_stored(case):
    functions = dict.fromkeys(keys_of(case), io.identity)
    is_named = all(isinstance(key, str) for key in functions)
    return opened(case, functions if is_named else list(functions.values()))


def number_of(kind, data):
    """A scalar of its bytes; the bytes of anything else as they are."""
    code = read_by_hand.CODES.get(read_by_hand.scalar_of({"type": kind}))
    is_scalar = code is not None and not is_shaped(kind)
    return struct.unpack("<" + code, data)[0] if is_scalar else data


def is_shaped(kind):
    """Whether the type is of arrays of a scalar: float32[3,*]."""
    return re.search(r"\[[\d,*]+\]\??$", kind) is not None


def is_error(value):
    return isinstance(value, dict) and "error" in value


def check_error(found, wanted):
    for name in ("offset", "field"):
        if name in wanted:
            assert getattr(found, name) == wanted[name]


@named([case for case in CASES if "error" in case])
def test_library_refuses(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ERRORS[case["error"]["class"]]) as caught:
            opened(case)
    check_error(caught.value, case["error"])


@named([case for case in CASES if "records" in case])
def test_library_reads(case):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ds = opened(case)
        as_stored = opened_as_it_is_stored(case)
    check_warnings(case, [str(one.message) for one in told])
    assert len(ds) == len(case["records"])
    if "metadata_error" in case:
        error = case["metadata_error"]
        with pytest.raises(ERRORS[error["class"]]) as caught:
            ds.metadata  # noqa: B018
        check_error(caught.value, error)
    else:
        assert ds.metadata == case["metadata"]
    for i, record in enumerate(case["records"]):
        if is_error(record):
            with pytest.raises(ERRORS[record["error"]["class"]]) as caught:
                ds[i]
            assert caught.value.record == i
            check_error(caught.value, record["error"])
        else:
            check_record(case, i, record, ds, as_stored)


def check_warnings(case, messages):
    """The library also tells that there is no index, as there may have been one that vouched for more."""
    warns = case.get("warning", False)
    if "index" in case:
        assert bool(messages) == warns
    elif "view" not in case:
        assert messages != []
        for message in messages:
            assert "is missing: the list was made again" in message
            assert ("is not whole" in message) == warns


def check_record(case, i, record, ds, as_stored):
    fields = zip(case["fields"], keys_of(case), record["stored"], record["values"], strict=True)
    for (_, kind), key, wanted, value in fields:
        if is_error(value):
            with pytest.raises(ERRORS[value["error"]["class"]]):
                ds[i, key]
            continue
        data = as_stored[i, key]
        if not kind.startswith("zstd("):  # which is decompressed, whoever asks
            assert stored(data if data is None else number_of(kind, data)) == wanted
        if is_described(kind):
            assert plain(kind, ds[i, key]) == value


# The short reader


def run_short_reader(case, monkeypatch):
    """Its records, and its metadata."""
    monkeypatch.setattr(sys, "argv", [str(READER), str(file_of(case, "log"))])
    left = runpy.run_path(str(READER))
    return left["records"], left["metadata"]


def stored_again(value):
    """What a value of the short reader was, which shows strings and JSON as text."""
    return stored(value.encode() if isinstance(value, str) else value)


def error_of(case):
    """The first error of a case, be it of the file or of a record."""
    errors = [record["error"] for record in case.get("records", []) if is_error(record)]
    return case.get("error") or (errors[0] if errors else None)


FOR_THE_SHORT_READER = [case for case in CASES if not {"index", "view", "crafted"} & {*case}]


@named([case for case in FOR_THE_SHORT_READER if error_of(case)])
def test_short_reader_refuses(case, monkeypatch):
    wanted = error_of(case)
    with pytest.raises(SystemExit, match=r"\.rec, byte \d+: \w+ \w+") as caught:
        run_short_reader(case, monkeypatch)
    message = str(caught.value)
    is_of_another = re.search("needs? another version", message) is not None
    assert is_of_another == (wanted["class"] == "unsupported")
    offset = int(re.search(r"byte (\d+)", message)[1])
    if "error" in case and "offset" in wanted:
        assert offset in (wanted["offset"], wanted.get("frame"))


@named([case for case in FOR_THE_SHORT_READER if not error_of(case)])
def test_short_reader_reads(case, monkeypatch, capsys):
    records, metadata = run_short_reader(case, monkeypatch)
    assert metadata == case["metadata"]
    assert all([*record] == keys_of(case) for record in records)
    found = [[stored_again(value) for value in record.values()] for record in records]
    assert found == [record["stored"] for record in case["records"]]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("(")]
    assert printed == [repr(one) for one in enumerate(records)]


# The format read by hand


@named(CASES)
def test_format_read_by_hand(case):
    files = [bytes_of(case, key) for key in ("log", "index", "view")]
    if "error" in case:
        error = case["error"]
        with pytest.raises(ERRORS_BY_HAND[error["class"]]) as caught:
            read_by_hand.Log(*files)
        check_error(caught.value, error)
        return
    log = read_by_hand.Log(*files)
    if "metadata_error" in case:
        with pytest.raises(read_by_hand.CorruptError) as caught:
            log.metadata()
        check_error(caught.value, case["metadata_error"])
    else:
        assert log.metadata() == case["metadata"]
    assert log.warns == case.get("warning", False)
    assert len(log.places) == len(case["records"])
    for i, record in enumerate(case["records"]):
        if is_error(record):
            with pytest.raises(ERRORS_BY_HAND[record["error"]["class"]]) as caught:
                log.record(i)
            check_error(caught.value, record["error"])
        else:
            assert [stored(value) for value in log.record(i)] == record["stored"]


# Damaged files: the library and the format read by hand find the same in them


def found_by_library(files, folder):
    """The stored values of each record, or the error that it is; or the error that the file is."""
    paths = {"log": "hurt.rec", "index": "hurt.idx", "view": "view.idx"}
    (folder / "hurt.idx").unlink(missing_ok=True)
    for key, data in files.items():
        (folder / paths[key]).write_bytes(data)
    view = folder / "view.idx" if "view" in files else None
    try:
        schema = dsrecords.open(folder / "hurt.rec", index_path=view).schema
        if isinstance(schema, dict):
            as_stored = dict.fromkeys(schema, io.identity)
        else:
            as_stored = [io.identity] * len(schema)
        ds = IndexedRecordDataset(folder / "hurt.rec", as_stored, create=False, index_path=view)
    except dsrecords.DSRecordsError as error:
        return name_of(error, ERRORS)
    kinds = schema if isinstance(schema, dict) else dict(enumerate(schema))
    found = []
    for i in range(len(ds)):
        try:
            values = [(kind, ds[i, key]) for key, kind in kinds.items()]
            record = [data if data is None else number_of(kind, data) for kind, data in values]
            found.append([stored(value) for value in record])
        except dsrecords.DSRecordsError as error:
            found.append(name_of(error, ERRORS))
    return found


def found_by_hand(files):
    try:
        log = read_by_hand.Log(*(files.get(key) for key in ("log", "index", "view")))
    except read_by_hand.FormatError as error:
        return name_of(error, ERRORS_BY_HAND)
    found = []
    for i in range(len(log.places)):
        try:
            found.append([stored(value) for value in log.record(i)])
        except read_by_hand.FormatError as error:
            found.append(name_of(error, ERRORS_BY_HAND))
    return found


def name_of(error, errors):
    return next(name for name, kind in errors.items() if isinstance(error, kind))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_library_and_format_read_by_hand_find_the_same_in_damaged_files(
    seed, tmp_path, monkeypatch
):
    monkeypatch.setattr("dsrecords._read.open._TRIES", 1)  # nobody is just writing
    monkeypatch.setattr("dsrecords._read.open._PATIENCE", 1)
    rng = random.Random(seed)
    # The library decompresses, whoever asks.
    cases = [case for case in CASES if "zstd(" not in json.dumps(case.get("fields"))]
    for _ in range(150):
        case = rng.choice(cases)
        files = conformance.hurt_files(rng, case)
        assert found_by_library(files, tmp_path) == found_by_hand(files), (case["name"], files)


# The suite itself


def test_each_file_is_in_the_manifest():
    named_files = {case[key] for case in CASES for key in ("log", "index", "view") if key in case}
    files = {
        str(path.relative_to(GOLDEN))
        for path in GOLDEN.rglob("*")
        if path.suffix in (".rec", ".idx")
    }
    assert named_files == files


def test_each_case_has_its_own_name_and_a_sentence():
    names = [case["name"] for case in CASES]
    assert len({*names}) == len(names)
    assert [case["name"] for case in CASES if not case["about"].endswith(".")] == []


def test_files_by_hand_are_as_they_were_made(tmp_path):
    entries = conformance.write_by_hand(tmp_path)
    for path in (tmp_path / conformance.BY_HAND).iterdir():
        assert path.read_bytes() == (GOLDEN / conformance.BY_HAND / path.name).read_bytes(), (
            path.name
        )
    assert entries == [case for case in CASES if case["log"].startswith(conformance.BY_HAND)]
    assert len(entries) == len(golden_by_hand.CASES)
