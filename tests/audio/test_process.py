"""Decoders that print work in a process of their own: nothing of ours is redirected, and nothing printed is lost."""

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from s2t_np import audio
from s2t_np.audio import decoder, process
from s2t_np.errors import IncompleteAudioError, InputWarning
from tests.support.paths import ROOT
from tests.support.sounds import encode, signal

pytest.importorskip("soundfile")

CHATTY = {"MP3": None, "CAF": "ALAC_16", "SDS": "PCM_16", "W64": "PCM_16"}


def run(program, *arguments, **options):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120, **options)


@pytest.mark.parametrize("container", CHATTY)
def test_what_other_threads_print_arrives(container, tmp_path):
    """One thread prints lines to both descriptors while another reads good and damaged files."""
    good = encode(signal(50_000), container=container, subtype=CHATTY[container])
    bad = bytearray(good)
    bad[len(bad) // 4 : len(bad) // 2 : 7] = bytes(len(bad[len(bad) // 4 : len(bad) // 2 : 7]))
    (tmp_path / "good").write_bytes(good)
    (tmp_path / "bad").write_bytes(bad)
    done = run(
        """
import os, sys, threading, warnings
from s2t_np import audio, errors
warnings.simplefilter("ignore")
stop, count = threading.Event(), 0
def read():
    for _ in range(15):
        for path in sys.argv[1:]:
            try: audio.load(path, 16000)
            except errors.AudioError: pass
    stop.set()
reader = threading.Thread(target=read)
reader.start()
while not stop.is_set() or count < 500:
    os.write(1, b"%d\\n" % count); os.write(2, b"%d\\n" % count)
    count += 1
    stop.wait(0.0005)
reader.join()
print("end", count)
""",
        tmp_path / "good",
        tmp_path / "bad",
    )
    *lines, last = done.stdout.splitlines()
    assert lines == done.stderr.splitlines() == [str(i) for i in range(int(last.split()[1]))]


@pytest.mark.parametrize(("container", "files", "rounds"), [("CAF", 20, 2), ("W64", 300, 1), ("MP3", 20, 1)])
def test_a_folder_is_printed_whole(container, files, rounds, tmp_path):
    for i in range(files):
        (tmp_path / f"{i}.{container.lower()}").write_bytes(encode(signal(3000, seed=i), container=container))
    for _ in range(rounds):
        command = [sys.executable, "-m", "s2t_np", "transcribe", "--model", "digits", "--jobs", "4", tmp_path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == files, done.stderr


def test_one_process_serves_many_files():
    data = encode(signal(), container="MP3")
    audio.load(data, 16000)
    waiting = list(process._waiting)
    for _ in range(3):
        np.testing.assert_array_equal(audio.load(data, 16000), audio.load(data, 16000))
    assert process._waiting == waiting and len(waiting) == 1


def test_a_decoder_that_dies_takes_nothing_with_it():
    others = set(all_children()) - waiting_decoders()  # of other tests
    blocks = audio.blocks(encode(signal(400_000), container="MP3"), 16000)
    first = next(blocks)
    (child,) = set(all_children()) - waiting_decoders() - others
    os.kill(child, 9)
    got = [first]
    with pytest.raises(IncompleteAudioError, match=r"the process that decodes it was killed\); the sound before"):
        for block in blocks:
            got.append(block)
    assert 0 < sum(map(len, got)) < 400_000
    assert len(audio.load(encode(signal(), container="MP3"), 16000)) == 16_000


def test_a_decoder_whose_notes_cannot_be_read_decodes_all_the_same():
    class Failing(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    assert decoder.Service(Failing()).errors() == 0


def waiting_decoders():
    """The ids of the decoders that wait for their next file."""
    return {p.running.pid for p in process._waiting}


def all_children():
    """The ids of this process's children that are running."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            yield int(name)


def test_without_a_process_the_file_is_read_here(monkeypatch):
    data = encode(signal(), container="MP3")
    apart = audio.load(data, 16000)
    monkeypatch.setattr(process, "possible", lambda: False)
    np.testing.assert_array_equal(audio.load(data, 16000), apart)


def test_errors_of_the_file_object_come_back():
    class Burning(io.BytesIO):
        def read(self, count=-1):
            if self.tell() > 30_000:
                raise OSError("the disk is on fire")
            return super().read(count)

    with pytest.warns(InputWarning, match="the disk is on fire"):
        audio.load(Burning(encode(signal(400_000), container="MP3")), 16000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_its_own():
    done = run(
        """
import os, sys
import numpy as np
from s2t_np import audio
from tests.support.sounds import encode, signal
data = encode(signal(), container="MP3")
expected = audio.load(data, 16000)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(audio.load(data, 16000), expected) else 1)
assert os.waitpid(child, 0)[1] == 0
assert np.array_equal(audio.load(data, 16000), expected)
"""
    )
    assert done.stderr == ""


def test_eight_threads_at_once():
    data = encode(signal(), container="MP3")
    expected, wrong = audio.load(data, 16000), []

    def read():
        for _ in range(5):
            if not np.array_equal(audio.load(data, 16000), expected):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(process._waiting) <= process.MOST_WAITING


def test_damage_that_the_decoder_met_is_said():
    data = bytearray(encode(signal(400_000), container="MP3"))
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(0).integers(0, 255, 2000, np.uint8).tobytes()
    with pytest.raises(IncompleteAudioError, match="damaged"):
        list(audio.blocks(bytes(data), 16000))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux has files in memory")
def test_what_decoders_print_needs_no_disk(monkeypatch):
    """A container may be read-only, without a folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with decoder.printed_file() as printed:
        os.write(printed.fileno(), b"note] error: damaged")
        printed.seek(0)
        assert printed.read().count(decoder.DAMAGE) == 1
