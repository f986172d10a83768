"""`Speech2TextProcessor`: feature extractor and tokenizer of one checkpoint behind one call."""

from pathlib import Path

from ..errors import OptionError
from . import feature_extractor as extractors
from . import tokenizer as tokenizers
from .batch import Fields
from .feature_extractor import Speech2TextFeatureExtractor
from .pretrained import Pretrained, check_names
from .tokenizer import Speech2TextTokenizer


class Speech2TextProcessor(Pretrained):
    """Sound to features, ids to text."""

    def __init__(self, feature_extractor: Speech2TextFeatureExtractor, tokenizer: Speech2TextTokenizer):
        self.feature_extractor = feature_extractor
        self.tokenizer = tokenizer

    @classmethod
    def from_folder(cls, folder: Path, **overrides) -> "Speech2TextProcessor":
        """From the files of both; each takes the `overrides` that are its settings. Raises ModelError, OptionError."""
        check_names(overrides, extractors.SETTINGS + tokenizers.SETTINGS, "processor")

        def own(names):
            return {name: value for name, value in overrides.items() if name in names}

        extractor = Speech2TextFeatureExtractor.from_folder(folder, **own(extractors.SETTINGS))
        return cls(extractor, Speech2TextTokenizer.from_folder(folder, **own(tokenizers.SETTINGS)))

    def write_files(self, folder: Path) -> list[Path]:
        """Write the files of both."""
        return [*self.feature_extractor.write_files(folder), *self.tokenizer.write_files(folder)]

    @property
    def model_input_names(self) -> tuple[str, ...]:
        """The names of what the model reads: those of the feature extractor."""
        return self.feature_extractor.model_input_names

    def __call__(self, audio=None, *args, text=None, sampling_rate: int | None = None, **options) -> Fields:
        """Features of `audio`, ids of `text`, or of a pair: features, with the ids as `labels`.

        Arguments are those of the feature extractor and of the tokenizer; `options` go to each that is called. Raises
        AudioError, OptionError.
        """
        if audio is None and text is None:
            raise OptionError("give audio, text=, or both")
        encoded = None if text is None else self.tokenizer(text, **options)
        if audio is None:
            return encoded
        batch = self.feature_extractor(audio, *args, sampling_rate=sampling_rate, **options)
        return batch if encoded is None else Fields(batch, labels=encoded.input_ids)

    def decode(self, token_ids, *args, **options) -> str | list[str]:
        """Ids (U,), or several sequences of them, -> text; arguments are the tokenizer's. Raises OptionError."""
        return self.tokenizer.decode(token_ids, *args, **options)

    def batch_decode(self, sequences, *args, **options) -> list[str]:
        """The rows that `generate` returns -> their texts; arguments are the tokenizer's. Raises OptionError."""
        return self.tokenizer.batch_decode(sequences, *args, **options)
