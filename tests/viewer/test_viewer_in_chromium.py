"""The viewer in a real browser: `dsrecords view` in a process of its own, Chromium driven by Playwright."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import many_records
import numpy as np
import pytest
import ranges
from conftest import SOURCE, flip, large
from viewing import PATIENCE, Server, answer, opened, shown

import dsrecords

pytestmark = pytest.mark.large
pytest_plugins = ["browsers"]

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = "<img src=x onerror='document.title=1'><script>document.title=2</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=3"><script>1</script></svg>'


def samples(count):
    rng = np.random.default_rng(0)
    for i in range(count):
        yield {
            "image": np.full((16, 32, 3), i % 256, np.uint8),
            "boxes": np.array([[2, 3, 20, 12]], np.float32),
            "label": i % 7,
            "kind": "ab"[i % 2],
            "score": float(rng.random()),
            "caption": HOSTILE if i % 5 == 0 else f"caption {i}",
            "meta": {HOSTILE: [HOSTILE], "n": i},
        }


SCHEMA = {
    "image": "png",
    "boxes": "float32[*,4]",
    "label": "int64",
    "kind": "category[a,b]",
    "score": "float32",
    "caption": "str",
    "meta": "json",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    large("starlette")
    folder = tmp_path_factory.mktemp("viewed")
    dsrecords.make_dataset(samples(50), folder / "pictures.rec", SCHEMA, metadata={"by": HOSTILE})
    hostile = {HOSTILE: "str", "file": "file", "bytes": "bytes"}
    rows = [{HOSTILE: HOSTILE, "file": dsrecords.StoredFile(SVG, ".svg"), "bytes": SVG}] * 3
    dsrecords.make_dataset(rows, folder / "hostile.rec", hostile)
    numbers = ({"x": i, "half": i / 2} for i in range(20_000))
    dsrecords.make_dataset(numbers, folder / "numbers.rec", {"x": "int32", "half": "float32?"})
    shutil.copy(folder / "pictures.rec", folder / "damaged.rec")
    shutil.copy(folder / "pictures.idx", folder / "damaged.idx")
    with dsrecords.open(folder / "damaged.rec") as ds:
        caption = ds[3, "caption"].encode()
    at = (folder / "damaged.rec").read_bytes().index(caption)
    flip(folder / "damaged.rec", at)
    return folder


@pytest.fixture(scope="module")
def server(made):
    names = [made / f"{name}.rec" for name in ("pictures", "numbers", "damaged", "hostile")]
    server = Server(*names)
    yield server
    assert server.stop() == 0  # Ctrl-C ends it, without an error


@pytest.fixture
def page(browser, server):
    """A page that must ask no other host, run no script of a dataset's, and log no error."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(PATIENCE)
    asked, problems = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    yield page
    page.close()
    allowed = (server.address, "blob:", "data:", "file:", "about:")
    assert [url for url in asked if not url.startswith(allowed)] == []
    assert problems == []


def copied(made, folder, name="pictures"):
    for ending in ("rec", "idx"):
        shutil.copy(made / f"{name}.{ending}", folder / f"{name}.{ending}")
    return folder / f"{name}.rec"


def test_pictures_are_tiles_with_boxes_and_a_click_shows_all_of_a_record(page, server):
    opened(page, server)
    page.locator(".tile img").first.wait_for()
    page.locator(".tile svg.over rect").first.wait_for(state="attached")
    page.locator(".tile").nth(1).click()
    record = page.locator("#record")
    record.get_by_role("heading", name="Record 1", exact=True).wait_for()
    record.get_by_text("caption 1").wait_for()
    record.get_by_text("The checksum of its head is right").wait_for()
    assert "i=1" in page.url


