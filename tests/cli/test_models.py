"""The sub-command `download`; `convert` is tested with the conversion itself."""

from s2t_np.checkpoint import hub


def test_download_prints_the_folder(run, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(hub, "download", lambda *a, **k: asked.append((*a, k)) or tmp_path)
    assert run("download", "a/b", "--revision", "v1") == (0, f"{tmp_path}\n", "")
    assert asked == [("a/b", "v1", {"force": False})]
