"""The viewer over many files: patterns, folders, manifests, and views of them, wherever they lie."""

import numpy as np
import pytest
from conftest import large
from viewing import shown

import dsrecords

pytestmark = pytest.mark.large
pytest_plugins = ["browsers"]

SCHEMA = {"n": "int64", "text": "str"}
FILES = 3
EACH = 40
COUNT = FILES * EACH


def row(n):
    return {"n": n, "text": f"text {n}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files of one dataset and a manifest of them, in a folder with a name that is awkward."""
    large("starlette")
    folder = tmp_path_factory.mktemp("many") / "a folder, naïve & 100%"
    folder.mkdir()
    for k in range(FILES):
        rows = map(row, range(k * EACH, (k + 1) * EACH))
        dsrecords.make_dataset(rows, folder / f"data-{k + 8}.rec", SCHEMA)  # 8, 9, 10
    parts = [folder / f"data-{k + 8}.rec" for k in range(FILES)]
    dsrecords.merge(parts, folder / "all.json")
    return folder


def numbers(page):
    """The numbers of the first rows, as the table shows them."""
    page.locator(".row .number").nth(2).wait_for()
    return [int(text) for text in page.locator(".row .number").all_inner_texts()]


@pytest.mark.parametrize("name", ["data-*.rec", "", "all.json"])
def test_many_files_are_shown_as_one_from_any_folder(other_page, folder, name):
    page = other_page
    with shown(page, folder / name if name else folder):
        assert page.inner_text("#count") == f"{COUNT} records"
        assert numbers(page)[:3] == [0, 1, 2]
        page.fill("#goto", str(2 * EACH + 7))
        page.keyboard.press("Enter")
        page.locator("#record").get_by_text("text 87", exact=True).wait_for()
        page.locator("#record").get_by_text("it is in").wait_for()
        page.fill("#filter", "n > 38 and n < 42")  # in two files
        page.locator("#count", has_text=f"3 of {COUNT} records").wait_for()
        page.fill("#filter", "")
        page.fill("#find", "text 119")
        page.locator("#count", has_text=f"1 of {COUNT} records").wait_for()
        assert page.locator(".damaged").count() == 0
        assert page.inner_text("#message") == ""


def test_a_relative_pattern_means_files_of_the_current_folder(other_page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with shown(other_page, "data-*.rec"):
        assert other_page.inner_text("#count") == f"{COUNT} records"


def positions_of(page, frame, count):
    page.goto("about:blank")
    page.goto(frame.address)
    page.locator("#count", has_text=f"{count} of {COUNT} records").wait_for()
    return numbers(page)


@pytest.mark.parametrize("name", ["all.json", "data-*.rec"])
def test_a_saved_view_of_many_files_is_shown_in_a_notebook(other_page, folder, tmp_path, name):
    path = str(folder / name)
    wanted = [100, 3, 41, 40, 99]
    with dsrecords.open(path) as ds:
        ds[wanted].save_view(tmp_path / "some.view")
    with dsrecords.open(path, index_path=tmp_path / "some.view") as view:
        for shown_view, positions in ((view, wanted), (view[[4, 0, 1]], [99, 100, 3])):
            frame = shown_view.view()
            try:
                assert positions_of(other_page, frame, len(positions)) == positions
            finally:
                other_page.goto("about:blank")
                frame.close()


def test_records_that_came_after_a_dataset_was_opened_are_not_counted(other_page, tmp_path):
    paths = [str(tmp_path / f"{k}.rec") for k in range(2)]
    for k, path in enumerate(paths):
        dsrecords.make_dataset(map(row, range(k * 60, k * 60 + 60)), path, SCHEMA)
    with dsrecords.open(paths) as ds:
        with dsrecords.open(paths[0]) as first:
            first.append(row(1000))
        frame = ds[np.array([59, 60, 61])].view()
        try:
            assert positions_of(other_page, frame, 3) == [59, 60, 61]
        finally:
            other_page.goto("about:blank")
            frame.close()
