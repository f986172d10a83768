"""The work of the sub-command `evaluate`: read the corpus, transcribe what is not done, print the table."""

from argparse import Namespace
from contextlib import closing, nullcontext

from ... import __version__
from ...batch.inputs import Failure, Input
from ...batch.notes import identity
from ...errors import OptionError
from ...evaluation import Utterance, align, read_corpus
from ...evaluation.report import Outcome, Results
from ...evaluation.run import evaluate_all
from ...evaluation.summary import ERROR_RATES, Summary, show_alignment
from ...formats import to_json
from ...model import S2T
from ...system.names import legible
from ..batch import HOW_TO_GO_ON, check_sharing, report
from ..generation import generation_options, with_vocabulary
from ..model_arguments import load_model
from ..progress import Progress
from ..terminal import bar_away, say, show


def check(args: Namespace) -> None:
    """Raise OptionError for options that do not go together."""
    if args.resume and args.output is None:
        raise OptionError("--resume needs --output, the file to continue")
    if args.num_return_sequences not in (None, 1):
        raise OptionError("--nbest has no effect here: the best transcript is compared")
    if args.show_alignment and args.metric not in ERROR_RATES:
        raise OptionError(f"--show-alignment has no effect with --metric {args.metric}, which aligns nothing")
    if args.show_alignment and args.format == "json":
        raise OptionError("--show-alignment has no effect with --format json")


def normalization(args: Namespace) -> str:
    """The normalization that was asked for, or the metric's own: BLEU and chrF compare texts as they are."""
    return args.normalize or ("case" if args.metric in ERROR_RATES else "none")


def setting_of(args: Namespace, model: S2T, generation: dict) -> dict:
    """All that determines the results, for the first line of a results file."""
    with_what = identity(model, __version__, {"search": generation})
    setting = {"model": legible(args.model), "normalization": normalization(args)}
    return setting | {"options": generation, "identity": with_what}


def open_results(args: Namespace, setting: dict):
    """The results file that was asked for, or a context of None. Raises OptionError."""
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
    sharing = model.sharing(args.batch, args.jobs, **generation)
    work = evaluate_all(model, todo, normalization(args), sharing, **generation)
    with closing(work) as finished:
        for index, result in enumerate(finished):
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


def settings_record(args: Namespace, model: S2T, generation: dict, summary: Summary) -> dict:
    """The settings that the figures depend on most; of BLEU and chrF, sacrebleu's signature is among them."""
    search = model.generation_config.replace(**{k: v for k, v in generation.items() if k != "prefix"})
    record = {"model": args.model, "dtype": args.dtype, "beams": search.num_beams}
    record |= {"normalization": normalization(args), "metric": summary.metric}
    return record | ({"signature": summary.signature} if summary.signature else {})


def footer(record: dict) -> str:
    """The settings below the table: a line, and one for sacrebleu's signature."""
    signature = f"{record['metric']} {record['signature']}\n" if "signature" in record else ""
    settings = f"beams {record['beams']}, normalization {record['normalization']}"
    return f"model {record['model']}, {record['dtype']}, {settings}\n{signature}"


def show_summary(args: Namespace, settings: dict, summary: Summary, outcomes: list[Outcome]) -> None:
    """Print the table with its footer, or one JSON object. Raises OSError."""
    if args.format == "json":
        show(to_json(settings | {"parts": summary.records(outcomes)}) + "\n")
    else:
        show(f"{summary.table(outcomes)}\n{footer(settings)}")


def evaluate(args: Namespace) -> int:
    """Read the corpus, load the model, evaluate what is not done, print the table."""
    generation = generation_options(args)
    check(args)
    summary = Summary(args.metric)
    corpus = read_corpus(args.corpus)
    check_sharing(args)
    model = load_model(args)
    generation |= with_vocabulary(args, model.tokenizer)
    for row in corpus.failures:
        report(row)
    outcomes, failed = evaluated(args, model, corpus.utterances, generation)
    failed += len(corpus.failures)
    show_summary(args, settings_record(args, model, generation, summary), summary, outcomes)
    if failed:
        say(f"{failed} of {len(corpus.utterances) + len(corpus.failures)} recordings failed and are not counted")
    return 1 if failed else 0


def evaluated(args: Namespace, model: S2T, utterances: list[Utterance], generation: dict) -> tuple[list[Outcome], int]:
    """The outcomes of all utterances, those of an earlier run included, and how many recordings failed now."""
    with open_results(args, setting_of(args, model, generation)) as results:
        names = {utterance.id for utterance in utterances}
        before = [o for o in results.outcomes if o.id in names] if results else []
        done = {outcome.id for outcome in before}
        if done:
            say(f"{len(done)} of {len(utterances)} are done already")
        try:
            outcomes, failed = run_all(args, model, [u for u in utterances if u.id not in done], results, generation)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(*([HOW_TO_GO_ON] if results else [])) from None
    return before + outcomes, failed
