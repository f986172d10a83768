"""The same ids and the same text as transformers' Speech2TextTokenizer, for tokenizers of every kind.

transformers runs once, in a process of its own, away from this repository (it looks for a package named `kernels`).
"""

import json
import random
import subprocess
import sys

import pytest

from s2t_np.tokenizer import Tokenizer
from tests.support.paths import DIGITS
from tests.support.small_tokenizers import KINDS, LANGUAGES, SPECIAL, sentences, write_folder

pytest.importorskip("torch")
pytest.importorskip("transformers")

UPSTREAM = """
import json, sys
from transformers import Speech2TextTokenizer
answers = {}
for name, job in json.load(open(sys.argv[1], encoding="utf-8")).items():
    tokenizer = Speech2TextTokenizer.from_pretrained(job["folder"])
    answer = answers[name] = {"len": len(tokenizer), "encoded": {}, "languages": tokenizer.lang_code_to_id}
    for language in job["languages"]:
        if language is not None:
            tokenizer.tgt_lang = language
        answer["encoded"][str(language)] = [tokenizer(text).input_ids for text in job["texts"]]
    answer["decoded"] = [tokenizer.batch_decode(job["ids"], skip_special_tokens=skip) for skip in (True, False)]
    answer["special"] = sorted(tokenizer.all_special_ids)
    answer["ids"] = [getattr(tokenizer, k + "_token_id") for k in ("bos", "pad", "eos", "unk")]
json.dump(answers, open(sys.argv[2], "w", encoding="utf-8"))
"""
HARD = [
    "",
    " ",
    "  ba   bo  ",
    "ba\tbo\nba\r\n",
    "ba\0bo",
    "BA Bo",
    "don't 've ' s n't .",
    "ﬁ ½ ① Ａ e\u0301 \u00a0\u3000\u200b\u2028",
    "日本語 😀 \U0010ffff",
    "</s>",
    "ba<unk>bo <pad></s> <s>ba",
    "<s ><lang:fr>ba <lang:xx> <lang:de>",
    "▁ba ▁",
    "<0x41><0xFF>",
    "five six seven oh",
    "ba" * 500,
]


def texts(seed: int) -> list[str]:
    """Hard cases, sentences, and random strings of pieces of both."""
    rng = random.Random(seed)
    stock = [*"abdest '.<>/▁é日", *SPECIAL, "<lang:fr>", "ba", "zero ", "nine"]
    return HARD + sentences(seed, 40) + ["".join(rng.choices(stock, k=rng.randint(1, 15))) for _ in range(100)]


def id_lists(seed: int, size: int) -> list[list[int]]:
    """Every single id, then random ones, special ones among them more often than chance has it."""
    rng = random.Random(seed)
    pool = [*range(size), *(list(range(12)) * 10)]
    return [[i] for i in range(size)] + [
        [i % size for i in rng.choices(pool, k=rng.randint(0, 20))] for _ in range(300)
    ]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> dict:
    """What is asked of both, by name of the tokenizer."""
    base = tmp_path_factory.mktemp("tokenizers")
    folders = {kind: write_folder(base / kind, kind) for kind in KINDS} | {"digits": DIGITS}
    folders["map"] = write_folder(base / "map", "bpe")
    swapped = {"eos_token": "<pad>", "pad_token": {"content": "</s>", "lstrip": False, "normalized": True}}
    (folders["map"] / "special_tokens_map.json").write_text(json.dumps(swapped))
    found = {}
    for seed, (name, folder) in enumerate(folders.items()):
        ids = id_lists(seed, len(json.loads((folder / "vocab.json").read_text(encoding="utf-8"))))
        languages = [None, *LANGUAGES] if name == "multilingual" else [None]
        found[name] = {"folder": str(folder), "texts": texts(seed), "ids": ids, "languages": languages}
    return found


@pytest.fixture(scope="module")
def upstream(jobs, tmp_path_factory) -> dict:
    """transformers' answers."""
    base = tmp_path_factory.mktemp("upstream")
    asked, answered = base / "asked.json", base / "answered.json"
    asked.write_text(json.dumps(jobs), encoding="utf-8")
    command = [sys.executable, "-c", UPSTREAM, str(asked), str(answered)]
    done = subprocess.run(command, cwd=base, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(answered.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*KINDS, "digits", "map"])
def test_same_as_transformers(jobs, upstream, name):
    job, answer = jobs[name], upstream[name]
    tokenizer = Tokenizer.from_folder(type(DIGITS)(job["folder"]))
    assert len(tokenizer) == answer["len"]
    assert sorted(tokenizer.special_ids) == answer["special"]
    ids = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert ids == answer["ids"]
    assert tokenizer.languages == answer["languages"]
    for language in job["languages"]:
        for text, expected in zip(job["texts"], answer["encoded"][str(language)], strict=True):
            assert tokenizer.encode(text, language) == expected, repr(text)
    for skip, expected in zip((True, False), answer["decoded"], strict=True):
        assert tokenizer.batch_decode(job["ids"], skip_special_tokens=skip) == expected
