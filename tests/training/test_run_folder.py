"""The folder of a run on a disk that fails: nothing in it is passed over, and its lock ends nothing."""

import builtins
import io
import os

import pytest

from s2t_np.training import checkpoints
from s2t_np.training.run_folder import locked


def test_a_checkpoint_that_cannot_be_looked_at_is_not_passed_over(tmp_path, monkeypatch):
    """Else a run would go on from an earlier one, or the average lack it, without a word."""
    for number in (1, 2):
        folder = tmp_path / "checkpoints" / f"{number:010}"
        folder.mkdir(parents=True)
        (folder / checkpoints.STATE).write_text("{}")
    (tmp_path / "checkpoints" / "0000000003").mkdir()  # without a state: not one
    (tmp_path / "checkpoints" / "0000000004").write_text("")
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == ["0000000001", "0000000002"]
    assert checkpoints.checkpoints(tmp_path / "no") == []
    stat = os.stat

    def failing(path, **more):
        if str(path).endswith(f"2/{checkpoints.STATE}"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", failing)
    with pytest.raises(PermissionError, match="0000000002"):
        checkpoints.checkpoints(tmp_path)


def test_a_lock_that_cannot_be_closed_ends_nothing(tmp_path, monkeypatch):
    class Failing(io.FileIO):
        def close(self):
            super().close()
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(builtins, "open", Failing)
    with locked(tmp_path):
        monkeypatch.undo()
    with locked(tmp_path):
        pass
