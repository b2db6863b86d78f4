"""What only a terminal gets: tables as wide as it is, pictures, and a line that says how far it is."""

import io
import re
import sys

import numpy as np
import pytest
from rich.console import Console

import dsrecords
from dsrecords._cli import busy, output
from dsrecords._cli.busy import Busy
from dsrecords._cli.output import Sheet, text
from dsrecords._cli.pictures import half_blocks


def printed_on(sheet, width):
    file = io.StringIO()
    sheet.render_on(Console(file=file, width=width))
    return file.getvalue().splitlines()


def filled():
    sheet = Sheet(["#", "caption", "score"], right=["#"])
    for i in range(3):
        sheet.add([text(str(i)), text("a long caption " * 10), text("0.25")])
    return sheet


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_is_as_wide_as_the_terminal_and_keeps_what_is_short(width):
    lines = printed_on(filled(), width)
    rows = [line for line in lines if "a long" in line]
    assert len(rows) == 3
    assert max(map(len, lines)) <= width
    for number, row in enumerate(rows):
        assert row.split()[0] == str(number)
        assert row.rstrip().endswith("0.25")
        assert ("…" in row) == (width < 160)


def test_more_columns_than_fit_do_not_raise():
    sheet = Sheet([f"field {i}" for i in range(50)])
    sheet.add([text("value")] * 50)
    assert printed_on(sheet, 40)


def test_a_picture_is_as_wide_as_its_lines():
    sheet = Sheet(["image", "x"])
    sheet.add([half_blocks(np.zeros((20, 24, 3), np.uint8)), text("y")])
    lines = printed_on(sheet, 60)
    assert sum("▀" * 24 in line for line in lines) == 10


def test_text_is_never_taken_for_markup():
    sheet = Sheet(["[red]x[/red]"])
    sheet.add([text("[bold]y[/bold] :smile:")])
    lines = "\n".join(printed_on(sheet, 60))
    assert "[red]x[/red]" in lines
    assert "[bold]y[/bold] :smile:" in lines


def test_facts_are_printable(capsys):
    output.facts([("path", "a\x1b[31m"), ("records", "3")])
    assert capsys.readouterr().out.splitlines() == ["path     a\\x1b[31m", "records  3"]


class Terminal(io.StringIO):
    """An error stream that says it is a terminal, and when something was written."""

    def isatty(self):
        return True


def shown_while(monkeypatch, line):
    """What a line shows that is looked at once, at once."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(busy, "_PATIENCE", 0.0)
    with line as made:
        while not terminal.getvalue():  # the thread writes; the test's own limit is the end
            made._thread.join(0.01)
    return terminal.getvalue()


def test_a_line_says_how_far_a_file_is(monkeypatch, tmp_path):
    growing = tmp_path / "growing"
    growing.write_bytes(bytes(500_000))
    said = shown_while(monkeypatch, Busy("writing \x1b]0;x", str(growing), 1_000_000))
    assert "writing \\x1b]0;x" in said
    assert " 50%  500 kB of 1 MB" in said
    assert said.endswith("\r\x1b[K")
    assert "500 kB  " in shown_while(monkeypatch, Busy("writing", str(growing)))
    assert re.search(r"reading  \d+ s", shown_while(monkeypatch, Busy("reading")))


def test_nothing_is_shown_of_what_is_quick_or_not_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(busy, "_PATIENCE", 1000.0)
    with Busy("reading"):
        pass
    assert terminal.getvalue() == ""
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(busy, "_PATIENCE", 0.0)
    with Busy("reading") as made:
        assert made._thread is None
    assert pipe.getvalue() == ""


def test_a_bar_names_a_file_without_what_a_terminal_obeys(tmp_path, capsys):
    path = tmp_path / "\x1b[31mred.rec"
    dsrecords.make_dataset([{"x": 1}], path, {"x": "int8"}, progress=True)
    assert dsrecords.open(path).check(decode=True, progress=True) == []
    said = capsys.readouterr().err
    assert "?[31mred.rec" in said
    assert "\x1b[31m" not in said
