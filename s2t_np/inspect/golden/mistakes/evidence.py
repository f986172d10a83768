"""The arrays that the usual mistakes start from: the port's own where it dumped them, else the truth."""

from collections.abc import Iterator

import numpy as np

from ..pack import Pack

Guesses = Iterator[tuple[str, np.ndarray]]  # a mistake in words, and the numbers that it leads to


class Absent(LookupError):
    """A stage that the pack does not hold: one written with a compiled backend has no stages inside a block."""


class Evidence:
    """The arrays of a port, completed by the truth: evidence("features.mel") is one."""

    def __init__(self, pack: Pack, dump: dict[str, np.ndarray]):
        """`dump` {stage: array} holds only arrays of the right shape."""
        self.pack, self.dump, self.config = pack, dump, pack.config
        self.rate = pack.manifest["audio"]["sampling_rate"]

    def __call__(self, stage: str) -> np.ndarray:
        """The array of a stage, in float64. Raises Absent."""
        if stage not in self.pack.truth:
            raise Absent(stage)
        return np.asarray(self.dump.get(stage, self.pack.truth[stage]), np.float64)

    def heads(self, stage: str) -> int:
        """The number of attention heads at a stage."""
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
