"""The command `dsrecords`: what it prints and writes, one line for each mistake, exit codes as docs/command.md lists them."""

import importlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys

import click
import numpy as np
import pytest
from conftest import SOURCE, flip
from PIL import Image

import dsrecords
from dsrecords._cli import exit_codes, help
from dsrecords._cli.group import commands
from dsrecords._cli.main import main
from dsrecords._cli.pictures import half_blocks
from dsrecords._cli.printable import one_line, printable

HOSTILE = "\x1b[31mred\x1b]0;owned\x07\x9b2J\u202egnitfihs\u2028[bold]x[/bold]\r\n\ud800"
HOSTILE_TEXT = HOSTILE.replace("\ud800", "")


def picture(shade, form="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (32, 20), (shade, 100, 50)).save(file, form)
    return file.getvalue()


ROWS = [
    {
        "image": picture(10 * i),
        "label": i % 4,
        "score": None if i % 5 == 0 else i / 20,
        "caption": None if i % 6 == 0 else f"text {i}",
        "kind": ["cat", "dog"][i % 2],
        "tokens": np.arange(i % 3, dtype=np.int32),
    }
    for i in range(20)
]
SCHEMA = {
    "image": "png",
    "label": "int64",
    "score": "float64?",
    "caption": "str?",
    "kind": "category[cat,dog]",
    "tokens": "int32[*]",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a dataset, a copy that is damaged, a view, and files that are none."""
    folder = tmp_path_factory.mktemp("made")
    dsrecords.make_dataset(ROWS, folder / "data.rec", SCHEMA, metadata={"source": "here"})
    for ending in (".rec", ".idx"):
        shutil.copy(folder / f"data{ending}", folder / f"damaged{ending}")
    flip(folder / "damaged.rec", dsrecords_offset(folder / "damaged.rec"))
    dsrecords.open(folder / "data.rec")[:5].save_view(folder / "five.idx")
    (folder / "text.rec").write_text("this is no dataset")
    (folder / "empty.rec").write_bytes(b"")
    (folder / "cut.rec").write_bytes((folder / "data.rec").read_bytes()[:100])
    (folder / "folder").mkdir()
    return folder


def dsrecords_offset(path):
    """Where the image of record 3 lies."""
    return path.read_bytes().index(ROWS[3]["image"]) + 20


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """The current folder: a copy of those files."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(capsys):
    """Run the command: (exit code, what it printed, what it said on the error stream)."""

    def run(*arguments):
        capsys.readouterr()
        code = main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


USAGE = exit_codes.USAGE
FILE = exit_codes.FILE
PROBLEMS = exit_codes.PROBLEMS

BAD_LINES = [
    # commands and options
    (["infos", "data.rec"], USAGE, "did you mean info?"),
    (["frobnicate"], USAGE, "there are bench, check"),
    ([HOSTILE_TEXT], USAGE, "no command"),
    (["--frob"], USAGE, "no such option"),
    (["info"], USAGE, "missing argument 'FILE...'"),
    (["head", "data.rec", "--frob"], USAGE, "no such option"),
    (["head", "data.rec", "-n", "many"], USAGE, "'many' is not a valid integer"),
    (["head", "data.rec", "-n", "-1"], USAGE, "-1"),
    (["head", "data.rec", "-n", "9" * 5000], USAGE, "not a valid integer"),
    (["head", "data.rec", "--field", "nope"], USAGE, "no field 'nope': a sample has image"),
    (["head", "data.rec", "--field", HOSTILE_TEXT], USAGE, "no field"),
    (["sample", "data.rec", "--seed", "-3"], USAGE, "--seed"),
    (["stats", "data.rec", "--bins", "0"], USAGE, "--bins"),
    (["get", "data.rec"], USAGE, "missing argument 'INDEX'"),
    (["get", "data.rec", "three"], USAGE, "'three' is not a valid integer"),
    (["get", "data.rec", "20"], USAGE, "no sample 20: there are 20"),
    (["get", "data.rec", "-21"], USAGE, "no sample -21"),
    (["get", "data.rec", "0", "-o", "out.jpg"], USAGE, "name its field"),
    (["get", "data.rec", "0", "-f", "image", "-o", "nowhere/x.png"], FILE, "nowhere/x.png"),
    (["get", "data.rec", "0", "-f", "image", "-o", "data.rec"], FILE, "data.rec: File exists"),
    # files
    (["info", "nowhere.rec"], FILE, "nowhere.rec does not exist"),
    (["info", "text.rec"], FILE, "not a DSRecords file"),
    (["info", "empty.rec"], FILE, "empty.rec"),
    (["info", "cut.rec"], FILE, "cut.rec"),
    (["info", "folder"], FILE, "folder"),
    (["info", "no-such-*.rec"], FILE, "no-such-*.rec"),
    (["info", "data.idx"], USAGE, "the data file is data.rec"),
    (["info", HOSTILE_TEXT], FILE, "no file matches"),
    (["info", "\udc80.rec"], FILE, "does not exist"),
    (["info", "null\0byte.rec"], USAGE, "null"),
    (["head", "data.rec", "--view", "nowhere.idx"], FILE, "nowhere.idx"),
    (["head", "data.rec", "--view", "text.rec"], FILE, "text.rec"),
    (["stats", "damaged.rec", "--field", "image", "--view", "empty.rec"], FILE, "empty.rec"),
    (["diff", "data.rec"], USAGE, "missing argument 'SECOND'"),
    (["diff", "data.rec", "nowhere.rec"], FILE, "nowhere.rec"),
    # conditions
    (["select", "data.rec", "label = 3"], USAGE, "column 7: write == in the place of ="),
    (["select", "data.rec", "lable == 3"], USAGE, "column 1: no field 'lable': did you mean label"),
    (["select", "data.rec", "label == 'a'"], USAGE, "column 10: label is int64"),
    (["select", "data.rec", "kind == 'cow'"], USAGE, "column 9: kind has no category 'cow'"),
    (["select", "data.rec", "label == 3 and"], USAGE, "column 15: a field or a value is expected"),
    (["select", "data.rec", "__import__('os').system('touch x')"], USAGE, "column 17: '.' means nothing"),
    (["select", "data.rec", "(" * 5000], USAGE, "more than 50 levels"),
    (["select", "data.rec", "label == " + "9" * 5000], USAGE, "a number has at most"),
    (["select", "data.rec", f"caption == '{HOSTILE_TEXT}"], USAGE, "the string has no end"),
    (["select", "data.rec", ""], USAGE, "a comparison is expected"),
    (["select", "data.rec", "image == 3"], USAGE, "image is png"),
    (["select", "data.rec", "99"], USAGE, "no sample 99"),
    (["select", "data.rec", "1:2:0"], USAGE, "cannot be 0"),
    (["select", "data.rec", "1,,2"], USAGE, "neither an index"),
    (["select", "data.rec", "9" * 400], USAGE, "at most 19 digits"),
    (["select", "data.rec", "label == 1", "-o", "out.txt"], USAGE, "a view in .idx"),
    (["select", "data.rec", "label == 1", "-o", "data.idx"], USAGE, "data.idx"),
    (["select", "data.rec", "label == 1", "-o", "damaged.rec"], FILE, "damaged.rec exists"),
    (["select", "data.rec", "1", "-f", "label", "-o", "v.idx"], USAGE, "a view has all fields"),
    # what writes
    (["split", "data.rec", "train=0.9"], USAGE, "add up to 0.9"),
    (["split", "data.rec", "train"], USAGE, "train=0.9"),
    (["split", "data.rec", "a=0.5", "a=0.5"], USAGE, "two parts are called 'a'"),
    (["split", "data.rec", "../a=0.5", "b=0.5"], USAGE, "a part of a file's name"),
    (["split", "data.rec", "a=most", "b=0.5"], USAGE, "neither a fraction nor a count"),
    (["split", "data.rec", "a=nan", "b=0.5"], USAGE, "nan"),
    (["split", "data.rec", "a=0.5", "b=0.5", "--group", "nope"], USAGE, "no field 'nope'"),
    (["merge", "data.rec", "-o", "all.txt"], USAGE, "a manifest ends in .json"),
    (["merge", "data.rec", "damaged.rec", "-o", "all.rec"], FILE, "the same file, or a copy"),
    (["shard", "data.rec", "-o", "s.json"], USAGE, "either --shards or --shard-size"),
    (["shard", "data.rec", "-o", "s.rec", "--shards", "2"], USAGE, "ends in .json"),
    (["shard", "data.rec", "-o", "s.json", "--shard-size", "big"], USAGE, "no size such as 500MB"),
    (["compact", "data.rec", "-o", "damaged.rec"], FILE, "damaged.rec exists"),
    (["upgrade", "data.rec", "new.rec", "--schema", "[\"int32\"]"], USAGE, "needs no upgrade"),
    (["upgrade", "data.rec", "new.rec", "--schema", "{"], USAGE, "--schema is no JSON"),
    (["upgrade", "data.rec", "new.rec", "--schema", "@nowhere"], FILE, "nowhere"),
    (["bench", "data.rec", "--seconds", "0"], USAGE, "--seconds"),
    (["repair", "nowhere.rec"], FILE, "nowhere.rec"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_command_line_is_one_clear_line_and_an_exit_code(here, run, line, code, said):
    before = sorted(os.listdir(here))
    found, printed, error = run(*line)
    assert (found, printed) == (code, "")
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert error[:-1].isprintable()
    assert len(error) < 2000
    assert sorted(os.listdir(here)) == before


def test_the_page_of_help_fits_a_screen_and_lists_every_command(run):
    code, printed, _ = run("--help")
    lines = printed.splitlines()
    assert code == 0
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for name in commands().list_commands(None):
        assert f"  {name} " in printed, name


def test_nothing_at_all_is_a_request_for_help(run):
    assert run() == run("--help")


@pytest.mark.parametrize("name", commands().list_commands(None))
def test_each_command_says_what_it_does_on_a_screen(run, name):
    code, printed, _ = run(name, "--help")
    assert code == 0
    assert printed.startswith(f"Usage: dsrecords {name}")
    assert len(printed.splitlines()) <= 44
    assert max(map(len, printed.splitlines())) <= 100
    command = commands().get_command(None, name)
    assert len(command.get_short_help_str(40)) <= 28
    assert any(name in section for section in sections().values())


def sections():
    found = {}
    for name in commands().list_commands(None):
        module = importlib.import_module(f"dsrecords._cli.commands.{name}")
        found.setdefault(module.SECTION, []).append(name)
    assert set(found) <= set(help.SECTIONS)
    return found


def test_the_version_is_that_of_the_package(run):
    code, printed, _ = run("--version")
    assert code == 0
    assert dsrecords.__version__ in printed


# What is looked at


def test_info_says_what_is_in_a_file(here, run):
    code, printed, _ = run("info", "data.rec")
    assert code == 0
    for said in ("20", "category[cat,dog]", "version 2", '{"source": "here"}', "out of the ordin"):
        assert said in printed
    found = json.loads(run("info", "data.rec", "--json")[1])
    assert found["records"] == 20
    assert [field["name"] for field in found["fields"]] == list(SCHEMA)
    assert found["fields"][0]["bytes"] == sum(len(row["image"]) for row in ROWS)
    assert found["data_bytes"] == os.path.getsize("data.rec")
    assert found["index_bytes"] == os.path.getsize("data.idx")
    assert (found["dead_bytes"], found["edits"], found["notes"]) == (0, 0, [])


def test_info_tells_of_dead_bytes_of_views_and_of_an_index_that_is_gone(here, run):
    with dsrecords.open("data.rec") as dataset:
        del dataset[3]
        dead = dataset.dead_bytes
    found = json.loads(run("info", "data.rec", "--json")[1])
    assert (found["dead_bytes"], found["edits"], found["records"]) == (dead, 1, 19)
    os.remove("data.idx")
    code, printed, error = run("info", "data.rec")
    assert code == 0
    assert "the list was made from the log" in printed
    assert error.startswith("warning: ")
    assert error.count("\n") == 1


def test_info_of_a_view_and_of_many_files(here, run):
    found = json.loads(run("info", "data.rec", "--view", "five.idx", "--json")[1])
    assert (found["records"], found["is_view"]) == (5, True)
    run("shard", "data.rec", "--shards", "3", "-o", "all.json")
    found = json.loads(run("info", "all.json", "--json")[1])
    assert (found["records"], len(found["files"])) == (20, 3)
    assert len(json.loads(run("info", "data.rec", "all.json", "--json")[1])) == 2


def test_head_tail_and_sample_show_tables(here, run):
    code, printed, error = run("head", "data.rec", "-n", "3")
    lines = printed.splitlines()
    assert (code, error, len(lines)) == (0, "", 4)
    assert lines[0].split() == ["#", *SCHEMA]
    assert "PNG 32×20" in lines[1]
    assert "text 2" in lines[3]
    assert "None" in lines[1]
    assert [line.split()[0] for line in run("tail", "data.rec", "-n", "2")[1].splitlines()[1:]] == [
        "18",
        "19",
    ]
    first = run("sample", "data.rec", "--seed", "5", "-n", "4")
    assert first == run("sample", "data.rec", "--seed", "5", "-n", "4")
    assert len({line.split()[0] for line in first[1].splitlines()[1:]}) == 4


def test_head_shows_the_fields_that_are_named_and_json(here, run):
    code, printed, _ = run("head", "data.rec", "-n", "2", "-f", "label", "-f", "image", "--json")
    image = {"bytes": len(ROWS[0]["image"])}
    assert code == 0
    assert json.loads(printed)[0] == {"#": 0, "label": 0, "image": image}


def test_a_value_that_cannot_be_read_does_not_hide_the_others(here, run):
    code, printed, error = run("head", "damaged.rec", "-n", "5")
    assert code == PROBLEMS
    assert len(printed.splitlines()) == 6
    assert "CorruptError" in printed.splitlines()[4]
    assert "text 3" in printed.splitlines()[4]
    assert error.startswith("error: ")
    assert "record 3, field 'image'" in error
    code, printed, _ = run("head", "damaged.rec", "-n", "5", "--json")
    assert code == PROBLEMS
    assert "checksum" in json.loads(printed)[3]["image"]["error"]


def test_pictures_are_half_blocks_of_their_colours(here, run):
    code, printed, _ = run("head", "data.rec", "-n", "1", "--pictures", "-f", "image")
    assert code == 0
    assert printed.count("▀") == 24 * 8  # 32 × 20 becomes 24 × 15
    pixels = np.zeros((3, 2, 3), np.uint8)
    pixels[0, 1] = (255, 0, 0)
    drawn = half_blocks(pixels)
    assert drawn.plain == "▀▀\n▀▀"
    styles = [str(span.style) for span in drawn.spans if span.style]
    assert styles == [
        "#000000 on #000000",
        "#ff0000 on #000000",
        "#000000",
        "#000000",
    ]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4), (100, 30), (1, 1)])
def test_arrays_of_any_shape_are_pictures(shape):
    pixels = np.full(shape, 200, np.uint8)
    rows = half_blocks(pixels).plain.split("\n")
    step = -(-max(shape[:2]) // 24)
    assert len(rows) == -(-len(range(0, shape[0], step)) // 2)
    assert {len(row) for row in rows} == {len(range(0, shape[1], step))}


def test_get_gives_values_as_they_are_stored(here, run):
    assert run("get", "data.rec", "7", "-f", "image", "-o", "seven.png")[0] == 0
    assert (here / "seven.png").read_bytes() == ROWS[7]["image"]
    code, _, error = run("get", "data.rec", "8", "-f", "image", "-o", "seven.png")
    assert (code, "File exists" in error) == (FILE, True)
    code, _, error = run("get", "data.rec", "8", "-f", "image", "-o", "other.jpg")
    assert (code, error) == (0, "note: other.jpg is PNG, whose usual ending is .png\n")
    assert run("get", "data.rec", "8", "-f", "image", "-o", "seven.png", "--overwrite")[0] == 0
    assert (here / "seven.png").read_bytes() == ROWS[8]["image"]
    assert run("get", "data.rec", "8", "-f", "tokens", "-o", "tokens.npy")[0] == 0
    assert np.load("tokens.npy").tolist() == [0, 1]
    assert run("get", "data.rec", "-1", "-f", "caption", "-o", "caption.txt")[0] == 0
    assert (here / "caption.txt").read_bytes() == b"text 19"


def test_get_prints_values_and_samples(here, run):
    assert run("get", "data.rec", "7", "-f", "caption") == (0, "text 7\n", "")
    assert run("get", "data.rec", "5", "-f", "tokens") == (0, "[0, 1]\n", "")
    assert run("get", "data.rec", "0", "-f", "score") == (0, "null\n", "")
    code, printed, _ = run("get", "data.rec", "7")
    assert (code, printed.splitlines()[0]) == (0, "record 7")
    assert "PNG 32×20" in printed
    found = json.loads(run("get", "data.rec", "7", "--json")[1])
    assert found["label"] == 3
    assert found["image"]["bytes"] == len(ROWS[7]["image"])


def test_get_sends_bytes_down_a_pipe(here, capsysbinary):
    assert main(["get", "data.rec", "7", "-f", "image"]) == 0
    assert capsysbinary.readouterr().out == ROWS[7]["image"]


def test_stats_prints_what_the_function_says(here, run):
    code, printed, _ = run("stats", "data.rec")
    assert code == 0
    assert printed.startswith("20 records\n")
    assert "'cat' × 10" in printed
    found = json.loads(run("stats", "data.rec", "--json")[1])
    expected = dsrecords.stats(dsrecords.open("data.rec")).to_dict()
    assert found == json.loads(json.dumps(expected))
    code, printed, _ = run("stats", "data.rec", "-f", "label", "-f", "kind", "--bins", "2")
    lines = printed.splitlines()
    assert "values: 0 to 3, mean 1.5, std 1.118" in lines
    assert lines[lines.index("values: 0 to 3, mean 1.5, std 1.118") + 1].split()[:2] == ["0", "10"]
    assert "most frequent:" in lines


def test_stats_leaves_out_what_cannot_be_read_if_it_may(here, run):
    with dsrecords.open("data.rec") as dataset:
        offset = (here / "data.rec").read_bytes().index(b"text 7")
        assert len(dataset) == 20
    flip(here / "data.rec", offset)
    code, _, error = run("stats", "data.rec")
    assert (code, error.count("\n")) == (FILE, 1)
    code, printed, error = run("stats", "data.rec", "--skip-errors", "--json")
    assert code == 0
    assert json.loads(printed)["fields"][3]["records"] == 19
    assert error.startswith("warning: ")


def test_the_schema_can_be_pasted(here, run):
    code, printed, _ = run("schema", "data.rec")
    assert code == 0
    lines = [line.strip() for line in printed.splitlines()]
    assert lines[2] == "'label': 'int64',"
    assert json.loads(run("schema", "data.rec", "--json")[1]) == SCHEMA


# What is found


def test_check_says_what_is_wrong_and_its_exit_code_too(here, run):
    assert run("check", "data.rec") == (0, "data.rec: nothing is wrong\n", "")
    code, printed, _ = run("check", "data.rec", "damaged.rec", "text.rec")
    assert code == PROBLEMS
    lines = printed.splitlines()
    assert lines[0] == "data.rec: nothing is wrong"
    assert lines[1] == "damaged.rec: 1 problem"
    assert "record 3, field 'image'" in lines[2]
    assert lines[3] == "text.rec: 1 problem"
    found = json.loads(run("check", "damaged.rec", "--json")[1])
    (problem,) = found[0]["problems"]
    assert (problem["kind"], problem["record"], problem["field"]) == ("CorruptError", 3, "image")


def test_check_with_decode_finds_values_that_are_broken(here, run):
    broken = [{"image": ROWS[0]["image"][:60]}]
    dsrecords.make_dataset(broken, "broken.rec", {"image": "png"})
    assert run("check", "broken.rec")[0] == 0
    code, printed, _ = run("check", "broken.rec", "--decode")
    assert (code, "DecodeError" in printed) == (PROBLEMS, True)


def test_many_problems_are_shortened_unless_all_are_asked_for(here, run):
    data = bytearray((here / "data.rec").read_bytes())
    start = data.index(ROWS[0]["image"])
    for row in ROWS:
        found = data.index(row["image"], start)
        data[found + 20] ^= 255
    many = bytes(data) * 1
    (here / "data.rec").write_bytes(many)
    row_count = 20
    code, printed, _ = run("check", "data.rec")
    assert (code, printed.splitlines()[0]) == (PROBLEMS, f"data.rec: {row_count} problems")
    assert len(printed.splitlines()) == 21


def test_repair_says_what_can_be_saved_and_saves_it(here, run):
    code, printed, _ = run("repair", "damaged.rec")
    assert code == PROBLEMS
    assert "19 records can be saved, 1 are lost" in printed
    assert "nothing was written" in printed
    code, printed, _ = run("repair", "damaged.rec", "-o", "saved.rec")
    assert (code, "saved to saved.rec" in printed) == (PROBLEMS, True)
    assert len(dsrecords.open("saved.rec")) == 19
    assert run("repair", "data.rec")[:2] == (0, "data.rec: nothing is wrong\n")
    os.remove("data.idx")
    code, printed, _ = run("repair", "data.rec", "--in-place", "--json")
    assert (code, json.loads(printed)["mended"]) == (0, True)
    assert os.path.exists("data.idx")


def test_diff_says_what_differs(here, run):
    assert run("diff", "data.rec", "data.rec") == (0, "nothing differs: 20 records\n", "")
    shutil.copy("data.rec", "edited.rec")
    with dsrecords.open("edited.rec") as dataset:
        dataset[4, "label"] = 9
        del dataset[11]
        dataset.append(ROWS[0])
        dataset.set_metadata({"source": "there"})
    code, printed, _ = run("diff", "data.rec", "edited.rec")
    assert code == PROBLEMS
    assert printed.splitlines() == [
        "metadata: other values of source",
        "20 records, and 20: 18 are the same",
        "1 changed (label in 1): 4",
        "1 removed: 11",
        "1 added: 19",
    ]
    found = json.loads(run("diff", "data.rec", "edited.rec", "--json")[1])
    assert (found["changed"], found["removed"], found["added"]) == ([[4, 4]], [11], [19])


# What is made


def test_select_shows_views_and_copies(here, run):
    code, printed, _ = run("select", "data.rec", "label == 3 and score > 0.5")
    assert (code, printed.splitlines()[0]) == (0, "2 of 20 records")
    assert len(printed.splitlines()) == 4
    condition = "caption is not None and kind == 'dog'"
    code, printed, error = run("select", "data.rec", condition, "-o", "dogs.idx")
    expected = [row["label"] for i, row in enumerate(ROWS) if i % 6 and i % 2]
    assert (code, error) == (0, "wrote dogs.idx\n")
    view = dsrecords.open("data.rec", index_path="dogs.idx")
    assert view.column("label").tolist() == expected
    assert run("select", "data.rec", condition, "-o", "dogs.idx")[0] == FILE
    assert run("select", "data.rec", condition, "-o", "dogs.idx", "--overwrite")[0] == 0
    assert run("select", "data.rec", "-5:", "-o", "last.rec", "-f", "label")[0] == 0
    last = dsrecords.open("last.rec")
    assert (last.fields, last.column("label").tolist()) == (("label",), [3, 0, 1, 2, 3])
    assert json.loads(run("select", "data.rec", "3,5:7,-1", "--json")[1])["records"] == 4


def test_split_makes_views_or_files(here, run):
    code, printed, _ = run("split", "data.rec", "train=0.8", "test=0.2", "--stratify", "label")
    assert code == 0
    assert printed.splitlines() == ["data-train.idx: 16 records", "data-test.idx: 4 records"]
    expected = dsrecords.open("data.rec").split({"train": 0.8, "test": 0.2}, stratify="label")
    found = dsrecords.open("data.rec", index_path="data-test.idx")
    assert found.column("caption") == expected["test"].column("caption")
    assert run("split", "data.rec", "train=0.8", "test=0.2")[0] == FILE
    code, printed, _ = run("split", "data.rec", "a=15", "b=5", "--copy", "--in-order", "--json")
    assert [part["records"] for part in json.loads(printed)] == [15, 5]
    assert dsrecords.open("data-b.rec").column("label").tolist() == [3, 0, 1, 2, 3]


def test_shard_and_merge_are_each_others_contrary(here, run):
    code, printed, _ = run("shard", "data.rec", "--shards", "3", "-o", "parts.json")
    assert (code, printed) == (0, "parts.json: 3 files, 20 records\n")
    assert len(dsrecords.open("parts-*.rec")) == 20
    code, printed, _ = run("merge", "parts-*.rec", "-o", "whole.rec")
    assert (code, printed) == (0, "whole.rec: 20 records\n")
    assert run("diff", "data.rec", "whole.rec", "--json")[0] == 0
    code, printed, _ = run("shard", "data.rec", "--shard-size", "1kB", "-o", "small.json")
    assert code == 0
    assert 1 < len(dsrecords.open("small.json").files) <= 20


def test_compact_drops_what_is_dead(here, run):
    with dsrecords.open("data.rec") as dataset:
        del dataset[5:]
    before = os.path.getsize("data.rec")
    code, printed, _ = run("compact", "data.rec")
    assert code == 0
    assert os.path.getsize("data.rec") < before
    assert printed.startswith("data.rec: ")
    code, _, _ = run("compact", "damaged.rec", "-o", "new.rec")
    assert (code, os.path.exists("new.rec")) == (FILE, False)


def test_upgrade_takes_the_schema_as_json_or_from_a_file(here, run):
    golden = str(SOURCE.parent / "tests" / "golden_0_4" / "updated.rec")
    schema = ["int32", "str"]
    assert run("upgrade", golden, "new.rec", "--schema", json.dumps(schema))[2] == ""
    expected = list(dsrecords.open("new.rec"))
    assert expected
    (here / "schema.json").write_text(json.dumps({"x": "int32", "t": "str"}))
    code, printed, _ = run("upgrade", golden, "named.rec", "--schema", "@schema.json")
    assert (code, printed) == (0, f"named.rec: {len(expected)} records\n")
    assert [tuple(row.values()) for row in dsrecords.open("named.rec")] == expected
    code, _, error = run("upgrade", golden, "new.rec", "--schema", json.dumps(schema))
    assert (code, "new.rec" in error) == (FILE, True)


def test_bench_measures_beside_the_machine(here, run):
    code, printed, _ = run("bench", "data.rec", "--seconds", "0.01", "--json")
    assert code == 0
    found = json.loads(printed)
    names = [speed["name"] for speed in found]
    assert names == [
        "random samples",
        "random batches of 20",
        "column label",
        "one after the other",
        "the same, decoded",
    ]
    assert all(speed["records_per_second"] > 0 for speed in found)
    assert all(speed["limit"] > 0 for speed in found)
    code, printed, _ = run("bench", "data.rec", "--seconds", "0.01", "--cold")
    assert code == 0
    assert "machine's limit" in printed


# Whatever is in a file


def test_nothing_of_a_file_reaches_the_terminal_raw(here, run):
    name = HOSTILE_TEXT
    schema = {name: "str", "kind": {"k": "str"}, "raw": "bytes", "j": "json"}
    row = {name: HOSTILE_TEXT, "kind": {"k": HOSTILE_TEXT}, "raw": b"\x1b[31m", "j": [HOSTILE_TEXT]}
    dsrecords.make_dataset([row] * 3, "bad.rec", schema, metadata={HOSTILE_TEXT: HOSTILE_TEXT})
    lines = [
        ["info", "bad.rec"],
        ["head", "bad.rec"],
        ["head", "bad.rec", "--json"],
        ["get", "bad.rec", "0"],
        ["get", "bad.rec", "0", "--json"],
        ["stats", "bad.rec"],
        ["stats", "bad.rec", "-f", name],
        ["stats", "bad.rec", "--json"],
        ["schema", "bad.rec"],
        ["schema", "bad.rec", "--json"],
        ["check", "bad.rec"],
        ["diff", "bad.rec", "data.rec"],
        ["select", "bad.rec", "kind is None"],
        ["select", "bad.rec", "0"],
        ["bench", "bad.rec", "--seconds", "0.01"],
    ]
    for line in lines:
        _, printed, error = run(*line)
        for shown in (printed + error).splitlines():
            assert shown.isprintable(), (line, shown)
    _, printed, _ = run("head", "bad.rec", "--pictures", "-f", name)
    assert "\x1b]0;" not in printed
    assert "\x1b[31mred" not in printed
    assert "\u202e" not in printed
    assert "[bold]x[/bold]" in printed


def test_text_is_printable_and_of_one_line():
    assert printable("a\tb é 日本 😀") == "a\\tb é 日本 😀"
    assert printable("\x1b\x9b\u202e\u200b\ud800") == "\\x1b\\x9b\\u202e\\u200b\\ud800"
    assert one_line("a\nb\n c") == "a b  c"
    assert one_line("x" * 10**6) == "x" * 800 + "…" + "x" * 200


# How it ends


def test_an_interrupt_is_one_word_and_130(here, run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(dsrecords, "info", interrupted)
    assert run("info", "data.rec") == (130, "", "interrupted\n")


def test_debug_lets_the_error_out(here, run):
    with pytest.raises(FileNotFoundError):
        main(["info", "nowhere.rec", "--debug"])
    with pytest.raises(click.UsageError):
        main(["--debug", "infos"])


def test_a_mistake_of_ours_is_one_line_too(here, run, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("oh\nno")

    monkeypatch.setattr(dsrecords, "info", broken)
    code, _, error = run("info", "data.rec")
    assert (code, error) == (FILE, "error: RuntimeError: oh no: --debug shows where\n")


def test_python_m_dsrecords_is_the_command(here, capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DELAY", "1")  # so that it is what it was behind this test
    monkeypatch.setattr(sys, "argv", ["dsrecords", "schema", "data.rec", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("dsrecords", run_name="__main__")
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


@pytest.mark.parametrize("line", [
    ["info"], ["head"], ["tail"], ["sample"], ["stats"], ["stats", "-f", "label"], ["schema"],
    ["check"], ["repair"], ["compact"],
], ids=lambda line: "-".join(line))  # fmt: skip
def test_a_dataset_without_records_is_no_error(here, run, line):
    dsrecords.make_dataset([], "none.rec", SCHEMA)
    name, *options = line
    code, printed, error = run(name, "none.rec", *options)
    assert (code, error) == (0, "")
    assert printed


def test_of_a_dataset_without_records_nothing_can_be_made(here, run):
    dsrecords.make_dataset([], "none.rec", SCHEMA)
    assert run("select", "none.rec", "label == 3")[:2] == (0, "0 of 0 records\n")
    assert run("get", "none.rec", "0")[0] == USAGE
    assert run("bench", "none.rec")[0] == USAGE
    assert run("split", "none.rec", "a=1", "b=1")[0] == USAGE


@pytest.mark.parametrize("package", ["click", "rich"])
def test_a_missing_package_is_named_with_how_to_install_it(run, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    code, _, error = run("info", "data.rec")
    assert code == FILE
    assert error == ("error: the command needs click and rich: pip install 'dsrecords[cli]'\n")


COMMAND = "import sys; from dsrecords._cli.main import script; sys.exit(script())"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(here):
    samples = ({"x": i} for i in range(20_000))
    dsrecords.make_dataset(samples, "long.rec", {"x": "int64"})
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", COMMAND, "head", "long.rec", "-n", "20000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert process.stdout.readline().split() == [b"#", b"x"]
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(300) == exit_codes.CLOSED_PIPE


def test_the_shell_completes_commands_and_fields(here, run, monkeypatch):
    from click.shell_completion import ShellComplete

    complete = ShellComplete(commands(), {}, "dsrecords", "_DSRECORDS_COMPLETE")
    assert [item.value for item in complete.get_completions([], "s")] == [
        "sample",
        "schema",
        "select",
        "shard",
        "split",
        "stats",
    ]
    line = ["head", "data.rec", "--field"]
    assert [item.value for item in complete.get_completions([*line, "label", "-f"], "")] == list(
        SCHEMA
    )
    assert [item.value for item in complete.get_completions(line, "s")] == ["score"]
    assert complete.get_completions(["head", "nowhere.rec", "--field"], "s") == []
