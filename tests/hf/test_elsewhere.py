"""What people bring from transformers: names, arguments and results that are here, or an answer that helps."""

import numpy as np
import pytest

import s2t_np
from s2t_np import hf
from s2t_np.errors import InputWarning, OptionError
from s2t_np.hf import Speech2TextForConditionalGeneration
from s2t_np.settings.generation_config import GenerationConfig
from tests.support.sounds import signal


@pytest.mark.parametrize("home", [s2t_np, hf])
@pytest.mark.parametrize("name", ["pipeline", "AutoProcessor", "AutoModelForSpeechSeq2Seq"])
def test_names_that_are_not_here_name_the_replacement(home, name):
    with pytest.raises(ImportError, match=f"transformers' {name} is not in s2t_np; write "):
        getattr(home, name)


def test_an_argument_that_is_not_known():
    with pytest.raises(OptionError, match="from_pretrained does not know load_in_8bit; dtype says"):
        Speech2TextForConditionalGeneration.from_pretrained("digits", load_in_8bit=True)


def test_what_a_file_asks_generate_to_return_is_said():
    with pytest.warns(InputWarning, match="output_scores, return_dict_in_generate changes nothing in a file"):
        GenerationConfig.from_dict({"output_scores": True, "return_dict_in_generate": True, "output_logits": False})


@pytest.mark.parametrize("beams", [1, 3])
def test_transition_scores_add_up_to_the_score_of_the_text(beams):
    model = Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")
    processor = s2t_np.Speech2TextProcessor.from_pretrained("digits")
    sounds = [signal(20_000), signal(9000, seed=3)]
    inputs = processor(sounds, sampling_rate=16000, padding=True, return_tensors="np")
    options = {"num_beams": beams, "max_length": 12, "length_penalty": 1.0}
    found = model.generate(**inputs, **options, return_dict_in_generate=True, output_scores=True)
    scores = model.compute_transition_scores(
        found.sequences, found.scores, found.beam_indices, normalize_logits=beams == 1
    )
    for row, (hypothesis,) in zip(scores, found.hypotheses, strict=True):
        lengths = len(hypothesis.token_log_probs)
        assert np.allclose(row[:lengths], hypothesis.token_log_probs, atol=1e-5)
        assert not row[lengths:].any()
