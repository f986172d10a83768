"""The fuzzers' own server, where one was started, ends with the file of tests that used it."""

import pytest

from tools.fuzz import requests


@pytest.fixture(autouse=True, scope="module")
def no_server_stays(no_limit_stays):
    yield
    requests.end()
