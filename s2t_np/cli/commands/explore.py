"""The sub-command `explore`: the explorer's page, served to this machine's browser, with experiments on any model."""

import webbrowser
from argparse import ArgumentParser, Namespace
from dataclasses import replace

from ...errors import OptionError
from ...system.names import legible
from ..command import Command
from ..generation import add_generation_arguments, generation_options, with_vocabulary
from ..model_arguments import add_model_arguments
from ..parts import add_part_arguments, check_part
from ..terminal import say, show
from .inspect import about
from .trace import load_readable, load_sound

DESCRIPTION = """\
Open the explorer's page of a recording in the browser: everything the model computed, stage by stage, and experiments.
Mute heads and layers, leave out positions, hide a band or a stretch of the sound, change the search; Python computes
the answer at once, and the page shows it beside the original. Any number can be followed to what it was made of, and
every word to the sound that mattered to it. The page comes from this machine (127.0.0.1) under an address that no other
page can guess. Ctrl-C ends it.
The page follows one utterance. Choose a part of a recording longer than the model's longest (30 s, digits: 6 s).
For digits, `trace --html` writes the same page as one file, which computes by itself."""
EXAMPLES = """\
examples:
  s2t-np explore --model digits s2t_np/recordings/five-five.flac
  s2t-np explore talk.flac --start 12 --duration 8
  s2t-np explore talk.flac --port 8900 --no-browser"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `explore`."""
    parser.usage = "%(prog)s [OPTION ...] FILE"
    parser.add_argument("file", metavar="FILE", help='a recording, or "-" for standard input')
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: any that is free")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    add_part_arguments(parser)
    add_model_arguments(parser)
    add_generation_arguments(parser)


def open_browser(address: str) -> None:
    """Show the address in a browser with a window of its own; one that would take over the terminal is not opened."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    try:
        if type(browser) is not webbrowser.GenericBrowser:  # lynx, w3m and their like
            browser.open(address)
    except OSError as error:  # the system gives no more processes
        say(f"no browser could be started ({error.strerror or error})")


def explore(args: Namespace) -> int:
    """Follow the recording, then serve its page until Ctrl-C."""
    from ...inspect.explorer import STAGES
    from ...inspect.explorer.local_server import served
    from ...inspect.trace import check_length, trace
    from ...training.saliency import explaining

    if not 0 <= args.port < 1 << 16:
        raise OptionError(f"--port is {args.port}, expected 0 to 65535")
    options = generation_options(args)
    if "do_sample" in options and "seed" not in options:
        raise OptionError("--sample would draw another text for every experiment; give a --seed as well")
    check_part(args)
    model = load_readable(args)
    options |= with_vocabulary(args, model.tokenizer)
    samples, start = load_sound(args, model)
    check_length(model, len(samples))
    with about(args.file):
        seen = trace(model, samples, STAGES, sampling_rate=model.feature_config.sampling_rate, **options)
    seen = replace(seen, about=seen.about | {"audio": legible(args.file), "start": start})
    gradients = explaining(model, seen["features.cmvn"], seen.transcript.hypotheses[0])
    server = served(seen, model, gradients, args.port, **options)
    show(f"{seen.transcript.text}\n")
    return until_interrupted(server, not args.no_browser)


def until_interrupted(server, browser: bool) -> int:
    """Print the address, open it, and serve it until Ctrl-C, which is the way to end it."""
    with server:
        say(f"the page is at {server.address} (Ctrl-C ends it)")
        if browser:
            open_browser(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("the page has ended")
    return 0


EXPLORE = Command(
    add_arguments,
    explore,
    DESCRIPTION,
    EXAMPLES,
)
