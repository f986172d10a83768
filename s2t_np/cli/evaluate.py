"""The sub-command `evaluate`: error rates of a model over a corpus with transcripts."""

from argparse import ArgumentParser, Namespace
from contextlib import closing, nullcontext

from .. import __version__
from ..batch.inputs import Failure, Input
from ..batch.notes import identity
from ..errors import OptionError
from ..evaluation import NORMALIZERS, Utterance, align, read_corpus
from ..evaluation.report import Outcome, Results, show_alignment, summary
from ..evaluation.run import evaluate_all
from ..model import S2T
from .command import Command, add_model_arguments, load_model
from .generation import add_generation_arguments, beginning, generation_options
from .progress import Progress
from .terminal import bar_away, say, show
from .transcribe import jobs, report

DESCRIPTION = """\
Transcribe a corpus whose transcripts are known, and count what is wrong: word and character error rate with
substitutions, deletions and insertions, in per cent; utterances with any error; the real-time factor (RTF), the time
that transcribing takes over the time that the recordings take, summed over them.

CORPUS is a folder in LibriSpeech's layout (one of its subsets, or several), or a .tsv, .csv or .jsonl table with a
column `audio` (or path, file, audio_filepath) and a column `text` (or transcript, sentence, reference).

--normalize says how texts are written before they are compared: `case` (the default) in upper case, as the published
figures of S2T on LibriSpeech are made; `words` also without punctuation; `none` as they are."""
EXAMPLES = """\
examples:
  s2t-np evaluate LibriSpeech/test-clean
  s2t-np evaluate LibriSpeech/ --output results.jsonl --resume
  s2t-np evaluate --model digits recordings.tsv --beams 1 --show-alignment

exit codes: 0 ok, 1 some recordings failed (the rest is counted), 2 usage, 3 model refused, 130 interrupted"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `evaluate`."""
    parser.usage = "%(prog)s [OPTION ...] CORPUS"
    parser.add_argument("corpus", metavar="CORPUS", help="a folder in LibriSpeech's layout, or a table")
    parser.add_argument("--output", "-o", metavar="JSONL", help="keep a line of JSON for each utterance there")
    parser.add_argument("--resume", action="store_true", help="go on with that file")
    parser.add_argument("--normalize", choices=list(NORMALIZERS), default="case", help="default: case")
    parser.add_argument("--show-alignment", action="store_true", help="print each utterance that has an error, aligned")
    parser.add_argument("--jobs", "-j", type=int, metavar="N", help="recordings at a time (default: one per core)")
    add_model_arguments(parser)
    add_generation_arguments(parser)


def check(args: Namespace) -> None:
    """Raise OptionError for options that mean nothing together."""
    if args.resume and args.output is None:
        raise OptionError("--resume means nothing without --output")
    if args.num_return_sequences not in (None, 1):
        raise OptionError("--nbest means nothing here: the best transcript is compared")


def setting_of(args: Namespace, model: S2T, generation: dict) -> dict:
    """What decides the results, as the first line of a results file has it."""
    with_what = identity(model, __version__, {"search": generation})
    return {"model": args.model, "normalization": args.normalize, "options": generation, "identity": with_what}


def open_results(args: Namespace, setting: dict):
    """The results file that was asked for, or one in name only. Raises OptionError."""
    if args.output is None:
        return nullcontext(None)
    return closing(Results.open(args.output, setting, args.resume))


def show_errors(outcome: Outcome) -> None:
    """Print an utterance's alignment, if it has an error. Raises OSError."""
    if outcome.words.total:
        steps = align(outcome.reference.split(), outcome.hypothesis.split())
        show(f"{outcome.id}\n{show_alignment(steps)}\n\n")


def run_all(
    args: Namespace, model: S2T, todo: list[Utterance], results: Results | None, generation: dict
) -> tuple[list[Outcome], int]:
    """Evaluate all that is left; the outcomes, and how many recordings failed. Raises OptionError, OSError."""
    inputs = [Input(str(u.audio), u.id) for u in todo]
    progress, outcomes, failed = Progress(inputs), [], 0
    work = evaluate_all(model, todo, args.normalize, jobs(args, len(todo)), **generation)
    with closing(work) as finished:
        for index, result in finished:
            progress.finished(index, inputs[index], getattr(result, "duration", None))
            if isinstance(result, Failure):
                report(result)
                failed += 1
                continue
            outcomes.append(result)
            if results is not None:
                results.add(result)
            if args.show_alignment:
                show_errors(result)
    with bar_away():
        return outcomes, failed


def evaluate(args: Namespace) -> int:
    """Read the corpus, load the model, go through what is not done, print the table."""
    generation = generation_options(args)
    check(args)
    utterances = read_corpus(args.corpus)
    jobs(args, len(utterances))
    model = load_model(args)
    generation |= beginning(args, model.tokenizer)
    with open_results(args, setting_of(args, model, generation)) as results:
        names = {utterance.id for utterance in utterances}
        before = [o for o in results.outcomes if o.id in names] if results else []
        done = {outcome.id for outcome in before}
        if done:
            say(f"{len(done)} of {len(utterances)} are done already")
        outcomes, failed = run_all(args, model, [u for u in utterances if u.id not in done], results, generation)
    show(summary(before + outcomes) + "\n")
    if failed:
        say(f"{failed} of {len(utterances)} recordings failed and are not counted")
    return 1 if failed else 0


EVALUATE = Command(
    "evaluate", "error rates over a corpus with transcripts", add_arguments, evaluate, DESCRIPTION, EXAMPLES
)
