"""A model's stages by name, seen while its own functions run; nothing is computed by a copy of them.

The readable encoder and decoder are watched through their `ops`: what a layer made is what the first normalisation of
the next one is given. The compiled ones show their stages themselves (`stages=`), and those of the decoder come from
its steps. Names are those of the upstream side (tools/torch_worker.py).
"""

from collections.abc import Iterator

import numpy as np

from s2t_np.backend import NUMPY
from s2t_np.decoder import decode_full
from s2t_np.encoder import encode
from s2t_np.layers import subsampled_length
from s2t_np.model import S2T
from s2t_np.ops import Ops


def first_norms(stack: str, first: str, layers: tuple, last) -> Iterator[tuple[int, str]]:
    """(id of a normalisation, name of the stage that is its input)."""
    names = [first, *(f"{stack}.{i}" for i in range(len(layers)))]
    return ((id(w), name) for w, name in zip([*(x.self_attn_layer_norm for x in layers), last], names, strict=True))


def watched(model: S2T, found: dict[str, np.ndarray]) -> Ops:
    """The model's ops; what they are given or give goes into `found`."""
    ops, w = model.backend.ops, model.weights
    inputs = dict(first_norms("encoder", "embed_features", w.encoder.layers, w.encoder.layer_norm))
    inputs |= first_norms("decoder", "embed_tokens", w.decoder.layers, w.decoder.layer_norm)
    convs = {id(conv): f"conv.{i}" for i, conv in enumerate(w.encoder.conv.conv_layers)}

    def layer_norm(x, w):
        if id(w) in inputs:
            found[inputs[id(w)]] = x.copy()
        return ops.layer_norm(x, w)

    def conv1d_glu(x, w):
        found[convs[id(w)]] = y = ops.conv1d_glu(x, w)
        return y

    return ops._replace(layer_norm=layer_norm, conv1d_glu=conv1d_glu)


def readable_stages(model: S2T, features: np.ndarray, tokens: np.ndarray, padded_length: int | None) -> dict:
    """From conv.0 to logits, teacher-forced, by the readable functions."""
    found: dict[str, np.ndarray] = {}
    ops, w, config = watched(model, found), model.weights, model.config
    found["memory"] = encode(ops, w.encoder, config, features, padded_length)
    found["logits"] = decode_full(ops, w, config, tokens, found["memory"])
    for name in [name for name in found if name.startswith("conv.")]:
        found[name] = found[name][: subsampled_length(len(features), int(name[5:]) + 1)]
    return found


def compiled_stages(model: S2T, features: np.ndarray, tokens: np.ndarray, padded_length: int | None) -> dict:
    """The same by the compiled encoder and the compiled step, and logits also by `S2T.logits`."""
    found: dict[str, np.ndarray] = {}
    backend, w = model.backend, model.weights
    memory = backend.encode(backend.ops, w.encoder, model.config, features, padded_length, found.__setitem__)
    cache, steps = backend.start_cache(backend.ops, w, model.config, memory, 1), []
    for token in tokens:
        steps.append({})
        backend.step(backend.ops, w, model.config, np.array([token]), cache, steps[-1].__setitem__)
    for name in steps[0]:
        if not name.endswith("_attn") and name != "logits":
            found[name] = np.concatenate([step[name] for step in steps])
    return found | {"logits": model.logits(memory, tokens)}


def stepped_logits(model: S2T, memory: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The same logits (U, V) from the cached decoder, one token at a time, as the search gets them."""
    decoder = model.decoder(memory)
    cache = decoder.start(1)
    return np.concatenate([decoder.step(np.array([token]), cache).logits for token in tokens])


def model_stages(model: S2T, features: np.ndarray, tokens, padded_length: int | None = None) -> dict[str, np.ndarray]:
    """Everything after the features (T, M), in order; `logits (steps)` are those of the cached decoder."""
    features, tokens = np.asarray(features, model.dtype), np.asarray(tokens)
    stages = readable_stages if model.backend is NUMPY else compiled_stages
    found = stages(model, features, tokens, padded_length)
    return found | {"logits (steps)": stepped_logits(model, found["memory"], tokens)}
