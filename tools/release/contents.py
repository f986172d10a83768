"""What a wheel and an sdist have to hold, by the files that are tracked: nothing missing, nothing else."""

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

NOT_IN_SDIST = {".dockerignore", ".gitignore", "Dockerfile"}  # useful in a clone only
ADDED_TO_SDIST = {"PKG-INFO", "setup.cfg"} | {
    f"s2t_np.egg-info/{name}"
    for name in ("PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt", "requires.txt", "top_level.txt")
}
LICENSES = {"LICENSE", "s2t_np/models/digits/README.md", "s2t_np/recordings/NOTICE.md"}
ADDED_TO_WHEEL = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"} | {
    f"licenses/{name}" for name in LICENSES
}


def expected_in_wheel(tracked: Iterable[str], info: str) -> set[str]:
    """The packages, `kernels` under the name it is installed by, and their description in the folder `info`."""
    ours = {name for name in tracked if name.startswith("s2t_np/")}
    kernels = {name for name in tracked if name.startswith("kernels/") and name.endswith(".py")}
    return ours | {f"s2t_np_{name}" for name in kernels} | {f"{info}/{name}" for name in ADDED_TO_WHEEL}


def expected_in_sdist(tracked: Iterable[str]) -> set[str]:
    """Everything that is tracked, with few exceptions, and what setuptools adds."""
    return set(tracked) - NOT_IN_SDIST | ADDED_TO_SDIST


def in_wheel(path: Path) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def in_sdist(path: Path) -> set[str]:
    """The files in an sdist, without the folder that all lie in."""
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def differences(path: Path, tracked: Iterable[str]) -> list[str]:
    """What a wheel or an sdist lacks or has too much, a line each."""
    tracked = list(tracked)
    if path.suffix == ".whl":
        name, version, *_ = path.name.split("-")
        found, expected = in_wheel(path), expected_in_wheel(tracked, f"{name}-{version}.dist-info")
    else:
        found, expected = in_sdist(path), expected_in_sdist(tracked)
    lacking = [f"{path.name} lacks {name}" for name in sorted(expected - found)]
    return lacking + [f"{path.name} holds {name}, which is not expected" for name in sorted(found - expected)]
