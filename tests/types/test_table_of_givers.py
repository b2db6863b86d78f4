"""What each package gives to a field of each type comes back equal, or is refused; docs/formats.md has the table."""

import pytest
from conftest import large

for package in ("av", "jax", "ml_dtypes", "msgpack", "pandas", "pyarrow", "soundfile", "torch"):
    large(package)

import givers  # noqa: E402  it imports all of them

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("error")]


@pytest.mark.parametrize("label", givers.ROWS)
def test_a_value_is_equal_or_refused(label):
    outcomes = givers.outcomes(label)
    surprises = [
        (giver, form, outcome)
        for giver, tried in outcomes.items()
        for form, outcome in tried
        if outcome not in (givers.EQUAL, givers.REFUSED)
    ]
    assert surprises == []
    assert givers.EQUAL in givers.cells(label)  # else the type takes nothing at all


def test_the_page_has_the_table():
    assert givers.on_the_page() == givers.table()
