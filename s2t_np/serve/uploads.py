"""Requests that bring a recording: a form is read, a job is done, its events become one answer or a stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from ..inspect.explorer.local_server import POLICY
from ..longform.options import StreamOptions
from .answers import said
from .desk import ClientGone, Desk, Done, Emit
from .explorer import Explorer, Follower, Kept, new_name
from .guard import FORM_BYTES
from .metrics import Metrics
from .parameters import Wanted, check_model, grouped, single, wanted
from .refusals import Refusal
from .replies import MEDIA, body, failure_event, stream
from .settings import Settings
from .transcribe import Hearer, transcribe

EVENT_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class Uploads:
    """The endpoints that take a file."""

    def __init__(self, desk: Desk, settings: Settings, options: StreamOptions, generation: dict, metrics: Metrics):
        """`options`, `generation`: of every request, as in S2T.stream."""
        self.desk, self.settings, self.options, self.generation = desk, settings, options, generation
        self.metrics, self.explorer = metrics, Explorer(desk.model)

    async def audio(self, task: str, scope, receive, send) -> None:
        """Answer one request to transcribe or translate."""
        with self.desk.place():
            async with self.upload(scope, receive) as (file, fields):
                asked = wanted(fields, task, self.desk.model, self.settings)
                async with self.answered(partial(self.hear, file, asked), receive) as events:
                    await (self.streamed if asked.stream else self.whole)(asked, events, scope, receive, send)

    async def page(self, scope, receive, send) -> None:
        """Make a page of the explorer and say where it is."""
        from starlette.responses import JSONResponse

        with self.desk.place():
            async with self.upload(scope, receive) as (file, fields):
                check_model(single(grouped(fields), "model"), self.settings.task, self.settings)
                name = new_name()
                work = partial(self.explored, file, name)
                async with self.answered(work, receive, self.explorer.follower) as events:
                    self.explorer.keep(name, await result(events))
        await JSONResponse({"url": f"/explorer/{name}"})(scope, receive, send)

    async def kept_page(self, scope, receive, send) -> None:
        """A page of the explorer that was made a while ago."""
        from starlette.responses import HTMLResponse

        kept = self.explorer.find(scope["path_params"]["name"])
        await HTMLResponse(kept.html, headers={"content-security-policy": POLICY})(scope, receive, send)

    async def question(self, question: str, scope, receive, send) -> None:
        """Answer one of QUESTIONS that a kept page asks about its recording."""
        from starlette.responses import JSONResponse

        kept = self.explorer.find(scope["path_params"]["name"])
        work = partial(self.asked, kept, question, await small_json(scope, receive, self.settings.limits.upload_time))
        with self.desk.place():
            async with self.answered(work, receive, self.explorer.follower) as events:
                found = await result(events)
        await JSONResponse(found)(scope, receive, send)

    @asynccontextmanager
    async def upload(self, scope, receive):
        """Within this context: the file of a form, and its text fields as pairs. Raises Refusal."""
        from starlette.formparsers import MultiPartException
        from starlette.requests import Request

        limit = self.settings.limits.upload_time
        try:
            async with asyncio.timeout(limit):
                form = await Request(scope, receive).form(max_files=1, max_fields=64, max_part_size=FORM_BYTES)
        except TimeoutError:
            raise Refusal(408, f"the upload took longer than {limit:g} s, the limit of this server") from None
        except MultiPartException as error:
            raise Refusal(400, f"the form cannot be read ({error.message})") from None
        try:
            file = form.get("file")
            if not hasattr(file, "file"):
                raise Refusal(400, "file is missing: expected multipart/form-data with a file", "file")
            yield file.file, [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        finally:
            await form.close()

    @asynccontextmanager
    async def answered(
        self, work: Callable, receive, model_for: Callable | None = None
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Within this context: the events of a job, which ends when the client leaves. `model_for` as in Desk.job."""
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            with self.desk.job(work, model_for) as job:
                yield job.events(gone)
        finally:
            gone.cancel()

    def hear(self, file, asked: Wanted, model, emit: Emit):
        """Transcribe an upload, on a worker thread. Raises Refusal."""
        hearer = Hearer(model, self.desk.width())
        recording = transcribe(hearer, file, asked, self.options, self.generation, self.settings.limits, emit)
        self.metrics.heard(recording.duration, len(recording.segments))
        return recording

    def explored(self, file, name: str, follower: Follower, emit: Emit) -> Kept:
        """The page of an upload, on a worker thread. Raises Refusal."""
        return self.explorer.make(file, self.generation, name, follower)

    def asked(self, kept: Kept, question: str, data, follower: Follower, emit: Emit) -> dict:
        """The answer to a question of a page, on a worker thread. Raises Refusal."""
        return self.explorer.answer(kept, question, data, follower)

    async def whole(self, asked: Wanted, events, scope, receive, send) -> None:
        """Answer when everything is there."""
        from starlette.responses import Response

        text = body(await result(events), asked, self.settings, self.desk.model.tokenizer)
        await Response(text.encode("utf-8", "replace"), media_type=MEDIA[asked.format])(scope, receive, send)

    async def streamed(self, asked: Wanted, events, scope, receive, send) -> None:
        """Answer with events as they come; what fails after the first one becomes an event itself."""
        begun = False

        async def add(text: str, more: bool = True) -> None:
            nonlocal begun
            if not begun:
                await send({"type": "http.response.start", "status": 200, "headers": EVENT_HEADERS})
            begun = True
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

        try:
            async for text in stream(events, asked, self.settings, self.desk.model.tokenizer):
                await add(text)
        except Exception as error:
            if not begun or isinstance(error, ClientGone):
                raise
            await add(failure_event(said(error).record))
        await add("", more=False)


async def result(events: AsyncIterator[Any]) -> Any:
    """Return the result of a job, once it is done. Raises what it raised."""
    async for event in events:
        if isinstance(event, Done):
            return event.result
    raise ClientGone


async def small_json(scope, receive, limit: float) -> Any:
    """The JSON in the body of a request, which has to arrive within `limit` seconds. Raises Refusal, ClientGone."""
    from starlette.requests import ClientDisconnect, Request

    request, body = Request(scope, receive), bytearray()
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(415, "expected JSON, declared as application/json")
    try:
        async with asyncio.timeout(limit):
            async for part in request.stream():
                body += part
                if len(body) > FORM_BYTES:
                    raise Refusal(413, f"expected JSON of at most {FORM_BYTES} bytes")
    except TimeoutError:
        raise Refusal(408, f"the question took longer than {limit:g} s, the limit of this server") from None
    except ClientDisconnect:
        raise ClientGone from None
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise Refusal(400, "the body is not valid JSON") from None


async def disconnected(receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
