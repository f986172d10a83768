"""`Speech2TextProcessor`: feature extractor and tokenizer of one checkpoint behind one call."""

from pathlib import Path

from ..errors import OptionError
from . import feature_extractor as extractor_room
from . import tokenizer as tokenizer_room
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
        check_names(overrides, extractor_room.SETTINGS + tokenizer_room.SETTINGS, "processor")

        def own(names):
            return {name: value for name, value in overrides.items() if name in names}

        extractor = Speech2TextFeatureExtractor.from_folder(folder, **own(extractor_room.SETTINGS))
        return cls(extractor, Speech2TextTokenizer.from_folder(folder, **own(tokenizer_room.SETTINGS)))

    def write_files(self, folder: Path) -> None:
        """Write the files of both."""
        self.feature_extractor.write_files(folder)
        self.tokenizer.write_files(folder)

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

    def decode(self, token_ids, skip_special_tokens: bool = False) -> str | list[str]:
        """Ids (U,), or several sequences of them, -> text. Raises OptionError."""
        return self.tokenizer.decode(token_ids, skip_special_tokens)

    def batch_decode(self, sequences, skip_special_tokens: bool = False) -> list[str]:
        """The rows that `generate` returns -> their texts. Raises OptionError."""
        return self.tokenizer.batch_decode(sequences, skip_special_tokens)
