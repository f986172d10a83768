"""The command that makes `digits` from nothing, in small: tables, two runs of `s2t-np train`, the model of the last."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import s2t_np
from s2t_np.checkpoint import read_tensors
from s2t_np.training import checkpoints
from tests.support.paths import RECORDINGS
from tools import train_digits
from tools.digits_data import RATE, WORDS

SMALL = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
OPTIONS = "--max-time-mask 9 --valid-utterances 2 --threads 1"
RUNS = {
    "found": "--lr 1e-3 --warmup-updates 2 --max-update 3 --curriculum 1 --vocab-size 48 --ctc-weight 0.5",
    "refined": "--lr 1e-3 --warmup-updates 1 --lr-scheduler polynomial_decay --max-update 4",
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with voices, where FSDD is two speakers who hiss; the network and its runs are tiny."""
    rng = np.random.default_rng(0)
    (tmp_path / "fsdd").mkdir()
    for name in (f"{digit}_{who}_{take}" for who in ("ann", "lucas") for digit in range(10) for take in range(8)):
        soundfile.write(tmp_path / "fsdd" / f"{name}.wav", rng.uniform(-0.5, 0.5, 1600), 8000)
    soundfile.write(tmp_path / "voice.wav", rng.uniform(-0.5, 0.5, RATE), RATE)
    (tmp_path / "tts.tsv").write_text(f"{tmp_path}/voice.wav\tone two\n{tmp_path}/voice.wav\t\n")
    monkeypatch.setattr(train_digits, "SHAPE", train_digits.SHAPE | SMALL)
    monkeypatch.setattr(train_digits, "COMMON", OPTIONS)
    monkeypatch.setattr(train_digits, "RUNS", RUNS)
    monkeypatch.setattr(train_digits, "COUNTS", {"speak": 0, "mix": 60})
    monkeypatch.setattr(train_digits, "speak", lambda work, count: None)  # espeak-ng and flite are not everywhere
    return tmp_path


def command(monkeypatch, *words) -> None:
    """Run the tool with these arguments."""
    monkeypatch.setattr(sys, "argv", ["train_digits", *map(str, words)])
    train_digits.main()


def test_one_command_makes_the_model_from_nothing(work, monkeypatch):
    fsdd = work / "fsdd"
    command(monkeypatch, "all", work, "--fsdd", fsdd, "--other", fsdd, "--test-count", "3", "--jobs", "1")
    for name in ("valid", "seen", "unseen"):
        rows = (work / f"{name}.tsv").read_text().splitlines()[1:]
        assert len(rows) == 3 and all(set(row.split("\t")[2].split()) <= set(WORDS) for row in rows)
    assert [path.name[-1] for path in checkpoints.checkpoints(work / "refined")][-1] == "4"
    model = s2t_np.load(work / "digits", backend="numpy")
    assert model.config.d_model == 16 and model.utterance_config.longest_utterance == 6
    assert isinstance(model.transcribe(work / "voice.wav").text, str)
    mean = read_tensors(work / "refined" / "average")
    for name, packed in read_tensors(work / "digits").items():
        assert packed.dtype == np.float32 and (packed == packed.astype(np.float16)).all()
        np.testing.assert_allclose(packed, mean[name], rtol=2**-11, atol=2**-25)


def test_the_last_run_hears_all_that_was_mixed_and_the_others_half(work, monkeypatch):
    told = []
    command(monkeypatch, "mix", work, "--fsdd", work / "fsdd", "--count", "31", "--test-count", "2", "--jobs", "1")
    monkeypatch.setattr(train_digits.subprocess, "run", lambda how, check: told.append(how[how.index("--train") + 1]))
    monkeypatch.setattr(train_digits.checkpoints, "checkpoints", lambda run: [run])
    command(monkeypatch, "learn", work)
    assert [Path(table).name for table in told] == ["half.tsv", "train.tsv"]
    whole, half = ((work / name).read_text().splitlines() for name in ("train.tsv", "half.tsv"))
    assert (len(whole), len(half)) == (32, 17) and whole[:17] == half


def test_a_model_is_judged_by_speakers(tmp_path, monkeypatch, capsys):
    """The second recording says "two nine three four zero", of which a text with one more word and another differs."""
    rows = [f"seen-1\t{RECORDINGS / 'five-five.flac'}\tfive five"]
    rows += [f"unseen-1\t{RECORDINGS / 'two-nine-three-four-zero.flac'}\ttwo nine three five four one"]
    (tmp_path / "table.tsv").write_text("\n".join(["id\taudio\ttext", *rows]) + "\n")
    command(monkeypatch, "judge", tmp_path, "--from", "digits", "--table", tmp_path / "table.tsv")
    assert capsys.readouterr().out == "seen: 0.00 % (0 of 2 words)\nunseen: 33.33 % (2 of 6 words)\n"
    (tmp_path / "table.tsv").write_text("id\taudio\ttext\nseen-1\ttable.tsv\tfive\n")
    with pytest.raises(s2t_np.AudioError, match=r"table\.tsv"):
        command(monkeypatch, "judge", tmp_path, "--from", "digits", "--table", tmp_path / "table.tsv")


def test_learning_goes_on_from_a_model_that_exists(work, monkeypatch):
    command(monkeypatch, "mix", work, "--fsdd", work / "fsdd", "--count", "30", "--test-count", "2", "--jobs", "1")
    command(monkeypatch, "learn", work)
    start, changed = work / "found" / "best", work / "again"
    changed.mkdir()
    for name in ("train.tsv", "half.tsv", "valid.tsv", "config.json", "train", "valid"):
        (changed / name).symlink_to(work / name)
    command(monkeypatch, "learn", changed, "--from", start)
    assert not (changed / "found").exists()
    assert (changed / "refined" / "start" / "vocab.json").read_bytes() == (start / "vocab.json").read_bytes()
    command(monkeypatch, "learn", changed, "--from", start)  # a finished run has nothing to do, and says so


def test_fsdd_must_be_there(work, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        command(monkeypatch, "all", work)
    assert "all needs --fsdd" in capsys.readouterr().err
