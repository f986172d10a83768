"""The log of a run: every line once and whole, wherever the run was ended."""

import pytest

from s2t_np.system.append_files import Journal
from s2t_np.training import checkpoints
from tests.training.small_corpus import log_of, resume

pytestmark = pytest.mark.slow


def test_the_log_has_every_line_once_wherever_a_run_was_ended(train, run, tmp_path, monkeypatch):
    """Right after a checkpoint was written; within a line; and while the log was written anew."""
    assert train("--max-epoch", "4", where="whole")[0] == 0
    saved, folder = checkpoints.save, tmp_path / "ended"

    def end_after(*args):
        saved(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save", end_after)
        assert train("--max-epoch", "4", where="ended")[0] == 130
    with open(folder / "log.jsonl", "a") as file:
        file.write('{"update": 99}\n{"update": 2, "lo')
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", end_at_once)
        assert resume(run, folder)[0] == 130
    assert resume(run, folder)[0] == 0
    assert log_of(folder) == log_of(tmp_path / "whole")


def end_at_once(*_):
    raise KeyboardInterrupt
