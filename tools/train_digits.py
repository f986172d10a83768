#!/usr/bin/env python3
"""The recipe of the bundled `digits` model: a small S2T that writes down spoken English digits.

    python -m tools.train_digits speak WORK [--count 4000]             synthesise voices (espeak-ng and flite)
    python -m tools.train_digits mix   WORK --fsdd DIR [--babble DIR] [--count 24000] [--test-count 200]
    python -m tools.train_digits train WORK [--epochs 5] [--rate 1.2e-3] [--continue-from DIR]

`train` evaluates after every epoch and saves a checkpoint folder in WORK/digits. The bundled weights are 5 epochs at
the default rate, then 5 more with `--rate 9e-4 --continue-from WORK/digits`: about 100 minutes on two cores. Needs the
extra [parity] (torch, transformers), espeak-ng and flite; inference needs none of it.

While training, the encoder also gets a CTC loss, whose head is thrown away: without it the attention does not find the
alignment in hours. Time masks of SpecAugment must stay shorter than a digit (9 frames): 30-frame masks stop learning.
"""

import argparse
import json
import math
import pickle
import random
import time
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from s2t_np.evaluation import align, count_errors
from tools.digits_data import HELD, WORDS, Mixer, speak

FRAMES_A_BATCH = 9000
BLOCK = 500  # utterances a process mixes at a time
EOS = 2
EMPTY_LABEL = -100


def mix_block(work: Path, fsdd: Path, babble: Path | None, job: tuple[int, int]) -> list:
    """One seeded block of training pairs."""
    seed, count = job
    mixer, rng = Mixer(work, fsdd, babble), np.random.default_rng(seed)
    return [mixer.utterance(rng) for _ in range(count)]


def mix(work: Path, fsdd: Path, babble: Path | None, count: int, tests: int) -> None:
    """Compose training and test utterances and save their features in WORK."""
    jobs = [(start // BLOCK, min(BLOCK, count - start)) for start in range(0, count, BLOCK)]
    with Pool() as pool:
        data = [pair for block in pool.imap(partial(mix_block, work, fsdd, babble), jobs) for pair in block]
    mixer, rng = Mixer(work, fsdd, None), np.random.default_rng(99)
    sets = {"train": data, "seen": mixer.test_set(mixer.speakers, rng, tests)}
    sets["unseen"] = mixer.test_set(sorted(HELD), rng, tests)
    for name, rows in sets.items():
        (work / f"{name}.pkl").write_bytes(pickle.dumps(rows, protocol=4))


def make_tokenizer(work: Path, out: Path):
    """A unigram SentencePiece model of the ten words, its vocab.json beside it."""
    import sentencepiece

    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(4000)]
    (work / "text").write_text("\n".join(lines))
    ids = {"bos_id": 0, "pad_id": 1, "eos_id": EOS, "unk_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        input=str(work / "text"), model_prefix=str(work / "sp"), model_type="unigram", vocab_size=48,
        hard_vocab_limit=False, character_coverage=1.0, **ids,
    )  # fmt: skip
    (work / "sp.model").replace(out / "sentencepiece.bpe.model")
    sp = sentencepiece.SentencePieceProcessor(str(out / "sentencepiece.bpe.model"))
    vocab = {sp.id_to_piece(i): i for i in range(sp.vocab_size())}
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, indent=1))
    return sp


def make_model(vocabulary: int, start: Path | None):
    """The network: 2.3 M parameters, the released architecture in small."""
    from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration

    if start:
        return Speech2TextForConditionalGeneration.from_pretrained(start)
    shape = {"d_model": 128, "encoder_layers": 6, "decoder_layers": 3, "conv_channels": 256}
    shape |= {f"{side}_attention_heads": 4 for side in ("encoder", "decoder")}
    shape |= {f"{side}_ffn_dim": 512 for side in ("encoder", "decoder")}
    limits = {"max_source_positions": 1500, "max_target_positions": 128}
    config = Speech2TextConfig(vocab_size=vocabulary, dropout=0.1, attention_dropout=0.1, **shape, **limits)
    return Speech2TextForConditionalGeneration(config)


