"""The door and the limits of a real server: hosts, origins, sizes, times, the queue, clients that leave."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.serve.conftest import FIVE, served
from tests.serve.slow import Slow
from tools.fuzz import requests

httpx = pytest.importorskip("httpx", reason="needs httpx: a client")
PATH = "/v1/audio/transcriptions"


def post(server, path=FIVE, headers=None, data=None, timeout=30, **more):
    """Upload a recording."""
    fields = {"model": "digits"} | (data or {})
    content = path if isinstance(path, bytes) else path.read_bytes()
    return httpx.post(f"{server.url}{PATH}", files={"file": content}, data=fields, headers=headers, timeout=timeout)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""])
def test_a_host_that_is_not_ours_is_refused(server, host):
    answer = post(server, headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "permission_error"


@pytest.fixture
def fuzzed():
    """The event loop and the application of the fuzzers, in this process."""
    yield requests.server()
    requests.end()


@pytest.mark.parametrize("length", ["\xb2", "9" * 30, "9" * 5000, "-1", "+3", "1_0"])
def test_lengths_that_are_none_get_an_answer(length, fuzzed):
    """In this process, for a server that stands before this one lets them pass, and our HTTP library does not."""
    head = f"POST {PATH}\nhost: localhost\ncontent-length: {length}\n\n".encode("latin-1")
    loop, app = fuzzed
    answer = loop.run_until_complete(requests.exchange(app, requests.Request.parsed(head)))
    status, says = requests.reply(answer)
    assert (status, says) in ((400, "file is missing: expected multipart/form-data with a file"), (413, says))
    assert (status == 413) == (length[0] == "9")


@pytest.mark.parametrize(
    ("verb", "path", "allow"), [("GET", PATH, "POST"), ("PUT", "/explorer", "POST"), ("POST", "/health", "GET, HEAD")]
)
def test_the_wrong_method_is_refused_in_openai_s_shape(server, verb, path, allow):
    answer = httpx.request(verb, f"{server.url}{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert httpx.head(f"{server.url}/health").status_code == 200


@pytest.mark.parametrize("target", [b"*", b"here"])
def test_addresses_without_a_slash_are_answered_in_openai_s_shape(server, target):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert b" 404 " in head and json.loads(body)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//"])
def test_origins_that_are_no_address_are_refused(server, origin):
    answer = httpx.get(f"{server.url}/health", headers={"Origin": origin})
    assert answer.status_code == 403 and answer.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "192.168.1.7:8000", "[::1]:80", "[::1]"])
def test_hosts_that_no_name_server_can_redirect_pass(server, host):
    assert httpx.get(f"{server.url}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example"]
)
def test_pages_of_others_may_not_ask(server, origin):
    answer = post(server, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_allowed_pages_may_ask(digits):
    page = "https://app.example"
    with served(digits, origins=(page,), hosts=("speech.example",), api_key="secret-key-1") as server:
        before = {"Origin": page, "Access-Control-Request-Method": "POST", "Host": "speech.example:80"}
        preflight = httpx.options(f"{server.url}{PATH}", headers=before)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == page
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = post(server, headers={"Origin": page, "Authorization": "Bearer secret-key-1"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page)
        assert post(server, headers={"Origin": page}).status_code == 401


def test_own_page_may_ask(server):
    assert post(server, headers={"Origin": server.url}).status_code == 200


def test_what_is_open_without_a_key(digits):
    with served(digits, api_key="secret-key-1") as server:
        codes = {
            path: httpx.get(f"{server.url}{path}").status_code for path in ("/", "/health", "/page.js", "/metrics")
        }
        assert codes == {"/": 200, "/health": 200, "/page.js": 200, "/metrics": 401}
        assert httpx.get(f"{server.url}/v1/models").json()["error"]["code"] == "missing_api_key"
        assert httpx.get(f"{server.url}/explorer/guess").status_code == 404


def test_every_answer_has_the_safe_headers(server):
    for path in ("/", "/nothing/here", "/v1/models"):
        headers = httpx.get(f"{server.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in httpx.get(server.url).headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/page.py", "/web/page.html", "/%2e%2e/settings.py", "/v1/audio"]
)
def test_nothing_else_is_served(server, path):
    answer = httpx.get(f"{server.url}{path}")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


def test_an_upload_that_is_too_large(digits):
    with served(digits, limits={"max_upload": 0.05}) as server:
        answer = post(server, bytes(400_000))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert post(server).status_code == 200


def test_an_upload_that_is_too_large_and_does_not_say_so(digits):
    """Sent in chunks, without a Content-Length."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    def chunks():
        yield head
        for _ in range(40):
            yield bytes(10_000)

    with served(digits, limits={"max_upload": 0.05}) as server:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        with suppress(httpx.TransportError):  # the connection may be closed before all of it is sent
            assert httpx.post(f"{server.url}{PATH}", content=chunks(), headers=kind).status_code == 413
        assert server.metric('s2t_np_requests_total{endpoint="/v1/audio/transcriptions",status="413"}') == 1


