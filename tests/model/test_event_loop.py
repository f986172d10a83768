"""A model in the threads of an event loop: the loop goes on, and the programs it starts end as they should."""

import asyncio
import sys

import s2t_np
from tests.support.paths import RECORDINGS

TEXTS = {"five-five.flac": "five five", "two-nine-three-four-zero.flac": "two nine three four zero"}


async def started_program():
    """What a program prints, and its exit code, by the loop's own means."""
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)", stdout=pipe)
    printed, _ = await program.communicate()
    return printed.strip(), program.returncode


async def ticks(until: asyncio.Event) -> int:
    """How often the loop came round."""
    count = 0
    while not until.is_set():
        await asyncio.sleep(0.001)
        count += 1
    return count


async def together(model):
    done = asyncio.Event()
    counting = asyncio.create_task(ticks(done))
    heard = [asyncio.to_thread(model.transcribe, RECORDINGS / name) for name in TEXTS for _ in range(2)]
    results = await asyncio.gather(*heard, *(started_program() for _ in range(3)))
    done.set()
    return [result.text for result in results[:4]], results[4:], await counting


def test_four_threads_and_programs_beside_them():
    texts, programs, count = asyncio.run(together(s2t_np.load("digits", backend="numpy")))
    assert texts == [text for text in TEXTS.values() for _ in range(2)]
    assert programs == [(b"1", 0)] * 3
    assert count > 3
