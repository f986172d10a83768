"""How many utterances run together: by beams, by how weights are kept, by memory."""

import pytest

import s2t_np
from s2t_np import together
from s2t_np.config import GenerationConfig, ModelConfig
from s2t_np.errors import OptionError
from s2t_np.search import Hooks
from s2t_np.system.threads import own_threads
from s2t_np.together import width_of
from s2t_np.together.width import decoder_weights
from s2t_np.weights import expected_shapes

SMALL = ModelConfig()
MEDIUM = ModelConfig(d_model=512, encoder_attention_heads=8, decoder_attention_heads=8)
LARGE = ModelConfig(d_model=1024, encoder_ffn_dim=4096, decoder_ffn_dim=4096)


@pytest.mark.parametrize(
    ("config", "options", "weight_bytes", "expected"),
    [
        (SMALL, {"num_beams": 5}, 4, 12),  # 60 rows
        (SMALL, {"num_beams": 5}, 2, 7),
        (SMALL, {"num_beams": 5}, 1, 4),
        (SMALL, {"num_beams": 1}, 4, 15),  # 45 MB of weights, 3 MB for each utterance
        (SMALL, {"num_beams": 20}, 4, 3),
        (SMALL, {"num_beams": 100}, 4, 1),
        (SMALL, {"do_sample": True, "num_beams": 1, "num_return_sequences": 8}, 4, 8),
        (MEDIUM, {"num_beams": 5}, 4, 12),
        (LARGE, {"num_beams": 5}, 4, 8),  # 61 MB for an utterance of 30 s
        (LARGE, {"num_beams": 5}, 1, 8),
    ],
)
def test_by_beams_weights_and_memory(config, options, weight_bytes, expected):
    assert width_of(config, GenerationConfig(**options), weight_bytes) == expected


def test_the_weights_of_a_step_are_those_of_the_decoders_matrices():
    shapes = {name: shape for name, shape in expected_shapes(SMALL).items() if name.startswith("model.decoder.layers")}
    cross = ("encoder_attn.k_proj", "encoder_attn.v_proj")
    matrices = [shape for name, shape in shapes.items() if len(shape) == 2 and not any(c in name for c in cross)]
    head = SMALL.d_model * SMALL.vocab_size
    assert decoder_weights(SMALL) == sum(rows * columns for rows, columns in matrices) + head


def test_a_model_knows_its_own(capsys):
    sizes = {dtype: s2t_np.load("digits", backend="numba", dtype=dtype).batch_size() for dtype in ("float32", "int8")}
    assert 1 <= sizes["int8"] < sizes["float32"] <= 12
    model = s2t_np.load("digits", backend="numba", dtype="int8")
    assert model.batch_size(num_beams=64) == 1 and model.batch_size(7) == 7


@pytest.mark.parametrize(
    ("threads", "batch", "expected"),
    [
        *((1, None, (5, 1)), (2, None, (5, 2)), (16, None, (5, 4))),
        *((16, 1, (1, 1)), (16, 3, (3, 1)), (2, 5, (3, 2)), (16, 5, (3, 2)), (16, 12, (3, 4))),
    ],
)
def test_a_model_says_how_utterances_are_shared_out(threads, batch, expected, monkeypatch):
    digits = s2t_np.load("digits", backend="numpy")
    monkeypatch.setattr(together, "width_of", lambda *_: 5)
    with own_threads(threads):
        assert digits.sharing(batch, num_beams=2) == expected
        hooks = Hooks(allowed=lambda tokens: [1])
        assert digits.sharing(batch, num_beams=2, hooks=hooks) == (batch or 5, 1)


@pytest.mark.parametrize(
    ("batch", "workers", "expected"),
    [(None, 7, (5, 7)), (4, 2, (2, 2)), (5, 2, (3, 2)), (1, 2, (1, 1)), (3, 8, (1, 3))],
)
def test_a_batch_is_meant_in_all_however_many_threads_are_asked_for(batch, workers, expected, monkeypatch):
    digits = s2t_np.load("digits", backend="numpy")
    monkeypatch.setattr(together, "width_of", lambda *_: 5)
    assert digits.sharing(batch, workers) == expected


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(OptionError, match="workers"):
        s2t_np.load("digits", backend="numpy").sharing(workers=workers)
