"""The work of the sub-commands `train` and `average`: set up a run, show how it goes, say what is there in the end."""

import importlib.util
import time
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

from ...backend import choose
from ...config import read_json
from ...errors import OptionError
from ...evaluation import read_corpus
from ...hf.convert import check_target
from ...model import S2T
from ...system.threads import set_threads
from ...training import checkpoints, curves, run_folder
from ...training.data import NORMALIZATIONS, Example, Limits, Writing, check_bad_rows, read_examples
from ...training.derivatives.dropout import Rates
from ...training.log import NAME as LOG_NAME
from ...training.log import read_log
from ...training.loop import Run, Updated, Validated, logged
from ...training.recipe import FINE_TUNING, FROM_NOTHING, Recipe
from ...training.run_folder import Setting
from ...training.store import FeatureStore
from ...training.validation import Validation
from ..batch import report
from ..progress import BAR_WIDTH, PERIOD, clock
from ..terminal import bar_away, columns, draw, on_terminal, say, silence_matplotlib


def given_recipe(args: Namespace) -> dict:
    """The options of the recipe that were given."""
    names = [field.name for field in fields(Recipe)]
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def given_rates(args: Namespace) -> dict[str, float]:
    """The rates of dropout that were given. Raises OptionError."""
    given = {name: getattr(args, name) for name in Rates.__dataclass_fields__ if getattr(args, name) is not None}
    for name, value in given.items():
        if not 0 <= value < 1:
            raise OptionError(f"{name} is {value:g}, expected a probability below 1")
    return given


def given_data(args: Namespace) -> dict:
    """The fields of a setting about the data that were given."""
    given = {"decoded": args.valid_utterances, "bad_rows": args.max_bad_rows and args.max_bad_rows / 100}
    given["log_interval"] = args.log_interval
    given["features"] = None if args.features is None else resolved(args.features) if args.features != "-" else ""
    return {name: value for name, value in given.items() if value is not None}


def resolved(path: str | None) -> str | None:
    """A path that stays right if the run goes on from another folder."""
    return None if path is None else str(Path(path).resolve())


def create(args: Namespace, run: Path) -> Setting:
    """Make the folder of a new run. Raises OptionError, ModelError, OSError."""
    recipe = (FINE_TUNING if args.source else FROM_NOTHING).replace(**given_recipe(args))
    setting = Setting(
        *(recipe, resolved(args.train), given_rates(args), resolved(args.valid), args.normalize_text, args.lang),
        **given_data(args),
    )
    rows, failures = read_corpus(args.train)
    check_bad_rows(args.train, len(rows), failures, setting.bad_rows)  # before a vocabulary lacks their letters
    config = None if args.source else read_json(Path(args.config))
    run_folder.create(run, setting)
    if args.source:
        run_folder.start_from_model(run, args.source, args.revision)
    else:
        texts = [NORMALIZATIONS[args.normalize_text or "lower"](row.text) for row in rows]
        run_folder.start_from_nothing(run, config, texts, args.vocab_size, recipe.seed)
    return setting


