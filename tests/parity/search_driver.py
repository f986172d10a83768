"""Runs transformers' `generate` and this project's search on the same torch models; a process of its own.

    python search_driver.py PACKAGE_DIR < cases.json > results.json

PACKAGE_DIR holds the package `s2t_np` and nothing else: transformers looks for a package named `kernels`, which must
not be found beside it. Both searches see the logits of one torch decoder, recomputed over the whole prefix without a
cache, so what differs is the search's doing.
"""

import json
import sys
import warnings
from functools import cache

import numpy as np
import torch
from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

sys.path.insert(0, sys.argv[1])
from s2t_np.config import GenerationConfig
from s2t_np.search import Decoder, Hooks, generate, next_token
from s2t_np.search.constraints import constrain, constraints
from s2t_np.search.options import check_options

EOS, DEAD = 2, -2e4  # upstream's rows that are no hypotheses have -1e9, divided by at most 22**3; real scores are above


@cache
def build_model(seed: int, vocabulary: int, eos_bonus: float) -> Speech2TextForConditionalGeneration:
    """A small model with random weights, large enough for varied transcripts; `eos_bonus` is added to EOS's logit."""
    torch.manual_seed(seed)
    config = Speech2TextConfig(
        vocab_size=vocabulary, d_model=64, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=128, decoder_ffn_dim=128,
        encoder_attention_heads=4, decoder_attention_heads=4, conv_channels=64, input_feat_per_channel=20,
        max_target_positions=128, tie_word_embeddings=False,
    )  # fmt: skip
    model = Speech2TextForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.35 if name == "lm_head.weight" else 0.25)
        direction = torch.randn(64)
        model.model.decoder.layer_norm.bias.copy_(direction)
        model.lm_head.weight[EOS] += eos_bonus * direction / direction.square().sum()
    return model


@cache
def encode(model, seed: int) -> torch.Tensor:
    """Encoder output (1, S, D) for random features."""
    features = torch.randn(1, 30 + 7 * (seed % 5), 20, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model.get_encoder()(features).last_hidden_state


class Prefixes:
    """A cache that is only the tokens so far: (K, U)."""

    def __init__(self, rows: int):
        self.tokens = torch.empty((rows, 0), dtype=torch.long)

    def reorder(self, parents: np.ndarray) -> None:
        self.tokens = self.tokens[torch.from_numpy(parents)]


def torch_decoder(model, memory: torch.Tensor) -> Decoder:
    """The port over a torch model."""

    def step(tokens, prefixes):
        prefixes.tokens = torch.cat([prefixes.tokens, torch.from_numpy(tokens)[:, None]], dim=1)
        with torch.no_grad():
            states = model.model.decoder(
                input_ids=prefixes.tokens, encoder_hidden_states=memory.expand(len(tokens), -1, -1), use_cache=False
            ).last_hidden_state
            return next_token(model.lm_head(states)[:, -1].numpy())

    return Decoder(Prefixes, step)


def allowed(batch: int, tokens) -> list[int]:
    """A prefix_allowed_tokens_fn: EOS and every token that suits the last one."""
    return [EOS, *(t for t in range(3, 60) if (t + int(tokens[-1])) % 3)]


def process(tokens, scores):
    """A logits processor that means the same for tensors and arrays: some tokens cost more with every step."""
    lowered = scores - 0.05 * tokens.shape[1]
    lowered[:, 5::7] -= 1.5 * tokens.shape[1]
    return lowered


def stop(tokens, scores=None):
    """A stopping criterion."""
    return tokens.sum(1) % 7 == 0


class Pieces:
    """What upstream's StopStringCriteria asks of a tokenizer: token 17 reads "|17"."""

    def __init__(self, size: int):
        self.texts = [f"|{i}" for i in range(size)]

    def get_vocab(self) -> dict[str, int]:
        return {text: i for i, text in enumerate(self.texts)}

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [text]}

    def _convert_id_to_token(self, token):
        return token

    def convert_tokens_to_string(self, tokens) -> str:
        return "".join(tokens)


def upstream_options(model, options: dict) -> dict:
    """Options as upstream takes them: functions and the tokenizer by their names."""
    options = dict(options)
    hooks = options.pop("hooks", ())
    if options.get("stop_strings"):
        options["tokenizer"] = Pieces(model.config.vocab_size)
    if "allowed" in hooks:
        options["prefix_allowed_tokens_fn"] = allowed
    if "processor" in hooks:
        options["logits_processor"] = [process]
    return options | ({"stopping_criteria": [stop]} if "stop" in hooks else {})


