"""Pages of the explorer over HTTP: they are made, kept, and answered; a client that leaves is not computed for."""

import base64
import threading
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest

from s2t_np.inspect.trace import trace
from s2t_np.serve import explorer as pages
from s2t_np.serve.desk import Stop
from s2t_np.together import Cancelled
from s2t_np.training.saliency import explaining
from tests.inspect.test_explorer import numbers
from tests.serve.conftest import FIVE, served

httpx = pytest.importorskip("httpx", reason="needs httpx: a client")


def made(server, **headers) -> str:
    """The address of a page of a recording."""
    answer = httpx.post(
        f"{server.url}/explorer",
        files={"file": FIVE.read_bytes()},
        data={"model": "digits"},
        headers=headers,
        timeout=60,
    )
    assert answer.status_code == 200
    return server.url + answer.json()["url"]


@pytest.fixture(scope="module")
def address(server):
    """That of one page."""
    return made(server)


def unpacked(answer) -> dict[str, np.ndarray]:
    """The arrays of an answer."""
    found = answer.json()
    block = zlib.decompress(base64.b64decode(found["block"]))
    return {key: numbers(entry, block) for key, entry in found["arrays"].items()}


def test_a_page_may_ask_its_server(address):
    answer = httpx.get(address)
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert f'"asked": "{address.rpartition("/")[2]}/"' in answer.text


def test_numbers_are_computed_again(address, digits):
    stage = "encoder.layers.3.fc1"
    found = unpacked(httpx.post(f"{address}/numbers", json={"keys": [stage, f"weight:{stage}.weight/1"]}, timeout=60))
    seen = trace(digits, FIVE, [stage])
    np.testing.assert_allclose(found[stage], seen[stage], atol=1e-5)  # the server computes with one thread
    np.testing.assert_array_equal(found[f"weight:{stage}.weight/1"][0], digits.weights.encoder.layers[3].fc1.weight[1])


def test_the_gradient_and_experiments_are_answered(address, digits):
    seen = trace(digits, FIVE, ["features.cmvn"])
    (true,) = explaining(digits, seen["features.cmvn"], seen.transcript.hypotheses[0])([[1]])
    found = unpacked(httpx.post(f"{address}/gradient", json={"word": 1}, timeout=60))["gradient:1"]
    assert np.abs(found - true).max() <= 0.51 * np.ptp(true) / 255
    told = httpx.post(f"{address}/experiment", json={"muted_layers": ["decoder.layers.0"]}, timeout=60).json()
    assert told["before"]["text"] == "five five" and told["largest_change"] > 1


@pytest.mark.parametrize(
    ("question", "sent", "status", "said"),
    [
        ("numbers", {"json": {"keys": ["x"]}}, 400, "match nothing"),
        ("numbers", {"json": {"keys": ["encoder"]}}, 400, "found 'encoder'"),
        ("gradient", {"json": {"word": 2}}, 400, "expected word, 0 to 1"),
        ("experiment", {"json": {"other": 1}}, 400, "muted_heads"),
        ("numbers", {"content": b"{}"}, 415, "application/json"),
        ("numbers", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not valid JSON"),
        ("numbers", {"content": b" " * 70_000, "headers": {"content-type": "application/json"}}, 413, "65536"),
        ("other", {"json": {}}, 404, "nothing at this address"),
    ],
)
def test_what_cannot_be_answered_is_said(address, question, sent, status, said):
    answer = httpx.post(f"{address}/{question}", timeout=60, **sent)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True)


def test_a_page_that_is_not_kept_has_no_answers(server):
    for name in ("guess", "%C3%A9"):
        assert httpx.post(f"{server.url}/explorer/{name}/numbers", json={"keys": ["samples"]}).status_code == 404


def test_pages_of_others_may_not_ask(address):
    answer = httpx.post(f"{address}/numbers", json={"keys": ["samples"]}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_the_name_is_the_key(digits):
    """A page is opened by a link, which carries no key; its questions need none either."""
    with served(digits, api_key="secret-key-1") as server:
        address = made(server, Authorization="Bearer secret-key-1")
        assert httpx.post(f"{address}/numbers", json={"keys": ["features.cmvn"]}, timeout=60).status_code == 200


def test_a_question_keeps_the_page_on(monkeypatch, digits):
    now = [0.0]
    monkeypatch.setattr(pages, "monotonic", lambda: now[0])
    kept = pages.Explorer(digits)
    kept.keep("a", "the page")
    for now[0] in (500.0, 1000.0, 1500.0):
        assert kept.find("a") == "the page"
    now[0] = 2101.0
    with pytest.raises(pages.Refusal, match="not kept any longer"):
        kept.find("a")


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_page_is_not_made_on_when_no_one_waits(digits, calls):
    """The client leaves after some calls of the backend: the next one is not carried out."""
    explorer, stop = pages.Explorer(digits), Stop()
    follower, seen = explorer.follower(stop), []

    def counted(function):
        def counting(*args):
            seen.append(function)
            if len(seen) > calls:
                stop.set()
            return function(*args)

        return counting

    backend = follower.model.backend
    own = {name: counted(getattr(backend, name)) for name in ("fbank", "step")}
    model = replace(follower.model, backend=backend._replace(**own))
    with open(FIVE, "rb") as file, pytest.raises(Cancelled):
        explorer.make(file, {}, "name", follower._replace(model=model))
    assert len(seen) == calls + 1


def test_a_gradient_is_not_computed_on_when_no_one_waits(digits):
    features, best = digits.features(FIVE), digits.transcribe(FIVE).hypotheses[0]
    passes = []

    def check():
        passes.append(1)
        if len(passes) > 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        explaining(digits, features, best, check)([[0], [1]])
    assert len(passes) == 2


def test_a_gradient_stops_when_its_client_leaves(monkeypatch, digits):
    """Meanwhile the server answers others."""
    begun, ended = threading.Event(), threading.Event()

    def endless(model, features, best, check):
        def gradients(words):
            begun.set()
            try:
                while True:
                    check()
                    time.sleep(0.01)
            finally:
                ended.set()

        return gradients

    monkeypatch.setattr(pages, "explaining", endless)
    with served(digits, jobs=1) as server:
        address = made(server)
        with httpx.Client() as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{address}/gradient", json={"word": 0}, timeout=2)
            assert begun.is_set() and not ended.is_set()
            assert httpx.get(f"{server.url}/health").status_code == 200
        assert ended.wait(20)
