"""Live sound over a WebSocket: what comes out is what `stream` gives, whatever the frames."""

import json
import time
from contextlib import suppress

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.serve.live import BUFFER, Pipe, Start, start_of
from s2t_np.serve.refusals import Refusal
from tests.serve.conftest import FIVE, TWO, served
from tests.serve.slow import Slow

httpx = pytest.importorskip("httpx", reason="needs httpx: a client")
client = pytest.importorskip("websockets.sync.client", reason="needs websockets: a client")
exceptions = pytest.importorskip("websockets.exceptions", reason="needs websockets: a client")


@pytest.fixture(scope="module")
def sound():
    """Two recordings with a pause between them: (N,) float32 at 16 kHz."""
    pause = np.zeros(16000, np.float32)
    return np.concatenate([audio.load(TWO, 16000), pause, audio.load(FIVE, 16000), pause])


def messages_of(socket):
    """All messages until the server closes, whatever for."""
    messages = []
    with suppress(exceptions.ConnectionClosed):
        while True:
            messages.append(json.loads(socket.recv(timeout=20)))
    return messages


def converse(server, frames, start=None, **options):
    """All messages of a session."""
    with client.connect(server.live_url, **options) as socket:
        socket.send(json.dumps({"type": "start", "rate": 16000, "encoding": "float32"} | (start or {})))
        for frame in frames:
            socket.send(frame)
        socket.send(json.dumps({"type": "end"}))
        return messages_of(socket)


def cut(data: bytes, size: int):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("size", [4096, 100_001, 333])
def test_segments_are_those_of_a_stream(server, digits, sound, size):
    """A frame may end in the middle of a sample."""
    messages = converse(server, cut(sound.astype("<f4").tobytes(), size), {"words": True})
    assert messages[0]["type"] == "ready"
    assert messages[-1] == {"type": "done", "duration": pytest.approx(len(sound) / 16000, abs=0.001)}
    found = [message for message in messages if message["type"] == "segment"]
    expected = list(digits.stream(iter([sound]), 16000))
    assert [segment["text"] for segment in found] == ["two nine three four zero", "five five"]
    times = [(segment["start"], segment["end"]) for segment in found]
    assert times == [(round(segment.start, 3), round(segment.end, 3)) for segment in expected]
    assert [word["word"] for word in found[0]["words"]] == "two nine three four zero".split()
    assert found[0]["words"][0]["start"] >= 0


def test_pcm16_at_another_rate(server, sound):
    frames = cut((sound[::2] * 32767).astype("<i2").tobytes(), 3200)
    messages = converse(server, frames, {"rate": 8000, "encoding": "pcm16"})
    assert [message["text"].split()[-1] for message in messages if message["type"] == "segment"] == ["zero", "five"]
    assert messages[-1]["duration"] == pytest.approx(len(sound) / 16000, abs=0.01)


def test_partial_results_come_before_the_segment_unless_they_are_not_wanted(server, sound):
    frames = cut(sound.astype("<f4").tobytes(), 3200)
    messages = converse(server, frames)
    kinds = [message["type"] for message in messages]
    assert kinds[0] == "ready"
    assert kinds[1] == "partial"
    first = messages[kinds.index("segment")]
    for message in messages[1 : kinds.index("segment")]:
        assert message.keys() == {"type", "start", "end", "stable", "tentative"}
        assert message["start"] == first["start"]
    assert "partial" not in [message["type"] for message in converse(server, frames, {"partial": False})]


def test_a_segment_comes_while_the_sound_goes_on(server, sound):
    with client.connect(server.live_url) as socket:
        socket.send(json.dumps({"type": "start", "rate": 16000, "encoding": "float32"}))
        assert json.loads(socket.recv())["type"] == "ready"
        socket.send(sound[: 4 * 16000].astype("<f4").tobytes())
        while (message := json.loads(socket.recv(timeout=10)))["type"] == "partial":
            pass
        assert message["text"] == "two nine three four zero"


