#!/usr/bin/env python3
"""Make tests/checkpoint/fairseq/answers.npz anew: what fairseq 0.12.2 computes for the cases of fairseq_answers.py.

    python tools/make_fairseq_answers.py        from the root, in an environment with fairseq 0.12.2 and torch

On a Python later than 3.9 fairseq needs a shim for its dataclasses; where a module `fairseq_py311` with one is
installed, it is imported first. An encoder layer that is post-norm has a fast path in fairseq 0.12 that takes batch for
time and fails on torch 2; it is switched off, as it is while a model trains.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

if importlib.util.find_spec("fairseq_py311"):
    importlib.import_module("fairseq_py311")
import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.sequence_generator import SequenceGenerator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.support import fairseq_answers as cases  # noqa: E402

ANSWERS = ROOT / "tests" / "checkpoint" / "fairseq" / "answers.npz"


def dictionary() -> Dictionary:
    """A dictionary of as many symbols as the small tokenizers have."""
    made = Dictionary()
    for i in range(cases.VOCABULARY - len(made)):
        made.add_symbol(f"piece{i}")
    return made


def model(case: str, symbols: Dictionary, seed: int):
    """The network of a case with its seeded weights."""
    args = argparse.Namespace(**cases.settings(case))
    ARCH_CONFIG_REGISTRY[args.arch](args)
    made = ARCH_MODEL_REGISTRY[args.arch].build_model(args, argparse.Namespace(target_dictionary=symbols))
    shapes = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
    state = {name: torch.from_numpy(array) for name, array in cases.state(case, shapes, seed).items()}
    kept = {name: tensor for name, tensor in made.state_dict().items() if name.endswith(cases.NOT_SET)}
    made.load_state_dict(state | kept)
    for module in made.modules():
        if hasattr(module, "can_use_fastpath"):
            module.can_use_fastpath = False
    return made.eval(), shapes


def sample() -> dict:
    """The features as fairseq's generator takes them."""
    x = torch.from_numpy(cases.features())[None]
    return {"net_input": {"src_tokens": x, "src_lengths": torch.tensor([x.shape[1]])}}


def found(models: list, symbols: Dictionary) -> dict[str, list]:
    """Hypotheses for each search of BEAMS: tokens, score, log-probability of the last token."""
    answers = {}
    for name, beams in cases.BEAMS.items():
        generator = SequenceGenerator(models, symbols, beam_size=beams, max_len_b=cases.MOST_TOKENS)
        answers[name] = [
            [hypothesis["tokens"].tolist(), float(hypothesis["score"]), float(hypothesis["positional_scores"][-1])]
            for hypothesis in generator.generate(models, sample())[0]
        ]
    return answers


def outputs(made) -> dict[str, np.ndarray]:
    """Encoder output (S, D) and teacher-forced logits (U, V), of which every fifth column is kept."""
    net = sample()["net_input"]
    previous = torch.tensor([[2, *cases.TARGET[:-1]]])
    encoder_out = made.encoder(**net)
    logits = made.decoder(previous, encoder_out=encoder_out)[0]
    return {"encoder_out": encoder_out["encoder_out"][0][:, 0].numpy(), "logits": logits[0, :, :: cases.KEPT].numpy()}


def main() -> None:
    """Write the answers."""
    symbols, answers, shapes, hypotheses = dictionary(), {}, {}, {}
    with torch.no_grad():
        for case in cases.CASES:
            made, shapes[case] = model(case, symbols, 0)
            answers |= {f"{case}/{name}": array for name, array in outputs(made).items()}
            hypotheses[case] = found([made], symbols)
        for name, members in cases.ENSEMBLES.items():
            models = [model(case, symbols, seed)[0] for seed, case in enumerate(members)]
            hypotheses[name] = found(models, symbols)
    texts = {"shapes": shapes, "hypotheses": hypotheses}
    answers |= {name: np.frombuffer(json.dumps(text).encode(), np.uint8) for name, text in texts.items()}
    np.savez_compressed(ANSWERS, **answers)
    print(f"{ANSWERS.relative_to(ROOT)}: {len(answers)} arrays, {ANSWERS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
