"""Without the package of a framework, its module says what to install, and nothing else needs it."""

import pytest
from conftest import python

import dsrecords


@pytest.mark.parametrize("name", ["torch", "grain", "ray"])
def test_a_missing_package_is_an_error_that_says_what_to_install(name):
    said = python(
        f"""
import sys
sys.modules[{name!r}] = None  # as if it were not installed
import dsrecords
try:
    dsrecords.{name}
except ImportError as error:
    print(error, "|", error.name)
"""
    )
    assert said == f"this needs the package {name}: pip install 'dsrecords[{name}]' | {name}\n"


def test_a_star_hides_no_package_behind_ours():
    assert not {"torch", "grain", "ray"} & set(dsrecords.__all__)


def test_nothing_else_imports_the_packages():
    loaded = python("import sys, dsrecords; print({'torch', 'grain', 'ray'} & set(sys.modules))")
    assert loaded == "set()\n"
