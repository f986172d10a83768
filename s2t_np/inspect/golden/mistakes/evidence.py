"""What the usual mistakes may look at: the port's own arrays where it dumped them, else the truth."""

from collections.abc import Iterator

import numpy as np

from ..pack import Pack

Guesses = Iterator[tuple[str, np.ndarray]]  # what went wrong, in words, and the numbers that would give


class Evidence:
    """What a mistake may start from: evidence("features.mel") is the port's array of that stage, or the truth."""

    def __init__(self, pack: Pack, dump: dict[str, np.ndarray]):
        """`dump` {stage: array} holds only arrays of the right shape."""
        self.pack, self.dump, self.config = pack, dump, pack.config
        self.rate = pack.manifest["audio"]["sampling_rate"]

    def __call__(self, stage: str) -> np.ndarray:
        """The array of a stage, in float64."""
        return np.asarray(self.dump.get(stage, self.pack.truth[stage]), np.float64)

    def heads(self, stage: str) -> int:
        """How many heads attention has at a stage."""
        return (
            self.config.encoder_attention_heads if stage.startswith("encoder") else self.config.decoder_attention_heads
        )

    def vector(self, name: str) -> np.ndarray | None:
        """A bias, gain or offset of the checkpoint, by its module: "encoder.layer_norm.weight"."""
        found = self.pack.parameters.get(f"model.{name}")
        return None if found is None else found.astype(np.float64)

    def input_of(self, norm: str) -> str:
        """The stage that a layer normalisation takes."""
        stages = [s for s in self.pack.truth if s.startswith(norm.split(".", 1)[0]) and not s.endswith(".input_ids")]
        return stages[stages.index(norm) - 1]
