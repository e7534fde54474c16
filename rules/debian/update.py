"""Resolves each packages.toml into lock.json with apt, which checks the archive's signatures.

Mirrors come from this machine's apt configuration, or from `DEBIAN_MIRRORS` and
`DEBIAN_SECURITY_MIRRORS` (base URIs with spaces between).
"""

import argparse
import email.utils
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tools.locks import apt, files
from tools.locks.error import LockError
from tools.signals.termination import terminable
from tools.terminal.result import tell

COMMAND = "tools/bazel run //rules/debian:update"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Each has a packages.toml and the lock.json made of it.
FOLDERS = (
    "image",
    "rules/strip",
    "tests/machine",
    "tests/operations",
    "tests/remote",
    "tests/supply_chain",
    "tools/browser",
)


class UpdateError(Exception):
    """Something the person can mend; the text says what and how."""


@dataclass(frozen=True, order=True)
class Package:
    """One .deb: `path` is relative to the base of the archive that holds the suite."""

    name: str
    architecture: str
    version: str
    suite: str
    path: str
    size: int
    sha256: str


def stanzas(text: str) -> Iterator[dict[str, str]]:
    r"""The paragraphs of a control file (Debian Policy 5.1), continuation lines left out.

    >>> list(stanzas("Package: a\nDescription: b\n c\n\nPackage: d\n"))
    [{'Package': 'a', 'Description': 'b'}, {'Package': 'd'}]
    """
    for paragraph in text.split("\n\n"):
        fields = {
            name: value.strip()
            for name, colon, value in (line.partition(":") for line in paragraph.splitlines())
            if colon and not name.startswith((" ", "\t", "#"))
        }
        if fields:
            yield fields


def newer(left: str, right: str) -> bool:
    """Whether a version is newer than another, by dpkg's ordering (deb-version(7))."""
    command = ["dpkg", "--compare-versions", left, "gt", right]
    return subprocess.run(command, check=False).returncode == 0


def followed(
    offers: Iterable[tuple[Package, str]], metapackages: Iterable[str]
) -> Iterator[Package]:
    """The offers, each with its Depends field, less metapackages.

    A metapackage's name stands for the one package that it depends on, whose own name changes with
    its version. Raises `UpdateError` for one that depends on anything else.
    """
    every, wanted = list(offers), set(metapackages)
    for offer, depends in every:
        if offer.name not in wanted:
            yield offer
            continue
        only = re.fullmatch(r"(\S+) \(= (\S+)\)", depends)
        if not only:
            raise UpdateError(
                f"{offer.name}: expected a metapackage that depends on one version of one package, "
                f"got {depends!r}. Mend metapackages in packages.toml."
            )
        for real, _ in every:
            if (real.name, real.version) == only.groups():
                yield replace(real, name=offer.name)


def choose(
    names: Iterable[str], architectures: Iterable[str], offers: Iterable[Package]
) -> list[Package]:
    """The newest offer for each name and architecture, sorted.

    A package for all architectures is chosen once. Raises `UpdateError` with every name that is
    not offered for an architecture.
    """
    wanted = set(names)
    best: dict[tuple[str, str], Package] = {}
    for offer in offers:
        key = (offer.name, offer.architecture)
        if offer.name in wanted and (key not in best or newer(offer.version, best[key].version)):
            best[key] = offer
    missing = [
        f"{name} ({architecture})"
        for name in sorted(wanted)
        for architecture in architectures
        if (name, architecture) not in best and (name, "all") not in best
    ]
    if missing:
        raise UpdateError(f"not in the archive: {', '.join(missing)}. Mend packages.toml.")
    return sorted(best.values())


def kept(
    offers: Iterable[Package], locked: Iterable[Package], names: Container[str]
) -> list[Package]:
    """The offers from which nothing but the named packages, and new ones, can be chosen anew.

    A locked package that is not named has one offer left: what the lock has. Where the archive
    has dropped that, all its offers stay, since a lock names only what the archive has.
    """
    every = list(offers)
    stays = {
        (one.name, one.architecture): one
        for one in set(locked).intersection(every)
        if one.name not in names
    }
    return [one for one in every if stays.get((one.name, one.architecture), one) == one]


