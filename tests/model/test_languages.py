"""A model of several languages: the one that was asked for is written, in every segment and every retry."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import s2t_np
from s2t_np.config import TokenizerConfig
from s2t_np.errors import InputWarning, OptionError
from s2t_np.longform.options import StreamOptions
from s2t_np.tokenizer import Tokenizer
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "five-five.flac"
FR, DE = 5, 7  # ids of pieces of the bundled model that stand for languages here


@pytest.fixture(scope="module")
def model():
    """The bundled model with two of its pieces made languages, and a memory of what the search was asked for."""
    digits = s2t_np.load("digits", backend="numpy")
    return replace(digits, tokenizer=multilingual(digits.tokenizer))


def multilingual(tokenizer: Tokenizer) -> Tokenizer:
    vocab = {{FR: "<lang:fr>", DE: "<lang:de>"}.get(i, piece): i for piece, i in tokenizer.vocab.items()}
    made = Tokenizer.__new__(Tokenizer)
    made.__dict__ |= tokenizer.__dict__
    made.config, made.vocab, made.languages = TokenizerConfig(languages=("fr", "de")), vocab, {"fr": FR, "de": DE}
    return made


def first_tokens(monkeypatch, model, run):
    """The first generated token of every search that `run` makes."""
    found, begin = [], s2t_np.search.begin

    def watched(*arguments):
        hypotheses = yield from begin(*arguments)
        found.append(hypotheses[0].tokens[1])
        return hypotheses

    monkeypatch.setattr("s2t_np.search.begin", watched)
    run()
    return found


def test_a_short_recording(monkeypatch, model):
    for lang, piece in (("fr", FR), ("de", DE)):
        assert first_tokens(monkeypatch, model, lambda lang=lang: model.transcribe(RECORDING, lang=lang)) == [piece]


def test_every_segment_and_every_retry(monkeypatch, model):
    sound = np.concatenate([s2t_np.audio.load(RECORDING, 16000), np.zeros(32000, np.float32)] * 4)
    doubtful = StreamOptions(max_whole_duration=1.0, logprob_threshold=0.0, retry_no_repeat_ngram_size=2)
    for search in ("transformers", "fairseq"):
        found = first_tokens(
            monkeypatch, model, lambda search=search: model.transcribe(sound, 16000, doubtful, lang="de", search=search)
        )
        assert len(found) >= 4 and set(found) == {DE}


def test_a_prefix_follows_the_language(model):
    features = model.features(RECORDING)
    for prefix in ([9], [FR, 9]):
        assert model.generate(features, prefix=prefix, lang="fr")[0].tokens[:3] == (2, FR, 9)


def test_two_first_tokens_contradict(model):
    with pytest.raises(OptionError, match="lang 'fr' and forced_bos_token_id"):
        model.transcribe(RECORDING, lang="fr", forced_bos_token_id=DE)
    with pytest.raises(OptionError, match="'it' is not known; this model has fr, de"):
        list(model.stream(RECORDING, lang="it"))
    with pytest.raises(OptionError, match="forced_bos_token_id is"):
        model.transcribe(RECORDING, forced_bos_token_id=[FR, DE])


def test_without_a_language_a_warning(model):
    for call in (model.transcribe, lambda sound: list(model.stream(sound))):
        with pytest.warns(InputWarning, match="this model writes fr, de"):
            call(RECORDING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.transcribe(RECORDING, lang="fr")
        model.transcribe(RECORDING, forced_bos_token_id=FR)
        s2t_np.load("digits", backend="numpy").transcribe(RECORDING)


def test_a_score_is_of_a_text_in_a_language(model):
    assert [model.score(RECORDING, "six", lang=lang).tokens[0] for lang in ("fr", "de", None)] == [FR, DE, FR]
