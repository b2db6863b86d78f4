"""Chromium, driven by Playwright, and pages in it."""

import shutil

import pytest
from conftest import large
from viewing import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without these Chromium looks up hosts of its maker's.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    playwright = large("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def other_page(browser):
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()
