"""The project holds together: one version, names exported, a small core, no path of one machine."""

import inspect
import os
import re
import subprocess
from pathlib import Path

import pytest

import dsrecords

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dsrecords"


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
    public = {
        name
        for name, value in vars(dsrecords).items()
        if name[0] != "_" and not inspect.ismodule(value)
    }
    assert public <= set(dsrecords.__all__)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_no_file_names_a_path_of_one_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    # Also files that are about to be added, so that the fault shows before the commit that makes it.
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    assert PACKAGE / "__init__.py" in files
    place = re.compile(
        rb"/(?:home|Users)/\w+/|/roo[t]/|[A-Z]:\\Users\\|" + re.escape(os.fsencode(ROOT)) + rb"/"
    )
    found = {str(path): hit[0] for path in files if (hit := place.search(path.read_bytes()))}
    assert not found
