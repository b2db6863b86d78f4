"""c/dsrecords.h reads all of tests/golden/ as the manifest says, and nothing wrong in damaged files."""

import random
import struct

import c_reader
import conformance
import pytest
import read_by_hand
from conformance import GOLDEN, file_of
from conftest import frames

pytestmark = pytest.mark.skipif(c_reader.COMPILER is None, reason="there is no C compiler")

CASES = conformance.read_manifest()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return c_reader.compile_reader(tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The program that stops at the first byte read outside of a file, and at undefined behaviour."""
    return c_reader.compile_reader(tmp_path_factory.mktemp("sanitized"), *c_reader.SANITIZERS)


def files_of(case):
    return {key: file_of(case, key) for key in ("log", "index", "view") if key in case}


def check_error(found, wanted, fields=()):
    assert found["class"] == wanted["class"]
    if "offset" in wanted:
        assert found["offset"] in (wanted["offset"], wanted.get("frame"))
    if "field" in wanted and fields:
        name, _ = fields[found["field"]]
        assert name == wanted["field"]


def check_case(program, case):
    found = c_reader.Found(program, files_of(case))
    if "error" in case:
        assert found.error is not None
        check_error(found.error, case["error"])
        return
    assert found.error is None
    assert found.fields == case["fields"]
    assert found.warns == case.get("warning", False)
    assert found.metadata == case.get("metadata")
    if "metadata_error" in case:
        check_error(found.metadata_error, case["metadata_error"])
    assert len(found.records) == len(case["records"])
    for record, wanted in zip(found.records, case["records"], strict=True):
        if "error" in wanted:
            check_error(record, wanted["error"], case["fields"])
        else:
            assert record == wanted["stored"]


@pytest.mark.slow
def test_c_reader_passes_the_suite(program):
    for case in CASES:
        check_case(program, case)


def test_c_reader_reads_a_case_of_each_kind(program):
    names = ("scalars", "correct_label", "view", "damaged-payload", "index-after-edits")
    for case in CASES:
        if case["name"] in names:
            check_case(program, case)


def found_by_c(program, files, folder):
    """What each record is, or the class of the error that it is; or that of the file."""
    paths = {}
    for key, data in files.items():
        paths[key] = folder / f"{key}.bin"
        paths[key].write_bytes(data)
    found = c_reader.Found(program, paths)
    if found.error is not None:
        return found.error["class"]
    return [one if isinstance(one, list) else one["class"] for one in found.records]


def found_by_hand(files):
    try:
        log = read_by_hand.Log(*(files.get(key) for key in ("log", "index", "view")))
    except read_by_hand.FormatError as error:
        return class_of(error)
    found = []
    for i in range(len(log.places)):
        try:
            found.append([conformance.stored(value) for value in log.record(i)])
        except read_by_hand.FormatError as error:
            found.append(class_of(error))
    return found


def class_of(error):
    classes = {
        read_by_hand.UnsupportedVersionError: "unsupported",
        read_by_hand.StaleViewError: "stale",
    }
    return classes.get(type(error), "corrupt")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_c_reader_finds_what_the_format_read_by_hand_does_in_damaged_files(
    seed, sanitized, tmp_path
):
    rng = random.Random(seed)
    for _ in range(100):
        case = rng.choice(CASES)
        files = conformance.hurt_files(rng, case)
        assert found_by_c(sanitized, files, tmp_path) == found_by_hand(files), (case["name"], files)


SOME = 13  # with sanitizers every 13th bit, as print_dsrecords.c has it
FLIPPED = ("correct_text", "delete_several", "update", "view", "structs")


@pytest.mark.long
@pytest.mark.parametrize("name", FLIPPED)
def test_c_reader_shows_no_wrong_value_whichever_bit_flips(name, program, sanitized, tmp_path):
    case = next(case for case in CASES if case["name"] == name)
    files = files_of(case)
    lines = c_reader.run(program, "flips", files)
    assert c_reader.run(sanitized, "flips-some", files) == lines[::SOME]
    shown = {part for line in lines if line != "refused" for part in line.split()}
    right = {*digests(program, files), *digests_before(program, files, tmp_path)}
    assert shown <= right
    assert lines[: 8 * 4096] == ["refused"] * 8 * 4096  # of the header, each one


def digests(program, files):
    return c_reader.run(program, "digest", files)[0].split()


def digests_before(program, files, folder):
    """Of the list before its last batch, which a flipped bit in that shows if no index vouches for it."""
    *others, last = frames(files["log"])
    start = last.offset
    while others and others[-1].kind in (2, 4):
        start = others.pop().offset
    before = folder / "before.rec"
    before.write_bytes(files["log"].read_bytes()[:start])
    return digests(program, {"log": before})


def test_c_reader_refuses_a_header_that_ends_early(program, tmp_path):
    right = (GOLDEN / "texts.rec").read_bytes()
    for length in (0, 7, 8, 39, 40, 4095):
        found = found_by_c(program, {"log": right[:length]}, tmp_path)
        assert found == "corrupt"


def test_c_reader_believes_no_size_of_an_index(program, tmp_path):
    rec = (GOLDEN / "update.rec").read_bytes()
    idx = bytearray((GOLDEN / "update.idx").read_bytes())
    for count in (2**32, 2**60, 2**64 - 1):
        for at in (0, 4096):
            struct.pack_into("<Q", idx, at + 40, count)
            checksum = conformance.crc32(bytes(idx[at + 12 : at + 128]))
            struct.pack_into("<I", idx, at + 8, checksum)
        found = found_by_c(program, {"log": rec, "index": bytes(idx)}, tmp_path)
        assert found == found_by_hand({"log": rec, "index": bytes(idx)})
