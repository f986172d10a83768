"""Commands of which calls fail in turn, as many as there is time for here; `python -m tools.faults` does all."""

from functools import partial

import pytest

from tools.faults import kills
from tools.faults.campaign import Campaign
from tools.faults.scenarios import SCENARIOS
from tools.faults.serving import ServedCampaign
from tools.faults.shim import Fault, why_not
from tools.faults.tally import UNHARMED, Span, Tally, every

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
STEPS = {  # command: (fault, of which calls: first, stride, at most)
    "transcribe": [("write", "SHORT", 1, 1, 9), ("read", "EIO", 3, 9, 4), ("any", "SIGTERM", 5, 31, 3)],
    "transcribe-folder": [
        ("write", "ENOSPC", 1, 3, 5),
        ("stat", "EIO", 40, 83, 2),  # of a temporary file, and of a recording
        ("rename", "EACCES", 1, 3, 3),
        ("fsync", "EIO", 1, 3, 2),
        ("any", "SIGKILL", 200, 73, 3),
        ("any", "SIGHUP", 210, 97, 2),
    ],
    "transcribe-file": [("write", "ENOSPC", 2, 3, 3), ("truncate", "EIO", 1, 1, 2), ("open", "EACCES", 27, 1, 1)],
    "transcribe-resume": [("write", "EIO", 1, 3, 4), ("any", "SIGKILL", 150, 61, 3)],
    "convert-force": [("rename", "ENOSPC", 1, 1, 9), ("any", "SIGKILL", 120, 37, 4)],
    "transcribe-mp3": [("thread", "EAGAIN", 1, 1, 3), ("spawn", "EAGAIN", 1, 1, 3)],
    "download": [("write", "ENOSPC", 2, 4, 2), ("rename", "EACCES", 3, 5, 2), ("network", "ECONNRESET", 40, 70, 2)],
    "evaluate": [("write", "ENOSPC", 1, 2, 3), ("close", "EIO", 5, 7, 2)],
    "train": [("write", "ENOSPC", 1, 41, 4), ("rename", "EACCES", 2, 17, 3), ("any", "SIGKILL", 300, 401, 3)],
}


@pytest.mark.parametrize("name", STEPS)
def test_nothing_is_torn_or_lost_whichever_call_fails(name, tmp_path):
    if SCENARIOS[name].hub:
        pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (.[hub]): it downloads")
    campaign = Campaign(SCENARIOS[name], tmp_path)
    try:
        for kind, error, *span in STEPS[name]:
            tally = every(campaign.one, Fault(kind, error), Span(*span), Tally())
            assert tally.escapes == [] and tally.counts.total() > 0, (kind, error)
            assert kind != "any" or tally.counts[UNHARMED] == 0, error  # a signal in the middle ends a run
    finally:
        campaign.close()


REQUESTS = {  # kind: (fault, of which calls: first, stride, at most)
    "large": [("read", "EIO", 5, 4, 2), ("write", "ENOSPC", 1, 3, 2), ("network", "ECONNRESET", 3, 17, 3)],
    "mp3": [("spawn", "EAGAIN", 1, 1, 2), ("network", "SHORT", 3, 5, 2)],
    "stream": [("network", "EPIPE", 9, 3, 3), ("memory", "ENOMEM", 4, 5, 2)],
    "live": [("thread", "EAGAIN", 1, 1, 1)],
}


def test_requests_are_answered_rightly_or_with_an_error_whichever_call_fails(tmp_path):
    for package in ("uvicorn", "starlette", "websockets"):
        pytest.importorskip(package, reason=f"needs {package} (.[serve]): a real server")
    served = ServedCampaign(tmp_path)
    try:
        for name, faults in REQUESTS.items():
            for kind, error, *span in faults:
                tally = every(partial(served.one, name), Fault(kind, error), Span(*span), Tally())
                assert tally.escapes == [] and tally.counts.total() > 0, (name, kind, error)
    finally:
        assert served.close() == 143


def test_the_judge_sees_harm(tmp_path):
    """A fault that is hit counts as one; a result that is gone, torn or other is named."""
    campaign = Campaign(SCENARIOS["transcribe"], tmp_path)
    try:
        assert campaign.one(Fault("read", "EINTR", 1)) == (UNHARMED, [])
        assert campaign.one(Fault("rename", "EIO", 1)) is None
        out = campaign.work / "stdout"
        out.write_bytes(campaign.expected["stdout"][:5])
        assert list(campaign.torn(0, Fault("write", "EIO"))) and not list(campaign.torn(1, Fault("write", "EIO")))
        assert list(campaign.differences(Fault("write", "EIO")))
        assert list(campaign.wrong(1, "Traceback (most recent call last):\n", Fault("write", "EIO")))
        (campaign.work / ".s2t-np-0123.tmp").write_bytes(b"")
        assert "is left" in " ".join(campaign.torn(1, Fault("write", "EIO")))
    finally:
        campaign.close()


def test_a_training_that_is_killed_at_random_moments_ends_with_the_same_bytes():
    summary, wrong = kills.torture("train", 4, seed=3)
    assert wrong == [] and "every byte as it should be" in summary
