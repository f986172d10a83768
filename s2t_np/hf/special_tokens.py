"""The special pieces of a tokenizer, under upstream's names: <s>, </s>, <unk>, <pad> and the target languages'."""

from ..errors import OptionError
from ..tokenizer import Tokenizer

KINDS = ("bos", "eos", "unk", "pad")


def special_piece(kind: str) -> property:
    """The attribute `{kind}_token`, which may be set to another piece of the vocabulary."""

    def change(self, piece: str) -> None:
        self.tokenizer = self.changed(**{f"{kind}_token": piece})

    return property(lambda self: getattr(self.tokenizer.config, f"{kind}_token"), change, doc=f"The {kind} piece.")


def special_id(kind: str) -> property:
    """The attribute `{kind}_token_id`, which may be set to that of another piece."""

    def change(self, new: int) -> None:
        (piece,) = self.tokenizer.pieces([new])
        self.tokenizer = self.changed(**{f"{kind}_token": piece})

    return property(
        lambda self: getattr(self.tokenizer, f"{kind}_token_id"), change, doc=f"The id of the {kind} piece."
    )


class SpecialTokens:
    """The pieces that a tokenizer puts before and after a text, and their masks."""

    tokenizer: Tokenizer
    pad_token_type_id = 0  # texts have no types here; programs that pad them by hand ask for it
    bos_token, bos_token_id = special_piece("bos"), special_id("bos")
    eos_token, eos_token_id = special_piece("eos"), special_id("eos")
    unk_token, unk_token_id = special_piece("unk"), special_id("unk")
    pad_token, pad_token_id = special_piece("pad"), special_id("pad")

    @property
    def prefix_tokens(self) -> list[int]:
        """The ids that labels begin with: the language's piece, or none."""
        return self.tokenizer.prefix()

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of <s>, </s>, <unk>, <pad>, then the languages'."""
        t = self.tokenizer
        return [t.bos_token_id, t.eos_token_id, t.unk_token_id, t.pad_token_id, *t.languages.values()]

    @property
    def all_special_tokens(self) -> list[str]:
        """Their pieces."""
        return self.tokenizer.pieces(self.all_special_ids)

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """{"bos_token": "<s>", ...}."""
        return {f"{kind}_token": getattr(self, f"{kind}_token") for kind in KINDS}

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Return how many ids `build_inputs_with_special_tokens` adds to a text."""
        return len(self.prefix_tokens) + 1

    def build_inputs_with_special_tokens(self, token_ids_0: list[int], token_ids_1=None) -> list[int]:
        """Ids of a text (U,) -> with the language's piece before and EOS after. Raises OptionError for a pair."""
        refuse_pairs(token_ids_1)
        return [*self.prefix_tokens, *token_ids_0, self.eos_token_id]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1=None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for each special id, 0 for each id of the text, of ids with or still without special ones."""
        refuse_pairs(token_ids_1)
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(i in special) for i in token_ids_0]
        return [1] * len(self.prefix_tokens) + [0] * len(token_ids_0) + [1]


def refuse_pairs(second) -> None:
    """Raise OptionError for a second text: S2T reads no pairs."""
    if second is not None:
        raise OptionError("text pairs are not supported by S2T; pass several texts as one list")