def test_nothing_in_a_dataset_is_run_as_code(page, server):
    opened(page, server, 0, "&i=0")
    page.locator("#record").get_by_text("<script>").first.wait_for()
    page.locator("#about").click()
    page.locator("#fields").get_by_text("<script>").first.wait_for()
    assert page.locator("script").count() == 2
    assert page.locator("[onerror], [onload]").count() == 0
    assert page.title() == "pictures.rec · DSRecords"
    opened(page, server, 3, "&i=0")
    page.locator("#record").get_by_text("bytes").first.wait_for()
    assert page.title() == "hostile.rec · DSRecords"
    assert page.locator("#record svg").count() == 0


def test_a_filter_counts_and_shows_those_that_fulfil_it(page, server):
    opened(page, server, 1)
    page.fill("#filter", "x >= 100 and (x < 103 or half == 9999.5)")
    page.locator("#count", has_text="4 of 20,000 records").wait_for()
    cells = page.locator(".row .position")
    assert [text.strip() for text in cells.all_inner_texts()][1:] == ["100", "101", "102", "19,999"]
    page.fill("#filter", "x >")
    page.locator("#message", has_text="is missing").wait_for()
    page.fill("#filter", "constructor == 3")
    page.locator("#message", has_text="no field constructor").wait_for()


def test_the_order_of_a_seed_is_that_of_python(page, server):
    opened(page, server, 1, "&seed=5")
    wanted = [f"{i:,}" for i in list(dsrecords.Permutation(20_000, 5)[:3])]
    page.locator(".row .position", has_text=wanted[0]).first.wait_for()
    texts = [text.strip() for text in page.locator(".row .position").all_inner_texts()]
    assert texts[1:4] == wanted


def test_sorting_and_searching(page, server):
    opened(page, server, 1)
    page.select_option("#sort", label="x ↓")
    page.locator(".row .position", has_text="19,999").first.wait_for()
    opened(page, server, 0, "&view=table")
    page.fill("#find", "CAPTION 4")
    page.locator("#count", has_text=" of 50 records").wait_for()
    assert page.inner_text("#count") == "9 of 50 records"  # 4, 41 to 44, 46 to 49


def test_values_are_counted_and_a_click_on_a_bar_filters(page, server):
    opened(page, server)
    page.click("#about")
    page.locator("#fields section", has_text="category").get_by_role("button").click()
    page.locator(".fact", has_text="a").first.click()
    page.locator("#count", has_text="25 of 50 records").wait_for()
    assert page.input_value("#filter") == 'kind == "a"'


def test_damage_is_shown_where_it_is_and_the_rest_is_readable(page, server, made):
    opened(page, server, 2, "&view=table&i=3")
    page.locator("#record .damaged", has_text="the checksum is wrong").wait_for()
    assert page.locator("#record .damaged").count() == 1
    page.locator("#record section", has_text="label").get_by_text("3", exact=True).wait_for()
    page.locator(".row", has_text="CorruptError").wait_for()
    assert page.locator("#list .row .damaged").count() == 1
    page.click("#about")
    page.click("text=Check all records")
    page.locator("#fields", has_text="1 of 50 records are damaged").wait_for()
    (error,) = dsrecords.open(made / "damaged.rec").check()
    said = page.locator("#fields button.damaged").inner_text()
    assert said.startswith(f"CorruptError: {server.address}data/2/damaged.rec, record 3, field ")
    assert (error.record, error.field) == (3, "caption")
    assert f"byte {error.offset}" in said
    page.locator("#fields button.damaged").click()
    page.get_by_role("heading", name="Record 3", exact=True).wait_for()


def test_keys_alone_lead_everywhere(page, server):
    opened(page, server)
    for key, wanted in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        page.get_by_role("heading", name=f"Record {wanted}", exact=True).wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#record").is_hidden()
    page.keyboard.press("f")
    page.keyboard.type("label == 6")
    page.locator("#count", has_text="7 of 50").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.get_by_role("heading", name="Record 6", exact=True).wait_for()


def test_a_long_list_is_scrolled_to_its_end(page, server):
    opened(page, server, 1)
    page.locator(".row").nth(3).wait_for()
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    page.locator(".row .position", has_text="19,999").wait_for()
    assert page.locator("#list .row").count() < 60


