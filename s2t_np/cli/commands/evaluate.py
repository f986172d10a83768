"""The sub-command `evaluate`: its arguments. What it does is in evaluation_run.py, imported when it runs."""

from argparse import ArgumentParser, Namespace

from ..batch import add_sharing_arguments
from ..command import Command
from ..generation import add_generation_arguments
from ..model_arguments import add_format, add_model_arguments

NORMALIZATIONS = ("case", "none", "words")
METRICS = ("wer", "cer", "bleu", "chrf")
DESCRIPTION = """\
Transcribe or translate a corpus that has reference texts, and compare. --metric wer (the default) counts errors: word
and character error rate with substitutions, deletions and insertions, in per cent; utterances with any error; the
real-time factor (RTF), computing time divided by the duration of the recordings. --metric cer counts characters instead
of words. --metric bleu and chrf measure a translation with sacrebleu (pip install 's2t-np[translation]') and print its
signature; the text is compared as the model's tokenizer writes it.

CORPUS is a folder in LibriSpeech's layout (one of its subsets, or several), or a .tsv, .csv or .jsonl table with a
column `audio` (or path, file, audio_filepath) and a column `text` (or transcript, sentence, reference). Rows without a
recording or a text, and recordings that cannot be read or are incomplete, are reported and not counted.

--normalize says how texts are compared: `case` (the default of wer and cer) in upper case, as in the published figures
of S2T on LibriSpeech; `words` also without punctuation; `none` (the default of bleu and chrf) as they are.

With --format json the figures are printed as one JSON object."""
EXAMPLES = """\
examples:
  s2t-np evaluate LibriSpeech/test-clean
  s2t-np evaluate LibriSpeech/ --output results.jsonl --resume
  s2t-np evaluate --model digits recordings.tsv --beams 1 --show-alignment
  s2t-np evaluate --model s2t-small-mustc-en-de-st/ tst.tsv --metric bleu

exit codes: 0 ok, 1 some recordings failed (the rest is counted), 2 usage, 3 model refused, 130 interrupted"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    parser.usage = "%(prog)s [OPTION ...] CORPUS"
    parser.add_argument("corpus", metavar="CORPUS", help="a folder in LibriSpeech's layout, or a table")
    parser.add_argument("--output", "-o", metavar="JSONL", help="write a line of JSON per utterance to this file")
    parser.add_argument("--resume", action="store_true", help="continue that file")
    parser.add_argument("--normalize", choices=NORMALIZATIONS, help="default: case, of bleu and chrf none")
    parser.add_argument("--metric", choices=METRICS, default="wer", help="default: wer")
    add_format(parser)
    parser.add_argument("--show-alignment", action="store_true", help="print each utterance that has an error, aligned")
    add_sharing_arguments(parser)
    add_model_arguments(parser)
    add_generation_arguments(parser)


def run(args: Namespace) -> int:
    """Evaluate."""
    from .evaluation_run import evaluate

    return evaluate(args)


EVALUATE = Command(add_arguments, run, DESCRIPTION, EXAMPLES)
