"""The sub-command `serve`: load the model, compile its kernels, open the door."""

import os
import socket
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import closing
from dataclasses import fields

import numpy as np

from ...errors import OptionError
from ...model import S2T
from ...serve.settings import TASKS, Limits, Settings, model_name, task_of
from ..command import Command
from ..generation import add_generation_arguments, generation_options, with_vocabulary
from ..model_arguments import add_model_arguments, load_model
from ..segments import add_stream_arguments, stream_options
from ..terminal import say

KEY_VARIABLE = "S2T_NP_API_KEY"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DESCRIPTION = f"""\
Serve a model over HTTP: OpenAI's audio API (/v1/audio/transcriptions, /v1/audio/translations, /v1/models), live sound
over a WebSocket (/v1/live), and a page for the browser (/). docs/server.md describes all of it. Needs the packages of
the extra [serve].

Only this machine can ask unless --host says otherwise. With an API key (--api-key-file, or the variable {KEY_VARIABLE})
every request has to bring it. Options of the search and of the segments hold for every request."""
EXAMPLES = """\
examples:
  s2t-np serve --model digits
  curl -F file=@a.flac -F model=digits 127.0.0.1:8000/v1/audio/transcriptions
  s2t-np serve --host 0.0.0.0 --allow-host example.org --api-key-file key"""


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of `serve`."""
    parser.usage = "%(prog)s [OPTION ...]"  # the generated one has twenty lines
    group = parser.add_argument_group("server")
    group.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1, this machine only")
    group.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000; 0: any that is free")
    group.add_argument(
        "--name", action="append", default=[], help="another name that requests may give the model, such as whisper-1"
    )
    group.add_argument(
        "--task", choices=TASKS, help="default: translate for a model of several languages or named ...-st"
    )
    group.add_argument("--language", default="en", metavar="XX", help="the language that the model hears (default: en)")
    group.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="requests that run at a time (default: all together)"
    )
    add_door_arguments(parser)
    add_limit_arguments(parser)
    add_model_arguments(parser)
    add_stream_arguments(parser)
    add_generation_arguments(parser)


def add_door_arguments(parser: ArgumentParser) -> None:
    """The arguments that say who may ask."""
    group = parser.add_argument_group("who may ask")
    group.add_argument("--api-key-file", metavar="FILE", help=f"its first line is the API key (or: {KEY_VARIABLE})")
    group.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a host name that this server has"
    )
    group.add_argument("--allow-origin", action="append", default=[], metavar="URL", help="web pages that may ask")


def add_limit_arguments(parser: ArgumentParser) -> None:
    """One option for each field of Limits."""
    limits = parser.add_argument_group("limits")
    for field in fields(Limits):
        flag, says = f"--{field.name.replace('_', '-')}", f"{field.metadata['help']} (default: {field.default:g})"
        limits.add_argument(flag, type=float, default=field.default, metavar="X", help=says)


def api_key(args: Namespace) -> str | None:
    """The key that requests have to bring, if there is one. Raises OptionError."""
    if args.api_key_file is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        with open(args.api_key_file, encoding="utf-8") as file:
            return file.readline(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise OptionError(f"--api-key-file {args.api_key_file}: cannot be read ({reason})") from None


def settings_of(args: Namespace, name: str, languages) -> Settings:
    """The settings that the arguments give. Raises OptionError."""
    limits = Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)})
    task = args.task or task_of(name, languages)
    hosts = tuple(host.lower() for host in (*args.allow_host, args.host))
    names = tuple(dict.fromkeys((name, *args.name)))
    return Settings(names, task, args.language.lower(), api_key(args), hosts, tuple(args.allow_origin), limits)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OptionError."""
    if not 0 <= port < 1 << 16:
        raise OptionError(f"--port is {port}, expected 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]  # the rest names the address once more
        raise OptionError(f"--host {host} --port {port}: cannot listen there ({reason})") from None


def warm_up(model: S2T, generation: dict) -> None:
    """Search once in noise, so that the kernels are compiled before the first request."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(model.feature_config.sampling_rate)
    model.generate(model.features_of_samples(noise.astype(np.float32)), **generation | {"max_length": 8})


def check_packages() -> None:
    """Raise OptionError if a package of the extra is missing."""
    try:
        import multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f'serve needs the packages of the extra [serve] ({error}): pip install "s2t-np[serve]"'
        ) from None


def check_temporary_folder() -> None:
    """Raise OptionError if there is no place for uploads that are not held in memory, as in a read-only container."""
    try:
        tempfile.gettempdir()
    except OSError:
        raise OptionError(
            "serve needs a folder for uploads above 1 MB, and none for temporary files can be written: let TMPDIR name "
            "one, or mount one (docker run --tmpfs /tmp)"
        ) from None


def run(args: Namespace, listening: socket.socket) -> None:
    """Load the model and answer requests until a signal ends it."""
    import uvicorn

    from ...serve.app import application

    generation, options = generation_options(args), stream_options(args)
    settings = settings_of(args, model_name(str(args.model)), ())
    model = load_model(args)
    settings = settings_of(args, settings.names[0], model.tokenizer.languages)
    generation |= with_vocabulary(args, model.tokenizer)
    warm_up(model, generation)
    app = application(model, settings, options, generation, args.jobs)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=int(settings.limits.max_connections),
        ws="websockets-sansio",
        ws_max_size=1 << 20,
        timeout_graceful_shutdown=5,
    )
    host, port = listening.getsockname()[:2]
    say(f"{settings.names[0]} is served at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)")
    uvicorn.Server(config).run(sockets=[listening])


def serve(args: Namespace) -> int:
    """Check everything that can be checked before the model is loaded, then serve it."""
    check_packages()
    check_temporary_folder()
    if args.jobs is not None and args.jobs < 1:
        raise OptionError(f"--jobs is {args.jobs}, expected at least 1")
    if args.host not in LOOPBACK and api_key(args) is None:
        say(f"warning: everyone who reaches {args.host} may use this server; --api-key-file asks for a key")
    with closing(bound(args.host, args.port)) as listening:
        run(args, listening)
    return 0


SERVE = Command(add_arguments, serve, DESCRIPTION, EXAMPLES)
