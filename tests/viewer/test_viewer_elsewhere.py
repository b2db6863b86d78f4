"""The viewer over files in buckets and on other servers: by ranges, without secrets in the browser, with clear errors."""

import json
import subprocess

import numpy as np
import pytest
import ranges
from conftest import large
from viewing import answer, command, environment_of, shown

import dsrecords

pytestmark = pytest.mark.large
pytest_plugins = ["servers", "browsers"]

SECRET = "a-secret-that-no-browser-sees"
COUNT = 300
SCHEMA = {"image": "png", "label": "int64", "blob": "bytes"}


def samples():
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        image = rng.integers(0, 256, (16, 16, 3), np.uint8)
        yield {"image": image, "label": i, "blob": rng.bytes(20_000)}


@pytest.fixture
def there(tmp_path, publish):
    """The path of a dataset in the bucket."""
    large("starlette")
    dsrecords.make_dataset(samples(), str(tmp_path / "data.rec"), SCHEMA)
    return publish(str(tmp_path / "data.rec"))


@pytest.fixture
def keys(proxy):
    """What the environment says of the bucket."""
    return {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing-key-id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ALLOW_HTTP": "true",
    }


def test_records_of_a_bucket_are_shown_and_no_secret_reaches_the_browser(
    other_page, there, keys, proxy, tmp_path
):
    page = other_page
    said, hosts = [], set()

    def listen(response):
        hosts.add(response.url.split("/")[2])
        request = response.request
        said.append(str([response.url, request.all_headers(), response.all_headers()]).encode())
        said.append(response.body())

    page.on("requestfinished", lambda request: listen(request.response()))
    proxy.forget()
    with shown(page, there, **keys) as view:
        assert view.inner_text("#count") == f"{COUNT} records"
        page.locator(".tile img").first.wait_for()
        page.fill("#filter", "label >= 200 and label < 202")
        page.locator("#count", has_text=f"2 of {COUNT} records").wait_for()
        page.locator(".tile").first.click()
        page.get_by_role("heading", name="Record 200", exact=True).wait_for()
        page.locator("#record img").wait_for()
        assert page.locator(".damaged").count() == 0
        name = page.locator("#name").inner_text()
        (address,) = hosts
    assert (name, address) == ("data.rec", address)
    assert address.startswith("127.0.0.1:")
    everything = b"\n".join(said)
    assert b"data.rec" in everything
    for text in (SECRET, "testing-key-id", "AWS4-HMAC", "Signature"):
        assert text.encode() not in everything
    sent = sum(each.sent for each in proxy.requests)
    assert 0 < sent < (tmp_path / "data.rec").stat().st_size / 4
    assert proxy.unsigned == 0


def test_a_bucket_that_fails_later_says_so_and_a_reload_helps(other_page, there, keys, proxy, put):
    page = other_page
    with shown(page, there, **keys):
        page.locator(".tile img").first.wait_for()
        proxy.faults.share = 1.0
        proxy.faults.kinds = ("403",)
        page.fill("#goto", "230")  # which the server has not read yet
        page.keyboard.press("Enter")
        page.locator("#record .damaged", has_text="access is refused").first.wait_for()
        proxy.faults.share = 0.0
        page.reload()
        page.locator("#record img").wait_for()
        assert page.locator("#record .damaged").count() == 0


def test_a_manifest_in_a_bucket_is_one_dataset_whose_files_are_read_when_needed(
    other_page, keys, proxy, put, tmp_path
):
    large("starlette")
    page = other_page
    manifest = tmp_path / "many.json"
    dsrecords.make_dataset(list(samples()), str(manifest), SCHEMA, shards=3)
    for file in sorted(tmp_path.glob("many*")):
        put(file.name, file.read_bytes())
    put("secret.rec", b"nobody named it")
    last = json.loads(manifest.read_text())["shards"][-1]["file"]
    proxy.forget()
    with shown(page, put(manifest.name, manifest.read_bytes()), **keys) as view:
        assert view.inner_text("#count") == f"{COUNT} records"
        page.locator(".tile img").first.wait_for()
        assert not any(last in each.path for each in proxy.requests)
        page.fill("#goto", str(COUNT - 1))
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=f"Record {COUNT - 1}", exact=True).wait_for()
        page.locator("#record img").wait_for()
        assert page.locator(".damaged").count() == 0
        address = page.url.split("#")[0]
        assert answer(f"{address}data/0/{last}", Range="bytes=0-7")[0] == 206
        assert answer(f"{address}data/0/secret.rec")[0] == 404
    assert any(last in each.path for each in proxy.requests)
    assert proxy.unsigned == 0


def ended(*arguments, **environment):
    """The exit code of a command that ends by itself, and what it says."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment_of(environment),
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_what_a_bucket_does_not_have_or_refuses_is_told_before_anything_is_served(
    bucket, there, keys, proxy
):
    code, said = ended(f"{bucket}/none.rec", **keys)
    assert code == 3
    assert f"{bucket}/none.rec" in said
    assert "there is no such file" in said
    proxy.faults.share = 1.0
    proxy.faults.kinds = ("403",)
    code, said = ended(there, **keys)
    assert code == 3
    assert "access is refused" in said
    assert SECRET not in said


def test_a_url_is_read_by_the_page_and_what_is_wrong_is_said(other_page, tmp_path):
    page = other_page
    dsrecords.make_dataset(samples(), tmp_path / "data.rec", SCHEMA)
    (tmp_path / "no.rec").write_bytes(b"nothing")
    web = ranges.Bucket(tmp_path)
    deaf = ranges.Bucket(tmp_path, allows_pages=False)
    try:
        names = [f"{web.address}{name}" for name in ("data.rec", "none.rec", "no.rec")]
        with shown(page, *names, f"{deaf.address}data.rec", "http://127.0.0.1:9/data.rec"):
            assert page.inner_text("#count") == f"{COUNT} records"
            for k, text in (
                (1, "none.rec: there is no such file"),
                (2, "not a DSRecords file"),
                (3, "does not allow this page to read it"),
                (4, "cannot be reached"),
            ):
                page.select_option("#file", value=str(k))
                page.locator("#message", has_text=text).wait_for()
            page.select_option("#file", value="0")
            page.locator("#count", has_text=f"{COUNT} records").wait_for()
            assert page.inner_text("#message") == ""
        size = (tmp_path / "data.rec").stat().st_size
        assert sum(length for name, length in web.asked if name == "data.rec") < size
    finally:
        web.close()
        deaf.close()
