"""`Speech2TextFeatureExtractor`: recordings become one batch of features; the arithmetic is in features.py."""

import dataclasses
import json
import os
import warnings
from pathlib import Path

import numpy as np

from .. import audio
from ..backend import choose
from ..config import FeatureConfig, read_json
from ..errors import InputWarning, OptionError
from ..features import features, frame_geometry
from ..settings.fields import check_fields
from .batch import Fields, as_array, check_return_tensors, examples, rows_of
from .lengths import Lengths, stack_ragged
from .pretrained import Pretrained, check_names
from .recordings import Recording, recordings

SETTINGS = tuple(field.name for field in dataclasses.fields(FeatureConfig))
NOTES = ("feature_extractor_type", "processor_class")  # further entries of `to_dict` and of the files


class Speech2TextFeatureExtractor(Pretrained):
    """Log-mel features, normalised over each utterance, with their attention mask.

    The settings are the fields of `FeatureConfig`, given by name and kept as attributes, which may be set again.
    """

    model_input_names = ("input_features", "attention_mask")

    def __init__(self, **settings):
        """Raises OptionError for a setting that is unknown or invalid."""
        settings = {name: value for name, value in settings.items() if name not in NOTES}
        check_names(settings, SETTINGS, "feature extractor")
        vars(self).update(dataclasses.asdict(FeatureConfig()) | settings)
        _ = self.config

    @property
    def config(self) -> FeatureConfig:
        """The current settings. Raises OptionError for an invalid one."""
        config = FeatureConfig(**{name: getattr(self, name) for name in SETTINGS})
        check_fields(config, "feature extractor", OptionError)
        return config

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> "Speech2TextFeatureExtractor":
        """From preprocessor_config.json, or the processor_config.json that transformers 5 writes. Raises ModelError."""
        return cls(**dataclasses.asdict(FeatureConfig.from_folder(folder)) | overrides)

    @classmethod
    def from_dict(cls, feature_extractor_dict: dict, **overrides) -> "Speech2TextFeatureExtractor":
        """From a dict such as `to_dict` gives; unknown entries are passed over. Raises ModelError."""
        return cls(**dataclasses.asdict(FeatureConfig.from_dict(feature_extractor_dict, "the dict")) | overrides)

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike) -> "Speech2TextFeatureExtractor":
        """From a file such as `to_json_file` writes. Raises ModelError."""
        config = FeatureConfig.from_dict(read_json(Path(json_file)), str(json_file))
        return cls(**dataclasses.asdict(config))

    def to_dict(self) -> dict:
        """The settings and the name of the class, as preprocessor_config.json has them."""
        settings = {name: value for name, value in dataclasses.asdict(self.config).items() if value is not None}
        return settings | {"feature_extractor_type": type(self).__name__}

    def to_json_string(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Write `to_json_string` to a file. Raises OSError."""
        Path(json_file_path).write_text(self.to_json_string(), encoding="utf-8")

    def write_files(self, folder: Path) -> list[Path]:
        """Write preprocessor_config.json."""
        self.to_json_file(folder / "preprocessor_config.json")
        return [folder / "preprocessor_config.json"]

    def __call__(
        self,
        raw_speech,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        *,
        sampling_rate: int | None = None,
        **options,
    ) -> Fields:
        """One recording, or several, at the model's rate -> `input_features`, `attention_mask`.

        raw_speech: samples (N,), a path, or another form of recordings.py, which is resampled where its rate is known;
        for several a list of those, or an array (B, N). Lengths are counted in frames. options: pad_to_multiple_of,
        return_tensors, return_attention_mask. With `return_tensors="np"` the result is input_features (B, T, M) float32
        and attention_mask (B, T) int32, rows of different lengths as B objects; without it lists of B arrays. Raises
        AudioError, OptionError.
        """
        config, given = self.config, recordings(raw_speech)
        multiple = options.pop("pad_to_multiple_of", None)
        lengths = Lengths(padding, max_length, truncation, multiple).check_frames()
        check_rate(sampling_rate, config.sampling_rate, all(recording.has_rate for recording in given))
        fbank = choose("auto").fbank
        rows = [features(samples(x, config, lengths), config, np.float32, fbank) for x in given]
        return self.padded({"input_features": rows}, lengths, **options)

    def pad(
        self,
        processed_features,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        **options,
    ) -> Fields:
        """Features of one or several examples, as a data collator has them, brought to one length.

        processed_features: a dict of rows (T, M), or a list of dicts of one row each. options: return_attention_mask,
        return_tensors; the result is arrays either way, as upstream's is. Raises OptionError.
        """
        lengths = Lengths(padding, max_length, truncation, pad_to_multiple_of).check_frames()
        fields = examples(processed_features, "input_features")
        rows = {name: [as_array(row, name) for row in rows_of(value)] for name, value in fields.items()}
        for name in self.model_input_names if lengths.truncation else ():
            rows[name] = [row[: lengths.rounded_up(max_length)] for row in rows.get(name, ())]
        rows = {name: value for name, value in rows.items() if value}
        return self.padded(rows, lengths, **{"return_tensors": "np"} | options)

    def padded(self, fields: dict, lengths: Lengths, return_attention_mask=None, return_tensors=None) -> Fields:
        """Rows (T, M) by field, padded, with a mask of ones where they have none."""
        config = self.config
        check_return_tensors(return_tensors)
        rows, batch = fields["input_features"], Fields(fields)
        if config.return_attention_mask if return_attention_mask is None else return_attention_mask:
            masks = fields.get("attention_mask") or [np.ones(len(row), np.int32) for row in rows]
            batch["attention_mask"] = lengths.pad(masks, 0, config.padding_side)
        batch["input_features"] = [
            row.astype(np.float32, copy=False) for row in lengths.pad(rows, config.padding_value, config.padding_side)
        ]
        return Fields({name: stack_ragged(value) for name, value in batch.items()}) if return_tensors else batch


def check_rate(given: int | None, expected: int, known: bool) -> None:
    """Raise OptionError where the sampling rates (Hz) differ; warn where samples come without any."""
    if given is None and not known:
        warnings.warn(
            f"pass sampling_rate= with the audio: samples at any rate but {expected} Hz give wrong features",
            InputWarning,
            stacklevel=3,
        )
    elif given not in (None, expected):
        raise OptionError(f"sampling_rate is {given!r:.40}, expected the {expected} of this model; resample first")


def samples(recording: Recording, config: FeatureConfig, lengths: Lengths) -> np.ndarray:
    """(N,) float32, no more than truncation leaves frames for: frames are cut before they are normalised."""
    x = audio.load(recording.sound, config.sampling_rate, recording.rate or config.sampling_rate)
    if not lengths.truncation:
        return x
    window, hop, _ = frame_geometry(config.sampling_rate)
    return x[: window + (lengths.rounded_up(lengths.max_length) - 1) * hop]
