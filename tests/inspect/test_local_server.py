"""The local server over a real socket: its page, its answers, and everything that it turns away."""

import http.client
import json
import threading
import urllib.request

import pytest

import s2t_np
from s2t_np.errors import OptionError
from s2t_np.inspect.experiments import Experiment, compare, subject
from s2t_np.inspect.explorer.local_server import MOST_BYTES, LocalServer
from s2t_np.inspect.explorer.questions import Questions
from tests.support.few_threads import give_threads
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def before():
    model = s2t_np.load("digits", backend="numpy")
    return subject(model, model.features(RECORDING))


@pytest.fixture(scope="module")
def server(before):
    with LocalServer("<title>a page</title>", Questions(before, (), lambda names: {}, None).answers()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def ask(server, path: str, body: bytes | None = None, **headers) -> tuple[int, dict, bytes]:
    """Status, headers and body of the answer to a request at the server's port; a body makes it a POST."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    line.request(
        "GET" if body is None else "POST", path, body, {name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = line.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    line.close()
    return found


def test_the_page_comes_with_a_policy(server):
    with urllib.request.urlopen(server.address, timeout=20) as answer:
        assert answer.read() == b"<title>a page</title>"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert server.server_address[0] == "127.0.0.1"


def test_an_experiment_is_answered_as_python_answers_it(server, before):
    description = {"muted_heads": ["decoder.layers.0.encoder_attn/1"], "num_beams": 2}
    told = urllib.request.Request(server.address + "experiment", json.dumps(description).encode(), JSON)
    with urllib.request.urlopen(told, timeout=20) as answer:
        found = json.load(answer)
    expected = json.loads(json.dumps(compare(before, Experiment.from_json(description)).record()))
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert found["largest_change"] > 0.1


@pytest.mark.parametrize("path", ["/", "/x/", "/%s", "/%sx/", "/%C3%A9/", "//", "/%s/other"])
def test_without_the_token_nothing_is_there(server, path):
    path = path.replace("%s", server.token)
    for body in (None, b"{}"):
        status, _, answer = ask(server, path, body, Content_Type="application/json")
        if path != f"/{server.token}/":
            assert status == 404
            assert server.token.encode() not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_pages_of_other_sites_are_turned_away(server, headers):
    for path, body in ((f"/{server.token}/", None), (f"/{server.token}/experiment", b"{}")):
        status, _, answer = ask(server, path, body, **headers, Content_Type="application/json")
        assert status == 403
        assert json.loads(answer)["error"]


def test_its_own_page_may_ask_by_either_name(server):
    for host in server.hosts:
        asked = {"Host": host, "Origin": f"http://{host}", "Content_Type": "application/json"}
        assert ask(server, f"/{server.token}/experiment", b"{}", **asked)[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{}", {"Content_Type": "text/plain"}, 415, "application/json"),
        (b"{", {}, 400, "not valid JSON"),
        (b"\xff", {}, 400, "not valid JSON"),
        (b"[" * 50_000, {}, 400, "not valid JSON"),
        (b" " * (MOST_BYTES + 1), {}, 413, str(MOST_BYTES)),
        (b"{}", {"Content_Length": "-1"}, 413, "length"),
        (b'{"muted_layers": ["encoder.layers.77"]}', {}, 400, "encoder.layers.77"),
        (b'{"num_beams": 1e9}', {}, 400, "num_beams"),
        (b'{"other": 1}', {}, 400, "muted_heads"),
        (b"[]", {}, 400, "expected an object"),
    ],
)
def test_what_is_wrong_is_said_and_the_server_goes_on(server, body, headers, status, said):
    found, _, answer = ask(
        server, f"/{server.token}/experiment", body, **{"Content_Type": "application/json"} | headers
    )
    assert found == status
    assert said in json.loads(answer)["error"]
    assert ask(server, f"/{server.token}/")[0] == 200


def test_other_methods_and_preflights_are_not_known(server):
    for method in ("OPTIONS", "PUT", "DELETE"):
        line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        line.request(method, f"/{server.token}/experiment", b"{}", JSON)
        answer = line.getresponse()
        assert answer.status == 501
        assert answer.getheader("Access-Control-Allow-Origin") is None
        line.close()


def test_a_question_that_no_one_waits_for_is_not_computed():
    """Two are asked at once, the second leaves while the first is computed."""
    begun, leave, computed = threading.Event(), threading.Event(), []

    def answer(data):
        computed.append(data)
        begun.set()
        assert leave.wait(20)
        return {}

    with LocalServer("", {"x": answer}) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        path = f"/{server.token}/x"
        first = threading.Thread(target=ask, args=(server, path, b"1"), kwargs={"Content_Type": "application/json"})
        first.start()
        assert begun.wait(20)
        second = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        second.request("POST", path, b"2", JSON)
        second.close()
        leave.set()
        first.join(20)
        assert ask(server, path, b"3", Content_Type="application/json")[0] == 200
        server.shutdown()
        thread.join(10)
    assert computed == [1, 3]


def test_a_port_in_use_is_refused(server):
    with pytest.raises(OptionError, match=f"--port {server.server_port}: cannot listen there"):
        LocalServer("", {}, server.server_port)


def test_every_server_has_its_own_token():
    servers = [LocalServer("", {}) for _ in range(3)]
    assert len({server.token for server in servers}) == 3
    assert all(len(server.token) >= 24 for server in servers)
    for server in servers:
        server.server_close()


def test_without_threads_requests_are_answered_one_after_the_other(before, monkeypatch):
    """As under `ulimit -u`, once the server runs."""
    with LocalServer("<title>a page</title>", Questions(before, (), lambda names: {}, None).answers()) as alone:
        thread = threading.Thread(target=alone.serve_forever)
        thread.start()
        begun = give_threads(monkeypatch, 0)
        path = f"/{alone.address.split('/')[-2]}/"
        assert [ask(alone, path)[0] for _ in range(3)] == [200, 200, 200] and not begun
        alone.shutdown()
        thread.join(10)
