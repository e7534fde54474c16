"""A workspace whose tools/bazel builds an image at once, and lets in what a test tells it to."""

import os
import shutil
import subprocess
from pathlib import Path

from rules.diff.tests.images import Item, image

_ITEMS = [Item(f"x/{name}", name) for name in "abcd"]
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.test"))
}
_STAMPED = {"created": "2026-11-01T00:00:00Z"}
# A build whose image is made/0, or made/1 where the line LEAK finds something to let in; made/2 is
# that of a release.
_BAZEL = """#!/bin/sh
for word; do
    shift
    case "$word" in
    --output_base=*) out=${word#--output_base=} ;;
    --*) ;;
    *) command=$word; break ;;
    esac
done
echo "$command $*" >> "$CALLS"
test -d "$out/server" || mkdir -p "$out/server"
printf -- '-Dbuilder.root=%s' "${BUILDER:-}" > "$out/server/cmdline"
test "$command" != clean || rm -rf bazel-bin
test "$command" = build || exit 0
test -d bazel-bin/image || mkdir -p bazel-bin/image
made=0
case "$*" in *config=release*) made=2 ;; esac
LEAK
ln -sfn "$PWD/made/$made" bazel-bin/image/index
echo "sha256:$made" > bazel-bin/image/index.json.sha256
"""


class Workspace:
    """A git checkout in `folder`, a copy of the template; each build adds a line to `calls`."""

    def __init__(self, template: Path, folder: Path, calls: Path) -> None:
        self.folder = folder
        self.calls = calls
        shutil.copytree(template, folder, symlinks=True)

    def leak(self, line: str) -> None:
        """Commits a tools/bazel with this line of shell in it."""
        _bazel(self.folder, line)
        _git(self.folder, "commit", "-q", "-a", "-m", "A state")


def template(folder: Path) -> Path:
    """Makes a checkout whose builds let nothing in."""
    (folder / "tools/debian").mkdir(parents=True)
    (folder / "image/files").mkdir(parents=True)
    (folder / "image/files/nsswitch.conf").write_text("hosts: files\n")
    (folder / "tools/debian/recipe.toml").write_text('suite = "forky"\n')
    (folder / ".gitignore").write_text("ignored\nbazel-*\n")
    image(folder / "made/0", [*_ITEMS, Item("app", "/home/0/src/app")])
    image(folder / "made/1", [*_ITEMS, Item("app", "/home/1/src/app")])
    image(folder / "made/2", [*_ITEMS, Item("app", "/home/0/src/app")], config=_STAMPED)
    _bazel(folder, "")
    # Without the samples of hooks, which each copy would have.
    _git(folder, "init", "-q", "--template=")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "A state")
    return folder


def _bazel(folder: Path, line: str) -> None:
    (folder / "tools/bazel").write_text(_BAZEL.replace("LEAK", line))
    (folder / "tools/bazel").chmod(0o755)


def _git(folder: Path, *arguments: str) -> None:
    environment = os.environ | _IDENTITY | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)