def render(packages: Iterable[Package], snapshots: Mapping[str, str]) -> str:
    """The lock's text: a package a line, so that a change of one is a change of one line."""
    lines = ",\n".join(f"        {json.dumps(asdict(package))}" for package in packages)
    stamps = json.dumps(dict(sorted(snapshots.items())))
    return f'{{\n    "snapshots": {stamps},\n    "packages": [\n{lines}\n    ]\n}}\n'


def changes(old: Iterable[Package], new: Iterable[Package]) -> list[str]:
    """A line for each package that came, went or changed."""
    before = {(package.name, package.architecture): package for package in old}
    after = {(package.name, package.architecture): package for package in new}
    lines = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        title = f"{key[0]} ({key[1]})"
        if was is None and now is not None:
            lines.append(f"+ {title} {now.version} from {now.suite}")
        elif now is None and was is not None:
            lines.append(f"- {title} {was.version}")
        elif was is not None and now is not None and was != now:
            kind = f"{was.version} -> {now.version}" if was.version != now.version else now.version
            lines.append(f"~ {title} {kind} from {now.suite}")
    return lines


def read_lock(file: Path) -> list[Package]:
    """The packages of a lock; none where there is no file yet."""
    if not file.exists():
        return []
    return [Package(**package) for package in json.loads(file.read_text())["packages"]]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"}
        )
    except FileNotFoundError:
        raise UpdateError(f"{command[0]} is missing: the update needs Debian's apt") from None
    except subprocess.CalledProcessError as error:
        raise UpdateError(f"{' '.join(command)} failed:\n{error.stderr.strip()}") from None
    return done.stdout


def _mirror(security: bool) -> str:
    """Base URI of the main or the security archive."""
    found = apt.mirrors(security)
    if not found:
        kind, variable = (
            ("security ", "DEBIAN_SECURITY_MIRRORS") if security else ("", "DEBIAN_MIRRORS")
        )
        raise UpdateError(f"apt knows no Debian {kind}mirror; name one in {variable}=URI")
    return found[0]


class Archive:
    """The suites of packages.toml as apt sees them, in a folder of its own."""

    def __init__(self, folder: Path, suites: Iterable[str], architectures: Iterable[str]) -> None:
        self._folder = folder
        chosen = list(architectures)
        for name in ("etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(
            "".join(
                f"deb [arch={','.join(chosen)} signed-by={KEYRING}] "
                f"{_mirror(suite.endswith('-security'))} {suite} main\n"
                for suite in suites
            )
        )
        self._options = [
            f"-oAPT::Architecture={chosen[0]}",
            *(f"-oAPT::Architectures::={architecture}" for architecture in chosen),
            "-oAcquire::Languages=none",
            f"-oDir::Etc::SourceList={folder}/sources.list",
            "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::Etc::PreferencesParts={folder}/etc/apt/preferences.d",
            f"-oDir::State={folder}/state",
            f"-oDir::State::status={folder}/status",
            f"-oDir::Cache={folder}/cache",
        ]
        _run(["apt-get", *self._options, "-oAPT::Sandbox::User=root", "update", "-qq"])

    def _targets(self, layout: str) -> list[list[str]]:
        query = ["indextargets", "--format", layout, "Created-By: Packages"]
        return [line.split(" ") for line in _run(["apt-get", *self._options, *query]).splitlines()]

    def packages(self) -> Iterator[tuple[Package, str]]:
        """Every package that the suites offer, and what it depends on."""
        for file, suite in self._targets("$(FILENAME) $(CODENAME)"):
            text = _run(["/usr/lib/apt/apt-helper", "cat-file", file])
            for fields in stanzas(text):
                package = Package(
                    name=fields["Package"],
                    architecture=fields["Architecture"],
                    version=fields["Version"],
                    suite=suite,
                    path=fields["Filename"],
                    size=int(fields["Size"]),
                    sha256=fields["SHA256"],
                )
                yield package, fields.get("Depends", "")

    def snapshots(self) -> dict[str, str]:
        """By archive, the snapshot timestamp at which all its suites are as seen here."""
        stamps: dict[str, str] = {}
        for file in sorted((self._folder / "state/lists").glob("*Release")):
            fields = next(stanzas(file.read_text().partition("\n\n")[2]))
            date = email.utils.parsedate_to_datetime(fields["Date"])
            security = fields["Codename"].endswith("-security")
            archive = "debian-security" if security else "debian"
            stamp = date.strftime("%Y%m%dT%H%M%SZ")
            stamps[archive] = max(stamp, stamps.get(archive, stamp))
        return stamps


