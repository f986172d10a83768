"""The house rule of words: turns of phrase that are not idiomatic English, in docstrings, comments and messages.

`unidiomatic` reads every string and every comment of a file. COVERED lists the rooms that are already held to it; the
empty prefix holds everything to it.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from .house import Sources

COVERED = ("s2t_np/", "kernels/", "tools/", "tests/model/")  # beginnings of paths
INSTEAD = {  # pattern -> what to write
    r"(?<!\bthere )\b(is|are) no (?!(longer|more|less|fewer|shorter|larger|smaller|doubt)\b)[a-z]": "is not a ...",
    r"\bbe (it|they) [a-z]": "whether ... or ...",
    r"\bwho(m?)ever\b": "the caller, the user, anyone who",
    r"\b(some|no)body\b": "someone, no one, or the passive",
    r"\bso many\b": "that many, or the number itself",
    r"\bso long as\b": "as long as",
    r"\bmeans nothing\b": "is not valid, has no effect",
    r"\bone behind the other\b": "one after the other",
    r"(?m)^\s*#\s+of (?!the form\b)": "a noun before `of`",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in INSTEAD.items()}


def prose(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and every string literal of a file, f-strings' plain parts included."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


QUESTION = re.compile(r"(What|Where|How|Whether)\b")
QUESTIONS_REMAIN = (  # beginnings of paths of s2t_np where `questions` still finds some
    *(f"s2t_np/{room}/" for room in ("evaluation", "inspect", "longform", "search", "checkpoint/fairseq")),
    *("s2t_np/cli/generation.py", "s2t_np/hf/generation", "s2t_np/hf/model.py"),
)
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


def questions(sources: Sources) -> list[str]:
    """Docstrings that begin like a question, so that they lack a verb: "What is left" for "Return what is left"."""
    return [
        f"{path}:{getattr(node, 'lineno', 1)}: the docstring begins with {hit.group()!r}"
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, DOCUMENTED) and (hit := QUESTION.match(ast.get_docstring(node) or ""))
    ]


def unidiomatic(sources: Sources) -> list[str]:
    """Every phrase of PATTERNS, with its place and what to write instead."""
    found = []
    for path, text in sources.items():
        for line, words in prose(text):
            flat = " ".join(words.split())
            for pattern, instead in PATTERNS.items():
                if hit := pattern.search(words) or pattern.search(flat):
                    found.append(f"{path}:{line}: {hit.group()!r}; write {instead}")
    return found
