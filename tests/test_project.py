"""The project holds together: one version, names exported, a small core, no path of one machine."""

import ast
import inspect
import io
import os
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

import dsrecords

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dsrecords"
WITH_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef)
MODULES = sorted(PACKAGE.rglob("*.py"))


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def lines_of_code(path):
    """Lines that hold code: no docstrings, comments, or blank lines."""
    text = path.read_text(encoding="utf-8")
    texts = [node.body[0] for node in ast.walk(ast.parse(text)) if isinstance(node, WITH_DOCSTRINGS) and ast.get_docstring(node)]
    docstrings = {line for text in texts for line in range(text.lineno, text.end_lineno + 1)}
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for token in tokens if token.type not in layout for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - docstrings)


def test_version_is_the_newest_of_the_changelog():
    # pyproject.toml has none of its own: the build reads __version__, and the smoke test compares what was installed.
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d\S*) - \d{4}-\d\d-\d\d$", changes, re.MULTILINE)
    assert newest, "CHANGELOG.md has no heading like `## 1.0.0 - 2026-11-22`"
    assert newest[1] == dsrecords.__version__
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_all_is_sorted_and_names_each_public_thing_once():
    assert list(dsrecords.__all__) == sorted(set(dsrecords.__all__))
    missing = [name for name in dsrecords.__all__ if not hasattr(dsrecords, name)]
    assert not missing
    public = {name for name, value in vars(dsrecords).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert public <= set(dsrecords.__all__)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


# What it takes to write a dataset and to read it as a list: the two files, opening, reading, writing. (docs/design.md says more.)
CORE = ("__init__", "dataset", "errors", "_builder", "_files", "_frame", "_index", "_log", "_reader", "_selection", "_sequence",
        "_state", "_writer")  # fmt: skip
# Many records at once: what the core could do one by one, several times faster.
MANY = ("_columns", "_gather", "_heads", "_prefetch")


def test_core_stays_small():
    # A change that needs more than this has to take something away first.
    sizes = {path.stem: lines_of_code(path) for path in MODULES}
    assert sum(sizes[name] for name in CORE) < 2000, sizes
    assert sum(sizes[name] for name in (*CORE, *MANY)) < 2400, sizes
    assert sum(sizes.values()) < 5200, sizes


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_has_at_most_400_lines(module):
    assert lines_of(module) <= 400


def test_no_file_names_a_path_of_one_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    # Also files that are about to be added, so that the fault shows before the commit that makes it.
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    assert PACKAGE / "__init__.py" in files
    place = re.compile(rb"/(?:home|Users)/\w+/|/roo[t]/|[A-Z]:\\Users\\|" + re.escape(os.fsencode(ROOT)) + rb"/")
    found = {str(path): hit[0] for path in files if (hit := place.search(path.read_bytes()))}
    assert not found


def test_the_table_of_modules_in_the_readme_is_whole():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The modules")[2]
    assert set(re.findall(r"`(\w+\.py)`", table)) == {path.name for path in MODULES}
