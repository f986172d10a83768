"""What a user sees at a prompt: names to complete, help to read, a model that says in one line what it is."""

import ast
import pydoc
import subprocess
import sys

import pytest

import s2t_np
from tests.support.paths import DIGITS, ROOT

FUNCTIONS = {"load", "get_threads", "own_threads", "set_threads"}


def test_every_public_name_is_there_and_listed():
    assert set(s2t_np.__all__) >= FUNCTIONS | {"S2T", "Transcript", "S2TError", "Speech2TextProcessor"}
    assert set(s2t_np.__all__) <= set(dir(s2t_np))
    namespace = {}
    exec("from s2t_np import *", namespace)
    assert set(s2t_np.__all__) <= set(namespace)


def test_the_stub_names_each_thing_once_and_truly():
    """Type checkers read __init__.pyi; each of its lines must mean at run time what it says."""
    tree = ast.parse((ROOT / "s2t_np" / "__init__.pyi").read_text(encoding="utf-8"))
    found = [(node.module, name) for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names]
    assert [name.asname for _, name in found] == s2t_np.__all__
    for module, name in found:
        assert name.name == name.asname
        home = __import__(f"s2t_np.{module}", fromlist=[name.name])
        assert getattr(s2t_np, name.name) is getattr(home, name.name)


def test_help_lists_the_functions():
    text = pydoc.plain(pydoc.render_doc(s2t_np))
    functions = text[text.index("\nFUNCTIONS") :]
    assert all(f"\n    {name}(" in functions for name in FUNCTIONS)


def test_listing_names_imports_nothing():
    code = "import sys, s2t_np; dir(s2t_np); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 's2t_np' has no attribute 'transcribe'"):
        s2t_np.transcribe  # noqa: B018


def test_a_model_says_in_one_line_what_it_is():
    model = s2t_np.load(DIGITS, backend="numpy")
    assert repr(model).startswith("S2T(") and "\n" not in repr(model) and len(repr(model)) < 300
    for word in (str(DIGITS), "numpy", "float32", str(model.config.d_model)):
        assert word in repr(model)


def test_weights_show_shapes_and_no_numbers():
    model = s2t_np.load(DIGITS, backend="numpy")
    layer, width = model.weights.encoder.layers[0], model.config.d_model
    assert repr(layer.self_attn.q_proj) == f"Linear(weight: ({width}, {width}), bias: ({width},))"
    assert repr(model.weights.lm_head).endswith("bias: none)")
    assert f"layers: {model.config.encoder_layers} x EncoderLayer" in repr(model.weights.encoder)
    for part in (model.weights, model.weights.encoder, model.weights.decoder, layer, layer.self_attn, model.backend):
        assert "\n" not in repr(part) and len(repr(part)) < 400
