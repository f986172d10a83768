"""The real client of OpenAI's API against a real server: every response format, streams, errors."""

import io
import re

import pytest
import srt
import webvtt

import s2t_np
from tests.serve.conftest import FIVE, TWO, served

openai = pytest.importorskip("openai", reason="needs the openai package: the client itself")


def client_of(server, key="none"):
    """A client of that server that does not try again by itself."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def client(server):
    """A client of the server."""
    return client_of(server)


def create(client, path=TWO, **options):
    """One transcription."""
    with open(path, "rb") as file:
        return client.audio.transcriptions.create(file=file, model="digits", **options)


def test_json(client):
    answer = create(client)
    assert answer.text == "two nine three four zero"
    assert answer.usage.type == "duration"
    assert answer.usage.seconds == 2


def test_text(client):
    assert create(client, response_format="text") == "two nine three four zero\n"


def test_srt_is_read_by_a_reader_of_others(client):
    (cue,) = srt.parse(create(client, response_format="srt"))
    assert cue.content == "two nine three four zero"
    assert 0 <= cue.start.total_seconds() < cue.end.total_seconds() <= 3.2


def test_vtt_is_read_by_a_reader_of_others(client):
    (caption,) = webvtt.from_buffer(io.StringIO(create(client, response_format="vtt")))
    assert caption.text == "two nine three four zero"


def test_verbose_json_has_every_field_of_the_client(client):
    answer = create(client, response_format="verbose_json")
    assert (answer.text, answer.language, answer.task) == ("two nine three four zero", "en", "transcribe")
    assert answer.duration == pytest.approx(2.4, abs=0.001)
    (segment,) = answer.segments
    fields = type(segment).model_fields
    assert {name for name in fields if getattr(segment, name, None) is None} == set()
    assert (segment.text, segment.id, segment.temperature) == ("two nine three four zero", 0, 0)
    assert answer.words is None


def test_words_have_times_in_order(client):
    answer = create(client, response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in answer.words] == "two nine three four zero".split()
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert answer.segments is None
    both = create(client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert [word.word for word in both.segments[0].to_dict()["words"] and both.words] == [w.word for w in answer.words]


def test_log_probabilities_are_those_of_the_model(client, digits):
    answer = create(client, include=["logprobs"])
    (expected,) = digits.transcribe(TWO).hypotheses
    assert [round(one.logprob, 6) for one in answer.logprobs] == [round(p, 6) for p in expected.token_log_probs[:-1]]
    assert "".join(one.token for one in answer.logprobs).split() == answer.text.split()
    assert bytes(map(int, answer.logprobs[0].bytes)).decode() == answer.logprobs[0].token


def test_a_stream_has_deltas_and_an_end(client, tmp_path, long_sound):
    import soundfile

    soundfile.write(tmp_path / "long.wav", long_sound, 16000)
    events = list(create(client, tmp_path / "long.wav", stream=True))
    kinds = [event.type for event in events]
    assert kinds == ["transcript.text.delta"] * (len(kinds) - 1) + ["transcript.text.done"]
    assert len(kinds) == 13
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == " ".join(["five five"] * 12)


def test_temperature_samples(digits):
    with served(digits, {}) as server:
        client = client_of(server)
        assert create(client, temperature=0).text == "two nine three four zero"
        assert create(client, temperature=0.1, response_format="verbose_json").segments[0].temperature == 0.1


def test_hotwords(client):
    assert "six" in create(client, extra_body={"hotwords": "six:20"}).text
    assert create(client, extra_body={"hotwords": "two"}).text == "two nine three four zero"


def test_models(client):
    assert [model.id for model in client.models.list()] == ["digits"]
    assert client.models.retrieve("digits").id == "digits"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("../../etc/passwd")


def test_another_name_for_the_model(digits):
    with served(digits, names=("digits", "whisper-1")) as server, open(FIVE, "rb") as file:
        answer = client_of(server).audio.transcriptions.create(file=file, model="whisper-1")
        assert answer.text == "five five"


REFUSED = [
    ({"model": "nope"}, openai.NotFoundError, "model", "does not exist"),
    ({"extra_body": {"hotwords": "six:-1"}}, openai.BadRequestError, "hotwords", "expected such as"),
    ({"prompt": "Kubernetes"}, openai.BadRequestError, "prompt", "has no prompt"),
    ({"language": "fr"}, openai.BadRequestError, "language", "hears en"),
    ({"temperature": 7}, openai.BadRequestError, "temperature", "from 0 to 1"),
    ({"response_format": "docx"}, openai.BadRequestError, "response_format", "expected json, text, srt"),
    ({"timestamp_granularities": ["word"]}, openai.BadRequestError, "timestamp_granularities", "verbose_json"),
    ({"stream": True, "response_format": "srt"}, openai.BadRequestError, "stream", "not streamed"),
    ({"extra_body": {"best_of": 3}}, openai.BadRequestError, "best_of", "unknown parameter"),
    ({"extra_body": {"known_speaker_names": ["a"]}}, openai.BadRequestError, "known_speaker_names", "speakers"),
    ({"extra_body": {"to_language": "de"}}, openai.BadRequestError, "to_language", "one language only"),
    ({"extra_body": {"chunking_strategy": {"type": "server_vad"}}}, openai.BadRequestError, None, "chunking_strategy"),
]


@pytest.mark.parametrize("options, kind, param, words", REFUSED, ids=lambda value: str(value)[:30])
def test_what_the_model_has_not_is_refused(client, options, kind, param, words):
    with open(FIVE, "rb") as file, pytest.raises(kind, match=words) as caught:
        client.audio.transcriptions.create(**{"file": file, "model": "digits"} | options)
    if param:
        assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_what_has_no_effect_is_taken(client):
    assert create(client, FIVE, language="en", extra_body={"chunking_strategy": "auto"}).text == "five five"


def test_a_file_that_is_not_sound(client):
    with pytest.raises(openai.BadRequestError, match="file: is not a recording") as caught:
        client.audio.transcriptions.create(file=("x.wav", b"not sound at all" * 99), model="digits")
    assert caught.value.code == "invalid_audio"
    with pytest.raises(openai.BadRequestError, match="file: is empty"):
        client.audio.transcriptions.create(file=("x.wav", b""), model="digits")


def test_a_recording_that_breaks_off_says_so(client):
    data = FIVE.read_bytes()
    answer = client.audio.transcriptions.create(file=("x.flac", data[: len(data) * 2 // 3]), model="digits")
    assert re.search("cut short|damaged", answer.incomplete)


def test_translations_of_a_model_that_transcribes_are_refused(client):
    with open(FIVE, "rb") as file, pytest.raises(openai.BadRequestError, match="does not translate"):
        client.audio.translations.create(file=file, model="digits")


def test_translations(digits):
    with served(digits, names=("x-st",), task="translate") as server, open(FIVE, "rb") as file:
        client = client_of(server)
        assert client.audio.translations.create(file=file, model="x-st").text == "five five"
        file.seek(0)
        with pytest.raises(openai.BadRequestError, match="does not transcribe"):
            client.audio.transcriptions.create(file=file, model="x-st")


def test_the_key(digits):
    with served(digits, api_key="secret-key-1") as server:
        assert create(client_of(server, "secret-key-1"), FIVE).text == "five five"
        for wrong in ("secret-key-2", "secret-key-11", "schlüssel"):
            with pytest.raises((openai.AuthenticationError, UnicodeEncodeError)):
                create(client_of(server, wrong), FIVE)


def test_a_fault_of_ours_is_a_500_and_tells_nothing(digits, capsys):
    from dataclasses import replace

    def fail(*_):
        raise ZeroDivisionError("/secret/path")

    broken = replace(digits, backend=digits.backend._replace(encode=fail))
    with served(broken) as server, pytest.raises(openai.InternalServerError) as caught:
        create(client_of(server), FIVE)
    assert "secret" not in str(caught.value)
    assert "/secret/path" in capsys.readouterr().err


def test_options_of_the_server_hold_for_every_request(digits):
    with served(digits, {"max_new_tokens": 2}) as server:
        answer = create(client_of(server), response_format="verbose_json")
    assert answer.segments[0].flags == ["unfinished"]
    assert answer.text == "two nine [...]"
    assert s2t_np.load("digits", backend="numpy").generation_config.max_new_tokens is None
