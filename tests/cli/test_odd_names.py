"""Names of files and their texts in any locale: what is printed is UTF-8, and names keep their bytes."""

import json
import os
import shutil

import pytest

from tests.support.commands import FIVE, TRANSCRIBE, environment, finish, posix, start

pytestmark = pytest.mark.slow


@posix
@pytest.mark.parametrize(
    "locale", [{"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {}]
)
def test_output_is_utf8_and_names_keep_their_bytes_in_any_locale(tmp_path, locale):
    locale = environment(LC_ALL="C", **locale)
    folder = os.fsencode(tmp_path)
    for name in (b"gr\xc3\xbcn.flac", b"gr\xfcn.flac"):
        shutil.copy(os.fsencode(FIVE), os.path.join(folder, name))
    code, out, err = finish(start(*TRANSCRIBE, tmp_path, env=locale))
    assert (code, err) == (0, b"")
    assert out == b"".join(folder + b"/" + n + b"\tfive five\n" for n in (b"gr\xc3\xbcn.flac", b"gr\xfcn.flac"))
    code, out, _ = finish(start(*TRANSCRIBE, tmp_path, "--format", "json", env=locale))
    assert code == 0
    assert [json.loads(line)["text"] for line in out.decode("utf-8").splitlines()] == ["five five"] * 2
    code, out, _ = finish(start(*TRANSCRIBE, tmp_path, "--output-dir", tmp_path / "o", env=locale))
    assert (code, out) == (0, b"")
    written = sorted(name for name in os.listdir(folder + b"/o") if not name.startswith(b"."))
    assert written == [b"gr\xc3\xbcn.txt", b"gr\xfcn.txt"]


@posix
def test_a_failure_with_a_hostile_name_is_one_harmless_line(tmp_path):
    path = os.fsencode(tmp_path) + b"/a\n\x1b[31m\xff.wav"
    with open(path, "wb") as file:
        file.write(b"no audio")
    code, out, err = finish(start(*TRANSCRIBE, path))
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert rb"a\n\x1b[31m\xff.wav" in err


IN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = (b"caf\xc3\xa9", b"caf\xe9")  # in UTF-8, and not


@pytest.fixture
def odd_names(tmp_path):
    """A folder with a recording, and a file without sound, under each of two names."""
    (tmp_path / "in").mkdir()
    for name in ODD:
        shutil.copy(os.fsencode(FIVE), os.path.join(os.fsencode(tmp_path), b"in", name + b".flac"))
        with open(os.path.join(os.fsencode(tmp_path), b"in", b"no-" + name + b".wav"), "wb") as file:
            file.write(b"no audio")
    return tmp_path


@posix
@pytest.mark.parametrize("locale", [IN_C, {}], ids=["C", "UTF-8"])
def test_messages_about_odd_names_are_legible_and_a_batch_of_them_is_resumed(odd_names, locale):
    argv = (*TRANSCRIBE, odd_names / "in", "--output-dir", odd_names / "out", "--resume")
    code, out, err = finish(start(*argv, env=environment(**locale)))
    assert (code, out) == (1, b"")
    said = err.decode("utf-8")
    assert "/in/no-café.wav: is not a recording" in said and r"/in/no-caf\xe9.wav: is not a recording" in said
    assert "udc" not in said
    found = {name for name in os.listdir(os.fsencode(odd_names / "out")) if name.endswith(b".txt")}
    assert found == {name + b".txt" for name in ODD}
    assert "2 of 4 are done already" in finish(start(*argv, env=environment(**locale)))[2].decode("utf-8")


@posix
@pytest.mark.parametrize("locale", [IN_C, {}], ids=["C", "UTF-8"])
def test_a_table_names_files_in_utf8_whatever_the_locale(odd_names, locale):
    rows = [{"audio": "in/café.flac", "text": "five five"}, {"audio": "in/caf\udce9.flac", "text": "fünf \ud800"}]
    table, results = odd_names / "table.jsonl", odd_names / "results.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"audio": "a\ud800.wav", "text": "x"}]))
    code, out, err = finish(start(*TRANSCRIBE, "--manifest", table, env=environment(**locale)))
    assert (code, sorted(os.path.basename(line) for line in out.splitlines())) == (
        1,
        [b"caf\xc3\xa9.flac\tfive five", b"caf\xe9.flac\tfive five"],
    )
    assert r"table.jsonl, line 3: 'a\ud800.wav' holds half of a surrogate pair" in err.decode("utf-8")
    argv = ("evaluate", "--model", "digits", table, "--show-alignment", "--output", results, "--resume")
    code, out, err = finish(start(*argv, env=environment(**locale)))
    assert (code, b"Traceback" in err) == (1, False) and r"FÜNF \UD800" in out.decode("utf-8")
    ids = [json.loads(line)["id"] for line in results.read_text("utf-8").splitlines()[1:]]
    assert ids == ["in/café.flac", r"in/caf\xe9.flac"]
    assert "2 of 2 are done already" in finish(start(*argv, env=environment(**locale)))[2].decode("utf-8")
