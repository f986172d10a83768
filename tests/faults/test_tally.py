"""A campaign counts what became of its runs, goes on from its file, and knows states of a folder again."""

import json
import random
import threading
from collections import Counter

import pytest

from tools.faults import both_ways, runner
from tools.faults.campaign import Files
from tools.faults.scenarios import SCENARIOS
from tools.faults.shim import Fault, why_not
from tools.faults.tally import ESCAPE, REFUSED, Record, Span, every

READ, KILL = Fault("read", "EIO"), Fault("any", "SIGKILL")


def ends_after(calls: int, tried: list[int]):
    """A command that makes so many calls, and notes which of them were tried; the third is harmful."""

    def one(fault: Fault) -> tuple[str, list[str]] | None:
        if fault.n > calls:
            return None
        tried.append(fault.n)
        return (ESCAPE, [f"{fault}: torn"]) if fault.n == 3 else (REFUSED, [])

    return one


def test_every_call_is_tried_once_also_by_a_campaign_that_was_stopped(tmp_path):
    path, tried = tmp_path / "record.json", []
    one, span = ends_after(7, tried), Span()

    def stopped():
        if len(tried) == 4:
            raise KeyboardInterrupt

    first = Record(path)
    with pytest.raises(KeyboardInterrupt):
        every(one, READ, span, first.tally("transcribe", READ, span), stopped)
    first.note(now=True)
    second = Record(path)
    tally = every(one, READ, span, second.tally("transcribe", READ, span))
    assert tried == [1, 2, 3, 4, 5, 6, 7] and tally.done
    assert (tally.counts, tally.escapes) == (Counter({REFUSED: 6, ESCAPE: 1}), ["read 3 EIO: torn"])


def test_a_span_has_its_own_calls_and_an_end(tmp_path):
    tried = []
    for span in (Span(2, 3, 2), Span(6, 3), Span(until=0.0)):
        every(ends_after(10, tried), READ, span, Record(None).tally("transcribe", READ, span))
    assert tried == [2, 5, 6, 9]


def test_the_table_says_what_was_tried_in_whole(tmp_path):
    record, tried = Record(tmp_path / "record.json"), []
    for name, fault, span in (("transcribe", READ, Span()), ("transcribe", KILL, Span()), ("train", READ, Span(1, 5))):
        every(ends_after(2, tried), fault, span, record.tally(name, fault, span))
    record.note(now=True)
    assert json.loads(record.path.read_text())["train read EIO 1 5"]["done"]
    rows = [(name, group, counts.total(), whole) for name, group, counts, whole in Record(record.path).rows()]
    assert rows == [
        ("transcribe", "errors", 2, True),
        ("transcribe", "SIGKILL", 2, True),
        ("train", "errors", 1, False),
    ]
    assert "| train | errors | some | 1 | 0 | 1 | 0 | 0 | 0 |" in list(record.table())


def test_a_state_is_known_again_by_its_files_but_for_names_drawn_at_random_and_times(tmp_path):
    files = Files(SCENARIOS["transcribe"], tmp_path)

    def state(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        found = files.state()
        path.unlink()
        return found

    first = state(".s2t-np-0123456789ab.tmp", '{"seconds": 1.5}')
    assert state(".s2t-np-ba9876543210.tmp", '{"seconds": 2.5}') == first
    others = [files.state(), state(".s2t-np-0123456789ab.tmp", "other"), state("0123456789ab", "other")]
    assert len({first, *others, state("ba9876543210", "other")}) == 5


def test_a_process_that_forks_has_one_thread():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads, expected 1"):
            runner.load(["json", "there_is_no_such_module"])
    finally:
        end.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_in_a_fork_the_same_becomes_of_a_fault_as_in_a_process_of_its_own():
    became, differences = both_ways.compare("transcribe", 3, random.Random(2))
    assert differences == [] and became.total() == 3
