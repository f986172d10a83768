"""Downloading with the real huggingface_hub client from a stand-in for the hub on 127.0.0.1.

Each download runs in a process of its own: the client reads its environment when it is imported.
"""

import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2t_np.checkpoint import hub_cache
from tests.support.loopback_hub import LoopbackHub, Repository
from tests.support.paths import ROOT

CLIENT = importlib.util.find_spec("huggingface_hub")
pytestmark = pytest.mark.skipif(CLIENT is None, reason="needs huggingface_hub, the real client")

NEW, OLD = "a" * 40, "b1" * 20
OLD_MODEL = {name: os.urandom(3000) for name in hub_cache.NEEDED} | {"pytorch_model.bin": os.urandom(300_000)}
BOTH = OLD_MODEL | {name: os.urandom(3000) for name in hub_cache.OPTIONAL} | {"model.safetensors": os.urandom(400_000)}
USELESS = {"README.md": b"x", "tf_model.h5": b"x", "flax_model.msgpack": b"x", "rust_model.ot": b"x"}
TOKEN = "hf_" + "S3cret" * 5
PROGRAM = """
import json, sys
from s2t_np import errors
from s2t_np.checkpoint import hub
call, arguments, options = json.loads(sys.argv[1])
try:
    print(getattr(hub, call)(*arguments, **options))
except errors.HubError as error:
    print("HubError:", error)
"""


@pytest.fixture
def loopback():
    revisions = {"main": NEW, "v1": OLD, "refs/pr/1": OLD}
    repository = Repository(BOTH | USELESS, revisions, files_at={OLD: OLD_MODEL})
    with LoopbackHub(owner__model=repository) as server:
        yield server


def command(call, *arguments, **options) -> list[str]:
    """The command line that makes one call of hub.py and prints what comes of it."""
    return [sys.executable, "-c", PROGRAM, json.dumps([call, arguments, options])]


def environment(url: str, home: Path, **more) -> dict[str, str]:
    """Nothing of this machine's Hugging Face settings, no proxy."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    kept = {k: os.environ[k] for k in ("PATH", "NOPKG") if k in os.environ}
    return kept | {"PYTHONPATH": path, "HF_ENDPOINT": url, "HF_HOME": str(home), "HOME": str(home)} | more


def ask(url: str, home: Path, *call, env=None, **options) -> str:
    """The last line that a call prints: a folder or an error, which must be one line and show no token."""
    env = environment(url, home, **(env or {}))
    done = subprocess.run(command(*call, **options), env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout.strip()


def test_once_downloaded_it_needs_no_network(loopback, tmp_path):
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    wanted = {*hub_cache.NEEDED, *hub_cache.OPTIONAL, "model.safetensors"}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {name: BOTH[name] for name in wanted}
    assert not [r for r in loopback.requests if r.path.endswith((*USELESS, "pytorch_model.bin"))]
    sent = len(loopback.requests)
    assert ask(loopback.url, tmp_path, "find", "owner/model") == str(folder)
    assert ask(loopback.url, tmp_path, "find", "owner/model", env={"HF_HUB_OFFLINE": "1"}) == str(folder)
    loopback.repositories["owner/model"].revisions["main"] = OLD  # the hub has another commit now
    assert ask(loopback.url, tmp_path, "find", "owner/model") == str(folder)
    assert len(loopback.requests) == sent
    assert Path(ask(loopback.url, tmp_path, "download", "owner/model")).name == OLD
    assert Path(ask(loopback.url, tmp_path, "find", "owner/model")).name == OLD


def test_a_snapshot_without_refs_serves_where_the_hub_gives_no_answer(loopback, tmp_path):
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    shutil.rmtree(folder.parents[1] / "refs")
    assert ask("http://127.0.0.1:9", tmp_path, "find", "owner/model") == str(folder)
    assert "HubError" in ask("http://127.0.0.1:9", tmp_path, "find", "owner/model", "v1")
    del loopback.repositories["owner/model"]  # an answer of the hub: there is no such model
    assert "HubError: model owner/model is not on" in ask(loopback.url, tmp_path, "find", "owner/model")


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", OLD])
def test_revision_and_older_weights(loopback, tmp_path, revision):
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model", revision))
    assert folder.name == OLD
    assert {p.name for p in folder.iterdir()} == set(OLD_MODEL)
    assert not list(tmp_path.glob(f"hub/*/refs/{OLD}"))  # a commit needs no pointer to itself
    assert ask("http://127.0.0.1:9", tmp_path, "find", "owner/model", revision) == str(folder)


def test_upstream_finds_what_we_downloaded(loopback, tmp_path):
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    program = "from huggingface_hub import hf_hub_download; print(hf_hub_download('owner/model', 'vocab.json'))"
    env = environment(loopback.url, tmp_path, HF_HUB_OFFLINE="1")
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == folder / "vocab.json"


def test_environment_set_after_upstream_was_imported(loopback, tmp_path):
    late = f"""
