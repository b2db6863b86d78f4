"""What the viewer's server does with datasets: changes, views, steps; without a server or a browser."""

import json

import numpy as np
import pytest

import dsrecords
from dsrecords.viewer.editing import Edits, parsed
from dsrecords.viewer.served import served
from dsrecords.viewer.steps import Step, read_steps


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", "int64", 7),
        ("-7", "int8?", -7),
        ("1e3", "float32", 1000.0),
        ("nan", "float64", pytest.approx(float("nan"), nan_ok=True)),
        ("true", "bool", True),
        ("cat", "category[cat,dog]", "cat"),
        ("", "str", ""),
        (None, "str?", None),
        (None, "int64?", None),
        ("2026-11-26", "datetime64[D]", np.datetime64("2026-11-26", "D")),
        ("2026-11-26T10:00", "datetime64[s]?", np.datetime64("2026-11-26T10:00:00", "s")),
        ("12", "timedelta64[ms]", np.timedelta64(12, "ms")),
    ],
)
def test_a_value_is_what_was_typed(text, kind, value):
    assert parsed(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.5", "int64"),
        ("yes", "bool"),
        (None, "int64"),
        ("x", "float32"),
        ("2026-11-26T10:00", "datetime64[D]"),
        ("1", "bytes"),
        ("[1]", "json"),
        ("1", "int64[3]"),
    ],
)
def test_what_is_no_value_of_a_type_is_refused(text, kind):
    with pytest.raises(ValueError, match=r"."):
        parsed(text, kind)


@pytest.fixture
def shards(tmp_path):
    for number in range(2):
        rows = [{"label": 10 * number + i, "text": str(i)} for i in range(3)]
        schema = {"label": "int64", "text": "str"}
        dsrecords.make_dataset(rows, tmp_path / f"s-{number}.rec", schema)
    return tmp_path


def test_changes_of_many_files_go_to_the_file_of_the_record(shards):
    found = served([f"{shards}/s-*.rec"])
    edits = Edits(found, dsrecords.open)
    state = edits.change(0, 4, "label", "-1", 6)
    assert state == {"changes": 1, "next": {"file": 0, "position": 4, "field": "label"}}
    edits.change(0, 0, "text", "new", 6)
    edits.undo()
    edits.close()
    assert dsrecords.open(shards / "s-0.rec").column("text") == ["0", "1", "2"]
    assert dsrecords.open(shards / "s-1.rec").column("label").tolist() == [10, -1, 12]
    with pytest.raises(ValueError, match="one data file"):
        edits.view(0, [1])


def test_all_changes_are_undone_in_their_order(shards):
    edits = Edits(served([str(shards / "s-0.rec")]), dsrecords.open)
    for text in ("5", "6", "7"):
        edits.change(0, 1, "label", text, 3)
    for wanted in (6, 5, 1):
        edits.undo()
        assert dsrecords.open(shards / "s-0.rec")[1, "label"] == wanted
    with pytest.raises(ValueError, match="nothing to undo"):
        edits.undo()
    edits.close()


def test_a_dataset_that_lost_records_since_is_not_changed(shards):
    edits = Edits(served([str(shards / "s-0.rec")]), dsrecords.open)
    with dsrecords.open(shards / "s-0.rec") as ds:
        del ds[0]
    with pytest.raises(ValueError, match="2 records now: reload the page"):
        edits.change(0, 1, "label", "5", 3)
    edits.close()
    assert dsrecords.open(shards / "s-0.rec").column("label").tolist() == [1, 2]


def test_a_manifest_and_a_saved_view_are_only_shown(shards):
    rows = [{"label": i} for i in range(4)]
    dsrecords.make_dataset(rows, shards / "many.json", {"label": "int64"}, shards=2)
    ds = dsrecords.open(shards / "s-0.rec")
    ds[[2, 0]].save_view(shards / "v.idx")
    for found in (
        served([str(shards / "many.json")]),
        served([str(shards / "s-0.rec")], str(shards / "v.idx")),
    ):
        with pytest.raises(ValueError, match="only shown"):
            Edits(found, dsrecords.open).change(0, 0, "label", "1", 2)
    saved = Edits(found, dsrecords.open).view(0, [1])  # of a view
    (shards / "w.idx").write_bytes(saved)
    assert dsrecords.open(shards / "s-0.rec", index_path=shards / "w.idx")[0, "label"] == 0
    with pytest.raises(ValueError, match="one data file"):
        served([str(shards / "many.json")], str(shards / "v.idx"))


def test_steps_are_read_as_loaders_write_them(tmp_path):
    path = tmp_path / "batches.json"
    rows = [{"x": i} for i in range(20)]
    dsrecords.make_dataset(rows, tmp_path / "x.rec", {"x": "int64"})
    loader = dsrecords.Loader(dsrecords.open(tmp_path / "x.rec"), 4, shuffle=True)
    batches = {step: loader.indices(step).tolist() for step in (1, 3)}
    path.write_text(json.dumps(batches))
    assert read_steps(str(path)) == [Step("1", batches[1]), Step("3", batches[3])]
    path.write_text("[[1, 2], [3]]")
    assert read_steps(str(path)) == [Step("0", [1, 2]), Step("1", [3])]
    path.write_text("[4, 5]")
    assert read_steps(str(path)) == [Step("0", [4, 5])]


@pytest.mark.parametrize(
    "text", ["", "7", "{}", '{"1": 7}', "[-1]", "[1.5]", "[true]", "[[1], 2]", "[" * 10**5]
)
def test_a_step_file_of_something_else_is_refused(text, tmp_path):
    path = tmp_path / "batches.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"batches\.json"):
        read_steps(str(path))