class Bar:
    """The progress bar of a training run."""

    def __init__(self):
        self.shown, self.drawn, self.began, self.part = on_terminal(), 0.0, time.monotonic(), None

    def draw(self, part: float, figures: str) -> None:
        """Draw it, unless it was drawn a moment ago; `part` of the work is done."""
        now = time.monotonic()
        self.part = part if self.part is None else self.part  # where this process began
        if not self.shown or now - self.drawn < PERIOD:
            return
        self.drawn, filled = now, int(BAR_WIDTH * part)
        done = part - self.part
        left = f", {clock((now - self.began) * (1 - part) / done)} left" if done > 0 else ""
        draw(f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {figures}{left}"[: columns()])


def examples(corpus: str, store: FeatureStore, model: S2T, setting: Setting) -> list[Example]:
    """The training pairs of a corpus; rows that cannot be used are named. Raises OptionError, OSError."""
    bar, name = Bar(), Path(corpus).name
    writing = Writing(model.tokenizer, setting.normalization, setting.lang)
    limits = Limits(model.config.max_target_positions, bad_rows=setting.bad_rows)
    show = lambda done, total: bar.draw(done / total, f"features of {name}, {done}/{total}")  # noqa: E731
    found, failures = read_examples(corpus, store, writing, limits, show)
    with bar_away():
        for failure in failures:
            report(failure)
    return found


def set_up(args: Namespace, folder: Path) -> tuple[Run, checkpoints.Position]:
    """The run and where it is. Raises OptionError, ModelError, OSError."""
    if args.resume:
        setting = run_folder.changed(run_folder.read_setting(folder), given_recipe(args))
        setting = setting._replace(**given_data(args))
    else:
        setting = create(args, folder)
    model, backend = run_folder.load_start(folder), choose(args.backend)
    place = {None: folder / "features", "": None}.get(setting.features, setting.features)
    store = FeatureStore(model.feature_config, place and Path(place), backend.fbank)
    learner, position = run_folder.learner_of(folder, model, setting)
    train = examples(setting.train, store, model, setting)
    valid = examples(setting.valid, store, model, setting) if setting.valid else []
    rest = setting.decoded, backend, setting.lang, setting.log_interval
    return Run(folder, model, learner, store, train, valid, *rest), position


def figures(found: Validation) -> str:
    """A validation in words."""
    rate = "" if found.wer is None else f", word error rate {100 * found.wer:.2f} %"
    return f"loss {found.nll:.4f}{rate}"


def show_event(bar: Bar, event: Updated | Validated, state: dict) -> None:
    """Draw the bar for an update, print a line for a validation."""
    position = event.position
    if isinstance(event, Validated):
        state["wer"] = getattr(event.validation, "wer", None)
        if event.validation is not None:
            best = ", the best so far" if event.is_best else ""
            say(f"epoch {position.epoch}, update {position.update}: {figures(event.validation)}{best}")
        return
    state["loss"] = 0.95 * state.get("loss", event.update.nll) + 0.05 * event.update.nll
    rate = "" if state.get("wer") is None else f", WER {100 * state['wer']:.1f} %"
    speed = f", {event.update.frames / max(event.seconds, 1e-9):,.0f} frames/s"
    bar.draw(event.part, f"epoch {position.epoch + 1}, update {position.update}, loss {state['loss']:.3f}{rate}{speed}")


def train(args: Namespace) -> int:
    """Train until all is done."""
    set_threads(args.threads)
    folder = Path(args.output)
    (run_folder.read_setting if args.resume else run_folder.check_new)(folder)
    with run_folder.locked(folder):
        run, position = set_up(args, folder)
        if run.over(position):
            say(f"{folder}: is done; a larger --max-epoch goes on with it")
        else:
            show_all(run, position)
        finish(run)  # also of a run that was killed before it came to this
    return 0


def show_all(run: Run, position: checkpoints.Position) -> None:
    """Train, and show how it goes. Raises TrainingError, AudioError, OSError; KeyboardInterrupt says how to go on."""
    bar, state = Bar(), {}
    try:
        for event in logged(run, position):
            show_event(bar, event, state)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(run.kept()) from None
    finally:
        with bar_away():
            bar.shown = False


def finish(run: Run) -> None:
    """Average the last checkpoints, draw the curves, say which model is where. Raises OSError, ModelError."""
    folder, found = run.folder, checkpoints.checkpoints(run.folder)
    checkpoints.remove_old(folder, run.recipe.keep_last)
    if importlib.util.find_spec("matplotlib") is not None:
        silence_matplotlib()
        curves.save(read_log(folder), folder / "curves.png")
    if not run.valid:
        checkpoints.save_best(folder, run.learner)
    else:
        say(f"{folder / 'best'}: {best_figures(folder)}")
    if len(found) > 1:
        checkpoints.average(found, folder / "average")
        say(f"{folder / 'average'}: the mean of {len(found)} checkpoints{averaged_figures(run, folder / 'average')}")
    say(f"{folder / LOG_NAME}: losses and error rates of all updates")


def best_figures(folder: Path) -> str:
    """The figures of the best model in words."""
    position = read_json(checkpoints.checkpoints(folder)[-1] / checkpoints.STATE)
    wer, nll = position["best"]
    return f"{figures(Validation(nll, wer))} after update {position['best_update']}"


def averaged_figures(run: Run, folder: Path) -> str:
    """The figures of the averaged model in words; nothing without a validation set. Changes the learner's weights."""
    if not run.valid:
        return ""
    for name, tensor in checkpoints.read_tensors(folder).items():
        run.learner.parameters[name][...] = tensor
    return f", {figures(run.validate())}"


def average(args: Namespace) -> int:
    """Write the mean of checkpoints."""
    sources, target = [Path(source) for source in args.source], Path(args.output)
    check_target(target, args.force)
    if len(sources) == 1 and (sources[0] / run_folder.RUN_FILE).exists():
        sources = checkpoints.checkpoints(sources[0])[-(args.last or 0) :]
    elif args.last is not None:
        raise OptionError("--last is for a RUN; the folders that are given are all averaged")
    checkpoints.average(sources, target)
    say(f"{target}: the mean of {len(sources)} checkpoints, {', '.join(source.name for source in sources)}")
    return 0
