"""The command `evaluate`: its table, its results file, what it refuses, and that it goes on after a kill."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import s2t_np
from s2t_np import audio
from s2t_np.cli import main
from s2t_np.cli.commands.evaluate import METRICS, NORMALIZATIONS
from s2t_np.config import UtteranceConfig
from s2t_np.evaluation import NORMALIZERS
from s2t_np.evaluation import summary as summaries
from s2t_np.evaluation.corpus import Utterance
from s2t_np.evaluation.run import evaluate_all
from tests.support.paths import DIGITS, ROOT

RECORDINGS = DIGITS.parent.parent / "recordings"
HEARD = s2t_np.Hypothesis((2, 5, 2), (-0.1, -0.1), -0.1, True)
SAID = {
    "five-five": "FIVE FIVE",
    "two-nine-three-four-zero": "TWO NINE THREE FOUR ZERO",
    "synthetic-one-two-three": "one two three",
}


@pytest.fixture
def corpus(tmp_path):
    """A table of bundled recordings, the last reference wrong on purpose."""
    lines = ["audio\ttext", *(f"{RECORDINGS / name}.flac\t{text}" for name, text in SAID.items())]
    lines.append(f"{RECORDINGS / 'synthetic-zero-one-four-two'}.flac\tzero won four two two")
    path = tmp_path / "corpus.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run(capsys):
    """Run the command line; (exit code, stdout, stderr)."""

    def run(*argv):
        code = main(["evaluate", "--model", "digits", "--backend", "numpy", *map(str, argv)])
        return code, *capsys.readouterr()

    return run


def test_the_table(run, corpus):
    code, out, err = run(corpus, "--show-alignment")
    assert (code, err) == (0, "")
    shown, table = out.split("\n\n")
    assert shown.split("\n")[1:] == ["REF ZERO WON FOUR TWO TWO", "HYP ZERO ONE FOUR     TWO", "         S        D"]
    assert table.split("\n")[1].split()[:7] == ["all", "4", "15", "13.33", "6.67", "6.67", "0.00"]


def test_normalisation_decides(run, corpus):
    _, out, _ = run(corpus, "--normalize", "none", "--jobs", 2)
    assert out.split("\n")[1].split()[3] == "60.00"  # the two in upper case are all wrong


def test_results_are_kept_and_gone_on_with(run, corpus, tmp_path):
    path = tmp_path / "results.jsonl"
    _, whole, _ = run(corpus, "--output", path, "--jobs", 1)
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line).get("words", {}).get("substitutions") for line in lines] == [None, 0, 0, 0, 1]
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    code, again, err = run(corpus, "--output", path, "--resume", "--jobs", 1)
    assert (code, err) == (0, "s2t-np: 2 of 4 are done already\n")
    assert [line.split()[:9] for line in again.split("\n")] == [line.split()[:9] for line in whole.split("\n")]
    ids = [json.loads(line).get("id") for line in path.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 5
    assert run(corpus, "--output", path)[0] == 2
    code, _, err = run(corpus, "--output", path, "--resume", "--beams", 2)
    assert code == 2 and "was made with options" in err


def test_what_fails_is_said_and_the_rest_counted(run, corpus, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    with open(corpus, "a", encoding="utf-8") as file:
        file.write("broken.wav\tnothing\n")
    code, out, err = run(corpus)
    assert code == 1
    assert "broken.wav" in err and "1 of 5 recordings failed" in err
    assert out.split("\n")[1].split()[1] == "4"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resume",), "--output"),
        (("--nbest", "2"), "--nbest"),
        (("--jobs", "0"), "--jobs is 0"),
        (("--show-alignment", "--metric", "bleu"), "--show-alignment has no effect with --metric bleu"),
        (("--show-alignment", "--format", "json"), "--show-alignment has no effect with --format json"),
    ],
)
def test_options_that_mean_nothing(run, corpus, options, message):
    code, _, err = run(corpus, *options)
    assert code == 2 and message in err and err.count("\n") == 1


def test_bad_rows_are_counted_as_failed(run, corpus, tmp_path):
    whole = run(corpus)[1]
    with open(corpus, "a", encoding="utf-8") as file:
        file.write("gone.wav\tfive\nno-text.wav\n")
    code, out, err = run(corpus)
    assert code == 1
    gone, row, total = err.splitlines()
    assert gone == f"s2t-np: {tmp_path / 'gone.wav'}: no such file"
    assert row.startswith(f"s2t-np: {corpus}, line 7: no text")
    assert total == "s2t-np: 2 of 6 recordings failed and are not counted"
    assert [line.split()[:9] for line in out.split("\n")] == [line.split()[:9] for line in whole.split("\n")]


def test_an_incomplete_recording_is_failed_not_wrong(run, corpus, tmp_path):
    samples, rate = soundfile.read(RECORDINGS / "five-five.flac", dtype="int16")
    soundfile.write(tmp_path / "cut.wav", samples, rate)
    data = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    with open(corpus, "a", encoding="utf-8") as file:
        file.write("cut.wav\tfive five\n")
    code, out, err = run(corpus)
    assert code == 1 and "cut.wav" in err and "1 of 5 recordings failed" in err
    assert out.split("\n")[1].split()[:4] == ["all", "4", "15", "13.33"]


def test_the_settings_are_told(run, corpus):
    assert run(corpus)[1].split("\n")[2] == "model digits, float32, beams 5, normalization case"
    assert "beams 2, normalization none" in run(corpus, "--beams", 2, "--normalize", "none")[1]
    assert list(NORMALIZERS) == list(NORMALIZATIONS)
    assert summaries.METRICS == METRICS


def test_bleu_is_printed_with_its_signature_in_the_table_and_in_the_report(run, corpus):
    sacrebleu = pytest.importorskip("sacrebleu", reason="needs sacrebleu: the metric")
    texts = [*SAID.values(), "zero won four two two"]
    heard = [text.lower() for text in SAID.values()] + ["zero one four two"]
    bleu = sacrebleu.metrics.BLEU()
    score, signature = bleu.corpus_score(heard, [texts]).score, str(bleu.get_signature())
    code, out, err = run(corpus, "--metric", "bleu")
    heading, row, settings, last = out.splitlines()
    assert (code, err) == (0, "") and heading.split() == ["files", "words", "BLEU", "RTF"]
    assert row.split()[:4] == ["all", "4", "15", f"{score:.2f}"]
    assert settings.endswith("normalization none") and last == f"bleu {signature}"
    report = json.loads(run(corpus, "--metric", "bleu", "--format", "json")[1])
    assert report["signature"] == signature and report["metric"] == "bleu"
    assert report["parts"][0]["bleu"] == pytest.approx(score)


def test_case_is_left_alone_by_translation_metrics_unless_asked(run, corpus):
    pytest.importorskip("sacrebleu", reason="needs sacrebleu: the metric")
    scores = [
        run(corpus, "--metric", "chrf", *more)[1].split("\n")[1].split()[3] for more in ((), ("--normalize", "case"))
    ]
    assert float(scores[0]) < float(scores[1]) - 10


def test_the_report_as_json_has_the_figures_of_the_table(run, corpus):
    report = json.loads(run(corpus, "--format", "json")[1])
    assert {"metric": "wer", "normalization": "case", "beams": 5}.items() <= report.items()
    assert "signature" not in report
    [part] = report["parts"]
    assert part["wer"] == pytest.approx(200 / 15) and part["files"] == 4


def hear_nothing_new(self, memory, **options):
    """A search that asks nothing."""
    return [HEARD]
    yield


def test_an_utterance_of_forty_seconds_is_not_cut(monkeypatch):
    model, lengths = s2t_np.load("digits", backend="numpy"), []
    known = replace(model, utterance_config=UtteranceConfig())
    said = soundfile.read(RECORDINGS / "five-five.flac", dtype="float32")[0]
    monkeypatch.setattr(audio, "blocks", lambda path, rate, *_, **__: iter([np.resize(said, seconds * 16000)]))
    monkeypatch.setattr(type(model), "encode", lambda self, x, *_: lengths.append(len(x)) or np.zeros((1, 128)))
    monkeypatch.setattr(type(model), "begin_from", hear_nothing_new)
    for seconds, heard in ((40, known), (70, known), (40, model)):
        lengths.clear()
        (outcome,) = evaluate_all(heard, [Utterance("x", Path("x.flac"), "five")])
        assert outcome.duration == seconds
        assert (lengths == [3998]) == (seconds == 40 and heard is known)
        assert max(lengths) < (800 if heard is model else 3999)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(corpus, tmp_path, run):
    folder = tmp_path / "many"
    folder.mkdir()
    rows = ["audio\ttext"]
    for i in range(40):
        shutil.copy(RECORDINGS / "five-five.flac", folder / f"{i}.flac")
        rows.append(f"{i}.flac\tfive five")
    (folder / "m.tsv").write_text("\n".join(rows) + "\n")
    results = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "s2t_np", "evaluate", "--model", "digits", "--backend", "numpy", "--jobs", "1"]
    command += [str(folder / "m.tsv"), "--output", str(results)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (not results.exists() or results.read_bytes().count(b"\n") < 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = results.read_bytes()
    before = before[: before.rindex(b"\n") + 1]
    assert 3 <= before.count(b"\n") < 41
    code, out, _ = run(folder / "m.tsv", "--output", results, "--resume")
    assert code == 0 and out.split("\n")[1].split()[1:4] == ["40", "80", "0.00"]
    assert results.read_bytes().startswith(before)
    ids = [json.loads(line)["id"] for line in results.read_text().splitlines()[1:]]
    assert sorted(ids) == sorted(f"{i}.flac" for i in range(40))
