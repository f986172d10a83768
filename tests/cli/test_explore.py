"""The command `explore`: a process that serves one page to this machine until it is interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import webbrowser

import pytest

from s2t_np.cli import main
from s2t_np.cli.commands.explore import open_browser
from tests.support.paths import DIGITS, ROOT

FIVE = DIGITS.parent.parent / "recordings" / "five-five.flac"
COMMAND = (sys.executable, "-m", "s2t_np", "explore", "--model", "digits", str(FIVE), "--no-browser")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_it_serves_the_page_and_answers_until_ctrl_c():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, "--beams", "3"], cwd=ROOT, **pipes) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stderr.readline())[0]
            with urllib.request.urlopen(address, timeout=30) as answer:
                page = answer.read().decode()
            body = json.dumps({"muted_layers": ["decoder.layers.0"]}).encode()
            told = urllib.request.Request(f"{address}experiment", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(told, timeout=30) as answer:
                found = json.load(answer)
            word = urllib.request.Request(f"{address}gradient", b'{"word": 1}', {"Content-Type": "application/json"})
            with urllib.request.urlopen(word, timeout=30) as answer:
                gradient = json.load(answer)["arrays"]
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == "five five\n"
    assert err == "s2t-np: the page has ended\n"
    live = json.loads(re.search(r'id="live-data">(.*?)</script>', page)[1])
    assert (live["kind"], live["num_beams"]) == ("server", 3)
    assert "five-five.flac" in page
    assert gradient["gradient:1"]["shape"] == [153, 80]
    assert found["before"]["text"] == "five five" and found["largest_change"] > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "70000"), "--port is 70000, expected 0 to 65535"),
        (("--model", "digits:digits"), "not an ensemble"),
        (("--backend", "numba"), "--backend numpy"),
        (("--sample",), "give a --seed"),
        (("--start", "99"), "--start is 99"),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_listens(options, said, capsys):
    assert main(["explore", "--model", "digits", str(FIVE), "--no-browser", *options]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


def test_a_browser_of_the_terminal_is_not_opened(monkeypatch):
    opened = []

    class Window(webbrowser.BackgroundBrowser):
        def open(self, url, new=0, autoraise=True):
            opened.append(url)

    monkeypatch.setattr(webbrowser, "get", lambda: Window("xdg-open"))
    open_browser("http://a/")
    text = webbrowser.GenericBrowser("w3m")
    monkeypatch.setattr(text, "open", Window.open.__get__(text))
    monkeypatch.setattr(webbrowser, "get", lambda: text)
    open_browser("http://b/")

    def none():
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    open_browser("http://c/")
    assert opened == ["http://a/"]
