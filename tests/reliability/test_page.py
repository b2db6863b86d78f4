"""docs/reliability.md lists each planted defect and what catches it."""

import re
from pathlib import Path

import test_checkpoints
import test_concurrency
import test_damage
import test_events_model
import test_fuzz
import test_gallery
import test_kills
import test_mixtures
import test_power_loss
import test_salvage
import test_state_machine
import test_system_errors

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PLANTED = {
    "test_power_loss.py": test_power_loss.DEFECTS,
    "test_system_errors.py": test_system_errors.DEFECTS,
    "test_damage.py": (*test_damage.DEFECTS, *test_damage.MORE_DEFECTS),
    "test_mixtures.py": test_mixtures.DEFECTS,
    "../write/test_checkpoints.py": test_checkpoints.DEFECTS,
    "test_kills.py": test_kills.DEFECTS,
    "test_concurrency.py": test_concurrency.DEFECTS,
    "../dataset/test_state_machine.py": test_state_machine.DEFECTS,
    "../attacks/test_gallery.py": test_gallery.DEFECTS,
    "test_fuzz.py": test_fuzz.DEFECTS,
    "test_salvage.py": test_salvage.DEFECTS,
    "test_events_model.py": test_events_model.DEFECTS,
}


def table():
    rows = [
        f"| {defect} | `tests/reliability/{file}` |"
        for file, defects in PLANTED.items()
        for defect in defects
    ]
    return "\n".join(["| planted | caught by |", "| --- | --- |", *rows]).replace(
        "reliability/../", ""
    )


def test_the_page_lists_the_planted_defects():
    listed = re.search(
        r"<!-- planted defects -->\n(.*?)<!-- end", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert listed[1].strip() == table()


def test_no_row_of_figures_is_empty():
    rows = re.findall(r"^\|[^|]*`(\w+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, rest in rows if not rest.replace("|", "").strip()] == []
