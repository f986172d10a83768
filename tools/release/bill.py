"""A bill of materials in CycloneDX 1.6 (ECMA-424): what an installation brings along, and the files that are not code.

The packages are those that the requirements lead to in this environment, with the versions found there: the ones that
the release was tested with. The same environment and commit give the same bytes.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path

REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
DATA = {"s2t_np/models/digits/model.safetensors": "CC-BY-SA-4.0"}  # file -> licence
RECORDINGS = "s2t_np/recordings"


def needed(requirements: list[str]) -> Iterator[str]:
    """The names in requirements that hold without any extra."""
    for line in requirements:
        _, _, marker = line.partition(";")
        if "extra" not in marker and holds(marker):
            yield normal(REQUIREMENT.match(line)[1])


def holds(marker: str) -> bool:
    """Whether an environment marker is true here; one that cannot be judged is taken for true."""
    if not marker.strip():
        return True
    try:
        from packaging.markers import Marker
    except ImportError:
        return True
    return Marker(marker).evaluate()


def normal(name: str) -> str:
    """A name as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(requirements: list[str]) -> dict[str, Distribution]:
    """The packages that requirements lead to, and those that these require, by name. Raises PackageNotFoundError."""
    found, waiting = {}, list(needed(requirements))
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = distribution(name)
            waiting += needed(found[name].requires or [])
    return dict(sorted(found.items()))


def package(name: str, found: Distribution) -> dict:
    """A package as a component."""
    purl = f"pkg:pypi/{name}@{found.version}"
    meta = found.metadata
    said = meta.get("License-Expression") or meta.get("License") or ""
    named = [{"license": {"name": said.splitlines()[0][:100]}}] if said.strip() else []
    component = {"type": "library", "bom-ref": purl, "name": name, "version": found.version, "purl": purl}
    return component | ({"licenses": named} if named else {})


def data_files(root: Path) -> Iterator[dict]:
    """The weights of the bundled model and the bundled recordings as components."""
    notice = {"license": {"name": f"see {RECORDINGS}/NOTICE.md"}}
    files = {name: {"license": {"id": licence}} for name, licence in DATA.items()}
    files |= {path.relative_to(root).as_posix(): notice for path in sorted((root / RECORDINGS).glob("*.flac"))}
    for name, licence in files.items():
        kind = "machine-learning-model" if "models" in name else "data"
        checksum = hashes(hashlib.sha256((root / name).read_bytes()).hexdigest())
        yield {"type": kind, "bom-ref": name, "name": name, "hashes": checksum, "licenses": [licence]}


def bill(root: Path, project: dict, epoch: int, archives: dict[str, str]) -> str:
    """The bill as JSON. `project`: pyproject.toml's table; `archives`: name -> SHA-256 of what is released."""
    packages = installed(project["dependencies"])
    components = [*(package(*item) for item in packages.items()), *data_files(root)]
    ref = f"pkg:pypi/{project['name']}@{project['version']}"
    named = [{"expression": project["license"]}]
    ours = {"type": "application", "bom-ref": ref, "name": project["name"], "version": project["version"]}
    files = [{"url": name, "type": "distribution", "hashes": hashes(sha)} for name, sha in archives.items()]
    ours |= {"purl": ref, "licenses": named, "externalReferences": files}
    record = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {"timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "component": ours},
        "components": components,
        "dependencies": dependencies(ref, project["dependencies"], packages),
    }
    record["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(record))}"
    return json.dumps(record, indent=1) + "\n"


def hashes(checksum: str) -> list[dict]:
    """A SHA-256, as components hold it."""
    return [{"alg": "SHA-256", "content": checksum}]


def dependencies(ref: str, requirements: list[str], packages: dict[str, Distribution]) -> list[dict]:
    """Which component leads to which."""
    refs = {name: package(name, found)["bom-ref"] for name, found in packages.items()}
    edges = {ref: requirements} | {refs[name]: found.requires or [] for name, found in packages.items()}
    return [{"ref": one, "dependsOn": sorted({refs[name] for name in needed(more)})} for one, more in edges.items()]
