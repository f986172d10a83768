"""A browser for tests of pages: which one there is, how it is started, and how a page of the explorer is walked."""

import os
import shutil
from contextlib import contextmanager

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync".split()


def launched(driver):
    """Chromium, started by a playwright driver; root needs it without a sandbox."""
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS + sandbox)


@contextmanager
def opener(browser, address: str, thread_time: bool = False):
    """A function that opens the page; at the end no error may have been heard, and nothing asked of a network.

    thread_time: the tab's attribute of that name is a session of the browser's protocol that counts processor time.
    """
    errors, requests, contexts = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda request: requests.append(request.url))
        if thread_time:
            tab.thread_time = contexts[-1].new_cdp_session(tab)
            tab.thread_time.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.goto(address)
        tab.wait_for_function("document.documentElement.dataset.ready")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def go(tab, section: str) -> None:
    """Follow the link to a section and wait until it is drawn."""
    tab.click(f'nav a.row[href="#{section}"]')
    tab.wait_for_function(f"document.getElementById('{section}').dataset.drawn")
