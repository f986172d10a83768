"""The results of utterances that decode together are those of each alone, to the bit, whoever their neighbours are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

import s2t_np
from s2t_np.longform.options import StreamOptions
from s2t_np.search import Hypothesis
from s2t_np.together import Sharing, ordered
from tests.support.paths import DIGITS

RECORDINGS = sorted((DIGITS.parent.parent / "recordings").glob("*.flac"))
OPTION_SETS = [
    {},
    {"num_beams": 1},
    {"num_beams": 3, "num_return_sequences": 3, "max_length": 9},
    {"num_beams": 8, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 2, "repetition_penalty": 1.3},
    {"no_repeat_ngram_size": 2, "min_length": 12, "max_length": 20},
    {"prefix": (5, 6), "num_beams": 4},
    {"forced_bos_token_id": 7, "forced_eos_token_id": 2, "max_length": 6},
    {"suppress_tokens": (5, 9), "begin_suppress_tokens": (4,)},
    {"search": "fairseq", "num_beams": 4, "min_length": 3},
    {"do_sample": True, "num_beams": 1, "num_return_sequences": 3, "seed": 3, "top_k": 4, "max_length": 12},
    {"do_sample": True, "num_beams": 1, "seed": 8, "temperature": 2.0, "max_length": 30},
]
UTTERANCES = {"numpy": 24, "numba": 360, "numba int8": 360}


class Case(NamedTuple):
    """Something to hear, and how to search it."""

    features: np.ndarray
    options: dict


@pytest.fixture(scope="module", params=["numpy", "numba", "numba int8"])
def model(request):
    """The bundled model on each backend."""
    name, _, dtype = request.param.partition(" ")
    return s2t_np.load("digits", backend=name, dtype=dtype or "float32")


def cuts(model, count: int) -> Iterator[np.ndarray]:
    """Features of pieces of the bundled recordings, of any length, some of them in noise."""
    whole = [model.features(path) for path in RECORDINGS]
    random = np.random.default_rng(11)
    for _ in range(count):
        x = whole[random.integers(len(whole))]
        length = random.integers(5, min(len(x), 250))
        start = random.integers(len(x) - length + 1)
        noise = random.choice([0, 0.3, 2]) * random.standard_normal((length, x.shape[1]))
        yield (x[start : start + length] + noise).astype(x.dtype)


@pytest.fixture(scope="module")
def cases(model) -> list[tuple[Case, list[Hypothesis]]]:
    """Hundreds of utterances and what each is alone."""
    features = cuts(model, UTTERANCES[model.backend.name])
    found = [Case(x, {"max_length": 40} | OPTION_SETS[i % len(OPTION_SETS)]) for i, x in enumerate(features)]
    return [(case, model.generate(case.features, **case.options)) for case in found]


@pytest.mark.parametrize(("width", "workers"), [(2, 1), (7, 1), (16, 1), (5, 2)])
def test_neighbours_change_nothing(model, cases, width, workers):
    order = np.random.default_rng(width).permutation(len(cases))
    begun = (model.begin(cases[i][0].features, **cases[i][0].options) for i in order)
    found = list(ordered(begun, model.step_together, Sharing(width, workers)))
    different = [cases[i][0].options for i, hypotheses in zip(order, found, strict=True) if hypotheses != cases[i][1]]
    assert different == []  # tokens, and every float of theirs: dataclasses compare all fields


def test_a_batch_of_one_option_set(model, cases):
    several = [case.features for case, _ in cases[:12]]
    for options in OPTION_SETS[:3]:
        alone = [model.generate(x, **options) for x in several]
        assert list(model.generate_batch(several, batch=6, **options)) == alone


def test_an_error_of_one_takes_its_place_and_harms_no_neighbour(model, cases):
    good = [case.features for case, _ in cases[:4]]
    wrong = np.full_like(good[0], np.nan)
    found = list(model.generate_batch([good[0], good[1], wrong, good[2], good[3]], batch=5, num_beams=3))
    error = found.pop(2)
    assert isinstance(error, s2t_np.OptionError) and "NaN" in str(error)
    assert found == [model.generate(x, num_beams=3) for x in good]


def test_wrong_options_are_refused_at_once(model):
    for wrong in ({"num_beams": 0}, {"unheard_of": 1}, {"batch": 0}, {"batch": 2.5}):
        with pytest.raises(s2t_np.OptionError):
            model.generate_batch([], **wrong)
        with pytest.raises(s2t_np.OptionError):
            model.transcribe_batch([], **wrong)


def test_recordings_whole_and_in_segments(model, tmp_path):
    """Short ones, ones that are cut, one that is not there and one that is not sound, each as alone."""
    (tmp_path / "text.wav").write_text("these are words")
    paths = [*RECORDINGS, tmp_path / "gone.wav", RECORDINGS[0], tmp_path / "text.wav", *RECORDINGS[:2]]
    options = StreamOptions(max_whole_duration=1.5, max_speech_duration=2.5, cut_overlap=0.2)
    for given in (None, options):
        found = list(model.transcribe_batch(map(str, paths), options=given, batch=6))
        for path, transcript in zip(paths, found, strict=True):
            if path.parent == tmp_path:
                assert isinstance(transcript, s2t_np.AudioError) and path.name in str(transcript)
                with pytest.raises(s2t_np.AudioError):
                    model.transcribe(path, options=given)
            else:
                assert transcript == model.transcribe(str(path), options=given, batch=1)
        assert any(getattr(transcript, "segments", ()) for transcript in found) == (given is options)


def test_a_long_recording_is_the_same_whatever_the_batch(model):
    sound = np.concatenate([s2t_np.audio.load(path, 16000) for path in RECORDINGS])
    options = StreamOptions(max_whole_duration=2, max_speech_duration=2.5, cut_overlap=0.2, logprob_threshold=-0.05)
    alone = list(model.stream(sound, 16000, options, batch=1))
    assert len(alone) > 5 and any(segment.flags for segment in alone)
    for batch in (2, 5, None):
        assert list(model.stream(sound, 16000, options, batch=batch)) == alone
    assert model.transcribe(sound, 16000, options).segments == tuple(alone)


def test_a_live_recording_is_decoded_one_segment_at_a_time(model):
    widths = []

    def step_together(ops, w, config, asks):
        widths.append(len(asks))
        return model.backend.step_together(ops, w, config, asks)

    watched = replace(model, backend=model.backend._replace(step_together=step_together))
    sound = np.concatenate([s2t_np.audio.load(path, 16000) for path in RECORDINGS[:3]])
    options = StreamOptions(max_whole_duration=2, max_speech_duration=2.5, cut_overlap=0.2)
    live = list(watched.stream(iter(np.array_split(sound, 9)), 16000, options, batch=4))
    assert set(widths) == {1}
    assert list(watched.stream(sound, 16000, options, batch=4)) == live and 1 < max(widths) <= 4
