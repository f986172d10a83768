"""The settings of a tokenizer as attributes that may be set: the fields of `TokenizerConfig`."""

import dataclasses

from ..errors import OptionError
from ..settings.fields import check_fields
from ..tokenizer import Tokenizer


def setting(name: str, doc: str) -> property:
    """An attribute that is a field of TokenizerConfig and may be set."""

    def change(self, value) -> None:
        self.tokenizer = self.changed(**{name: value})

    return property(lambda self: getattr(self.tokenizer.config, name), change, doc=doc)


class TokenizerSettings:
    """Attributes for the settings. Setting one makes a new `Tokenizer` with the same vocabulary."""

    tokenizer: Tokenizer
    do_upper_case = setting("do_upper_case", "Whether decoded text is upper-cased, as for the published evaluation.")
    padding_side = setting("padding_side", 'The side that padding is added on, "right" or "left".')
    truncation_side = setting("truncation_side", 'The side that truncation cuts on, "right" or "left".')
    model_max_length = setting("model_max_length", "The length for truncation=True without max_length.")
    clean_up_tokenization_spaces = setting("clean_up_tokenization_spaces", "Whether decoding closes spaces.")

    def changed(self, **settings) -> Tokenizer:
        """The same vocabulary under other settings. Raises OptionError for an invalid one."""
        t = self.tokenizer
        if settings.get("tgt_lang") is not None:
            t.language_id(settings["tgt_lang"])
        config = dataclasses.replace(t.config, **settings)
        check_fields(config, "tokenizer", OptionError)
        return Tokenizer(t.vocab, t.processor.serialized_model_proto(), config)

    @property
    def lang_code_to_id(self) -> dict[str, int]:
        """Target language -> id of its piece, the `forced_bos_token_id` of a generation."""
        return dict(self.tokenizer.languages)

    @property
    def tgt_lang(self) -> str | None:
        """The target language, None for a model that has only one."""
        return self.tokenizer.config.tgt_lang or next(iter(self.tokenizer.languages), None)

    @tgt_lang.setter
    def tgt_lang(self, value: str) -> None:
        self.tokenizer = self.changed(tgt_lang=value)