def test_every_type_of_the_suite_is_shown(browser, page, server):
    manifest = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))
    names = [case["log"] for case in manifest["cases"] if "/" not in case["log"]]
    every = Server(*(GOLDEN / name for name in names))
    shown = browser.new_page()
    shown.set_default_timeout(PATIENCE)
    try:
        for number, name in enumerate(names):
            shown.goto(f"{every.address}#file={number}&i=0")
            shown.reload()
            shown.locator("#count", has_text="records").wait_for()
            if shown.inner_text("#count") == "0 records":
                continue
            shown.get_by_role("heading", name="Where it lies").wait_for()
            assert shown.locator(".damaged").all_inner_texts() == [], name
    finally:
        shown.close()
        every.stop()


def test_a_wide_table_scrolls_sideways_in_a_narrow_window(other_page, tmp_path):
    page = other_page
    names = [f"field_{k}" for k in range(12)]
    rows = [{name: f"{name} of {i}" for name in names} for i in range(40)]
    dsrecords.make_dataset(rows, tmp_path / "wide.rec", dict.fromkeys(names, "str"))
    page.set_viewport_size({"width": 390, "height": 780})
    with shown(page, tmp_path / "wide.rec"):
        page.locator(".row", has_text="field_11 of 0").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.evaluate("document.getElementById('list').scrollLeft = 1e5")
        page.wait_for_timeout(200)
        cell = page.get_by_role("cell", name="field_11 of 0", exact=True).bounding_box()
        head = page.get_by_role("columnheader", name="field_11").bounding_box()
        assert cell["x"] == head["x"]
        assert 0 < cell["x"] < 390 - 100


def test_on_a_phone_the_tools_are_behind_a_button_that_keys_open(browser, server):
    page = browser.new_page(viewport={"width": 390, "height": 780}, bypass_csp=True)
    page.set_default_timeout(PATIENCE)
    opened(page, server)
    page.locator(".tile img").first.wait_for()
    assert page.locator("#list").bounding_box()["y"] < 780 / 10
    tools = page.get_by_role("button", name="Tools")
    assert tools.get_attribute("aria-expanded") == "false"
    assert page.locator("#filter").is_hidden()
    tools.focus()
    page.keyboard.press("Enter")
    assert tools.get_attribute("aria-expanded") == "true"
    assert page.locator("#filter").is_visible()
    assert serious_of(page) == []
    page.keyboard.press("Space")
    assert page.locator("#filter").is_hidden()
    page.locator("#list").focus()
    page.keyboard.press("f")
    page.keyboard.type("label == 6")
    page.locator("#count", has_text="7 of 50").wait_for()
    page.set_viewport_size({"width": 1200, "height": 800})
    assert tools.is_hidden()
    assert page.locator("#filter").is_visible()
    page.close()


def test_an_empty_dataset_says_so_and_how_records_are_added(other_page, tmp_path):
    page = other_page
    dsrecords.make_dataset([], tmp_path / "new.rec", {HOSTILE: "str", "label": "int64"})
    dsrecords.make_dataset([], tmp_path / "bare.rec", ("str", "int64"))
    with shown(page, tmp_path / "new.rec", tmp_path / "bare.rec"):
        none = page.locator("#none")
        none.get_by_text("This dataset is empty").wait_for()
        code = (
            f'with dsrecords.open("new.rec") as ds:\n    ds.append({{"{HOSTILE}": …, "label": …}})'
        )
        assert none.locator("code").inner_text().endswith(code)
        assert page.title() == "new.rec · DSRecords"
        assert page.locator("#list").is_hidden()
        page.select_option("#file", value="1")
        none.get_by_text("ds.append((…, …,))").wait_for()


