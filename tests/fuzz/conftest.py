"""The fuzzers' own server, where one was started, ends with the file of tests that used it."""

import threading

import pytest

from tools.fuzz import requests


@pytest.fixture(autouse=True, scope="module")
def no_server_stays():
    before = set(threading.enumerate())
    yield
    requests.end()
    assert not [thread for thread in threading.enumerate() if thread not in before and "worker" in thread.name]