def our_hooks(model, options: dict) -> Hooks:
    """The same functions for our search."""
    hooks = options.get("hooks", ())
    return Hooks(
        allowed=(lambda tokens: allowed(0, tokens)) if "allowed" in hooks else None,
        processors=(process,) * ("processor" in hooks),
        stops=(stop,) * ("stop" in hooks),
        pieces=Pieces(model.config.vocab_size).texts,
    )


def our_options(options: dict) -> GenerationConfig:
    """The options as our search takes them; None for EOS is a setting, and a chosen number of beams too."""
    named = {"num_beams": 1} | {name: value for name, value in options.items() if name != "hooks"}
    return GenerationConfig().replace(**named)


def upstream_generate(model, memory: torch.Tensor, options: dict, prefix: list[int], processors: tuple = ()):
    """transformers' own answer, with everything it is willing to tell."""
    options = upstream_options(model, options)
    if processors:
        options["logits_processor"] = [*options.get("logits_processor", ()), *processors]
    if prefix:
        options = options | {"decoder_input_ids": torch.tensor([[model.config.decoder_start_token_id, *prefix]])}
    return model.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=memory), use_cache=False, return_dict_in_generate=True,
        output_scores=True, output_logits=True, **options,
    )  # fmt: skip


def model_log_probs(model, memory: torch.Tensor, tokens: list[int], prompt_length: int) -> list[float]:
    """What torch gives the generated tokens, teacher-forced over the whole transcript."""
    with torch.no_grad():
        inputs = torch.tensor([tokens[:-1]])
        logits = model(encoder_outputs=BaseModelOutput(last_hidden_state=memory), decoder_input_ids=inputs).logits[0]
    log_probs = logits.double().log_softmax(-1)
    return [log_probs[u - 1, tokens[u]].item() for u in range(prompt_length, len(tokens))]


def upstream_rows(model, memory, options: dict, prefix: list[int]) -> list[dict]:
    """Upstream's hypotheses without padding, and without rows that only fill up."""
    out, prompt_length = upstream_generate(model, memory, options, prefix), 1 + len(prefix)
    rows = []
    for i, row in enumerate(out.sequences.tolist()):
        beams = out.get("beam_indices")
        count = len(row) - prompt_length if beams is None else int((beams[i] >= 0).sum())
        tokens, score = row[: prompt_length + count], None if beams is None else out.sequences_scores[i].item()
        if score is None or score > DEAD:
            log_probs = model_log_probs(model, memory, tokens, prompt_length)
            rows.append({"tokens": tokens, "score": score, "log_probs": log_probs})
    return rows


def our_rows(model, memory, options: dict, prefix: list[int]) -> list[dict]:
    """This project's hypotheses in the same form."""
    found = generate(torch_decoder(model, memory), our_options(options), prefix, our_hooks(model, options))
    return [{"tokens": h.tokens, "score": h.score, "log_probs": h.token_log_probs} for h in found]


def compare_searches(case: dict, model, memory) -> dict:
    """Both searches' answers to one case."""
    ours = our_rows(model, memory, case["options"], case["prefix"])
    return {"upstream": upstream_rows(model, memory, case["options"], case["prefix"]), "ours": ours}


def compare_distributions(case: dict, model, memory) -> dict:
    """Let upstream sample; at each of its steps compare what it drew from with what this project would draw from."""
    rows = []

    def watch(tokens, scores):
        rows.append(tokens.numpy().copy())
        return scores

    torch.manual_seed(0)
    out = upstream_generate(model, memory, case["options"], case["prefix"], (watch,))
    prompt_length = 1 + len(case["prefix"])
    options = check_options(our_options(case["options"]), prompt_length)
    active = constraints(options, prompt_length, our_hooks(model, case["options"]))
    kept_differently, worst, kept = 0, 0.0, 0
    for tokens, logits, theirs in zip(rows, out.logits, out.scores, strict=True):
        begun = logits.log_softmax(-1) if options.num_beams > 1 else logits
        theirs, ours = theirs.numpy(), constrain(active, tokens, begun.numpy())
        possible = np.isfinite(theirs) & np.isfinite(ours)
        kept_differently += int((np.isfinite(theirs) != np.isfinite(ours)).sum())
        worst = max(worst, float(np.abs(theirs - ours)[possible].max(initial=0)))
        kept += int(possible.sum())
    return {"kept_differently": kept_differently, "worst": worst, "kept": kept}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = []
    for case in json.load(sys.stdin):
        model = build_model(**case["model"])
        compare = compare_distributions if case["options"].get("do_sample") else compare_searches
        results.append(compare(case, model, encode(model, case["features"])))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