def test_a_filter_that_nothing_fulfils_says_so(page, server):
    opened(page, server)
    page.fill("#filter", "label > 100")
    page.locator("#none", has_text="No record").wait_for()
    page.fill("#filter", "label == 6")
    page.locator("#count", has_text="7 of 50").wait_for()
    page.locator(".tile img").first.wait_for()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def static(folder):
    """The address of a server of files that knows nothing of datasets, nor of ranges."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_reader_passes_the_suite_in_a_browser(other_page):
    with static(SOURCE.parent) as address:
        other_page.goto(f"{address}/js/test/suite.html")
        found = other_page.evaluate("finished")
    cases = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))["cases"]
    assert found == {"passed": len(cases), "failed": []}


def test_the_page_opens_files_from_disk_without_a_server(page, made):
    page.goto((SOURCE / "dsrecords" / "viewer" / "viewer.html").as_uri())
    page.set_input_files("#choose", [made / "pictures.rec", made / "pictures.idx"])
    page.locator("#count", has_text="50 records").wait_for()
    page.locator(".tile img").first.wait_for()
    assert page.inner_text("#message") == ""


def serious_of(page):
    axe = Path(large("axe_playwright_python").__file__).with_name("axe.min.js")
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    violations = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [(one["id"], one["nodes"][0]["html"]) for one in violations]


def test_the_page_on_any_server_opens_what_lies_beside_it(other_page, made, tmp_path):
    copied(made, tmp_path)
    shutil.copy(SOURCE / "dsrecords" / "viewer" / "viewer.html", tmp_path)
    with static(tmp_path) as address:
        other_page.goto(f"{address}/viewer.html?url=pictures.rec#filter=label+%3D%3D+6")
        other_page.locator("#count", has_text="7 of 50 records").wait_for()
        other_page.locator(".tile img").first.wait_for()


def test_positions_and_views_of_ones_own_are_opened_by_the_page(other_page, made, tmp_path):
    page = other_page
    path = copied(made, tmp_path)
    dsrecords.open(path)[[7, 3]].save_view(tmp_path / "view.idx")
    (tmp_path / "positions.json").write_text("[9, 8, 40]")
    page.goto((SOURCE / "dsrecords" / "viewer" / "viewer.html").as_uri())
    page.set_input_files("#choose", [path, path.with_suffix(".idx")])
    page.locator("#count", has_text="50 records").wait_for()
    page.set_input_files("#choose", [tmp_path / "positions.json"])
    page.locator("#count", has_text="3 of 50 records").wait_for()
    page.locator(".tile .words", has_text="9 · ").first.wait_for()
    page.set_input_files("#choose", [tmp_path / "view.idx"])
    page.locator(".tile", has_text="caption 7").first.wait_for()
    assert page.inner_text("#count") == "2 records"


def test_axe_finds_nothing_serious(browser, server, made, tmp_path):
    page = browser.new_page(bypass_csp=True)
    page.set_default_timeout(PATIENCE)
    path = copied(made, tmp_path)
    editing = Server(path, made / "damaged.rec", "--edit")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for more in ("&view=grid&i=1&fields=1", "&view=table&i=1&fields=1"):
            opened(page, server, 0, more)
            page.get_by_role("heading", name="Where it lies").wait_for()
            assert serious_of(page) == []
        opened(page, editing, 0, "&view=table&i=3&compare=1&find=caption&marked=3&fields=1")
        page.locator("#record section.differs").first.wait_for()
        page.get_by_role("button", name="edit label").click()
        page.click("text=Check all records")
        page.locator("#fields", has_text="all checksums are right").wait_for()
        assert serious_of(page) == []
    page.close()
    assert editing.stop() == 0


# Changes, steps, comparisons, views


def test_fields_are_mended_in_place_undone_and_mended_again(other_page, made, tmp_path):
    page = other_page
    path = copied(made, tmp_path)
    with shown(page, path, "--edit"):
        page.keyboard.press("j")
        page.keyboard.press("j")
        section = page.locator("#record section", has_text="int64")
        section.get_by_role("button", name="edit label").click()
        page.keyboard.press("Control+A")
        page.keyboard.type("-5")
        page.keyboard.press("Enter")
        section.get_by_text("-5", exact=True).wait_for()
        assert dsrecords.open(path)[1, "label"] == -5  # at once, while it is open
        section = page.locator("#record section", has_text="category")
        section.get_by_role("button", name="edit kind").click()
        section.get_by_role("combobox").select_option("a")
        section.get_by_role("button", name="Save").click()
        section.get_by_text("a", exact=True).wait_for()
        page.locator("#undo", has_text="Undo kind of record 1 (2)").click()
        page.locator("#undo", has_text="Undo label of record 1 (1)").wait_for()
        page.locator("#record").get_by_role("button", name="edit caption").click()
        page.locator("#record textarea").fill(HOSTILE)
        page.locator("#record section", has_text="caption").get_by_role(
            "button", name="Save"
        ).click()
        page.locator("#record section", has_text="caption").get_by_text(HOSTILE).wait_for()
        section = page.locator("#record section", has_text="int64")
        section.get_by_role("button", name="edit label").click()
        section.get_by_role("textbox").fill("many")
        section.get_by_role("button", name="Save").click()
        section.locator(".damaged", has_text="many").wait_for()
        page.reload()  # what can be undone is known to the server
        page.locator("#undo", has_text="Undo caption of record 1 (2)").wait_for()
    ds = dsrecords.open(path)
    right = dsrecords.open(made / "pictures.rec")
    assert ds.check() == []
    assert (ds[1, "label"], ds[1, "kind"], ds[1, "caption"]) == (-5, "b", HOSTILE)
    assert [ds[i, "label"] for i in (0, 2, 49)] == [right[i, "label"] for i in (0, 2, 49)]


def test_keys_alone_mend_a_label_undo_it_and_mark(other_page, made, tmp_path):
    page = other_page
    path = copied(made, tmp_path, "numbers")
    with shown(page, path, "--edit"):
        page.keyboard.press("j")
        page.get_by_role("heading", name="Record 0", exact=True).wait_for()
        page.keyboard.press("j")
        page.get_by_role("heading", name="Record 1", exact=True).wait_for()
        page.get_by_role("button", name="edit x").wait_for()
        page.keyboard.press("e")
        page.get_by_role("textbox", name="new value of x").wait_for()
        page.keyboard.press("Control+A")
        page.keyboard.type("-77")
        page.keyboard.press("Enter")
        page.locator("#record").get_by_text("-77", exact=True).wait_for()
        assert dsrecords.open(path)[1, "x"] == -77
        page.keyboard.press("u")
        page.locator("#undo").wait_for(state="hidden")
        page.locator("#record .number").get_by_text("1", exact=True).wait_for()
        assert dsrecords.open(path)[1, "x"] == 1
        page.keyboard.press("m")
        page.get_by_role("button", name="Save view of 1 marked").wait_for()
        page.keyboard.press("Escape")
        page.locator("#record").wait_for(state="hidden")
        page.keyboard.press("?")
        page.locator("#fields kbd", has_text="m").wait_for()


def test_marked_records_become_a_view(other_page, made, tmp_path):
    page = other_page
    path = copied(made, tmp_path)
    with shown(page, path):
        assert page.get_by_role("button", name="edit label").count() == 0  # without --edit
        page.locator(".tile", has_text="caption 3").first.click()
        for keys in ("m", "j", "j", "m"):
            page.keyboard.press(keys)
            page.wait_for_timeout(50)
        page.get_by_role("button", name="Save view of 2 marked").wait_for()
        assert "marked=3%2C5" in page.url
        with page.expect_download() as download:
            page.click("#save-marked")
        download.value.save_as(tmp_path / "marked.idx")
        page.check("#only")
        page.locator("#count", has_text="2 of 50 records").wait_for()
        assert download.value.suggested_filename == "pictures.marked.idx"
    view = dsrecords.open(path, index_path=tmp_path / "marked.idx")
    assert [meta["n"] for meta in view.column("meta")] == [3, 5]
    with shown(page, path, "--view", tmp_path / "marked.idx", "--edit"):
        page.locator("#count", has_text="2 records").wait_for()
        page.locator(".tile", has_text="caption 3").first.click()
        page.get_by_role("heading", name="Record 0", exact=True).wait_for()
        assert page.get_by_role("button", name="edit label").count() == 0


def test_the_samples_of_steps_are_shown(other_page, made, tmp_path):
    page = other_page
    steps = tmp_path / "batches.json"
    steps.write_text(json.dumps({"1200": [5, 3, 4000], "1201": [19_999]}))
    with shown(page, made / "numbers.rec", "--step-file", steps):
        page.select_option("#step", label="step 1200")
        page.locator("#count", has_text="3 of 20,000 records").wait_for()
        cells = page.locator(".row .position")
        assert [text.strip() for text in cells.all_inner_texts()][1:] == ["5", "3", "4,000"]
        page.select_option("#step", label="step 1201")
        page.locator("#count", has_text="1 of 20,000 records").wait_for()


def test_two_files_are_compared_record_by_record(other_page, made, tmp_path):
    page = other_page
    path = copied(made, tmp_path)
    with dsrecords.open(path) as ds:
        ds[17, "label"] = 99
        ds[40, "caption"] = "another"
    with shown(page, made / "pictures.rec", path):
        page.select_option("#compare", value="1")
        page.click("#next-difference")
        page.get_by_role("heading", name="Record 17", exact=True).wait_for()
        page.locator("#record section.differs", has_text="99").wait_for()
        assert page.locator("#record section.differs").count() == 1
        page.keyboard.press("d")
        page.get_by_role("heading", name="Record 40", exact=True).wait_for()
        page.locator("#record section.differs", has_text="another").wait_for()
        page.keyboard.press("d")
        page.locator("#message", has_text="no record from 41 on differs").wait_for()


def test_a_link_shows_the_same_again(browser, server, other_page):
    page = opened(other_page, server)
    page.select_option("#view", value="table")
    page.fill("#filter", "label != 2")
    page.locator("#count", has_text="43 of 50").wait_for()
    page.fill("#sample", "20")
    page.locator("#count", has_text="20 of 50").wait_for()
    page.select_option("#by", label="by kind")
    page.select_option("#sort", label="score ↓")
    page.locator(".row").nth(4).click()
    page.keyboard.press("m")
    page.click("#about")
    page.locator("#fields").get_by_role("combobox", name="how boxes").select_option("no")
    page.wait_for_timeout(600)
    second = browser.new_page(viewport={"width": 1200, "height": 800})
    second.set_default_timeout(PATIENCE)
    second.goto(page.url)
    second.locator("#record section").first.wait_for()
    second.locator(".row .number").first.wait_for()
    for selector in ("#count", ".rows", ".heads", "#record h2", "#save-marked", "#fields"):
        texts = [one.locator(selector).all_inner_texts() for one in (page, second)]
        assert texts[0] == texts[1], selector
    first = [one.locator(".row .position").all_inner_texts() for one in (page, second)]
    assert first[0] == first[1]
    second.close()


def test_shares_of_a_sample_are_those_of_the_values(other_page, server):
    page = opened(other_page, server, 0, "&view=table")
    page.fill("#sample", "14")
    page.locator("#count", has_text="14 of 50 records").wait_for()
    page.select_option("#by", label="by label")
    page.locator(".row").nth(14).wait_for()
    names = page.locator(".row.head span").all_inner_texts()
    cells = page.locator(f".row [role=cell]:nth-child({names.index('label') + 1})")
    labels = sorted(str(k) for k in [*range(7), *range(7)])  # of the seven, each has its share
    for _ in range(100):
        if sorted(cells.all_inner_texts()) == labels:
            break
        page.wait_for_timeout(100)
    assert sorted(cells.all_inner_texts()) == labels


OVERLAYS = {
    "image": "png",
    "mask": "uint8[*,*]",
    "outline": "json",
    "keypoints": "float32[*,2]",
    "objects": "json",
}


def test_masks_polygons_and_keypoints_are_drawn_over_pictures(other_page, tmp_path):
    page = other_page
    mask = np.zeros((16, 32), np.uint8)
    mask[4:8, 4:20] = 1
    sample = {
        "image": np.full((16, 32, 3), 40, np.uint8),
        "mask": mask,
        "outline": [[2, 2, 20, 2, 11, 12]],
        "keypoints": np.array([[3, 3], [9, 9]], np.float32),
        "objects": [{"label": HOSTILE, "bbox": [1, 1, 9, 9], "segmentation": [[1, 1, 9, 1, 9, 9]]}],
    }
    dsrecords.make_dataset([sample], tmp_path / "drawn.rec", OVERLAYS)
    with shown(page, tmp_path / "drawn.rec"):
        page.keyboard.press("j")
        record = page.locator("#record .framed").first
        record.locator("circle").nth(1).wait_for(state="attached")
        assert record.locator("canvas.mask").count() == 1
        assert record.locator("rect").count() == 1
        assert record.locator("polygon").count() == 1
        assert record.locator("text").all_text_contents() == [HOSTILE, HOSTILE]
        page.click("#about")
        choice = page.get_by_role("combobox", name="how outline is drawn")
        choice.select_option("polygons")
        page.locator("#record .framed polygon").nth(1).wait_for(state="attached")
        page.get_by_role("combobox", name="how mask is drawn").select_option("no")
        page.locator("#record .framed canvas.mask").wait_for(state="detached")
        choice = page.get_by_role("combobox", name="how objects is drawn")
        assert choice.input_value() == "objects"
        choice.select_option("no")
        page.locator("#record .framed rect").wait_for(state="detached")


def test_words_that_are_searched_are_marked(other_page, server):
    page = opened(other_page, server, 0, "&view=table")
    page.fill("#find", "CAPTION 4")
    page.locator(".row mark", has_text="caption 4").first.wait_for()
    assert set(page.locator(".row mark").all_inner_texts()) == {"caption 4"}


def test_files_of_a_bucket_are_read_by_ranges(other_page, made):
    page = other_page
    bucket = ranges.Bucket(made)
    try:
        with shown(page, f"{bucket.address}numbers.rec"):
            page.locator("#count", has_text="20,000 records").wait_for()
            page.fill("#goto", "12345")
            page.keyboard.press("Enter")
            page.locator("#record").get_by_text("6172.5").wait_for()
        size = (made / "numbers.rec").stat().st_size + (made / "numbers.idx").stat().st_size
        assert sum(length for _, length in bucket.asked) < size
        assert {name for name, _ in bucket.asked} == {"numbers.rec", "numbers.idx"}
    finally:
        bucket.close()


def test_ten_million_records_open_at_any_place(other_page, tmp_path):
    page = other_page
    many_records.write_many(tmp_path / "many.rec")
    with shown(page, tmp_path / "many.rec"):
        page.locator("#count", has_text="10,000,000 records").wait_for()
        page.locator(".row .number").nth(10).wait_for()
        page.fill("#goto", "5000007")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Record 5,000,007").wait_for()
        page.locator("#record").get_by_text("5000007", exact=True).wait_for()
        page.keyboard.press("Escape")
        page.evaluate("document.getElementById('list').scrollTop = 1e9")
        page.locator(".row .position", has_text="9,999,999").wait_for()
        page.locator(".row .number", has_text="9999999").wait_for()
        assert page.locator("#list .row").count() < 60
        page.fill("#goto", "700000")  # in a hole of the file
        page.keyboard.press("Enter")
        page.locator("#record .damaged").first.wait_for()


def test_a_notebook_shows_a_frame(other_page, made):
    with dsrecords.open(made / "numbers.rec") as ds:
        frame = ds[[5, 3, 4000]].view(height=300)
        try:
            assert "height: 300px" in frame._repr_html_()
            other_page.goto("about:blank")
            other_page.goto(frame.address)
            other_page.locator("#count", has_text="3 of 20,000 records").wait_for()
            cells = other_page.locator(".row .position")
            cells.nth(3).wait_for()
            assert [text.strip() for text in cells.all_inner_texts()][1:] == ["5", "3", "4,000"]
        finally:
            other_page.goto("about:blank")
            frame.close()
        whole = ds.view()
        assert answer(whole.address)[0] == 200
        whole.close()
        with pytest.raises(urllib.error.URLError):
            answer(whole.address)


# The server, without a browser


def test_the_server_gives_ranges_of_the_files_that_were_named(server, made):
    data = (made / "numbers.rec").read_bytes()
    address = f"{server.address}data/1/numbers.rec"
    for asked, start, stop in (("0-7", 0, 8), ("5-", 5, len(data)), ("10-99999999", 10, len(data))):
        status, headers, body = answer(address, Range=f"bytes={asked}")
        assert (status, body) == (206, data[start:stop])
        assert headers["content-range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    assert answer(address)[2] == data
    assert answer(address, Range=f"bytes={len(data)}-")[0] == 416
    assert answer(address, Range="bytes=7-3")[0] == 416
    assert answer(address, Range="bytes=nonsense")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "data/0/../../etc/passwd",
        "data/0/%2e%2e/numbers.rec",
        "data/9/pictures.rec",
        "data//etc/passwd",
        "data/0/pictures.json",
        "x",
    ],
)
def test_the_server_gives_nothing_else(server, path):
    assert answer(server.address + path)[0] in (404, 405)


def test_the_server_answers_nobody_without_the_token_or_by_another_name(server):
    root, token = server.address[:-1].rsplit("/", 1)
    assert answer(f"{root}/")[0] == 404
    last = "y" if token.endswith("x") else "x"
    assert answer(f"{root}/{token[:-1]}{last}/")[0] == 404
    assert answer(f"{root}/{token}/files.json", Host="attacker.example:80")[0] == 403
    assert answer(f"{root}/{token}/data/0/pictures.rec", Host="attacker.example")[0] == 403
    status, headers, _ = answer(server.address)
    assert status == 200
    assert "connect-src 'self';" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def asked(address, body, **headers):
    """The answer to a POST, as a page of the server's sends it; None takes a header away."""
    host = address.split("/")[2]
    given = {"Origin": f"http://{host}", "Content-Type": "application/json", **headers}
    kept = {name: value for name, value in given.items() if value is not None}
    request = urllib.request.Request(address, json.dumps(body).encode(), kept)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_but_the_page_changes_anything(server, made, tmp_path):
    change = {"file": 0, "position": 1, "field": "label", "text": "7", "count": 50}
    assert asked(f"{server.address}change", change) == 403  # without --edit
    path = copied(made, tmp_path)
    before = path.read_bytes()
    edited = Server(path, "--edit")
    try:
        address = f"{edited.address}change"
        for header, wrong in (
            ("Origin", None),
            ("Origin", "http://attacker.example"),
            ("Origin", "null"),
            ("Content-Type", "text/plain"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Host", "attacker.example"),
        ):
            assert asked(address, change, **{header: wrong}) == 403, (header, wrong)
        assert asked(address.replace(edited.address[-8:], "xxxxxxx/"), change) == 404
        for wrong in (
            {"position": -1},
            {"position": 50},
            {"position": True},
            {"count": 49},
            {"count": None},
            {"file": 1},
            {"field": "none"},
            {"field": "image"},
            {"field": ["label"]},
            {"text": "x"},
            {"text": None},
            {"text": 7},
            {"text": str(2**63)},
        ):
            assert asked(address, {**change, **wrong}) in (400, 409), wrong
        assert asked(address, [change]) == 400
        assert asked(address, {**change, "text": "1" * 2**24}) == 413
        assert asked(f"{edited.address}undo", {}) == 400
        assert asked(f"{edited.address}delete", {}) == 404
        assert path.read_bytes() == before
        assert asked(address, change) == 200
    finally:
        assert edited.stop() == 0
    assert dsrecords.open(path)[1, "label"] == 7


def test_the_command_says_what_is_missing(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\nfrom dsrecords._cli.main import script\nsys.exit(script())"
    command = [sys.executable, "-c", code, "view", str(tmp_path / "none.rec")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 3
    assert "no file matches" in done.stderr
