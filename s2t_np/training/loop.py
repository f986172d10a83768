"""The loop: epochs, updates, checkpoints, validations. What happens is yielded, so that a command can show it.

All that is drawn depends on the seed and on where the run is (`recipe.randomness`), and a checkpoint holds everything
else. So a run that was killed goes on with the same bits as one that was not.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import Backend
from ..errors import ModelError, TrainingError
from ..model import S2T
from . import checkpoints
from .checkpoints import Position
from .data import Example, batches
from .derivatives.network import Batch, make_batch
from .learner import Learner, Update
from .log import Log
from .recipe import NOISE, SPEED, randomness
from .specaugment import POLICIES, spec_augment
from .store import FeatureStore
from .validation import Validation, mean_nll, model_of, word_errors


class Updated(NamedTuple):
    """An update is done."""

    position: Position
    part: float  # the part of the whole run that is done, 0 to 1
    update: Update
    seconds: float


class Validated(NamedTuple):
    """A validation is done; the checkpoint is written next."""

    position: Position
    validation: Validation | None  # None where there is no validation set
    is_best: bool


@dataclass
class Run:
    """All that a training run consists of."""

    folder: Path
    model: S2T  # for its tokenizer and its settings
    learner: Learner
    store: FeatureStore
    train: list[Example]
    valid: list[Example] = field(default_factory=list)
    decoded: int = 200  # validation utterances that are transcribed
    backend: Backend | None = None  # that transcribes them
    lang: str | None = None  # the language of the texts, for a model that writes several
    log_interval: int = 20  # updates in a line of the log

    @property
    def recipe(self):
        return self.learner.recipe

    def speeds(self, epoch: int) -> np.ndarray:
        """The speed of each utterance in an epoch."""
        return randomness(self.recipe.seed, SPEED, epoch).choice(self.recipe.speed, len(self.train))

    def batch(self, indices: list[int], speeds: np.ndarray, rng: np.random.Generator) -> Batch:
        """Utterances with the noise of SpecAugment, as a batch. Raises AudioError, OSError."""
        policy = POLICIES[self.recipe.specaugment]
        policy = policy._replace(frames=min(policy.frames, self.recipe.max_time_mask))
        chosen = [(self.train[i], speeds[i]) for i in indices]
        pairs = [(spec_augment(self.store.get(e.audio, speed), policy, rng), e.labels) for e, speed in chosen]
        return make_batch(pairs, self.learner.config)

    def groups(self, position: Position) -> Iterator[list[tuple[Batch, np.random.Generator]]]:
        """The batches of each update left in the epoch under way."""
        recipe, epoch = self.recipe, position.epoch
        order, speeds = self.order(epoch), self.speeds(epoch)
        for start in range(position.batch, len(order), recipe.update_freq):
            group = []
            for place in range(start, min(start + recipe.update_freq, len(order))):
                rng = randomness(recipe.seed, NOISE, epoch, place)
                group.append((self.batch(order[place], speeds, rng), rng))
            yield group

    def order(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, as indices of utterances."""
        frames, speeds = np.array([e.frames for e in self.train]), self.speeds(epoch)
        recipe = self.recipe
        return batches((frames / speeds).astype(int), recipe.max_tokens, recipe.seed, epoch, recipe.curriculum)

    def part(self, position: Position, batches_in_epoch: int) -> float:
        """The part of the run that is done."""
        recipe = self.recipe
        by_epoch = (position.epoch + position.batch / batches_in_epoch) / recipe.max_epoch
        return max(by_epoch, position.update / recipe.max_update if recipe.max_update else 0.0)

    def over(self, position: Position) -> bool:
        """Return whether nothing is left to do."""
        recipe = self.recipe
        return position.epoch >= recipe.max_epoch or 0 < recipe.max_update <= position.update

    def check_finite(self, found: Update, position: Position) -> None:
        """Raises TrainingError for a loss or a gradient that is not finite."""
        if np.isfinite(found.loss) and np.isfinite(found.gradient_norm):
            return
        raise TrainingError(
            f"update {position.update}: the loss is {found.loss:g} and the gradient {found.gradient_norm:g} long; "
            f"try a lower --lr or a longer --warmup-updates; {self.kept()}"
        )

    def kept(self) -> str:
        """A phrase for messages: what is on the disk."""
        found = checkpoints.checkpoints(self.folder)
        if not found:
            return "no checkpoint was written yet"
        return f"kept: {found[-1]}, from which --resume goes on"

    def validate(self) -> Validation:
        """The figures of the model as it is now."""
        current = model_of(self.learner, self.model, self.backend)
        nll = mean_nll(self.learner, self.store, self.valid)
        decoded = self.valid[: self.decoded]
        return Validation(nll, word_errors(current, self.store, decoded, self.lang).rate if decoded else None)

    def save(self, position: Position) -> Iterator[Validated]:
        """Validate; when that is logged, write a checkpoint. Raises TrainingError where the disk takes no more.

        In this order: a run that goes on drops the lines after its checkpoint, and could not write those before it.
        """
        found, is_best = None, False
        if self.valid:
            found = self.validate()
            is_best = position.best is None or list(found.merit) < position.best
        if is_best:
            position.best, position.best_update = list(found.merit), position.update
        yield Validated(Position(**vars(position)), found, is_best)
        self.write(position, is_best)

    def write(self, position: Position, is_best: bool) -> None:
        """Keep the best, write a checkpoint. Raises TrainingError where the disk takes no more."""
        try:
            if is_best:
                checkpoints.save_best(self.folder, self.learner)
            checkpoints.save(self.folder, self.learner, position)
            checkpoints.remove_old(self.folder, self.recipe.keep_last)
        except (OSError, ModelError) as error:
            raise TrainingError(f"{error}; {self.kept()}") from None

    def epoch(self, position: Position) -> Iterator[Updated | Validated]:
        """The rest of the epoch under way. `position` moves on, in place."""
        every, total = self.recipe.save_interval_updates, len(self.order(position.epoch))
        began = time.perf_counter()
        for group in self.groups(position):
            found = self.learner.update(group)
            position.update += 1
            position.batch += len(group)
            self.check_finite(found, position)
            now = time.perf_counter()
            yield Updated(Position(**vars(position)), self.part(position, total), found, now - began)
            if self.over(position):
                return
            if every and position.update % every == 0 and position.batch < total:
                yield from self.save(position)
            began = time.perf_counter()
        position.epoch, position.batch = position.epoch + 1, 0

    def go(self, position: Position) -> Iterator[Updated | Validated]:
        """All that is left to do from a position. Raises TrainingError, AudioError, OSError."""
        while not self.over(position):
            yield from self.epoch(position)
            if position.batch or self.over(position) or position.epoch % self.recipe.save_interval == 0:
                yield from self.save(position)