def _wishes(folder: Path) -> dict[str, Any]:
    """What a folder's packages.toml says; raises `UpdateError` where it is none."""
    file = folder / "packages.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UpdateError(f"{file}: expected TOML: {error}") from None


def _names(wishes: Mapping[str, Any], key: str, folder: Path) -> list[str]:
    """A list of names in packages.toml; raises `UpdateError` where there is none."""
    found = wishes.get(key)
    if not found or not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise UpdateError(f"{folder}/packages.toml: {key} is {found!r}; expected a list of names")
    return found


def wanted(folder: Path) -> set[str]:
    """The packages that a folder's packages.toml lists; raises `UpdateError` as `resolve`."""
    wishes = _wishes(folder)
    return {name for layer in wishes.values() if isinstance(layer, dict) for name in layer}


def resolve(folder: Path, named: Sequence[str] = ()) -> tuple[list[Package], str]:
    """The packages that a folder's packages.toml asks for now, and the text of their lock.

    `named` are those whose versions may change; all, where none is named.

    Raises:
        UpdateError: packages.toml says too little, apt fails, or the archive lacks a package.
    """
    if not KEYRING.exists():
        raise UpdateError(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
    wishes, names = _wishes(folder), wanted(folder)
    suites, architectures = (_names(wishes, key, folder) for key in ("suites", "architectures"))
    with tempfile.TemporaryDirectory(prefix="debian-update-") as scratch:
        archive = Archive(Path(scratch), suites, architectures)
        offers = list(followed(archive.packages(), wishes.get("metapackages", [])))
        if named:
            offers = kept(offers, read_lock(folder / "lock.json"), named)
        packages = choose(names, architectures, offers)
        return packages, render(packages, archive.snapshots())


@terminable()
def main(arguments: Sequence[str]) -> int:
    """Updates the locks of the workspace that `bazel run` was called in, all or none."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND} --", description=__doc__)
    parser.add_argument(
        "packages", nargs="*", help="those whose versions may change (all where none is named)"
    )
    named = parser.parse_args(arguments).packages
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    try:
        lists = {name: wanted(workspace / name) for name in FOLDERS}
        if unknown := sorted(set(named).difference(*lists.values())):
            raise UpdateError(
                f"no packages.toml lists {', '.join(unknown)}. Add a line with its reason to a "
                "group of image/packages.toml first."
            )
        folders = [name for name in FOLDERS if not named or lists[name].intersection(named)]
        resolved = {name: resolve(workspace / name, named) for name in folders}
        locks = {name: workspace / name / "lock.json" for name in folders}
        before = {name: read_lock(lock) for name, lock in locks.items()}
        files.replace({locks[name]: text for name, (_, text) in resolved.items()})
    except (UpdateError, LockError, OSError) as error:
        print(f"update: {error}. No lock was written", file=sys.stderr)
        return 1
    lines = []
    for name, (new, _) in resolved.items():
        old = before[name]
        lines += [f"{name}:", *(changes(old, new) or ["nothing changed"])]
        moved = {one.name for one in set(old).difference(new)} & lists[name] - set(named)
        if named and moved:
            lines.append(f"not named, but dropped by the archive: {', '.join(sorted(moved))}")
    if not named:
        lines.append(f"All packages were free to move. For one alone: {COMMAND} -- NAME")
    tell("\n".join([*lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