@pytest.mark.parametrize(
    "start, words",
    [
        ({"type": "begin"}, "first message"),
        ({"rate": "16000"}, "rate is '16000'"),
        ({"rate": 10**9}, "expected 1000 to"),
        ({"encoding": "../../x"}, "expected pcm16 or float32"),
        ({"lang": "fr"}, "not known"),
        ({"path": "/etc/passwd"}, "unknown parameter 'path'"),
    ],
)
def test_a_first_message_that_is_wrong(server, start, words):
    first = json.dumps({"type": "start", "rate": 16000} | start)
    with client.connect(server.live_url) as socket:
        socket.send(first)
        messages = messages_of(socket)
    assert messages[-1]["type"] == "error"
    assert words in messages[-1]["error"]["message"]


@pytest.mark.parametrize("first", ["hello", "[1]", "[" * 100_000, b"\0" * 10])
def test_a_first_message_that_is_not_json(server, first):
    with client.connect(server.live_url) as socket:
        socket.send(first)
        assert json.loads(socket.recv())["error"]["type"] == "invalid_request_error"


def test_samples_that_are_not_numbers(server):
    messages = converse(server, [np.full(9, np.nan, "<f4").tobytes()])
    assert "not a finite number" in messages[-1]["error"]["message"]


def test_a_session_that_is_too_long(digits, sound):
    with served(digits, limits={"max_duration": 2}) as server:
        messages = converse(server, [sound.astype("<f4").tobytes()[:200_000]])
    assert "longer than 2 s" in messages[-1]["error"]["message"]


def test_a_session_without_sound_is_closed(digits):
    with served(digits, limits={"idle_time": 0.3}) as server, client.connect(server.live_url) as socket:
        socket.send(json.dumps({"type": "start", "rate": 16000}))
        messages = messages_of(socket)
        assert messages[-1]["error"]["code"] == "idle"


def test_too_many_sessions(digits):
    with served(digits, limits={"max_live": 1}) as server:
        with client.connect(server.live_url), pytest.raises(exceptions.InvalidStatus) as caught:
            client.connect(server.live_url)
        assert caught.value.response.status_code == 403
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_live_sessions"):
            assert time.monotonic() < deadline
        with client.connect(server.live_url):
            assert server.metric("s2t_np_live_sessions") == 1


def test_pages_of_others_may_not_listen(server):
    with pytest.raises(exceptions.InvalidStatus):
        client.connect(server.live_url, origin="http://evil.example")
    with client.connect(server.live_url, origin=server.url):
        pass


def test_the_key_comes_as_a_header_or_as_a_subprotocol(digits, sound):
    frames = [sound.astype("<f4").tobytes()[:300_000]]
    with served(digits, api_key="secret-key-1") as server:
        with pytest.raises(exceptions.InvalidStatus):
            client.connect(server.live_url)
        with pytest.raises(exceptions.InvalidStatus):
            client.connect(server.live_url, subprotocols=["s2t-np", "s2t-np-key.secret-key-2"])
        for options in (
            {"additional_headers": {"Authorization": "Bearer secret-key-1"}},
            {"subprotocols": ["s2t-np", "s2t-np-key.secret-key-1"]},
        ):
            assert converse(server, frames, **options)[-1]["type"] == "done"


def test_a_client_that_leaves_stops_the_session(digits, sound):
    slow = Slow(digits, seconds=0.05)
    with served(slow.model) as server:
        with client.connect(server.live_url) as socket:
            socket.send(json.dumps({"type": "start", "rate": 16000, "encoding": "float32"}))
            socket.send(sound.astype("<f4").tobytes())
            slow.wait_until_begun()
        time.sleep(0.5)  # until the server has seen the end of the connection
        slow.gate.set()
        deadline = time.monotonic() + 10
        while server.metric("s2t_np_live_sessions"):
            assert time.monotonic() < deadline
        assert slow.steps == 0
        assert httpx.get(f"{server.url}/health").status_code == 200


def test_sound_that_comes_too_fast_is_held_back(digits):
    slow = Slow(digits)
    second = np.random.default_rng(0).standard_normal(16000).astype("<f4").tobytes()
    pipe = Pipe(Start(16000, "f32le", False, False, {}), 3600)
    while not pipe.is_full:
        pipe.write(second)
    assert pipe.held / 16000 == BUFFER + 1
    next(iter(pipe))
    assert not pipe.is_full
    assert slow.begun == 0


def test_the_first_message():
    assert start_of('{"type": "start", "rate": 8000}') == Start(8000, "s16le", False, True, {})
    with pytest.raises(Refusal):
        start_of('{"type": "start", "rate": true}')
