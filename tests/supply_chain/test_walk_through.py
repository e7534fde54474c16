"""The walk-through of docs/supply-chain.md is followed, as it is written, with real programs.

docker-registry, cosign and podman are real, and so are the image and its documents. Bazel is stood
in for: it builds what is there. So is curl, which not every machine has.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rules.scan import packages
from rules.verify.__main__ import REVISION
from tests.container.namespaces import Identity
from tests.kubernetes.podman import Podman, podman_below
from tests.supply_chain.registry import credentials, program, registry

CRANE = str(Path(os.environ["CRANE"]).absolute())
PAGE = Path(os.environ["PAGE"])
INDEX = Path(os.environ["INDEX"])
DOCUMENTS = [Path(file) for file in os.environ["DOCUMENTS"].split(" ")]
HEADING = "## From a tag to a running image that others trust"

# It runs the programs as `service_image` does.
BAZEL = """#!{python}
import os, runpy, shutil, sys
made = {made!r}
words = [word for word in sys.argv[1:] if word != "--config=release"]
if words[0] == "build":
    os.makedirs("bazel-bin/image", exist_ok=True)
    shutil.copytree(made + "/index", "bazel-bin/image/index")
if words[0] != "run":
    sys.exit()
sys.path[:] = {path!r}
os.environ["BUILD_WORKING_DIRECTORY"] = os.environ["BUILD_WORKSPACE_DIRECTORY"] = os.getcwd()
spdx = [made + f"/sbom_{{cpu}}.spdx.json" for cpu in ("amd64", "arm64")]
fixed = {{
    "//image:push": ["rules.publish", "--index=" + made + "/index", "--crane={crane}"]
    + ["--provenance=" + made + "/provenance.json"]
    + ["--sbom", "amd64", spdx[0], made + "/sbom_amd64.cdx.json"]
    + ["--sbom", "arm64", spdx[1], made + "/sbom_arm64.cdx.json"],
    "//image:scan": ["rules.scan", "--name=service", *("--sbom=" + file for file in spdx)],
    "//image:verify": ["rules.verify", "--built=" + made + "/index", "--crane={crane}"]
    + ["--target=//image:index"],
}}
module, *more = fixed[words[1]]
sys.argv[1:] = more + words[3:]
runpy.run_module(module + ".__main__", run_name="__main__")
"""

# What the walk-through asks of curl: to repeat until the address answers well.
CURL = """#!{python}
import sys, time, urllib.request
words = sys.argv[1:]
for _ in range(int(words[words.index("--retry") + 1])):
    try:
        print(urllib.request.urlopen(words[-1], timeout=10).read().decode())
        sys.exit()
    except OSError as error:
        print(error, file=sys.stderr)
        time.sleep(1)
sys.exit(22)
"""


def commands() -> str:
    """The commands of the walk-through."""
    _, _, rest = PAGE.read_text().partition(f"\n{HEADING}\n")
    section = rest.partition("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


class Release:
    """The image that was built, and its documents, as a release of a commit has them."""

    def __init__(self, folder: Path, revision: str) -> None:
        self._folder = folder / "index"
        self._revision = revision
        self._digests: dict[str, str] = {}
        shutil.copytree(INDEX, self._folder, copy_function=shutil.copyfile)
        for each in self._folder.rglob("*"):
            each.chmod(0o755 if each.is_dir() else 0o644)
        root = json.loads((self._folder / "index.json").read_bytes())
        root["manifests"] = [self._stated(each) for each in root["manifests"]]
        (self._folder / "index.json").write_text(json.dumps(root))
        for file in DOCUMENTS:
            text = file.read_text()
            for before, after in self._digests.items():
                text = text.replace(before, after)
            (folder / file.name).write_text(text)

    def _stated(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        """Writes a document anew, with the commit in it, and all that it names."""
        before = descriptor["digest"].removeprefix("sha256:")
        document = json.loads((self._folder / "blobs/sha256" / before).read_bytes())
        if "manifests" in document:
            document["manifests"] = [self._stated(each) for each in document["manifests"]]
            document["annotations"] = document.get("annotations", {}) | {REVISION: self._revision}
        elif "layers" in document:
            document["config"] = self._stated(document["config"])
        else:
            labels = document["config"].get("Labels", {})
            document["config"]["Labels"] = labels | {REVISION: self._revision}
        content = json.dumps(document).encode()
        after = hashlib.sha256(content).hexdigest()
        (self._folder / "blobs/sha256" / after).write_bytes(content)
        self._digests[before] = after
        return descriptor | {"digest": f"sha256:{after}", "size": len(content)}


def advisories(folder: Path) -> None:
    """One that is about a package of the image, and was mended before the version in it."""
    package = packages.read([file for file in DOCUMENTS if ".spdx." in file.name]).packages[0]
    release = f":{package.release}" if package.release else ""
    named = {"ecosystem": f"{package.ecosystem}{release}", "name": package.subject}
    events = [{"introduced": "0"}, {"fixed": package.version}]
    folder.mkdir()
    advisory = {
        "id": "TEST-1",
        "modified": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "affected": [{"package": named, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
    }
    (folder / "TEST-1.json").write_text(json.dumps(advisory))


def script(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


@pytest.fixture
def podman(identity: Identity, scratch: Path) -> Iterator[Podman]:
    with podman_below(scratch, identity) as made:
        yield made


def test_the_walk_through_does_what_it_says(tmp_path: Path, podman: Podman) -> None:
    checkout, made, programs = (tmp_path / name for name in ("checkout", "made", "programs"))
    for folder in (checkout / "tools", checkout / "deploy", made, programs):
        folder.mkdir(parents=True)
    program("cosign", programs)
    script(programs / "curl", CURL.format(python=sys.executable))
    path = [str(Path.cwd()), *(str(Path(each).absolute()) for each in sys.path)]
    bazel = BAZEL.format(python=sys.executable, made=str(made), crane=CRANE, path=path)
    script(checkout / "tools/bazel", bazel)
    shutil.copyfile(os.environ["SECCOMP"], checkout / "deploy/seccomp.json")
    (checkout / ".gitignore").write_text("/bazel-bin\n")
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.test"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout.strip()
    Release(made, head)
    advisories(tmp_path / "advisories")

    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as running:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands()],
            cwd=checkout,
            env=os.environ
            | podman.environment
            | running.trust()
            | {
                "PATH": f"{programs}:{podman.environment['PATH']}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "COSIGN_PASSWORD": "words",
                "REPOSITORY": f"{running.place}/hello",
                "DOCKER_CONFIG": str(credentials(tmp_path / "docker", running.place)),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Verified: ") == 3
    assert done.stdout.count("Attested: signed and attached.") == 2
    assert "Agreed: 2 of 3 builders have rebuilt" in done.stdout
    assert "held against 1 advisories" in done.stdout
    assert '{"status":"ok"' in done.stdout
