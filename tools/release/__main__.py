"""Build a release from a clean checkout, and hold it to what is promised.

    python -m tools.release FOLDER

FOLDER gets the wheel, the sdist, SHA256SUMS and s2t-np-VERSION.cdx.json (CycloneDX). Everything is built twice, in two
places; other bytes the second time, or other contents than the tracked files, are an error. Needs `build` and
setuptools (pip install build), asks no network. Whether a dependency has a known weakness, the advisories know:

    pip install pip-audit && pip-audit --path "$(python -c 'import site; print(site.getsitepackages()[0])')"
"""

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path

from .bill import bill
from .building import BuildError, built, checked_out, command, digest
from .contents import differences

ROOT = Path(__file__).resolve().parent.parent.parent


def release(target: Path) -> None:
    """Build it all. Raises BuildError."""
    if target.exists() and any(target.iterdir()):
        raise BuildError(f"{target} is not empty; a release gets a folder of its own")
    target.mkdir(parents=True, exist_ok=True)
    tracked = command("git", "ls-files", cwd=ROOT).splitlines()
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "checkout")
        epoch = checked_out(ROOT, source)
        first, second = (built(source, Path(work, name), epoch) for name in ("one", "another-place"))
        for one, other in zip(first, second, strict=True):
            if digest(one) != digest(other):
                raise BuildError(f"{one.name}: the second build has other bytes")
        if wrong := [line for path in first for line in differences(path, tracked)]:
            raise BuildError("\n".join(wrong))
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        sums = {path.name: digest(path) for path in first}
        for path in first:
            (target / path.name).write_bytes(path.read_bytes())
        text = bill(source, project, epoch, sums)
    name = f"{project['name']}-{project['version']}.cdx.json"
    (target / name).write_text(text, encoding="utf-8")
    sums[name] = digest(target / name)
    (target / "SHA256SUMS").write_text("".join(f"{sha}  {file}\n" for file, sha in sums.items()), encoding="ascii")
    print((target / "SHA256SUMS").read_text(encoding="ascii"), end="")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    try:
        release(parser.parse_args().folder.absolute())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
