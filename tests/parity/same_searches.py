"""The searches of same_program.py: options of `generate` that mean the same in both libraries."""

import numpy as np


def process(ids, scores):
    """A logits processor that means the same for tensors and arrays."""
    lowered = scores - 0.02 * ids.shape[1]
    lowered[:, 5::4] -= 0.7
    return lowered


def stop(ids, scores):
    """A stopping criterion."""
    return ids.sum(1) % 5 == 0


class Listener:
    """A streamer that keeps what it is given."""

    def __init__(self):
        self.given, self.ended = [], False

    def put(self, ids):
        self.given.append(np.array(ids).tolist())

    def end(self):
        self.ended = True


SHOWN = {  # searches of which everything is returned
    "greedy": {"num_beams": 1},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "edited": {"num_beams": 2, "repetition_penalty": 1.3, "suppress_tokens": [5], "renormalize_logits": True},
    "edited, greedy": {"num_beams": 1, "repetition_penalty": 1.3, "min_length": 6, "bad_words_ids": [[9]]},
    "a single path": {"num_beams": 1, "do_sample": True, "top_k": 1},
}
FIELDS = (
    "sequences scores logits beam_indices encoder_attentions encoder_hidden_states decoder_attentions "
    "cross_attentions decoder_hidden_states"
).split()
OPTIONS = {  # how to search
    "default": {},
    "greedy": {"num_beams": 1},
    "n-best": {"num_beams": 4, "num_return_sequences": 3},
    "short": {"max_length": 5},
    "new tokens": {"max_new_tokens": 3},
    "penalties": {"length_penalty": 2.0, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    "forced": {"forced_bos_token_id": 9, "forced_eos_token_id": 2, "max_length": 7},
    "suppressed": {"suppress_tokens": [5, 8], "begin_suppress_tokens": [4]},
    "never": {"early_stopping": "never", "min_length": 6, "num_beams": 3},
    "biased": {"sequence_bias": [[[5], -2.0], [[9], 3.0], [[9, 4], -4.0], [[2, 9, 6], 2.5]]},
    "bad words": {"bad_words_ids": [[9], [5, 5], [2], [4, 9]]},
    "several ends": {"eos_token_id": [2, 9, 7], "num_beams": 3, "num_return_sequences": 2},
    "several ends, greedy": {"eos_token_id": [2, 9, 7], "num_beams": 1, "min_length": 3},
    "no end": {"eos_token_id": None, "max_length": 9, "num_beams": 2},
    "decaying": {"exponential_decay_length_penalty": (1, 1.4), "num_beams": 2},
    "decaying, greedy": {"exponential_decay_length_penalty": [2, 1.6], "num_beams": 1, "eos_token_id": [2, 5]},
    "renormalized": {"renormalize_logits": True, "suppress_tokens": [5, 8], "remove_invalid_values": True},
    "switched off": {
        "repetition_penalty": None,
        "no_repeat_ngram_size": None,
        "early_stopping": None,
        "min_length": None,
        "do_sample": None,
        "temperature": None,
        "forced_bos_token_id": None,
        "suppress_tokens": None,
    },
    "ignored": {"encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 1.5, "typical_p": 0.5, "min_p": 0.9},
    "numbers of numpy": {"num_beams": np.int64(3), "length_penalty": np.float64(0.5), "max_length": np.int32(9)},
    "neutral": {"use_cache": True, "synced_gpus": False, "assistant_model": None, "bos_token_id": 0, "top_h": None},
    "allowed": {"prefix_allowed_tokens_fn": lambda i, ids: [2, *range(4 + (i + len(ids)) % 2, 12, 2)]},
    "processed": {"logits_processor": [process]},
    "processed, greedy": {"logits_processor": [process], "num_beams": 1, "max_length": 12},
    "stopped": {"stopping_criteria": [stop], "num_beams": 3},
    "stopped, greedy": {"stopping_criteria": [stop], "num_beams": 1},
    "out of time": {"max_time": 0.0, "num_beams": 1},
    "out of time, beams": {"max_time": 0.0, "num_beams": 3},
    "all together": {
        "num_beams": 4,
        "num_return_sequences": 3,
        "logits_processor": [process],
        "eos_token_id": [2, 7],
        "bad_words_ids": [[5]],
        "exponential_decay_length_penalty": (3, 1.1),
        "renormalize_logits": True,
        "repetition_penalty": 1.2,
    },
    "few to return": {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 1, "suppress_tokens": [2]},
}
