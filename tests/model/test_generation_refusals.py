"""What a checkpoint's generation_config.json may not ask for: refused by name, never dropped."""

import pytest

from s2t_np.config import GenerationConfig
from s2t_np.errors import ModelError

ASKED = {
    "bad_words_ids": [[5, 6]],
    "sequence_bias": [[[5], -2.0]],
    "exponential_decay_length_penalty": [5, 1.5],
    "renormalize_logits": True,
    "remove_invalid_values": True,
    "typical_p": 0.9,
    "min_p": 0.1,
    "top_h": 0.4,
    "epsilon_cutoff": 1e-3,
    "eta_cutoff": 1e-3,
    "max_time": 2.0,
    "stop_strings": ["five"],
    "num_beam_groups": 2,
    "diversity_penalty": 0.5,
    "penalty_alpha": 0.6,
    "constraints": ["five"],
    "force_words_ids": [[5]],
    "guidance_scale": 1.5,
    "watermarking_config": {"bias": 2.5},
    "token_healing": True,
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
def test_an_option_that_the_search_lacks_is_refused_by_name(name):
    with pytest.raises(ModelError, match=f"^here.json: {name} is .*does not have"):
        GenerationConfig.from_dict({name: ASKED[name]}, "here.json")


def test_neutral_values_and_bookkeeping_pass():
    assert GenerationConfig.from_dict(ASK_FOR_NOTHING) == GenerationConfig()
