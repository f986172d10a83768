"""The fields of a request, held to what this model has: nothing is ignored that would have changed the answer.

A field that OpenAI's API has and this model cannot fill (`prompt`, which it never saw in training) is refused with the
way on. Ours are `to_language`, as in vLLM, the language that a model of several is to write, and `hotwords`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import OptionError
from ..hotwords import hotwords
from ..model import S2T
from .refusals import Refusal
from .settings import Settings

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
STREAMED = ("json", "text", "verbose_json")
FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature", "stream", "chunking_strategy"}
FIELDS |= {"timestamp_granularities", "include", "to_language", "hotwords"}
SPEAKERS = {"known_speaker_names", "known_speaker_references"}
ENDPOINTS = {"transcribe": "/v1/audio/transcriptions", "translate": "/v1/audio/translations"}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Wanted(NamedTuple):
    """The wishes of a request."""

    format: str = "json"
    stream: bool = False
    words: bool = False
    segments: bool = True
    logprobs: bool = False
    temperature: float = 0.0
    generation: Mapping[str, Any] = {}  # as in S2T.generate


def wanted(fields: Sequence[tuple[str, str]], task: str, model: S2T, settings: Settings) -> Wanted:
    """The text fields of a request to the endpoint of `task`, as (name, value) pairs. Raises Refusal."""
    given = grouped(fields)
    check_model(single(given, "model"), task, settings)
    check_absent(given, model)
    name = single(given, "response_format") or "json"
    choose(name, FORMATS, "response_format")
    times = listed(given, "timestamp_granularities", ("word", "segment"))
    include = listed(given, "include", ("logprobs",))
    stream, temperature = boolean(given, "stream"), number(given, "temperature")
    if times and name != "verbose_json":
        raise Refusal(400, "timestamp_granularities needs response_format verbose_json", "timestamp_granularities")
    if include and name != "json":
        raise Refusal(400, "include=logprobs needs response_format json", "include")
    if stream and name not in STREAMED:
        raise Refusal(400, f"{name} is not streamed; expected response_format {', '.join(STREAMED)}", "stream")
    search = (
        hotwords_of(given, model)
        | language(given, task, model, settings)
        | ({"do_sample": True, "temperature": temperature} if temperature else {})
    )
    return Wanted(name, stream, "word" in times, times != ["word"], bool(include), temperature, search)


def grouped(fields: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """All values of each field, without the brackets that clients write after the names of lists. Raises Refusal."""
    given: dict[str, list[str]] = {}
    for name, value in fields:
        given.setdefault(name.removesuffix("[]"), []).append(value)
    if SPEAKERS & given.keys():
        raise Refusal(400, "this server does not tell speakers apart", min(SPEAKERS & given.keys()))
    if unknown := sorted(given.keys() - FIELDS):
        raise Refusal(
            400, f"unknown parameter {unknown[0]!r:.60}; known are {', '.join(sorted(FIELDS))}", unknown[0][:60]
        )
    return given


def single(given: dict[str, list[str]], name: str) -> str | None:
    """The one value of a field, None if it is absent or empty. Raises Refusal."""
    values = given.get(name, [""])
    if len(values) > 1:
        raise Refusal(400, f"{name} is given {len(values)} times", name)
    return values[0] or None


def listed(given: dict[str, list[str]], name: str, known: Sequence[str]) -> list[str]:
    """All values of a field that is a list; commas separate, too. Raises Refusal."""
    values = [part.strip() for value in given.get(name, []) for part in value.split(",") if part.strip()]
    for value in values:
        choose(value, known, name)
    return values


def choose(value: str, known: Sequence[str], name: str) -> None:
    """Raises Refusal for a value that is not among those known."""
    if value not in known:
        raise Refusal(400, f"{name} is {value!r:.60}, expected {', '.join(known)}", name)


def boolean(given: dict[str, list[str]], name: str) -> bool:
    """True or false, false if it is absent. Raises Refusal."""
    value = (single(given, name) or "false").lower()
    choose(value, tuple(BOOLEANS), name)
    return BOOLEANS[value]


def number(given: dict[str, list[str]], name: str) -> float:
    """A number from 0 to 1, 0 if it is absent. Raises Refusal."""
    text = single(given, name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise Refusal(400, f"{name} is {text!r:.40}, expected a number from 0 to 1", name)
    return value


def check_model(name: str | None, task: str, settings: Settings) -> None:
    """Hold the model of a request to the one that is served. Raises Refusal."""
    if name is None:
        raise Refusal(400, f"model is missing; this server has {settings.names[0]}", "model")
    if name not in settings.names:
        known = ", ".join(settings.names)
        raise Refusal(404, f"The model {name!r:.80} does not exist here; known are {known}", "model", "model_not_found")
    if task != settings.task:
        does = "transcribes and does not translate" if task == "translate" else "translates and does not transcribe"
        raise Refusal(400, f"{settings.names[0]} {does}; ask {ENDPOINTS[settings.task]}", "model")


def check_absent(given: dict[str, list[str]], model: S2T) -> None:
    """Refuse what other models have and this one has not. Raises Refusal."""
    if single(given, "prompt"):
        raise Refusal(400, "this kind of model has no prompt; the field hotwords prefers words", "prompt")
    if (chunking := single(given, "chunking_strategy")) not in (None, "auto"):
        raise Refusal(
            400, f"chunking_strategy is {chunking!r:.60}; the server cuts at pauses: expected auto", "chunking_strategy"
        )


def hotwords_of(given: dict[str, list[str]], model: S2T) -> dict[str, Any]:
    """The option `hotwords`, if there are any. Raises Refusal."""
    text = single(given, "hotwords")
    try:
        found = hotwords(text or "", model.tokenizer)
    except OptionError as error:
        raise Refusal(400, str(error), "hotwords") from None
    return {"hotwords": found} if found else {}


def language(given: dict[str, list[str]], task: str, model: S2T, settings: Settings) -> dict[str, str]:
    """The option `lang` if the model writes several languages. Raises Refusal for one that it does not know."""
    heard, known = single(given, "language"), ", ".join(model.tokenizer.languages)
    if heard and heard.lower() != settings.language:
        raise Refusal(400, f"language is {heard!r:.40}; this model hears {settings.language}", "language")
    target = single(given, "to_language")
    if not known:
        if target:
            raise Refusal(400, "this model writes one language only; leave to_language out", "to_language")
        return {}
    target = target or ("en" if "en" in model.tokenizer.languages else None)
    if target not in model.tokenizer.languages:
        raise Refusal(400, f"to_language is {target!r:.40}; this model writes {known}", "to_language")
    return {"lang": target}
