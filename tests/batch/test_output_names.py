"""Where results go: each recording to a place of its own."""

import os
from pathlib import Path

import pytest

from s2t_np.batch.items import Input
from s2t_np.batch.output_names import output_paths, with_unique_names
from s2t_np.errors import OptionError
from tests.support.trees import make_files


def names(*items: tuple[str, str]) -> list[str]:
    return [item.name for item in with_unique_names([Input(*item) for item in items])]


def test_names_that_differ_stay():
    assert names(("in/a.wav", "a"), ("in/b.wav", "b")) == ["a", "b"]


def test_recordings_that_differ_in_their_suffix_keep_it():
    assert names(("r/talk.wav", "talk"), ("r/talk.mp3", "talk"), ("r/x.wav", "x")) == ["talk.wav", "talk.mp3", "x"]
    assert names(("r/s/talk.wav", "s/talk"), ("r/s/talk.mp3", "s/talk")) == ["s/talk.wav", "s/talk.mp3"]


def test_recordings_that_differ_in_their_folder_keep_it():
    assert names(("a/x.flac", "x"), ("b/x.flac", "x")) == ["a/x", "b/x"]
    assert names(("r/a/s/x.wav", "s/x"), ("r/b/s/x.wav", "s/x")) == ["a/s/x", "b/s/x"]
    assert names(("x.wav", "x"), ("sub/x.wav", "x")) == ["x", "sub/x"]


def test_folder_and_suffix_are_kept_where_both_are_needed():
    assert names(("a/x.flac", "x"), ("b/x.flac", "x"), ("b/x.wav", "x")) == ["a/x", "b/x.flac", "b/x.wav"]


def test_standard_input_keeps_its_name():
    assert names(("-", "stdin"), ("stdin.wav", "stdin")) == ["stdin", "stdin.wav"]


def test_outputs_keep_their_place_below_the_folder():
    inputs = [Input("in/a.wav", "a"), Input("in/b/a.wav", "b/a"), Input("x/m.v2.wav", "m.v2")]
    assert output_paths(inputs, "out", [".txt"]) == [[Path("out/a.txt")], [Path("out/b/a.txt")], [Path("out/m.v2.txt")]]


def test_two_inputs_with_one_output_are_refused():
    with pytest.raises(OptionError, match=r"x/a.wav and y/a.flac would both write out/a.json"):
        output_paths([Input("x/a.wav", "a"), Input("y/a.flac", "a")], "out", [".json"])


def test_an_output_never_overwrites_an_input(tmp_path):
    make_files(tmp_path, "a.txt")
    with pytest.raises(OptionError, match=r"overwrite the input"):
        output_paths([Input(str(tmp_path / "a.txt"), "a")], os.fspath(tmp_path), [".txt"])
