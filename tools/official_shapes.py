#!/usr/bin/env python3
"""The twenty released shapes against transformers: processor and generate, token for token, in every language.

    python -m tools.official_shapes [--only TEXT ...] [--narrow] [--json FILE]

For each released id a folder with random weights is made (official_folders.py) and both programs go from sound to text:
features of each recording, labels of texts, tokens of every (recording, options) pair, their text. A difference of
tokens is explained by name (ties.py) or counted as a fault. About ten minutes in all, and 4 GB.

At 48 kHz transformers' own features need torchaudio (without it they are NaN), so there kaldi-native-fbank computes its
filterbank, which transformers normalises.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2t_np.checkpoint.official import Official, official
from s2t_np.hf import Speech2TextProcessor

from .official_folders import write_official
from .parity import Pair, load_pair, trimmed
from .signals import harmonics
from .ties import Task, explain
from .upstream.pipe import Upstream, numbered

SECONDS = (1.1, 1.7, 2.3, 0.6)  # the lengths of the recordings
TOLERANCE = 2e-3  # between features: transformers normalises in float32
LIMIT = 24  # tokens; one pair of each shape goes to the checkpoint's own 200


class Result(NamedTuple):
    """What was compared for one shape."""

    name: str
    pairs: int
    features: float  # the largest difference
    faults: list[str]
    explained: list[str]
    seconds: float


def recordings(rate: int) -> list[np.ndarray]:
    """Seeded sound (N,) at `rate`."""
    return [harmonics(i, seconds, rate) for i, seconds in enumerate(SECONDS)]


def option_sets(languages: dict[str, int], vocabulary: int) -> list[dict]:
    """The options of `generate` that each recording goes through: once for each language, and with several searches."""
    sets = [{"max_length": LIMIT, "forced_bos_token_id": token} for token in languages.values()]
    first = {"forced_bos_token_id": next(iter(languages.values()))} if languages else {}
    last = vocabulary - 1
    return [
        *sets,
        *(
            {"max_length": LIMIT} | first | more
            for more in (
                {},
                {"num_beams": 1},
                {"num_return_sequences": 3, "length_penalty": 0.3},
                {"num_beams": 3, "no_repeat_ngram_size": 2, "suppress_tokens": [last, last - 1], "min_length": 6},
            )
        ),
    ]


def texts_of(one: Official, pair: Pair) -> list[str]:
    """Texts that the vocabulary can spell, and one that it cannot."""
    tokenizer = pair.model.tokenizer
    random = np.random.default_rng(len(one.id))
    drawn = [tokenizer.decode(random.integers(12, len(tokenizer), n).tolist()) for n in (1, 5, 12)]
    return [*drawn, "日本 <unk> x", ""]


def labels(pair: Pair, texts: list[str]) -> dict[str, list[list[int]]]:
    """Ids of texts by target language ("" where the model has one)."""
    tokenizer = pair.model.tokenizer
    return {lang: [tokenizer.encode(text, lang or None) for text in texts] for lang in tokenizer.languages or ("",)}


def processor_faults(one: Official, pair: Pair, sounds: list[np.ndarray]) -> tuple[list[str], float]:
    """Where the processors differ, and by how much the features do."""
    texts, rate = texts_of(one, pair), pair.model.feature_config.sampling_rate
    ours = Speech2TextProcessor.from_pretrained(pair.folder)(
        sounds, sampling_rate=rate, padding=True, return_tensors="np"
    )
    languages = list(pair.model.tokenizer.languages)
    theirs, arrays = pair.upstream(
        "processed", numbered("audio", sounds), folder=pair.folder, texts=texts, languages=languages
    )
    error = float(np.abs(ours.input_features - arrays["input_features"]).max())
    faults = [] if error <= TOLERANCE else [f"features differ by {error:.2g}"]  # NaN is a fault, too
    faults += [] if np.array_equal(ours.attention_mask, arrays["attention_mask"]) else ["attention masks differ"]
    faults += [f"labels {lang}" for lang, ids in labels(pair, texts).items() if ids != theirs["labels"][lang]]
    return faults, error


def generation_faults(pair: Pair, sound: np.ndarray, sets: list[dict]) -> tuple[list[str], list[str]]:
    """For one recording and each set of options: the faults, and the differences that a near tie explains."""
    features = pair.model.features(sound, pair.model.feature_config.sampling_rate)
    runs = [{"options": options} for options in sets]
    answers, _ = pair.upstream("generate", {"audio.0": sound}, folder=pair.folder, runs=runs)
    faults, explained = [], []
    for options, answer in zip(sets, answers, strict=True):
        task = Task(features, options)
        ours, theirs = task.solve(pair.model), [trimmed(row, 2) for row in answer["tokens"]]
        if ours != theirs:
            why = explain(pair.model, pair.reference, task, ours, theirs)
            (explained if why else faults).append(why or f"{options}: ours {ours}, theirs {theirs}")
    rows = [row for answer in answers for row in answer["tokens"]]
    said, _ = pair.upstream("decode", {}, folder=pair.folder, tokens=rows)
    wrong = [text for row, text in zip(rows, said, strict=True) if pair.model.tokenizer.decode(row) != text]
    return faults + [f"text {text!r}" for text in wrong], explained


def compare(one: Official, folder: Path, upstream: Upstream, narrow: bool, count: int = len(SECONDS)) -> Result:
    """One shape: the processors, and generation from `count` recordings."""
    began = time.perf_counter()
    pair = load_pair(str(write_official(folder, one.id, narrow)), upstream, "auto")
    sounds = recordings(pair.model.feature_config.sampling_rate)[:count]
    faults, error = processor_faults(one, pair, sounds)
    sets, explained = option_sets(pair.model.tokenizer.languages, len(pair.model.tokenizer)), []
    pairs = 0
    for i, sound in enumerate(sounds):
        wanted = sets if i else [*sets, {}]  # once with nothing but what the checkpoint asks for
        worse, near = generation_faults(pair, sound, wanted)
        faults, explained, pairs = faults + worse, explained + near, pairs + len(wanted)
    return Result(one.id, pairs, error, faults, explained, time.perf_counter() - began)


def main() -> int:
    """Compare all that were asked for; the exit code is 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""], metavar="TEXT", help="ids that hold one of these texts")
    parser.add_argument("--narrow", action="store_true", help="few and small layers: a minute for all")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    options = parser.parse_args()
    results = []
    with Upstream(threads=1) as upstream:
        for one in official().values():
            if any(text in one.id for text in options.only):
                with tempfile.TemporaryDirectory() as folder:
                    results.append(compare(one, Path(folder) / "model", upstream, options.narrow))
                print(line(results[-1]), flush=True)
    print(
        f"{sum(r.pairs for r in results)} pairs, {sum(len(r.explained) for r in results)} near ties, "
        f"{sum(len(r.faults) for r in results)} faults"
    )
    if options.json:
        options.json.write_text(json.dumps([r._asdict() for r in results], indent=1) + "\n")
    return int(any(r.faults for r in results))


def line(result: Result) -> str:
    """One result, and below it whatever differed."""
    head = f"{result.name:<44} {result.pairs:>3} pairs, features {result.features:.1e}, {result.seconds:.0f} s"
    return "\n".join([head, *(f"  fault: {x}" for x in result.faults), *(f"  {x}" for x in result.explained)])


if __name__ == "__main__":
    sys.exit(main())
