"""The first API: these three snippets run as they stand, in an empty folder, each in a process of its own."""

import os
import subprocess
import sys

import pytest
from conftest import SOURCE, python

pytestmark = pytest.mark.slow

IMPORT = "from dsrecords import io, make_dataset, IndexedRecordDataset\n"
VALUES = "xs, ys, zs = [0.5, 1.5, 2.5], [-1.0, 0.0, 1.0], [1, 2, 3]\n"

MAKE = """
output_path, index_path = make_dataset(zip(xs, ys, zs), "my_data.rec", [io.save_float, io.save_float, io.save_int])
"""
APPEND = """
data = IndexedRecordDataset("my_other.rec", serializers=[io.save_float, io.save_float, io.save_int])
for x, y, z in zip(xs, ys, zs): data.append([x, y, z])
"""
LOAD = """
data = IndexedRecordDataset("my_data.rec", deserializers=[io.load_float, io.load_float, io.load_int]); print(data[0])
"""
COUNT = "print(len(data), list(data))"
ALL = "3 [(0.5, -1.0, 1), (1.5, 0.0, 2), (2.5, 1.0, 3)]\n"


def test_make_a_dataset_and_load_it_in_another_process(tmp_path):
    assert (
        python(IMPORT + VALUES + MAKE + "print(output_path, index_path)", cwd=tmp_path)
        == "my_data.rec my_data.idx\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["my_data.idx", "my_data.rec"]
    assert python(IMPORT + LOAD, cwd=tmp_path) == "(0.5, -1.0, 1)\n"
    assert python(IMPORT + LOAD + COUNT, cwd=tmp_path) == "(0.5, -1.0, 1)\n" + ALL


def test_make_and_load_in_one_process(tmp_path):
    assert python(IMPORT + VALUES + MAKE + LOAD + COUNT, cwd=tmp_path) == "(0.5, -1.0, 1)\n" + ALL


def test_making_it_a_second_time_says_that_it_is_there(tmp_path):
    python(IMPORT + VALUES + MAKE, cwd=tmp_path)
    again = f"\ntry: {MAKE.strip()}\nexcept FileExistsError as error: print(error)"
    assert "overwrite=True" in python(IMPORT + VALUES + again, cwd=tmp_path)
    assert python(IMPORT + LOAD, cwd=tmp_path) == "(0.5, -1.0, 1)\n"


def test_appending_creates_the_files_and_goes_on_where_it_ended(tmp_path):
    assert python(IMPORT + VALUES + APPEND + COUNT, cwd=tmp_path) == ALL
    assert sorted(os.listdir(tmp_path)) == ["my_other.idx", "my_other.rec"]
    assert (
        python(IMPORT + VALUES + APPEND + "print(len(data), data[5])", cwd=tmp_path)
        == "6 (2.5, 1.0, 3)\n"
    )


@pytest.mark.parametrize("closing", ["", "data.close()"])
def test_what_was_appended_is_seen_in_the_same_process(tmp_path, closing):
    read = LOAD.replace("my_data", "my_other")
    assert (
        python(IMPORT + VALUES + APPEND + closing + read + COUNT, cwd=tmp_path)
        == "(0.5, -1.0, 1)\n" + ALL
    )


def test_what_was_appended_is_seen_by_another_process_while_the_first_goes_on(tmp_path):
    wait = "\nprint('appended', flush=True); input(); data.append([9.0, 9.0, 9]); print('appended', flush=True); input()"
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n" + IMPORT + VALUES + APPEND + wait
    read = IMPORT + LOAD.replace("my_data", "my_other") + COUNT
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-W", "error", "-c", code], **pipes) as writer:
        assert writer.stdout.readline() == "appended\n"
        assert python(read, cwd=tmp_path) == "(0.5, -1.0, 1)\n" + ALL
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "appended\n"
        assert python(read, cwd=tmp_path).endswith(", (9.0, 9.0, 9)]\n")
        writer.kill()
    assert python(read, cwd=tmp_path).endswith(", (9.0, 9.0, 9)]\n")
    assert python(IMPORT + VALUES + APPEND + "print(len(data))", cwd=tmp_path) == "7\n"


def test_these_files_open_without_deserializers(tmp_path):
    python(IMPORT + VALUES + MAKE, cwd=tmp_path)
    code = "import dsrecords; data = dsrecords.open('my_data.rec'); print(data.schema); " + COUNT
    assert python(code, cwd=tmp_path) == "['float32', 'float32', 'int32']\n" + ALL
