"""`Speech2TextFeatureExtractor`: recordings become one batch of features; the arithmetic is in features.py."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np

from .. import audio
from ..backend import choose
from ..config import FeatureConfig, check_fields, write_json
from ..errors import InputWarning, OptionError
from ..features import features, frame_geometry
from .batch import Fields, Lengths, check_return_tensors, stack
from .pretrained import Pretrained, check_names

SETTINGS = tuple(field.name for field in dataclasses.fields(FeatureConfig))


class Speech2TextFeatureExtractor(Pretrained):
    """Log-mel features, normalised over each utterance, with their attention mask.

    The settings are the fields of `FeatureConfig`, given by name and kept as attributes, which may be set again.
    """

    model_input_names = ("input_features", "attention_mask")

    def __init__(self, **settings):
        """Raises OptionError for a setting that is unknown or means nothing."""
        check_names(settings, SETTINGS, "feature extractor")
        vars(self).update(dataclasses.asdict(FeatureConfig()) | settings)
        _ = self.config

    @property
    def config(self) -> FeatureConfig:
        """The settings as they stand. Raises OptionError for one that means nothing."""
        config = FeatureConfig(**{name: getattr(self, name) for name in SETTINGS})
        check_fields(config, "feature extractor", OptionError)
        return config

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> "Speech2TextFeatureExtractor":
        """From preprocessor_config.json, or the processor_config.json that transformers 5 writes. Raises ModelError."""
        return cls(**dataclasses.asdict(FeatureConfig.from_folder(folder)) | overrides)

    def write_files(self, folder: Path) -> None:
        """Write preprocessor_config.json."""
        kind = {"feature_extractor_type": type(self).__name__}
        write_json(folder / "preprocessor_config.json", dataclasses.asdict(self.config) | kind)

    def __call__(
        self,
        raw_speech,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
        return_attention_mask: bool | None = None,
    ) -> Fields:
        """One recording, or several, at the model's rate -> `input_features`, `attention_mask`.

        raw_speech: an array (N,) or a list of floats, or a path; for several a list of those, or an array (B, N).
        Lengths are counted in frames. With `return_tensors="np"` the result is input_features (B, T, M) float32 and
        attention_mask (B, T) int32, without it lists of B arrays. Raises AudioError, OptionError.
        """
        config, lengths = self.config, Lengths(padding, max_length, truncation, pad_to_multiple_of)
        lengths.check()
        check_return_tensors(return_tensors)
        check_rate(sampling_rate, config.sampling_rate)
        fbank = choose("auto").fbank
        rows = [features(samples(x, config, lengths), config, np.float32, fbank) for x in utterances(raw_speech)]
        batch = Fields(input_features=lengths.pad(rows, config.padding_value, config.padding_side))
        if config.return_attention_mask if return_attention_mask is None else return_attention_mask:
            ones = [np.ones(len(row), np.int32) for row in rows]
            batch["attention_mask"] = lengths.pad(ones, 0, config.padding_side)
        return Fields({name: stack(value) for name, value in batch.items()}) if return_tensors else batch


def check_rate(given: int | None, expected: int) -> None:
    """Raises OptionError where the sampling rates (Hz) differ; without one there is only a warning."""
    if given is None:
        warnings.warn(
            f"pass sampling_rate= with the audio: samples at any rate but {expected} Hz give wrong features",
            InputWarning,
            stacklevel=3,
        )
    elif given != expected:
        raise OptionError(f"sampling_rate is {given!r:.40}, expected the {expected} of this model; resample first")


def utterances(raw_speech) -> list:
    """One recording or several -> a list of them. Raises OptionError."""
    dimensions = getattr(raw_speech, "ndim", 1)
    if dimensions > 2:
        raise OptionError(f"audio has shape {raw_speech.shape}, expected (samples,) or (recordings, samples)")
    if isinstance(raw_speech, list | tuple) and len(raw_speech) == 0:
        raise OptionError("audio is an empty list, expected at least one recording")
    listed = isinstance(raw_speech, list | tuple) and np.iterable(raw_speech[0])
    return list(raw_speech) if listed or dimensions == 2 else [raw_speech]


def samples(recording, config: FeatureConfig, lengths: Lengths) -> np.ndarray:
    """(N,) float32, no more than truncation leaves frames for: frames are cut before they are normalised."""
    x = audio.load(recording, config.sampling_rate, config.sampling_rate)
    if not lengths.truncation:
        return x
    window, hop, _ = frame_geometry(config.sampling_rate)
    return x[: window + (lengths.rounded_up(lengths.max_length) - 1) * hop]
