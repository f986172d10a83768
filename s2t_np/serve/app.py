"""The routes of the server, as one ASGI application.

POST /v1/audio/transcriptions, /v1/audio/translations     OpenAI's audio API
GET  /v1/models, /v1/models/NAME
WS   /v1/live                                             live sound
POST /explorer                                            makes a page of the explorer; GET /explorer/NAME shows it,
POST /explorer/NAME/experiment, numbers, gradient         and answers what it asks
GET  /health, /metrics, /                                 and the parts of the page
"""

from contextlib import asynccontextmanager
from functools import partial

from ..longform.options import StreamOptions
from ..model import S2T
from ..system.threads import processors
from .answers import PARTS, About, Endpoint, not_found, part
from .desk import Desk
from .explorer import QUESTIONS
from .guard import Guard
from .live import Live
from .metrics import Metrics
from .settings import Settings
from .uploads import Uploads


def application(
    model: S2T, settings: Settings, options: StreamOptions, generation: dict, jobs: int | None = None
) -> Guard:
    """A model as an ASGI application. `options`, `generation`: of every request, as in S2T.stream.

    `jobs` requests run at a time, None: as many utterances as the model decodes together.
    """
    from starlette.routing import Router

    metrics, limits = Metrics(), settings.limits
    jobs = jobs or model.batch_size(**generation)
    desk = Desk(model, jobs, int(limits.max_waiting), limits.time_limit, processors())
    uploads = Uploads(desk, settings, options, generation, metrics)
    live = Live(desk, settings, options, generation, metrics)

    def gauges() -> dict[str, float]:
        running = {"s2t_np_waiting": desk.waiting, "s2t_np_running": len(desk.running)}
        steps = {"s2t_np_decoder_steps": desk.shared.steps, "s2t_np_decoder_utterance_steps": desk.shared.answered}
        return running | steps | {"s2t_np_live_sessions": live.open}

    @asynccontextmanager
    async def lifespan(app):
        yield
        await desk.close()

    table = routes(uploads, live, About(model, settings, metrics, gauges))
    return Guard(
        Router(table, redirect_slashes=False, lifespan=lifespan, default=Endpoint(not_found)), settings, metrics
    )


def routes(uploads: Uploads, live: Live, about: About) -> list:
    """The table of routes."""
    from starlette.routing import Route, WebSocketRoute

    audio = {"transcriptions": "transcribe", "translations": "translate"}
    posts = {f"/v1/audio/{name}": partial(uploads.audio, task) for name, task in audio.items()}
    posts |= {"/explorer": uploads.page}
    posts |= {f"/explorer/{{name}}/{question}": partial(uploads.question, question) for question in QUESTIONS}
    gets = {"/v1/models": about.models, "/v1/models/{name:path}": about.models, "/health": about.health}
    gets |= {"/metrics": about.measured, "/explorer/{name}": uploads.kept_page} | dict.fromkeys(PARTS, part)
    table = [Route(path, Endpoint(method, "POST")) for path, method in posts.items()]
    table += [Route(path, Endpoint(method, "GET", "HEAD")) for path, method in gets.items()]
    return [*table, WebSocketRoute("/v1/live", Endpoint(live.converse))]
