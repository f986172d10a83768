"""Options under the names that whisper, faster-whisper and whisper.cpp give them.

A name that means something here is translated, a setting that changes nothing here is dropped, and anything else is
answered with one line that says what to do. Underscores stand for hyphens in every option. A sub-command's own options
always come first: nothing here takes a name from them.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence

from ..errors import OptionError

RENAMED = {
    "--beam-size": "--beams",
    "-bs": "--beams",
    "--output-format": "--format",
    "--processors": "--jobs",
    "-p": "--jobs",
    "-t": "--threads",
    "-m": "--model",
    "--clip-timestamps": "--clip",
}

# name -> value -> the arguments of ours that it stands for, or an answer. "" is the option without a value, "*" stands
# for all other values.
NOTHING: tuple[str, ...] = ()
CPU = "this program computes on the CPU only; --threads N says on how many cores"
LANGUAGE = (
    "a model hears the language it was trained on, English in the released models; --lang XX is the language that a "
    "translation model writes"
)
TASK = "a translation model translates without being told: choose it with --model, its language with --lang"
VOICE = "what is not speech is left out by measures of the sound; see the group `segments` of --help"
ALONE = "each segment is transcribed by itself, so that no mistake is carried on"
KARAOKE = "--format ass marks the spoken word (karaoke); --word-timestamps with --format json gives its times"
MEANT: dict[str, dict[str, tuple[str, ...] | str]] = {
    "--word-timestamps": {"": ("--word-timestamps",), "true": ("--word-timestamps",), "false": NOTHING},
    "--language": {"en": NOTHING, "english": NOTHING, "auto": NOTHING, "*": LANGUAGE},
    "--task": {"transcribe": NOTHING, "*": TASK},
    "--temperature": {"0": NOTHING, "0.0": NOTHING},
    "--suppress-tokens": {"-1": NOTHING},
    "--fp16": {"false": NOTHING, "*": "--dtype float16 keeps the weights in 16 bits"},
    "--device": {"cpu": NOTHING, "auto": NOTHING, "*": CPU},
    "--compute-type": {
        **dict.fromkeys(("default", "auto"), NOTHING),
        **dict.fromkeys(("int8", "int8_float32"), ("--dtype", "int8")),
        **{name: ("--dtype", name) for name in ("float16", "float32")},
        "*": "--dtype has float32, float64, float16 and int8",
    },
    "--vad-filter": {"": ("--vad-filter",), "true": ("--vad-filter",), "false": ("--no-vad-filter",)},
    "--verbose": {"": NOTHING, "true": NOTHING, "false": NOTHING},
    "--condition-on-previous-text": {"false": NOTHING, "*": ALONE},
    "--highlight-words": {"false": NOTHING, "*": KARAOKE},
    "--print-progress": {"": NOTHING, "true": NOTHING, "false": NOTHING},
    "--print-colors": {"": ("--highlight",), "true": ("--highlight",), "false": NOTHING},
    "--no-prints": {"": NOTHING},
    "--no-timestamps": {"": NOTHING},
}
SHORT = {"-l": "--language", "-pp": "--print-progress", "-pc": "--print-colors", "-np": "--no-prints"}
SHORT |= {
    "-nt": "--no-timestamps",
    "-tr": "--translate",
    "-of": "--output-file",
    "-bo": "--best-of",
    "-ot": "--offset-t",
    "-d": "--duration",
}

CLIP = "--clip START,END chooses a part of the recording, in seconds or H:MM:SS"
ONCE = "there is one fallback, a second search without repetitions; see --retry-no-repeat-ngram-size in --help"
ANSWERS = {
    "--initial-prompt": "there is no prompt; --hotwords prefers words, --prefix TEXT is what a transcript begins with",
    "--model-dir": "--model takes a folder; downloads go to Hugging Face's cache, which HF_HUB_CACHE names",
    "--download-root": "--model takes a folder; downloads go to Hugging Face's cache, which HF_HUB_CACHE names",
    "--translate": TASK,
    "--offset-t": CLIP,
    "--offset-n": CLIP,
    "--duration": CLIP,
    "--max-words-per-line": "--max-line-width N limits the characters of a line",
    "--max-len": "--max-line-width N limits the characters of a line",
    "--no-speech-threshold": VOICE,
    "--temperature-increment-on-fallback": ONCE,
    "--best-of": "sampling gives several texts with --sample --nbest N",
    "--patience": "--early-stopping true, false or never says when a beam search has found enough",
    "--batch-size": "--jobs N transcribes N recordings side by side",
    "--diarize": "speakers are not told apart; --channels each labels what is said with its channel",
    "--hf-token": "HF_TOKEN is the variable that downloads of models take a token from; speakers are not told apart",
    "--align-model": "--word-timestamps aligns by the model's own attention; no other model is needed",
    "--output-file": "--output FILE takes all results, -o DIR a file for each recording",
    "--file": "name the recordings without an option: s2t-np transcribe talk.wav",
}
CPP_OUTPUT = re.compile(r"-o(txt|vtt|srt|csv|json|json-full|j|jf|lrc|wts)|--output-(txt|vtt|srt|csv|json|lrc|words)")
CPP_ANSWER = "--format txt, srt, vtt, tsv, json, ... says what to write, -o DIR where"


def long_name(argument: str) -> str:
    """The name of an option in our spelling: --beam_size=5 -> --beam-size, -l -> --language."""
    name = argument.partition("=")[0]
    return SHORT.get(name, name.replace("_", "-"))


def may_be_alias(argument: str) -> bool:
    """Return whether an argument may be an option under another name. Cheap, as every argument is asked."""
    if not argument.startswith("-"):
        return False
    name, known = argument.partition("=")[0], (MEANT, RENAMED, ANSWERS)
    return long_name(name) != name or any(name in table for table in known) or bool(CPP_OUTPUT.fullmatch(name))


def translated(arguments: Sequence[str], own: set[str]) -> list[str]:
    """The arguments of a sub-command, each option under the name that it has among the sub-command's `own`.

    Raises OptionError for an option that has an answer and no meaning.
    """
    rest, found = deque(arguments), []
    while rest:
        argument = rest.popleft()
        if argument == "--":
            return [*found, argument, *rest]
        found += meaning(argument, rest, own) if may_be_alias(argument) else [argument]
    return found


def meaning(argument: str, rest: deque[str], own: set[str]) -> list[str]:
    """Our arguments for one argument; its value is taken from `rest`. Raises OptionError."""
    given, equals, value = argument.partition("=")
    if given in own and given not in MEANT:
        return [argument]
    name, transcribes = long_name(given), "--beams" in own
    if transcribes and name in MEANT:
        return with_value(argument, MEANT[name], rest, own)
    for ours in (name, RENAMED.get(name)):
        if ours in own:
            return [ours + equals + value]
    if transcribes and (name in ANSWERS or CPP_OUTPUT.fullmatch(given)):
        raise answer(given, ANSWERS.get(name, CPP_ANSWER))
    return [argument]


def with_value(argument: str, values: dict, rest: deque[str], own: set[str]) -> list[str]:
    """Our arguments for an option whose value decides what it stands for. Raises OptionError."""
    given, equals, value = argument.partition("=")
    if not equals and rest and rest[0].lower() in values:
        value = rest.popleft()
    elif not equals and "" not in values and long_name(given) not in own:
        value = rest.popleft() if rest else ""
    ours = values.get(value.lower(), values.get("*"))
    if isinstance(ours, str):
        raise answer(f"{given} {value}".strip(), ours)
    return [long_name(given) + equals + value] if ours is None else list(ours)


def answer(given: str, says: str) -> OptionError:
    """The error for an option of whisper's that has no counterpart."""
    return OptionError(f"{given:.60} is an option of whisper's, not of s2t-np: {says}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "; did you mean NAME?" for a name that is nearly one of those known, else ""."""
    import difflib

    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
