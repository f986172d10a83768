"""Errors become answers; small answers about the server itself: its models, its health, its metrics, its page."""

import traceback
from collections.abc import Callable, Mapping
from importlib.resources import files

from ..model import S2T
from .desk import ClientGone
from .metrics import Metrics, log
from .refusals import Refusal, is_expected, refusal_of, wrong_verb
from .settings import Settings

CREATED = 1_600_000_000  # OpenAI's clients expect a date of every model; the paper is of autumn 2020
PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
PAGE_POLICY += "media-src blob:; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PARTS = {"/": "page.html"} | {f"/{name}": name for name in ("page.js", "page.css", "microphone.js", "subtitles.js")}
PART_MEDIA = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


def said(error: BaseException) -> Refusal:
    """The refusal that an error becomes; a fault of ours is logged with its traceback."""
    if not is_expected(error):
        log("".join(traceback.format_exception(error)))
    return refusal_of(error)


class Endpoint:
    """A method as an ASGI application that turns every error into a Refusal, which the guard answers."""

    def __init__(self, method: Callable, *verbs: str):
        """`verbs`: GET, POST, ... that are answered; a WebSocket has none."""
        self.method, self.verbs = method, verbs

    async def __call__(self, scope, receive, send):
        """As ASGI calls it. Raises Refusal."""
        if self.verbs and scope["method"] not in self.verbs:
            raise wrong_verb(scope["method"], self.verbs)
        try:
            await self.method(scope, receive, send)
        except ClientGone:
            return
        except Exception as error:
            raise said(error) from error


class About:
    """The endpoints that compute nothing."""

    def __init__(self, model: S2T, settings: Settings, metrics: Metrics, gauges: Callable[[], Mapping[str, float]]):
        """`gauges`: name -> value, of now."""
        self.model, self.settings, self.metrics, self.gauges = model, settings, metrics, gauges

    async def models(self, scope, receive, send) -> None:
        """The names that the model goes by, or one of them. Raises Refusal."""
        from starlette.responses import JSONResponse

        name = scope["path_params"].get("name")
        if name is not None and name not in self.settings.names:
            raise Refusal(404, f"The model {name!r:.80} does not exist here", "model", "model_not_found")
        found = (
            {"object": "list", "data": [*map(model_record, self.settings.names)]}
            if name is None
            else model_record(name)
        )
        await JSONResponse(found)(scope, receive, send)

    async def health(self, scope, receive, send) -> None:
        """Say that the server is up, and what it has."""
        from starlette.responses import JSONResponse

        state = {"status": "ok", "model": self.settings.names[0], "task": self.settings.task}
        state |= {"needs_key": self.settings.api_key is not None, "languages": list(self.model.tokenizer.languages)}
        await JSONResponse(state)(scope, receive, send)

    async def measured(self, scope, receive, send) -> None:
        """The metrics as text."""
        from starlette.responses import PlainTextResponse

        text = self.metrics.text(self.gauges())
        await PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")(scope, receive, send)


async def part(scope, receive, send) -> None:
    """A part of the page, from a fixed table."""
    from starlette.responses import Response

    name = PARTS[scope["path"]]
    text = files(__package__).joinpath("web", name).read_bytes()
    headers = {"content-security-policy": PAGE_POLICY}
    await Response(text, headers=headers, media_type=PART_MEDIA[name.rpartition(".")[2]])(scope, receive, send)


async def not_found(scope, receive, send) -> None:
    """The answer to every other path. Raises Refusal."""
    raise Refusal(404, "there is nothing at this address; see /v1/audio/transcriptions, /v1/models, /health")


def model_record(name: str) -> dict:
    """A model as OpenAI's API lists it."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "s2t-np"}
