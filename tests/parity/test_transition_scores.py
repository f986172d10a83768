"""`compute_transition_scores` against transformers, of what each library's own `generate` returned.

After the end of a row both have 0 with beams. Of a greedy search upstream goes on to decode rows that have ended, and
has the scores of their padding; here nothing is computed of them, and they have 0.
"""

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.hf import Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS, RECORDINGS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
NAMES = (
    "five-five",
    "two-nine-three-four-zero",
    "synthetic-one-two-three",
)  # of different lengths: rows that end early


@pytest.fixture(scope="module")
def both():
    ours = Speech2TextForConditionalGeneration.from_pretrained(DIGITS, backend="numpy")
    theirs = transformers.Speech2TextForConditionalGeneration.from_pretrained(DIGITS, local_files_only=True)
    sounds = [audio.load(RECORDINGS / f"{name}.flac", 16000) for name in NAMES]
    batch = Speech2TextProcessor.from_pretrained(DIGITS)(sounds, sampling_rate=16000, padding=True, return_tensors="np")
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in batch.items()}
    return ours, batch | {"padded_as_upstream": True}, theirs, tensors


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 1},
        {"num_beams": 3},
        {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 0.0},
        {"num_beams": 3, "max_length": 4},
    ],
    ids=str,
)
def test_transition_scores(both, options, normalize):
    ours, batch, theirs, tensors = both
    wanted = options | {"return_dict_in_generate": True, "output_scores": True}
    a, b = ours.generate(**batch, **wanted), theirs.generate(**tensors, **wanted)
    assert a.sequences.tolist() == b.sequences.tolist()
    found = ours.compute_transition_scores(a.sequences, a.scores, a.beam_indices, normalize_logits=normalize)
    right = theirs.compute_transition_scores(b.sequences, b.scores, b.get("beam_indices"), normalize_logits=normalize)
    ended = np.asarray(a.sequences)[:, 1:] == theirs.config.pad_token_id
    if options["num_beams"] == 1:
        assert (right.numpy()[ended] != 0).all()  # of the padding
        right[torch.from_numpy(ended)] = 0
    assert ended.any() == ("max_length" not in options)
    assert found.dtype == np.float32 and not found[ended].any()
    np.testing.assert_allclose(found, right.numpy(), atol=1e-4)
