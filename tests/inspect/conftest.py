"""The explorer's page of one recording in one browser, for all tests that open it."""

import pytest

import s2t_np
from s2t_np.inspect.explorer import STAGES, page
from s2t_np.inspect.trace import trace
from tests.support.browsers import launched, opener
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"


@pytest.fixture(scope="session")
def seen():
    """The trace of a recording of five digits."""
    return trace(s2t_np.load("digits", backend="numpy"), RECORDING, STAGES)


@pytest.fixture(scope="session")
def address(tmp_path_factory, seen):
    """Where the page of that trace lies."""
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    path.write_text(page(seen, s2t_np.load("digits", backend="numpy")), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium."""
    with pytest.importorskip("playwright.sync_api").sync_playwright() as driver:
        browser = launched(driver)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """A function that opens the page and hears its errors."""
    with opener(chromium, address) as open_page:
        yield open_page
