"""What the page's program must know of the model and the features to compute a number once more from its operands."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from ...config import FeatureConfig
from ...features import LOWEST_FREQUENCY, frame_geometry, mel
from ...model import S2T
from ..trace.plan import ALIASES
from .sections import seconds_of


def description(trace: Mapping, model: S2T) -> dict:
    """The shapes of all stages, the network, the features, and the inputs and normalisers (U,) of the decoder."""
    return {
        "shapes": {name: list(array.shape) for name, array in trace.arrays.items()},
        "position_seconds": seconds_of(trace),
        "network": network_of(model),
        "features": features_of(model.feature_config),
        "inputs": trace["decoder.input_ids"].tolist(),
        "normalisers": log_sums(trace[ALIASES["logits"]]).tolist(),
    }


def network_of(model: S2T) -> dict:
    """The options of the network that its formulas depend on."""
    config = model.config
    return {
        "heads": {"encoder": config.encoder_attention_heads, "decoder": config.decoder_attention_heads},
        "layers": {"encoder": config.encoder_layers, "decoder": config.decoder_layers},
        "kernels": list(config.conv_kernel_sizes),
        "scaled": config.scale_embedding,
        "first_position": config.pad_token_id + 1,
        "activation": config.activation_function,
        "tied": config.tie_word_embeddings,
    }


def features_of(config: FeatureConfig) -> dict:
    """The numbers that the features depend on, in samples; `normalised` says how, if in the usual way."""
    window, hop, fft = frame_geometry(config.sampling_rate)
    usual = config.do_ceptral_normalize and config.global_mean is None and not config.one_pass_variance
    normalised = {"means": config.normalize_means, "variances": config.normalize_vars} if usual else None
    return {"window": window, "hop": hop, "fft": fft, "bins": config.num_mel_bins, "normalised": normalised}


def log_sums(logits: np.ndarray) -> np.ndarray:
    """log sum exp over the pieces: (U, V) -> (U,)."""
    wide = logits.astype(np.float64)
    most = wide.max(axis=-1)
    return most + np.log(np.exp(wide - most[:, None]).sum(axis=-1))


def norms_of(trace: Mapping) -> dict[str, np.ndarray]:
    """The length of the stream's rows after each encoder layer, and of what its blocks add: {name: (S, layers)}."""
    found = {}
    for part in ("output", "self_attn.out_proj", "fc2"):
        arrays = [trace[name] for name in trace if fnmatchcase(name, f"encoder.layers.*.{part}")]
        if arrays:
            found[f"norms:{part}"] = np.stack([np.linalg.norm(array, axis=-1) for array in arrays], axis=1)
    return found


def mel_centres(config: FeatureConfig) -> list[float]:
    """The frequency (Hz) at the top of each mel filter: the inverse of 1127 ln(1 + f / 700) at equal steps."""
    ends = mel(LOWEST_FREQUENCY), mel(config.sampling_rate / 2)
    steps = np.linspace(*ends, config.num_mel_bins + 2)[1:-1]
    return (700 * np.expm1(steps / 1127)).tolist()