def test_a_recording_that_is_too_long(digits, long_sound, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "long.flac", long_sound, 16000)
    with served(digits, limits={"max_duration": 10}) as server:
        answer = post(server, tmp_path / "long.flac")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "audio_too_long")


def test_a_form_that_is_none(server):
    answer = httpx.post(
        f"{server.url}{PATH}", content=b"hello", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 400
    answer = httpx.post(f"{server.url}{PATH}", json={"file": "/etc/passwd", "model": "digits"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    many = {f"field{i}": "x" for i in range(200)}
    assert post(server, data=many).status_code == 400


def test_a_full_queue_is_a_429(digits):
    slow = Slow(digits)
    with served(slow.model, jobs=1, limits={"max_waiting": 1}) as server, ThreadPoolExecutor(4) as pool:
        first = pool.submit(post, server)
        slow.wait_until_begun()
        second = pool.submit(post, server)
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_waiting") < 1:
            assert time.monotonic() < deadline
        third = post(server)
        assert (third.status_code, third.headers["retry-after"]) == (429, "1")
        assert third.json()["error"] | {"message": ""} == {
            "message": "",
            "type": "rate_limit_error",
            "param": None,
            "code": "queue_full",
        }
        slow.gate.set()
        assert [first.result().json()["text"], second.result().json()["text"]] == ["five five"] * 2
        assert post(server).status_code == 200


def test_a_request_that_takes_too_long(digits):
    slow = Slow(digits, seconds=0.3)
    slow.gate.set()
    with served(slow.model, limits={"time_limit": 0.5}) as server:
        answer = post(server)
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "server_error")


def test_a_client_that_leaves_stops_the_computing(digits):
    slow = Slow(digits, seconds=0.1)
    with served(slow.model, jobs=1) as server:
        with pytest.raises(httpx.ReadTimeout):
            post(server, timeout=0.5)
        slow.gate.set()
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_running"):
            assert time.monotonic() < deadline
        assert slow.steps == 0
        assert post(server).status_code == 200  # its worker and its place are free again


def test_a_client_that_leaves_a_stream_stops_the_computing(digits, long_sound, tmp_path):
    import soundfile

    soundfile.write(tmp_path / "long.flac", long_sound, 16000)
    slow = Slow(digits, seconds=0.05)
    slow.gate.set()
    with served(slow.model, jobs=1) as server:
        form = {"files": {"file": (tmp_path / "long.flac").read_bytes()}, "data": {"model": "digits", "stream": "true"}}
        with httpx.stream("POST", f"{server.url}{PATH}", timeout=30, **form) as answer:
            assert next(answer.iter_lines()).startswith("data: ")
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_running"):
            assert time.monotonic() < deadline
        assert slow.begun < 8  # of 12 segments


def test_a_client_that_leaves_the_queue_frees_its_place(digits):
    slow = Slow(digits)
    with served(slow.model, jobs=1, limits={"max_waiting": 1}) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, server)
        slow.wait_until_begun()
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                post(server, timeout=0.3)
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_waiting"):
            assert time.monotonic() < deadline
        slow.gate.set()
        assert first.result().json()["text"] == "five five"
        assert slow.begun == 1


def test_a_slow_upload_is_given_up(digits):
    def drip():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(20):
            time.sleep(0.1)
            yield b"x"

    with served(digits, limits={"upload_time": 0.5}) as server:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        with suppress(httpx.TransportError):
            assert httpx.post(f"{server.url}{PATH}", content=drip(), headers=kind).status_code == 408
        assert server.metric('s2t_np_requests_total{endpoint="/v1/audio/transcriptions",status="408"}') == 1


def test_metrics_are_prometheus(server):
    post(server)
    text = httpx.get(f"{server.url}/metrics").text
    kinds = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    assert kinds["s2t_np_requests_total"] == "counter"
    assert kinds["s2t_np_request_seconds"] == "histogram"
    buckets = [float(line.split()[1]) for line in text.splitlines() if line.startswith("s2t_np_request_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == server.metric("s2t_np_request_seconds_count") - 1  # that of /metrics itself came between
    assert server.metric("process_resident_memory_bytes") > 1e7
    httpx.get(f"{server.url}/made/up")
    assert "made" not in httpx.get(f"{server.url}/metrics").text
