"""Every line of a shell in docs/command.md runs, in the order of the page, and what the page says of commands is complete."""

import io
import re
import shlex

import numpy as np
from conftest import SOURCE
from PIL import Image

import dsrecords
from dsrecords._cli import exit_codes
from dsrecords._cli.group import commands
from dsrecords._cli.main import main

PAGE = (SOURCE.parent / "docs" / "command.md").read_text(encoding="utf-8")
LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


def rows():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    for i in range(40):
        yield {
            "image": file.getvalue(),
            "label": i % 4,
            "score": i / 40,
            "caption": None if i % 3 else f"a cat {i}",
            "kind": ["cat", "dog"][i % 2],
            "tokens": np.arange(i % 5),
        }


SCHEMA = {
    "image": "jpeg",
    "label": "int64",
    "score": "float32",
    "caption": "str?",
    "kind": "category[cat,dog]",
    "tokens": "int64[*]",
}


def test_the_lines_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dsrecords.make_dataset(rows(), "train.rec", SCHEMA)
    dsrecords.make_dataset(rows(), "other.rec", SCHEMA)
    assert len(LINES) > 20
    for line in LINES:
        name, *arguments = shlex.split(line)
        assert name == "dsrecords"
        assert main(arguments) == exit_codes.FINE, (line, capsys.readouterr().err)


def test_the_page_names_each_command_and_exit_code():
    for name in commands().list_commands(None):
        assert re.search(rf"`{name}`", PAGE), name
        assert f"dsrecords {name} " in PAGE, name
    codes = [value for key, value in vars(exit_codes).items() if key.isupper()]
    assert len(codes) == 6
    for code in codes:
        assert re.search(rf"^\| {code} \|", PAGE, re.MULTILINE), code