def spec_augment(features) -> None:
    """Two masks over mel bins and two short ones over time, in place: (T, M)."""
    for _ in range(2):
        width = random.randint(0, 12)
        start = random.randint(0, features.shape[1] - width)
        features[:, start : start + width] = 0
        width = random.randint(0, min(9, len(features) // 8))
        start = random.randint(0, len(features) - width)
        features[start : start + width] = 0


def collate(pairs):
    """Pad a batch: features (B, T, 80), mask (B, T), labels (B, U) with -100 where there is none."""
    import torch

    T, U = max(len(f) for f, _ in pairs), max(len(ids) for _, ids in pairs)
    x, mask = torch.zeros(len(pairs), T, 80), torch.zeros(len(pairs), T, dtype=torch.long)
    y = torch.full((len(pairs), U), EMPTY_LABEL)
    for b, (features, ids) in enumerate(pairs):
        features = torch.from_numpy(features.astype(np.float32))
        spec_augment(features)
        x[b, : len(features)], mask[b, : len(features)], y[b, : len(ids)] = features, 1, torch.tensor(ids)
    return x, mask, y


def make_batches(data) -> list[list]:
    """Pairs of similar length together, shortest first, no batch over FRAMES_A_BATCH padded frames."""
    batches, batch = [], []
    for pair in sorted(data, key=lambda pair: len(pair[0])):
        if batch and len(pair[0]) * (len(batch) + 1) > FRAMES_A_BATCH:
            batches.append(batch)
            batch = []
        batch.append(pair)
    return [*batches, batch]


def batch_loss(model, head, ctc, pairs, weight: float):
    """Cross-entropy of the decoder plus `weight` times CTC on the encoder."""
    import torch

    x, mask, y = collate(pairs)
    encoded = model.model.encoder(x, attention_mask=mask)
    logits = model(encoder_outputs=encoded, attention_mask=mask, labels=y).logits
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), y.flatten(), ignore_index=EMPTY_LABEL, label_smoothing=0.05
    )
    lengths = model.model.encoder._get_feat_extract_output_lengths(mask.sum(1))
    labels = [torch.tensor(ids[:-1], dtype=torch.long) for _, ids in pairs]
    scores = head(encoded[0]).log_softmax(-1).transpose(0, 1)
    return loss + weight * ctc(scores, torch.cat(labels), lengths, torch.tensor([len(ids) for ids in labels]))


def error_rate(model, sp, rows, beams: int) -> float:
    """Word error rate in percent over test pairs (features, text)."""
    import torch

    model.eval()
    wrong = total = 0
    with torch.inference_mode():
        for features, text in rows:
            x = torch.from_numpy(features.astype(np.float32))[None]
            ids = model.generate(x, num_beams=beams, max_length=40)[0].tolist()
            wrong += count_errors(align(text.split(), sp.decode([i for i in ids if i > 3]).split())).total
            total += len(text.split())
    model.train()
    return 100 * wrong / total


def train(work: Path, epochs: int, rate: float, start: Path | None) -> None:
    """Train, evaluate and save after every epoch."""
    import torch

    torch.manual_seed(0)
    random.seed(0)
    out = work / "digits"
    out.mkdir(exist_ok=True)
    sp = make_tokenizer(work, out)
    model, head = make_model(sp.vocab_size(), start), torch.nn.Linear(128, sp.vocab_size() + 1)
    rows = pickle.loads((work / "train.pkl").read_bytes())
    batches = make_batches([(f, [*sp.encode(text), EOS]) for f, text in rows if len(f) > 20])
    tests = {name: pickle.loads((work / f"{name}.pkl").read_bytes()) for name in ("seen", "unseen")}
    parameters, steps = [*model.parameters(), *head.parameters()], epochs * len(batches)
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    cosine = lambda s: min((s + 1) / 600, max(0.02, 0.5 * (1 + math.cos(math.pi * min(1, s / steps)))))  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine)
    ctc = torch.nn.CTCLoss(blank=sp.vocab_size(), zero_infinity=True)
    began = time.time()
    for epoch in range(epochs):
        model.train()
        if epoch or start:
            random.shuffle(batches)  # the very first epoch runs from short to long
        for pairs in batches:
            optimizer.zero_grad()
            batch_loss(model, head, ctc, pairs, 1.0 if epoch < 2 and not start else 0.3).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
        rates = ", ".join(f"{name} {error_rate(model, sp, rows, 1):.2f} %" for name, rows in tests.items())
        print(f"epoch {epoch}: word error rate {rates}; {time.time() - began:.0f} s", flush=True)
        model.save_pretrained(out)
    print("beam 5: " + ", ".join(f"{name} {error_rate(model, sp, rows, 5):.2f} %" for name, rows in tests.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["speak", "mix", "train"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, help="utterances to speak (4000) or mix (24000)")
    parser.add_argument("--test-count", type=int, default=200, help="utterances of each test set to mix")
    parser.add_argument("--fsdd", type=Path, help="FSDD's folder of recordings")
    parser.add_argument("--babble", type=Path, help="a folder of FLAC speech for the background")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1.2e-3, help="peak learning rate")
    parser.add_argument("--continue-from", type=Path)
    o = parser.parse_args()
    if o.stage == "speak":
        speak(o.work, o.count or 4000)
    elif o.stage == "mix":
        if not (o.fsdd and o.fsdd.is_dir()):
            parser.error("mix needs --fsdd, the folder of FSDD's recordings")
        mix(o.work, o.fsdd, o.babble, o.count or 24000, o.test_count)
    else:
        train(o.work, o.epochs, o.rate, o.continue_from)


if __name__ == "__main__":
    main()