import os
import huggingface_hub.constants
os.environ |= {{"HF_ENDPOINT": {loopback.url!r}, "HF_HUB_CACHE": {str(tmp_path / "late")!r}}}
"""
    run = [sys.executable, "-c", late + PROGRAM, command("find", "owner/model")[-1]]
    env = environment("http://127.0.0.1:9", tmp_path)
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "late" / "models--owner--model" / "snapshots" / NEW


def test_token_goes_to_the_hub_and_nowhere_else(loopback, tmp_path):
    repository = loopback.repositories["owner/model"]
    repository.token, repository.lfs = TOKEN, frozenset(["model.safetensors"])
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model", env={"HF_TOKEN": TOKEN}))
    assert (folder / "model.safetensors").read_bytes() == BOTH["model.safetensors"]
    (large,) = loopback.asked("GET", "cdn/")
    assert large.host.startswith("localhost") and large.authorization is None
    assert {r.authorization for r in loopback.requests if "/model" in r.path and r is not large} == {f"Bearer {TOKEN}"}


def test_token_argument(loopback, tmp_path):
    loopback.repositories["owner/model"].token = TOKEN
    assert "HubError: model owner/model is not on" in ask(
        loopback.url, tmp_path, "find", "owner/model", env={"HF_TOKEN": TOKEN}, token=False
    )
    assert not [r for r in loopback.requests if r.authorization]
    assert ask(loopback.url, tmp_path, "find", "owner/model", token=TOKEN).endswith(NEW)


def test_a_connection_that_breaks_is_taken_up_again(loopback, tmp_path):
    loopback.broken["model.safetensors"] = 100_000
    answer = ask(loopback.url, tmp_path, "find", "owner/model")
    assert answer.startswith("HubError: model owner/model: download from http://127.0.0.1") and "try again" in answer
    assert "not in the local cache" in ask(loopback.url, tmp_path, "find", "owner/model", download=False)
    loopback.broken.clear()
    sent = len(loopback.asked("GET", "config.json"))
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    assert (folder / "model.safetensors").read_bytes() == BOTH["model.safetensors"]
    assert len(loopback.asked("GET", "config.json")) == sent  # what was complete is kept


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_midway(loopback, tmp_path, number):
    old = ask(loopback.url, tmp_path, "download", "owner/model", "v1")
    loopback.repositories["owner/model"].revisions["v1"] = NEW
    loopback.stalled["model.safetensors"] = 200_000
    env = environment(loopback.url, tmp_path)
    child = subprocess.Popen(command("download", "owner/model", "v1"), env=env, stderr=subprocess.PIPE, text=True)
    assert loopback.halfway.wait(30)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode != 0 and (number == signal.SIGKILL or "KeyboardInterrupt" in stderr)
    loopback.resume.set()
    assert ask(loopback.url, tmp_path, "find", "owner/model", "v1") == old  # the complete one, until there is a newer
    folder = Path(ask(loopback.url, tmp_path, "download", "owner/model", "v1"))
    assert folder.name == NEW and (folder / "model.safetensors").read_bytes() == BOTH["model.safetensors"]


def test_force_mends_a_damaged_file(loopback, tmp_path):
    folder = Path(ask(loopback.url, tmp_path, "download", "owner/model"))
    (folder / "vocab.json").resolve().write_bytes(b"damaged")
    ask(loopback.url, tmp_path, "download", "owner/model", force=True)
    assert (folder / "vocab.json").read_bytes() == BOTH["vocab.json"]


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.json"])
@pytest.mark.parametrize("how", ["lfs", "small", "a mirror that lists names only"])
def test_a_file_other_than_announced_is_not_kept(loopback, tmp_path, file, how):
    if how == "lfs":
        loopback.repositories["owner/model"].lfs = frozenset([file])
    loopback.lists_digests = how != "a mirror that lists names only"
    wrong = bytearray(BOTH[file])
    wrong[len(wrong) // 2] ^= 0x40  # of the same size
    loopback.altered[file] = bytes(wrong)
    answer = refused(loopback, tmp_path)
    assert f"{file} is not what {loopback.url} announced" in answer and "s2t-np download owner/model --force" in answer
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == wrong]
    assert not list(tmp_path.glob("hub/*/refs/*")) and not list(tmp_path.rglob(f"snapshots/*/{file}"))
    loopback.altered.clear()
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    assert (folder / file).read_bytes() == BOTH[file]


def test_the_command_ends_with_3_after_a_damaged_download(loopback, tmp_path):
    loopback.altered["model.safetensors"] = bytes(len(BOTH["model.safetensors"]))
    command = [sys.executable, "-m", "s2t_np", "download", "owner/model"]
    env = environment(loopback.url, tmp_path)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.strip().splitlines()) == 1 and "model.safetensors is not what" in done.stderr


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_cached_file_damaged_since_is_found_by_the_next_download(loopback, tmp_path, file):
    folder = Path(ask(loopback.url, tmp_path, "download", "owner/model"))
    (folder / file).resolve().write_bytes(BOTH[file][:-1] + b"x")
    assert f"{file} is not what" in ask(loopback.url, tmp_path, "download", "owner/model")
    assert Path(ask(loopback.url, tmp_path, "download", "owner/model")) == folder
    assert (folder / file).read_bytes() == BOTH[file]


def test_a_sharded_model_comes_with_its_shards(loopback, tmp_path):
    files = loopback.repositories["owner/model"].files
    shards = {f"model-0000{i}-of-00002.safetensors": os.urandom(50_000) for i in (1, 2)}
    index = json.dumps({"weight_map": {name[6:11]: name for name in shards}}).encode()
    for name in ("model.safetensors", "pytorch_model.bin"):
        files.pop(name, None)
    files |= shards | {"model.safetensors.index.json": index}
    loopback.broken["model-00002-of-00002.safetensors"] = 10_000
    assert "failed" in ask(loopback.url, tmp_path, "find", "owner/model")
    assert "not in the local cache" in ask(loopback.url, tmp_path, "find", "owner/model", download=False)
    loopback.broken.clear()
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model"))
    assert {name: (folder / name).read_bytes() for name in shards} == shards
    (folder / "model-00002-of-00002.safetensors").resolve().unlink()
    assert "but lacks model.safetensors or" in ask(loopback.url, tmp_path, "find", "owner/model", download=False)


def test_another_cache(loopback, tmp_path):
    folder = Path(ask(loopback.url, tmp_path, "find", "owner/model", cache_dir=str(tmp_path / "mine")))
    assert folder == tmp_path / "mine" / "models--owner--model" / "snapshots" / NEW
    assert ask(loopback.url, tmp_path, "find", "owner/model", download=False).startswith("HubError")


def test_a_proxy_that_is_not_there(loopback, tmp_path):
    answer = ask(
        "http://huggingface.invalid", tmp_path, "find", "owner/model", env={"HTTP_PROXY": "http://127.0.0.1:9"}
    )
    assert "failed" in answer and "HTTPS_PROXY" in answer and "or give the folder" in answer


def test_a_certificate_of_a_companys_own(loopback, tmp_path):
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    loopback.server.socket = context.wrap_socket(loopback.server.socket, server_side=True)
    url = loopback.url.replace("http:", "https:")
    answer = ask(url, tmp_path, "find", "owner/model")
    assert "certificate" in answer.lower() and "SSL_CERT_FILE" in answer and "or give the folder" in answer


def make_certificate(folder: Path) -> None:
    """cert.pem and key.pem for 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *files], capture_output=True, check=True)


