"""The walk-through of docs/supply-chain.md is followed, as it is written, with a real registry."""

import os
import subprocess
import sys
from pathlib import Path

from rules.diff.tests.images import Item, Layout, tar
from rules.verify.__main__ import REVISION
from tests.supply_chain.registry import credentials, program, registry

CRANE = str(Path(os.environ["CRANE"]).absolute())
PAGE = Path(os.environ["PAGE"])
HEADING = "## From a commit to an image that others trust"

# Bazel is stood in for: it builds what is there, and runs the programs as `service_image` does.
BAZEL = """#!{python}
import json, os, runpy, shutil, sys
here = {folder!r}
words = [word for word in sys.argv[1:] if word != "--config=release"]
if words[0] == "build":
    os.makedirs("bazel-bin/image", exist_ok=True)
    shutil.copytree(here + "/release", "bazel-bin/image/index")
if words[0] != "run":
    sys.exit()
sys.path[:] = {path!r}
os.environ["BUILD_WORKING_DIRECTORY"] = os.environ["BUILD_WORKSPACE_DIRECTORY"] = os.getcwd()
fixed = {{
    "//image:push": ["rules.publish", "--index=" + here + "/release", "--crane={crane}"]
    + ["--provenance=" + here + "/provenance.json"]
    + ["--sbom", "amd64", here + "/amd64", here + "/cdx"]
    + ["--sbom", "arm64", here + "/arm64", here + "/cdx"],
    "//image:verify": ["rules.verify", "--built=" + here + "/release", "--crane={crane}"]
    + ["--target=//image:index"],
}}
module, *more = fixed[words[1]]
sys.argv[1:] = more + words[3:]
runpy.run_module(module + ".__main__", run_name="__main__")
"""


def commands() -> str:
    """The commands of the walk-through."""
    _, _, rest = PAGE.read_text().partition(f"\n{HEADING}\n")
    section = rest.partition("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def release(folder: Path, revision: str) -> None:
    """An index that states a commit, with the documents that are attached to it."""
    layout = Layout(folder / "release")
    images = []
    for cpu in ("amd64", "arm64"):
        config = {"config": {"Labels": {REVISION: revision}}}
        made = layout.image([tar([Item("app", cpu)])], architecture=cpu, config=config)
        images.append(made | {"platform": {"os": "linux", "architecture": cpu}})
        (folder / cpu).write_text(
            '{"spdxVersion": "SPDX-2.3", "packages": [{"SPDXID": "SPDXRef-Image", "checksums": '
            f'[{{"algorithm": "SHA256", "checksumValue": "{made["digest"][7:]}"}}]}}]}}'
        )
    layout.finish(layout.index(images))
    (folder / "cdx").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    (folder / "provenance.json").write_text(
        '{"predicate": {"buildDefinition": {"buildType": "urn:test", "externalParameters": {}}, '
        '"runDetails": {"builder": {"id": "urn:test"}}}}'
    )


def test_the_walk_through_does_what_it_says(tmp_path: Path) -> None:
    checkout, made = tmp_path / "checkout", tmp_path / "made"
    (checkout / "tools").mkdir(parents=True)
    made.mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    program("cosign", programs)
    (checkout / ".gitignore").write_text("/bazel-bin\n")
    bazel = checkout / "tools/bazel"
    path = [str(Path.cwd()), *sys.path]
    bazel.write_text(BAZEL.format(python=sys.executable, folder=str(made), crane=CRANE, path=path))
    bazel.chmod(0o755)
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.test"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True
    )
    release(made, head.stdout.strip())

    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as running:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands()],
            cwd=checkout,
            env=os.environ
            | {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "COSIGN_PASSWORD": "words",
                "REPOSITORY": f"{running.place}/hello",
                "SSL_CERT_FILE": str(running.folder / "cert.pem"),
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
