"""The code keeps the shape that docs/design.md describes: imports point down, and lines stay plain."""

import ast

import architecture
import density
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def counts():
    folder = architecture.PACKAGE
    return {
        path.relative_to(folder).as_posix(): density.measure(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


def test_every_module_stands_on_a_floor():
    assert {name.split(".")[0] for name in architecture.modules()} == set(architecture.FLOORS)


def test_no_import_points_up():
    assert architecture.upward_imports() == []


def test_no_module_imports_itself_by_way_of_others():
    assert architecture.circles() == []


def test_an_import_that_points_up_is_noticed(monkeypatch):
    monkeypatch.setattr(architecture, "FLOORS", architecture.FLOORS[::-1])
    assert "_read.snapshot imports _format.frame, which stands above it" in (
        architecture.upward_imports()
    )


def test_no_private_attribute_is_reached_from_another_module():
    assert architecture.private_reaches() == []


def test_a_private_attribute_of_another_module_is_noticed(monkeypatch):
    source = "def f(other):\n    return other._secret, other.__class__, f._own\n\nf._own = 1\n"
    monkeypatch.setattr(architecture, "modules", lambda: {"_read.m": ast.parse(source)})
    assert architecture.private_reaches() == ["_read.m, line 2, reaches for other._secret"]


def test_the_table_of_modules_and_the_picture_are_up_to_date():
    assert architecture.problems() == [], "run: python tools/architecture.py"


def test_every_module_says_in_one_sentence_what_it_is_for():
    for line in architecture.table().splitlines()[2:]:
        sentence = line.split("|")[2].strip()
        assert sentence.endswith("."), line


def test_the_code_is_no_denser_than_the_goals(counts):
    total = sum(counts.values(), density.Counter())
    assert density.missed_goals(counts, total) == []


def test_density_counts_code_alone():
    source = '"""A docstring\n\nof three lines."""\n\n# a comment\na, b = 1, 2 if True else 3\n'
    found = density.measure(source)
    assert (found["lines"], found["tuples"], found["ternaries"], found["wide"]) == (1, 1, 1, 0)
    assert found["nodes"] == 12


def test_density_notices_what_misses_the_goals():
    wide = density.measure("x = '" + "a" * 100 + "'\n")
    dense = density.measure("a = [b.c(d, e[f]) for b, d in g if h(d) and not i]\n")
    missed = density.missed_goals({"wide.py": wide, "dense.py": dense}, wide + dense)
    assert [line.split(" has ")[0] for line in missed[:2]] == ["wide.py", "dense.py"]
