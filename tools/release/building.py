"""A source tree -> wheel and sdist, the same bytes whenever and wherever they are built.

SOURCE_DATE_EPOCH (reproducible-builds.org) gives a wheel its times. Of an sdist setuptools keeps the times, owners and
modes that the files have on this machine, and the time of compression, so it is packed once more without them.
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path


class BuildError(Exception):
    """Why there is no release."""


def command(*words, cwd: Path, **environment: str) -> str:
    """What a program prints. Raises BuildError, with the end of what it said."""
    settings = {"cwd": cwd, "env": os.environ | environment, "umask": 0o022}
    done = subprocess.run(words, **settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, words[:4]))}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def checked_out(repository: Path, target: Path) -> int:
    """Write the files of the last commit to `target`; the time of that commit in seconds since 1970.

    Raises BuildError where the checkout has changes, which the release would lack.
    """
    if changes := command("git", "status", "--porcelain", cwd=repository).splitlines():
        raise BuildError(f"{len(changes)} changes are not committed, such as {changes[0].strip()!r}; commit them first")
    packed = target.with_suffix(".tar")
    command("git", "archive", "--output", str(packed), "HEAD", cwd=repository)
    with tarfile.open(packed) as archive:
        archive.extractall(target, filter="data")
    packed.unlink()
    return int(command("git", "log", "-1", "--format=%ct", cwd=repository))


def built(source: Path, target: Path, epoch: int) -> list[Path]:
    """Build a wheel and an sdist of a source tree, which is left as it was: their paths. Raises BuildError."""
    tree = target.with_name(target.name + "-tree")
    shutil.copytree(source, tree)
    for path in tree.rglob("*"):  # a wheel keeps them
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        options = ("--no-isolation", "--outdir", str(target))
        command(sys.executable, "-m", "build", *options, ".", cwd=tree, SOURCE_DATE_EPOCH=str(epoch))
    finally:
        shutil.rmtree(tree)
    for sdist in target.glob("*.tar.gz"):
        repacked(sdist, epoch)
    return sorted(target.iterdir())


def repacked(sdist: Path, epoch: int) -> None:
    """Pack an archive once more: names in order, one time, no owner, modes by the one bit that matters."""
    packed = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            executable = member.isdir() or member.mode & 0o100
            fresh = tarfile.TarInfo(member.name)
            fresh.size, fresh.type, fresh.mtime = member.size, member.type, epoch
            fresh.mode = 0o755 if executable else 0o644
            new.addfile(fresh, old.extractfile(member) if member.isfile() else None)
    with open(sdist, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as compressed:
        compressed.write(packed.getvalue())


def digest(path: Path) -> str:
    """The SHA-256 of a file, as sha256sum prints it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
