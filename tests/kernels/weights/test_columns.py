"""The names of a plan's columns are those of the parts that stand there; encoder and decoder have their own."""

import numpy as np
import pytest

pytest.importorskip("numba")

from s2t_np_kernels.decoder import columns as decoder_columns
from s2t_np_kernels.encoder import columns as encoder_columns

from s2t_np_kernels import backend
from tests.support.kernel_models import model


def offsets(part) -> tuple[int, int]:
    """Where the weights and the terms of a packed part begin."""
    return part[1:3]


def test_encoder():
    _, plain = model("lanes-even")
    w, c = backend.numba_ops.prepare(plain).encoder, encoder_columns
    for row, layer in zip(w.plan, w.layers, strict=False):
        attention = layer.self_attn
        parts = {c.NORM_1: layer.self_attn_layer_norm, c.NORM_2: layer.final_layer_norm, c.FC1: layer.fc1}
        parts |= {c.FC2: layer.fc2, c.Q: attention.q_proj, c.K: attention.k_proj, c.V: attention.v_proj}
        parts |= {c.OUT: attention.out_proj}
        assert len(parts) * 2 == c.COUNT == len(row)
        assert all(tuple(row[column : column + 2]) == offsets(part) for column, part in parts.items())
    assert tuple(w.plan[-1, c.FINAL_NORM :][:2]) == offsets(w.layer_norm)


def test_decoder():
    _, plain = model("lanes-even")
    packed, c = backend.numba_ops.prepare(plain), decoder_columns
    w = packed.decoder
    for row, layer in zip(w.plan, w.layers, strict=False):
        text, sound = layer.self_attn, layer.encoder_attn
        parts = {c.NORM_1: layer.self_attn_layer_norm, c.NORM_2: layer.encoder_attn_layer_norm}
        parts |= {c.NORM_3: layer.final_layer_norm, c.FC1: layer.fc1, c.FC2: layer.fc2}
        parts |= {c.Q: text.q_proj, c.K: text.k_proj, c.V: text.v_proj, c.OUT: text.out_proj}
        parts |= {c.CROSS_Q: sound.q_proj, c.CROSS_K: sound.k_proj, c.CROSS_V: sound.v_proj}
        parts |= {c.CROSS_OUT: sound.out_proj}
        assert len(parts) * 2 == c.COUNT == len(row)
        assert all(tuple(row[column : column + 2]) == offsets(part) for column, part in parts.items())
    assert tuple(w.plan[-1, c.FINAL_NORM :][:2]) == offsets(w.layer_norm)
    assert tuple(w.plan[-1, c.HEAD :][:2]) == offsets(packed.lm_head)
    assert np.unique(w.plan[0]).size == c.COUNT
