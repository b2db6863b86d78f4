"""What each type becomes in other packages' tables, and which come back; docs/tables.md has the table."""

import pytest
from conftest import large
from sameness import same

for package in ("datasets", "duckdb", "pandas", "polars", "pyarrow"):
    large(package)

import mappings  # noqa: E402  it imports all of them

import dsrecords  # noqa: E402

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("error")]


@pytest.mark.parametrize("kind", mappings.ROWS)
def test_every_type_comes_back_from_arrow(kind):
    assert mappings.outcomes("Arrow", kind) == [mappings.EQUAL, mappings.EQUAL]


@pytest.mark.parametrize("package", ["pandas", "Polars", "DuckDB"])
def test_what_comes_back_as_the_same_type_has_the_same_values(package):
    for kind in mappings.ROWS:
        mappings.outcomes(package, kind)  # asserts it


# In a DataFrame a float that is None is NaN, and NaN is a float; Arrow has no unit for the others.
NOT_FROM_PANDAS = (
    "float",
    "bfloat16",
    "complex",
    "datetime64[ps]",
    "timedelta64[Y]",
    "timedelta64[ps]",
)


@pytest.mark.parametrize(
    "kind", [kind for kind in mappings.ROWS if not kind.startswith(NOT_FROM_PANDAS)]
)
def test_with_a_schema_values_come_back_from_pandas(kind, tmp_path):
    for stated, values in (
        (kind, mappings.ROWS[kind]),
        (f"{kind}?", mappings.with_none(mappings.ROWS[kind])),
    ):
        ds = mappings.dataset_of(stated, values, tmp_path)
        path, _ = dsrecords.make_dataset(
            ds.to_pandas(), tmp_path / "back.rec", ds.schema, overwrite=True
        )
        found, wanted = mappings.decoded(path), mappings.decoded(tmp_path / "given.rec")
        assert found[0] == wanted[0] and same(found[1], wanted[1])


def test_the_page_has_the_table():
    assert mappings.on_the_page() == mappings.table()