class Means:
    """Figures of the updates since the last line of the log, each weighted by its tokens."""

    def __init__(self):
        self.updates: list[Update] = []
        self.seconds = 0.0

    def add(self, event: Updated) -> None:
        """One more update."""
        self.updates.append(event.update)
        self.seconds += event.seconds

    def entry(self) -> dict:
        """The fields of a line."""
        tokens = np.array([u.tokens for u in self.updates])
        mean = {name: float(np.average([getattr(u, name) for u in self.updates], weights=tokens)) for name in MEANS}
        frames = sum(u.frames for u in self.updates)
        totals = {"lr": self.updates[-1].rate, "tokens": int(tokens.sum()), "frames": frames, "seconds": self.seconds}
        return mean | totals | {"frames_per_second": frames / max(self.seconds, 1e-9)}


MEANS = ("loss", "nll", "accuracy", "gradient_norm")


def logged(run: Run, position: Position) -> Iterator[Updated | Validated]:
    """The events of `run.go`, with a line in the log for every `log_interval` updates and every validation."""
    log, means = Log(run.folder, position.update), Means()
    try:
        for event in run.go(position):
            if isinstance(event, Updated):
                means.add(event)
            if means.updates and (len(means.updates) >= run.log_interval or isinstance(event, Validated)):
                log.add(update=event.position.update, epoch=event.position.epoch, **means.entry())
                means = Means()
            if isinstance(event, Validated) and event.validation is not None:
                figures = {"valid_nll": event.validation.nll, "valid_wer": event.validation.wer}
                log.add(update=event.position.update, epoch=event.position.epoch, **figures, best=event.is_best)
            if isinstance(event, Validated):
                log.sync()
            yield event
    finally:
        log.close()
