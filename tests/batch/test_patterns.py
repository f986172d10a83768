"""Paths that match a pattern: as `glob` finds them, but without entering links to folders for **."""

import glob
import os

import pytest

from s2t_np.batch.patterns import has_wildcards, paths_matching, pattern_root
from tests.support.trees import make_files

TREE = ("rec/a1.wav", "rec/a2.flac", "rec/b/a1.wav", "rec/a3.txt", "rec/.a4.wav", "rec/.h/x.wav", "other/c.wav")
PATTERNS = (
    "rec/a*",
    "rec/*.txt",
    "rec/**/*.wav",
    "rec/[bs]*",
    "*/?.wav",
    "**/a1.wav",
    "rec/.a*",
    "./rec/*",
    "no/*.wav",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_without_links_it_finds_what_glob_finds(tmp_path, monkeypatch, pattern):
    make_files(tmp_path, *TREE)
    monkeypatch.chdir(tmp_path)
    assert set(map(os.path.normpath, paths_matching(pattern))) == set(
        map(os.path.normpath, glob.glob(pattern, recursive=True))
    )
    absolute = os.path.join(tmp_path, pattern)
    assert [os.path.normpath(p) for p in paths_matching(absolute)] == sorted(
        {os.path.normpath(p) for p in glob.glob(absolute, recursive=True)}
    )


def test_two_stars_at_the_end_are_everything_below(tmp_path):
    make_files(tmp_path, "a.wav", "b/c.wav")
    assert paths_matching(str(tmp_path / "**")) == [str(tmp_path / n) for n in ("a.wav", "b", "b/c.wav")]


@pytest.mark.parametrize("links", [1, 2, 3])
def test_links_to_a_parent_neither_repeat_files_nor_go_on_for_ever(tmp_path, links):
    make_files(tmp_path, "a.wav", "deep/b.wav")
    for number in range(links):
        (tmp_path / "deep" / f"up{number}").symlink_to(tmp_path)
    found = paths_matching(str(tmp_path / "**" / "*.wav"))
    assert found == [str(tmp_path / "a.wav"), str(tmp_path / "deep" / "b.wav")]


def test_a_link_that_the_pattern_names_is_followed(tmp_path):
    make_files(tmp_path, "real/a.wav")
    (tmp_path / "link").symlink_to("real")
    assert paths_matching(str(tmp_path / "l*" / "*.wav")) == [str(tmp_path / "link" / "a.wav")]


def test_the_folder_before_the_first_wildcard():
    assert [pattern_root(p) for p in ("rec/*/a*.wav", "*.wav", "/data/x/**", "rec/[a]/b.wav")] == [
        "rec", ".", "/data/x", "rec"
    ]  # fmt: skip
    assert [has_wildcards(p) for p in ("a.wav", "a?.wav", "[a].wav")] == [False, True, True]