def refused(loopback, tmp_path, *call, **env) -> str:
    answer = ask(loopback.url, tmp_path, "find", *(call or ["owner/model"]), env=env)
    assert answer.startswith("HubError: model ")
    return answer


def test_refusals(loopback, tmp_path):
    repository = loopback.repositories["owner/model"]
    assert "owner/other is not on http://127" in refused(loopback, tmp_path, "owner/other")
    assert "has no revision 'v2' on http://127" in refused(loopback, tmp_path, "owner/model", "v2")
    repository.gated = True
    assert "gated: accept its conditions on http://127" in refused(loopback, tmp_path, HF_TOKEN=TOKEN)
    loopback.bad_tokens.add(TOKEN)
    assert "check that HF_TOKEN is valid" in refused(loopback, tmp_path, HF_TOKEN=TOKEN)
    repository.gated = False
    del repository.files["vocab.json"]
    assert "without vocab.json; is it a speech_to_text model?" in refused(loopback, tmp_path)
    assert not list(tmp_path.glob("hub/*/refs/*"))


def test_a_server_that_is_no_hub(loopback, tmp_path):
    loopback.repositories["owner/model"].revisions["main"] = "../../outside"
    assert "names no commit ('../../outside')" in refused(loopback, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    answer = ask(url, tmp_path, "find", "owner/model")
    assert f"download from {url} failed" in answer and "refused" in answer
    assert time.monotonic() - start < 10
    assert "failed" in ask("http://", tmp_path, "find", "owner/model")


def test_a_token_that_no_header_can_hold_is_not_shown(loopback, tmp_path):
    ask(loopback.url, tmp_path, "find", "owner/model", env={"HF_TOKEN": f"{TOKEN}\nx\x01é"})  # looks for it itself


def test_no_room_and_no_right_to_write(loopback, tmp_path):
    pytest.importorskip("resource")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    run = [sys.executable, "-c", limit + PROGRAM, command("find", "owner/model")[-1]]
    env = environment(loopback.url, tmp_path)
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("HubError: model owner/model: there is no room in ")
    (tmp_path / "file").write_text("a file, not a folder")
    assert "cannot be written; let HF_HOME" in refused(loopback, tmp_path, HF_HUB_CACHE=str(tmp_path / "file"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("options", [{}, {"progress": False}])
def test_a_bar_on_a_terminal_only(loopback, tmp_path, options):
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    env = environment(loopback.url, tmp_path, TERM="xterm")
    done = subprocess.run(
        command("download", "owner/model", **options), env=env, stdout=subprocess.PIPE, stderr=theirs, check=True
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        shown = os.read(ours, 1 << 16)
    except (BlockingIOError, OSError):  # nothing was written
        shown = b""
    os.close(ours)
    assert (b"model.safetensors" in shown and b"100%" in shown) == (not options)
    assert b"%" not in done.stdout


def test_no_bar_in_a_file(loopback, tmp_path):
    env = environment(loopback.url, tmp_path)
    done = subprocess.run(command("download", "owner/model"), env=env, capture_output=True, check=True)
    assert done.stderr == b""
