"""Work that is shared by Python threads, as many as the system gives."""

import threading

import pytest

from s2t_np.cli import main
from s2t_np.cli.commands import explore
from s2t_np.errors import HubError
from s2t_np.system import helpers
from s2t_np.training.derivatives.ragged import side_by_side
from tests.support.few_threads import give_threads


@pytest.mark.parametrize("given", [0, 1, 2])
def test_fewer_threads_than_asked_for_have_the_same_results(given, monkeypatch):
    begun = give_threads(monkeypatch, given)
    assert helpers.mapped(pow, [(n, 2) for n in range(50)], 4) == [n * n for n in range(50)]
    assert len(begun) == given and not any(thread.is_alive() for thread in begun)


def test_training_computes_without_threads(monkeypatch):
    """Two utterances at a time, of which no thread takes any but the calling one."""
    monkeypatch.setattr("s2t_np.training.derivatives.ragged.get_threads", lambda: 2)
    give_threads(monkeypatch, 0)
    assert side_by_side(pow, [1, 2, 3], [2, 2, 2]) == [1, 4, 9]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_is_raised_after_all_threads_have_left(threads):
    def work(n):
        if n in (3, 5):
            raise ZeroDivisionError(n)

    with pytest.raises(ZeroDivisionError, match="3"):
        helpers.mapped(work, [(n,) for n in range(8)], threads)
    assert not any("work_off" in thread.name for thread in threading.enumerate())


def test_ctrl_c_leaves_the_rest_undone():
    seen = []

    def work(n):
        seen.append(n)
        if n == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        helpers.mapped(work, [(n,) for n in range(8)], 1)
    assert seen == [0, 1, 2]


def test_another_error_is_not_taken_for_a_lack_of_threads():
    thread = threading.Thread(target=int)
    assert helpers.started(thread)
    thread.join()
    with pytest.raises(RuntimeError, match="once"):
        helpers.started(thread)


def test_a_lack_of_threads_is_one_line(monkeypatch, capsys):
    def lacking(args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("s2t_np.cli.parse_and_run", lacking)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == f"s2t-np: error: {helpers.NO_THREADS}; try --jobs 1 --threads 1\n"


def test_a_download_without_threads_does_not_blame_the_connection(monkeypatch, tmp_path):
    from s2t_np.checkpoint import hub_download
    from s2t_np.checkpoint.hub_cache import Source

    def lacking(*_):
        raise RuntimeError("can't start new thread")

    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    monkeypatch.setattr(hub_download, "fetch_files", lacking)
    with pytest.raises(HubError, match="gives no more threads") as caught:
        hub_download.fetch(Source("a/b", "main", tmp_path), None, False)
    assert "connection" not in str(caught.value)


def test_a_browser_that_cannot_be_started_is_a_line(monkeypatch, capsys):
    class Browser:
        def open(self, address):
            raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(explore.webbrowser, "get", Browser)
    explore.open_browser("http://127.0.0.1:1/")
    assert capsys.readouterr().err == "s2t-np: no browser could be started (Resource temporarily unavailable)\n"
