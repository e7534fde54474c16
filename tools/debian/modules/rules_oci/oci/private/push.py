"""Pushes an image layout by its digest, then sets tags on it, with crane.

Tags are moved last, so that a push that breaks off leaves them on the image they were on.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_GLOBAL_FLAGS = frozenset({"--allow-nondistributable-artifacts", "--insecure", "-v", "--verbose"})


class UsageError(Exception):
    """An order that cannot be carried out; the message is for the person who gave it."""


@dataclass
class Order:
    """What to push where. `crane` holds flags of every call, `push` those of `crane push` only."""

    repository: str = ""
    tags: list[str] = field(default_factory=list)
    crane: list[str] = field(default_factory=list)
    push: list[str] = field(default_factory=list)


def parse(arguments: Sequence[str], repository: str) -> Order:
    """Reads the person's arguments, as rules_oci 2.3.2 understands them.

    Raises UsageError when there is no repository, or one with a tag or digest.
    """
    order = Order(repository=repository)
    rest = list(arguments)

    def value(flag: str) -> str:
        if not rest:
            raise UsageError(f"{flag} needs a value")
        return rest.pop(0)

    while rest:
        flag = rest.pop(0)
        name, equals, text = flag.partition("=")
        if flag in _GLOBAL_FLAGS:
            order.crane.append(flag)
        elif flag == "--platform":
            order.crane += [flag, value(flag)]
        elif flag in ("-t", "--tag"):
            order.tags.append(value(flag))
        elif flag in ("-r", "--repository"):
            order.repository = value(flag)
        elif equals and name == "--tag":
            order.tags.append(text)
        elif equals and name == "--repository":
            order.repository = text
        else:
            order.push.append(flag)
    if not order.repository:
        raise UsageError(
            "expected a repository to push to, got none. Name it: "
            "bazel run TARGET -- --repository REGISTRY/NAME"
        )
    if "@" in order.repository or ":" in order.repository.rpartition("/")[2]:
        raise UsageError(
            f"expected a repository without tag or digest, got {order.repository}. "
            "Tags are set by --tag"
        )
    return order


def digest(image: Path) -> str:
    """The digest of the image, or index of images, in a layout."""
    found: str = json.loads((image / "index.json").read_text())["manifests"][0]["digest"]
    return found


def push(crane: str, image: Path, order: Order) -> int:
    """Pushes, then tags; returns the exit code of the first crane that failed, else 0."""
    with tempfile.TemporaryDirectory() as folder:
        references = Path(folder, "references")
        target = f"{order.repository}@{digest(image)}"
        command = [crane, "push", *order.crane, str(image), target, *order.push]
        code = subprocess.call([*command, "--image-refs", str(references)])
        if code:
            return code
        pushed = references.read_text().split()
    for tag in order.tags:
        code = subprocess.call([crane, "tag", *order.crane, *pushed, tag])
        if code:
            print(f"ERROR: {target} is pushed, but not tagged {tag}", file=sys.stderr)
            return code
    return 0


def main(arguments: Sequence[str]) -> int:
    """Carries out what the target (RUNFILES SETTINGS) and the person order."""
    runfiles = Path(arguments[0])
    settings: dict[str, str] = json.loads((runfiles / arguments[1]).read_text())

    def content(name: str) -> str:
        return (runfiles / settings[name]).read_text() if name in settings else ""

    repository = settings.get("repository") or "".join(content("repository_file").splitlines())
    try:
        order = parse(arguments[2:], repository)
    except UsageError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    order.tags += content("remote_tags").split()
    return push(str(runfiles / settings["crane"]), runfiles / settings["image"], order)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
