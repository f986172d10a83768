"""The queue and its workers, without a server."""

import asyncio
import threading

import pytest

from s2t_np.serve.desk import ClientGone, Desk, Done
from s2t_np.serve.refusals import Refusal, refusal_of
from s2t_np.together import Cancelled


@pytest.fixture
def desk(digits):
    """One worker, two places in the queue."""
    made = Desk(digits, 1, 2, 5.0)
    yield made
    asyncio.run(made.close())
    assert not any(worker.is_alive() for worker in made.workers)


async def never():
    await asyncio.Event().wait()


async def all_events(job):
    """Everything a job emits, read by a client that stays."""
    gone = asyncio.ensure_future(never())
    try:
        return [event async for event in job.events(gone)]
    finally:
        gone.cancel()


def test_events_come_in_order_and_the_result_last(desk):
    def work(model, emit):
        for i in range(100):
            emit(i)
        return "all"

    async def main():
        with desk.place(), desk.job(work) as job:
            return await all_events(job)

    assert asyncio.run(main()) == [*range(100), Done("all")]


def test_errors_arrive_where_the_events_are_read(desk):
    async def main():
        with desk.job(lambda model, emit: 1 / 0) as job:
            await all_events(job)

    for _ in range(3):  # the worker lives on
        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())


def test_places_are_counted_and_given_back(desk):
    async def main():
        with desk.place(), desk.place(), desk.place():
            with pytest.raises(Refusal) as caught, desk.place():
                pass
            assert caught.value.status == 429
        with desk.place():
            return desk.taken

    assert asyncio.run(main()) == 1
    assert desk.taken == 0


def test_a_job_that_is_left_before_its_turn_never_runs(desk):
    ran, gate = [], threading.Event()

    async def main():
        with desk.job(lambda model, emit: gate.wait(10)) as first:
            while not desk.running:
                await asyncio.sleep(0.01)
            with desk.job(lambda model, emit: ran.append(1)):
                assert len(desk.queue) == 1
            assert len(desk.queue) == 0
            gate.set()
            return await all_events(first)

    assert asyncio.run(main()) == [Done(True)]
    assert ran == []


def test_a_model_stops_at_its_next_step_when_the_client_has_gone(desk, digits):
    begun, gate, ended = threading.Event(), threading.Event(), []

    def work(model, emit):
        begun.set()
        gate.wait(10)
        try:
            model.transcribe([0.1, -0.1] * 8000, 16000)
        except Cancelled:
            ended.append(1)
            raise

    async def main():
        with desk.job(work) as job:
            await asyncio.to_thread(begun.wait, 10)
            gone = asyncio.ensure_future(asyncio.sleep(0))
            with pytest.raises(ClientGone):
                async for _ in job.events(gone):
                    pass
        gate.set()

    asyncio.run(main())
    asyncio.run(desk.close())
    assert ended == [1]


def test_closing_ends_what_runs_and_answers_what_waits(digits):
    desk = Desk(digits, 1, 2, 60.0)
    begun, gate = threading.Event(), threading.Event()

    def work(model, emit):
        begun.set()
        gate.wait(10)
        model.transcribe([0.1, -0.1] * 8000, 16000)

    async def main():
        with desk.job(work) as first, desk.job(work) as second:
            await asyncio.to_thread(begun.wait, 10)
            closing = asyncio.ensure_future(desk.close())
            while not desk.closed:
                await asyncio.sleep(0.01)
            gate.set()
            for job in (first, second):
                with pytest.raises(Cancelled) as caught:
                    await all_events(job)
                assert refusal_of(caught.value).status == 503
            await closing

    asyncio.run(main())
