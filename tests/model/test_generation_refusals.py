"""What a checkpoint's generation_config.json may not ask for: refused by name, never dropped."""

import warnings

import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import InputWarning, ModelError, OptionError

ASKED = {
    "num_beam_groups": 2,
    "diversity_penalty": 0.5,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "constraints": ["five"],
    "force_words_ids": [[5]],
    "guidance_scale": 1.5,
    "watermarking_config": {"bias": 2.5},
    "token_healing": True,
    "prompt_lookup_num_tokens": 3,
    "assistant_early_exit": 4,
    "use_mtp": True,
    "low_memory": True,
}
# As transformers wrote them into config.json before 2022, and what files hold beside options:
ASK_FOR_NOTHING = {
    "bad_words_ids": None,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "typical_p": 1.0,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "encoder_no_repeat_ngram_size": 0,
    "output_scores": False,
    "transformers_version": "4.5.0",
    "_from_model_config": True,
}


@pytest.mark.parametrize("name", ASKED)
def test_an_option_that_the_search_lacks_is_refused_by_name_with_the_reason(name):
    with pytest.raises(ModelError, match=rf"^here.json: {name} is .*does not have \(.{{20,}}\)"):
        GenerationConfig.from_dict({name: ASKED[name]}, "here.json")
    with pytest.raises(OptionError, match=f"{name} is .*does not have"):
        GenerationConfig().replace(**{name: ASKED[name]})


def test_neutral_values_and_bookkeeping_pass():
    assert GenerationConfig.from_dict(ASK_FOR_NOTHING) == GenerationConfig()
    assert GenerationConfig().replace(num_beam_groups=1, guidance_scale=1.0, use_mtp=None) == GenerationConfig()


@pytest.mark.parametrize("option", [{"encoder_no_repeat_ngram_size": 3}, {"encoder_repetition_penalty": 1.5}])
def test_options_about_a_text_that_is_read_change_nothing_and_say_so(option):
    with pytest.warns(InputWarning, match=f"here.json: {next(iter(option))} changes nothing"):
        assert GenerationConfig.from_dict(option, "here.json") == GenerationConfig()
    with pytest.warns(InputWarning, match="changes nothing"):
        assert GenerationConfig().replace(**option) == GenerationConfig()


@pytest.mark.parametrize("option", [{"temperature": 0.0}, {"top_p": 0}, {"typical_p": 7}, {"min_p": -1}, {"top_h": 2}])
def test_a_sampling_option_out_of_range_refuses_only_a_file_that_samples(option):
    (name,) = option
    with pytest.warns(InputWarning, match=f"here.json: {name} is .*no effect without do_sample") as caught:
        assert GenerationConfig.from_dict(option | {"num_beams": 3}, "here.json") == GenerationConfig(num_beams=3)
    assert len(caught) == 1
    with pytest.raises(ModelError, match=f"here.json: {name} is"):
        GenerationConfig.from_dict(option | {"do_sample": True}, "here.json")


def test_what_a_file_may_ask_for():
    asked = {
        "bad_words_ids": [[5, 6], [7]],
        "sequence_bias": [[[5], -2.0], [[6, 7], 1.5]],
        "exponential_decay_length_penalty": [5, 1.5],
        "renormalize_logits": True,
        "remove_invalid_values": True,
        "eos_token_id": [2, 9],
        "forced_eos_token_id": [2, 9],
        "max_time": 2.0,
        "stop_strings": ["five"],
        "min_p": 0.1,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = GenerationConfig.from_dict(asked)
    assert config.bad_words_ids == ((5, 6), (7,))
    assert config.sequence_bias == (((5,), -2.0), ((6, 7), 1.5))
    assert config.exponential_decay_length_penalty == (5, 1.5)
    assert config.eos_token_ids == config.forced_eos_token_id == (2, 9)
    assert (config.max_time, config.stop_strings, config.min_p) == (2.0, ("five",), 0.1)
    assert hash(config) == hash(GenerationConfig.from_dict(asked))
    biased = GenerationConfig().replace(sequence_bias={(5,): -2.0, (6, 7): 1.5})
    assert biased.sequence_bias == config.sequence_bias


def test_none_switches_an_option_off():
    asked = GenerationConfig(temperature=0.5, top_k=9, typical_p=0.5, min_p=0.5, early_stopping=True, min_length=5)
    nothing = {"temperature": None, "top_k": None, "typical_p": None, "min_p": None, "early_stopping": None}
    off = asked.replace(**nothing, min_length=None, eos_token_id=None, do_sample=None, max_new_tokens=None)
    assert off == GenerationConfig(top_k=0, eos_token_id=None)
    assert off.eos_token_ids == ()
    with pytest.raises(OptionError, match="num_beams is None"):
        asked.replace(num_beams=None)
