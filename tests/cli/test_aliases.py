"""Options of whisper, faster-whisper and whisper.cpp, unknown options and commands: what works, what is answered."""

import json

import pytest

from s2t_np import cli
from s2t_np.cli import model_arguments
from s2t_np.cli.aliases import ANSWERS, MEANT, RENAMED, translated
from tests.support.paths import DIGITS

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"


@pytest.fixture
def no_load(monkeypatch):
    """Loading a model fails the test: the answer must come before."""
    monkeypatch.setattr(model_arguments, "load", lambda *a, **k: pytest.fail("the model was loaded"))


def parsed(*argv):
    """The arguments of `transcribe` that a command line means."""
    return vars(cli.build_parser().parse_args(["transcribe", *map(str, argv)]))


@pytest.mark.parametrize("theirs, ours", [
    ("--output_dir o x", "--output-dir o x"),
    ("--output_dir=o_o x", "--output-dir=o_o x"),
    ("--output_format srt x", "--format srt x"),
    ("--output-format=srt x", "--format srt x"),
    ("--word_timestamps True x", "--word-timestamps x"),
    ("--word_timestamps x", "--word-timestamps x"),
    ("--word_timestamps False x", "x"),
    ("--beam_size 3 -bs 4 x", "--beams 3 --beams 4 x"),
    ("--language en -l auto --language English x", "x"),
    ("--task transcribe x", "x"),
    ("--temperature 0 x", "x"),
    ("--temperature=0.0 x", "x"),
    ("--sample --temperature 0.5 x", "--sample --temperature 0.5 x"),
    ("--suppress_tokens -1 x", "x"),
    ("--suppress_tokens 4,5 x", "--suppress-tokens 4,5 x"),
    ("--fp16 False --device cpu --verbose False x", "x"),
    ("--compute_type int8 x", "--dtype int8 x"),
    ("--compute_type default x", "x"),
    ("--vad_filter False x", "--no-vad-filter x"),
    ("--vad_filter True --condition_on_previous_text False x", "x"),
    ("-t 2 -m digits -p 3 x", "--threads 2 --model digits --jobs 3 x"),
    ("--print-progress -pp -np -nt x", "x"),
    ("--print_colors x", "--highlight x"),
    ("--compression_ratio_threshold 2 --logprob_threshold -1.5 x", "--compression-ratio-threshold 2 "
     "--logprob-threshold -1.5 x"),
    ("--prefix a_b x_y.wav", "--prefix a_b x_y.wav"),
    ("-- --output_dir -t", "-- --output_dir -t"),
])  # fmt: skip
def test_what_works_under_their_names(theirs, ours):
    assert parsed(*theirs.split()) == parsed(*ours.split())


@pytest.mark.parametrize("argv, says", [
    ("--initial_prompt hi x", "--initial_prompt is an option of whisper's, not of s2t-np: there is no prompt"),
    ("--device cuda x", "--device cuda is an option of whisper's, not of s2t-np: this program computes on the CPU"),
    ("--language fr x", "--lang XX"),
    ("--task translate x", "choose it with --model"),
    ("-tr x", "choose it with --model"),
    ("--fp16 True x", "--dtype float16"),
    ("--model_dir d x", "HF_HUB_CACHE"),
    ("-otxt x", "--format txt, srt"),
    ("-of y x", "--output FILE"),
    ("--offset-t 3000 x", "--clip START,END"),
    ("--no_speech_threshold 0.6 x", "--help"),
    ("--max_words_per_line 3 x", "--max-line-width"),
    ("--highlight_words True x", "--word-timestamps"),
    ("--modle digits x", "unknown option --modle; did you mean --model? (s2t-np transcribe --help"),
    ("--modle digits --bemas=2 x", "unknown options --modle, --bemas; did you mean --model?"),
    ("--output_dri o x", "unknown option --output_dri; did you mean --output-dir?"),
    ("--xyzzy x", "unknown option --xyzzy (s2t-np transcribe --help lists what there is)"),
    ("--vad-max-pause foo x", "unknown option --vad-max-pause"),
    ("--logprob-threshold foo x", "argument --logprob-threshold: 'foo' is not a number or model or none"),
])  # fmt: skip
def test_what_is_answered_in_one_line(run, no_load, argv, says):
    code, out, err = run("transcribe", *argv.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("argv, says", [
    ("transscribe x", "'transscribe' is not a command; did you mean transcribe?"),
    ("talk.wav", "did you mean s2t-np transcribe talk.wav?"),
    ("--model digits transcribe x", "the command comes first: s2t-np transcribe --model ..."),
    ("info --beam_size 3", "unknown option --beam_size"),
    ("info extra", "there is one argument too many: 'extra' (s2t-np info --help"),
    ("trace x --frmat npz", "did you mean --format? (s2t-np trace --help"),
])  # fmt: skip
def test_what_every_command_answers(run, no_load, argv, says):
    code, out, err = run(*argv.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_no_name_of_ours_is_taken_away():
    own = cli.build_parser().parse_args  # every option of ours that the table mentions keeps other values
    assert own(["transcribe", "x", "--temperature", "0.7"]).temperature == 0.7
    assert (
        translated(["--start", "3", "-o", "txt", "-f", "srt"], {"--start", "-o", "-f"})
        == "--start 3 -o txt -f srt".split()
    )
    options = cli.command.CommandParser()
    options.add_argument("-m", "--beams", "--language")
    assert "-m" in options.options() and "--language" in options.options()


def test_every_replacement_and_every_option_in_an_answer_exists(run):
    known = set(run("transcribe", "--help")[1].replace(",", " ").replace("[", " ").split())
    for ours in RENAMED.values():
        assert ours in known
    answers = [*ANSWERS.values(), *(v for values in MEANT.values() for v in values.values() if v)]
    for text in answers:
        words = text if isinstance(text, tuple) else text.replace(",", " ").replace(";", " ").split()
        assert {word for word in words if word.startswith("--")} - known <= {"--help"}


def test_the_readme_of_whisper_works(run, tmp_path):
    argv = "--model digits --output_format json --output_dir OUT --word_timestamps True --beam_size 2 --fp16 False"
    code, out, err = run("transcribe", FIVE, *argv.replace("OUT", str(tmp_path)).split())
    assert (code, out, err) == (0, "", "")
    (segment,) = json.loads((tmp_path / "five-five.json").read_text())["segments"]
    assert len(segment["words"]) == 2
    assert len(segment["hypotheses"]) == 1
