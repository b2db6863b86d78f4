"""`examples/tour.ipynb`: its cells run, one after another, and print what stands below them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"
MARK = "\x1e"  # printed behind each cell, to tell whose output is whose


def test_the_tour_prints_what_it_shows(tmp_path):
    pytest.importorskip("sklearn")
    cells = [cell for cell in json.loads(TOUR.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    script = tmp_path / "tour.py"
    lines = ["".join(cell["source"]) + f"\nprint({MARK!r}, flush=True)\n" for cell in cells]
    script.write_text("".join(lines))
    command = [sys.executable, "-W", "error:::__main__", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(MARK + "\n")[:-1]
    shown = [
        "".join(
            "".join(output["text"])
            for output in cell["outputs"]
            if output["output_type"] == "stream"
        )
        for cell in cells
    ]
    assert printed == shown
