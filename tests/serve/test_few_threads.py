"""A server to which the system gives few threads: those there are do the work, or a request is told so."""

import asyncio

import pytest

from s2t_np.errors import BackendError
from s2t_np.serve.desk import Desk, Done
from s2t_np.serve.live import Session
from s2t_np.serve.refusals import Refusal, is_expected, refusal_of
from s2t_np.serve.settings import Limits
from tests.support.few_threads import give_threads


def test_fewer_workers_than_asked_for_do_all_jobs(digits, monkeypatch):
    give_threads(monkeypatch, 2, "worker")
    desk = Desk(digits, 4, 8, 20.0)
    assert (desk.jobs, desk.width()) == (2, 2)

    async def answers() -> list:
        found, gone = [], asyncio.ensure_future(asyncio.Event().wait())
        for number in range(5):
            with desk.job(lambda model, emit, number=number: number) as job:
                found += [event async for event in job.events(gone)]
        gone.cancel()
        return found

    assert asyncio.run(answers()) == [Done(number) for number in range(5)]
    asyncio.run(desk.close())
    assert not desk.is_manned


def test_without_any_the_server_does_not_start(digits, monkeypatch):
    give_threads(monkeypatch, 0)
    with pytest.raises(BackendError, match="no more threads"):
        Desk(digits, 4, 8, 20.0)


class Socket:
    """One that has received the first message of a session."""

    async def receive(self) -> dict:
        return {"type": "websocket.receive", "text": '{"type": "start", "rate": 16000}'}


def test_a_live_session_without_a_thread_is_told_so(monkeypatch):
    async def converse():
        await Session(Socket(), None, Limits()).run()

    give_threads(monkeypatch, 0)
    with pytest.raises(Refusal, match="no thread for another session") as caught:
        asyncio.run(converse())
    assert caught.value.status == 503


def test_a_lack_of_threads_is_no_fault_of_the_server():
    error = RuntimeError("can't start new thread")
    assert refusal_of(error).status == 503 and is_expected(error)
    assert refusal_of(RuntimeError("another")).status == 500 and not is_expected(RuntimeError("another"))


def test_a_server_that_ends_closes_its_desk_without_a_thread(digits, monkeypatch):
    desk = Desk(digits, 1, 2, 5.0)
    give_threads(monkeypatch, 0)
    asyncio.run(desk.close())
    assert desk.closed and not desk.is_manned
