"""Numbers in a model's JSON files that nothing could be built from: one line, at once, in little memory."""

import json
import shutil
import time
import tracemalloc

import pytest

import s2t_np
from tests.support.paths import DIGITS

LARGE = (2**31 - 1, 2**31, 2**63, 10**6, 10**400)
FIELDS = {
    "config.json": (
        *("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads"),
        *("decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "num_conv_layers", "conv_channels"),
        *("input_feat_per_channel", "input_channels"),
    ),
    "preprocessor_config.json": ("num_mel_bins", "feature_size", "sampling_rate"),
    "generation_config.json": ("max_length", "max_new_tokens", "min_length", "num_beams", "num_return_sequences"),
}
CASES = [(file, field, value) for file, fields in FIELDS.items() for field in fields for value in LARGE]


@pytest.fixture
def changed(tmp_path):
    """Writes the bundled model's folder with some fields of one file changed."""

    def folder(file, **fields):
        target = shutil.copytree(DIGITS, tmp_path / "model")
        data = json.loads((target / file).read_text())
        (target / file).write_text(json.dumps(data | fields))
        return target

    return folder


@pytest.mark.parametrize(("file", "field", "value"), CASES, ids=lambda x: f"{x:.3g}" if x in LARGE[:4] else str(x)[:30])
def test_a_wild_number_is_refused_at_once(changed, file, field, value):
    folder = changed(file, **{field: value})
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(s2t_np.ModelError) as caught:
            s2t_np.load(folder, backend="numpy").features_of_samples([0.0] * 8000)
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(folder)) and "\n" not in str(caught.value)
    assert seconds < 2 and peak < 30e6, (seconds, peak)


@pytest.mark.parametrize("rate", [0, 1, 99, -16000, 768_001, 2**31 - 1])
def test_a_sampling_rate_that_cannot_be(changed, rate):
    folder = changed("preprocessor_config.json", sampling_rate=rate)
    with pytest.raises(s2t_np.ModelError, match=f"sampling_rate is {rate}, expected a whole number from 100 to 768000"):
        s2t_np.load(folder)


@pytest.mark.parametrize("fields", [{"encoder_layers": 1000}, {"decoder_layers": 999}, {"d_model": 4096}], ids=str)
def test_a_network_far_larger_than_the_weights(changed, fields):
    """Within the ranges, but not within the file: compared before the table of tensors is built."""
    with pytest.raises(s2t_np.ModelError, match=r"describes a network of [\d,]+ parameters, the weights hold 2,"):
        s2t_np.load(changed("config.json", **fields))
