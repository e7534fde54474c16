"""What is wrong with an image. Each function yields one sentence a problem, and none is well."""

import email.parser
import hashlib
import importlib.util
import posixpath
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.oci.filesystem import DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Filesystem
from tests.oci.layout import Configuration, Image, Layer
from tests.structure import elf

_SHELL = re.compile(
    "ash|bash|busybox|csh|dash|elvish|fish|ksh|ksh93|mksh|nu|osh|pdksh|posh|pwsh|rbash|rc|sash|sh"
    "|tcsh|toybox|xonsh|yash|zsh"
)
_PACKAGE_MANAGER = re.compile(
    "apk|apt|apt-get|aptitude|brew|conda|dnf|dpkg|dpkg-deb|easy_install|flatpak|ipkg|mamba|microdnf"
    r"|nix|npm|opkg|pacman|pip[0-9.]*|pipx|poetry|rpm|rpm2cpio|snap|uv|uvx|yum|zypper"
)
_PACKAGE_MANAGER_MODULE = re.compile(
    "conda|easy_install|ensurepip|pip|pkg_resources|poetry|setuptools|uv"
)
_SETUID, _SETGID, _WORLD_WRITABLE = 0o4000, 0o2000, 0o002
_PYC_HEADER = struct.Struct("<4sI8s")
_HASH_BASED, _CHECK_SOURCE = 0b01, 0b10
_STEM = re.compile(r"(?P<stem>.+)\.cpython-(?P<version>\d+)\.pyc")


def user(configuration: Configuration) -> Iterator[str]:
    """The user is a number, so that Kubernetes' runAsNonRoot can tell; so is the group."""
    if not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", configuration.user):
        yield f"User: expected numbers UID:GID, neither of them 0; got {configuration.user!r}"


def entrypoint(image: Image) -> Iterator[str]:
    """The entry point is a list whose first member is a program of the image, and no shell."""
    words = [*image.configuration.entrypoint, *image.configuration.command]
    if not image.configuration.entrypoint:
        yield "Entrypoint: expected a list of arguments, got none"
        return
    program = words[0]
    if _SHELL.fullmatch(posixpath.basename(program)):
        yield f"Entrypoint: {program} is a shell; expected the program itself (exec form)"
    found = image.files.resolve(program) if program.startswith("/") else None
    if found is None:
        yield f"Entrypoint: {program!r} is not the absolute path of a file in the image"
    elif not found.executable:
        yield f"Entrypoint: {program} is not executable"


def privileged(files: Filesystem) -> Iterator[str]:
    """No program gets more rights than its caller: setuid, setgid, file capabilities."""
    for entry in files:
        if entry.kind == FILE and entry.mode & (_SETUID | _SETGID):
            yield f"{entry.path}: mode {entry.mode:04o} has setuid or setgid"
        if "security.capability" in entry.attributes:
            yield f"{entry.path}: has file capabilities"


def writable(files: Filesystem, identity: str) -> Iterator[str]:
    """Nothing can be written by everybody, or by the user ("UID:GID") that the service runs as."""
    uid, _, gid = identity.partition(":")
    for entry in files:
        if entry.kind == SYMLINK:
            continue
        if entry.mode & _WORLD_WRITABLE:
            yield f"{entry.path}: mode {entry.mode:04o} lets everybody write"
        if (str(entry.uid) == uid and entry.mode & 0o200) or (
            str(entry.gid) == gid and entry.mode & 0o020
        ):
            yield f"{entry.path}: {entry.uid}:{entry.gid} {entry.mode:04o} lets the service write"


def kinds(files: Filesystem) -> Iterator[str]:
    """Files, directories and symbolic links only: no devices, no sockets, nothing unknown."""
    for entry in files:
        if entry.kind not in {FILE, DIRECTORY, SYMLINK, HARDLINK}:
            yield f"{entry.path}: is a {entry.kind}"
        if entry.kind == HARDLINK:
            yield f"{entry.path}: is a hard link to {entry.target}, which is not in the image"


def shells(files: Filesystem, known: Sequence[str] = ()) -> Iterator[str]:
    """No shell, under its own name or a link's, and no script that asks for one.

    `known` are paths that have a shell's name and are none.
    """
    for entry in files:
        if entry.kind == DIRECTORY or entry.path in known:
            continue
        target = files.resolve(entry.path)
        if _SHELL.fullmatch(entry.name) and (entry.kind == SYMLINK or entry.executable):
            yield f"{entry.path}: is a shell"
        elif entry.kind == SYMLINK and target is not None and _SHELL.fullmatch(target.name):
            yield f"{entry.path}: leads to the shell {target.path}"
        elif entry.executable:
            words = _interpreter(entry)[:2]
            if any(_SHELL.fullmatch(posixpath.basename(word)) for word in words):
                yield f"{entry.path}: is a script for {' '.join(words)}"


def package_managers(files: Filesystem) -> Iterator[str]:
    """No package manager, be it a program or a Python package."""
    for entry in files:
        if _PACKAGE_MANAGER.fullmatch(entry.name) and (entry.executable or entry.kind == SYMLINK):
            yield f"{entry.path}: is a package manager"
        folder = posixpath.basename(posixpath.dirname(entry.path))
        if _PACKAGE_MANAGER_MODULE.fullmatch(folder) and entry.name in {
            "__init__.py",
            "__main__.py",
        }:
            yield f"{entry.path}: is a package manager's module"


def programs(files: Filesystem, expected: Sequence[str]) -> Iterator[str]:
    """The programs are exactly those expected, whatever they are called.

    A path that ends in "/" expects any programs in that folder. A library's script does not count
    where its interpreter is one of them, or not there at all.
    """
    folders = tuple(path for path in expected if path.endswith("/"))
    found = {
        entry.path
        for entry in files
        if _is_program(entry) and not _is_harmless_script(files, entry, expected)
    }
    for path in sorted(found - set(expected)):
        if not path.startswith(folders):
            yield f"{path}: is a program that is not expected"
    for path in sorted(set(expected) - found):
        if not any(other.startswith(path) for other in found if path in folders):
            yield f"{path}: is expected to be a program of the image"


def _is_program(entry: Entry) -> bool:
    if not entry.executable:
        return False
    if elf.is_elf(entry.content):
        return elf.read(entry.content).program or _in_path(entry)
    return entry.content.startswith(b"#!") or _in_path(entry)


def _in_path(entry: Entry) -> bool:
    return posixpath.basename(posixpath.dirname(entry.path)) in {"bin", "sbin"}


def _is_harmless_script(files: Filesystem, entry: Entry, programs: Sequence[str]) -> bool:
    words = _interpreter(entry)
    if not words or _in_path(entry):
        return False
    interpreter = files.resolve(words[0])
    return interpreter is None or interpreter.path in programs


def _interpreter(script: Entry) -> list[str]:
    """The words of a script's first line (execve(2)); none for another file."""
    if not script.content.startswith(b"#!"):
        return []
    return script.content[2:].split(b"\n", 1)[0].decode(errors="replace").split()


def outside(files: Filesystem, roots: Sequence[str]) -> Iterator[str]:
    """Every path lies in one of the allowed folders, or is on the way to one.

    A root that ends in "/" is a folder with anything below; else it is that path alone.
    """
    parents = {parent for root in roots for parent in _parents(root)}
    folders = tuple(root for root in roots if root.endswith("/"))
    for entry in files:
        allowed = (
            entry.path in roots
            or f"{entry.path}/" in folders
            or entry.path.startswith(folders)
            or (entry.kind == DIRECTORY and entry.path in parents)
        )
        if not allowed:
            yield f"{entry.path}: lies outside of {', '.join(roots)}"


def _parents(path: str) -> Iterator[str]:
    while (path := posixpath.dirname(path.rstrip("/"))) != "/":
        yield path
    yield "/"


def dangling(files: Filesystem) -> Iterator[str]:
    """Every symbolic link leads to something in the image."""
    for entry in files:
        if entry.kind == SYMLINK and files.resolve(entry.path) is None:
            yield f"{entry.path}: links to {entry.target}, which is not in the image"


def duplicates(layers: Sequence[Layer]) -> Iterator[str]:
    """No path but a directory comes from two layers, and no layer takes away: both waste space."""
    seen: dict[str, str] = {}
    kinds_seen: dict[str, str] = {}
    for layer in layers:
        for entry in layer.entries:
            if entry.name.startswith(".wh."):
                yield f"{entry.path}: layer {layer.name} takes away what is below it"
            elif entry.path in seen and not entry.kind == kinds_seen[entry.path] == DIRECTORY:
                yield f"{entry.path}: is in layer {seen[entry.path]} and in layer {layer.name}"
            seen[entry.path] = layer.name
            kinds_seen[entry.path] = entry.kind


def symbols(files: Filesystem) -> Iterator[str]:
    """No ELF file of a wheel has what no process sees: it is most of the file."""
    for entry in files:
        if not entry.path.startswith("/usr/local/") or not elf.is_elf(entry.content):
            continue
        if found := elf.symbol_tables(entry.content):
            yield f"{entry.path}: has {', '.join(found)}; expected it to be stripped"


def split_packages(layers: Sequence[Layer], environment: Mapping[str, str]) -> Iterator[str]:
    """Each package below PYTHONPATH lies in one layer: what layers share is shared whole."""
    seen: dict[str, str] = {}
    for root in filter(None, environment.get("PYTHONPATH", "").split(":")):
        for layer in layers:
            for entry in layer.entries:
                name, deeper, _ = entry.path.removeprefix(f"{root}/").partition("/")
                if entry.kind == DIRECTORY or not deeper or not entry.path.startswith(f"{root}/"):
                    continue
                where = seen.setdefault(name, layer.name)
                if where != layer.name:
                    yield (
                        f"{entry.path}: is in layer {layer.name}, other files of {name} in layer "
                        f"{where}. If services share that layer, add the target to its `python`"
                    )


def owners(files: Filesystem) -> Iterator[str]:
    """Everything is root's, and from the epoch's first second: times would change digests."""
    for entry in files:
        if (entry.uid, entry.gid) != (0, 0):
            yield f"{entry.path}: belongs to {entry.uid}:{entry.gid}; expected 0:0"
        if entry.modified:
            yield f"{entry.path}: has the time {entry.modified}; expected 0"


def bytecode(files: Filesystem) -> Iterator[str]:
    """Every .py has a .pyc that is taken without a look at the source (PEP 552), made of it.

    Python's standard library and every package below a site-packages or an app folder count; the
    interpreter that runs this has to be of the image's version, since the hash is keyed by it.
    """
    sources = {entry.path: entry for entry in files if entry.path.endswith(".py")}
    for entry in sources.values():
        path = importlib.util.cache_from_source(entry.path)
        compiled = files.get(path)
        if compiled is None:
            yield f"{entry.path}: has no {path}"
        else:
            yield from _compiled(entry, compiled)
    for entry in files:
        if entry.path.endswith((".pyc", ".pyo")):
            match = _STEM.fullmatch(entry.name)
            folder, cache = posixpath.split(posixpath.dirname(entry.path))
            source = posixpath.join(folder, f"{match['stem']}.py") if match else ""
            if cache != "__pycache__" or source not in sources:
                yield f"{entry.path}: is byte-code of no source in the image"


def _compiled(source: Entry, compiled: Entry) -> Iterator[str]:
    if compiled.size < _PYC_HEADER.size:
        yield f"{compiled.path}: is cut short at {compiled.size} bytes"
        return
    magic, flags, digest = _PYC_HEADER.unpack_from(compiled.content)
    if magic != importlib.util.MAGIC_NUMBER:
        expected = importlib.util.MAGIC_NUMBER.hex()
        yield f"{compiled.path}: expected magic number {expected}, got {magic.hex()}"
    elif not flags & _HASH_BASED:
        yield f"{compiled.path}: is checked by the source's time, which an image does not keep"
    elif flags & _CHECK_SOURCE:
        yield f"{compiled.path}: is checked against the source at each start"
    elif digest != importlib.util.source_hash(source.content):
        yield f"{compiled.path}: was made of another {source.path}"


def debian_packages(files: Filesystem, expected: Sequence[str]) -> Iterator[str]:
    """Scanners find each expected Debian package, and its files are what its md5sums say."""
    folder = "/var/lib/dpkg/status.d"
    found = {
        entry.name: entry
        for entry in files
        if posixpath.dirname(entry.path) == folder and not entry.name.endswith(".md5sums")
    }
    for name in sorted(set(expected) - set(found)):
        yield f"{folder}/{name}: is missing, and so the package {name}"
    for name in sorted(set(found) - set(expected)):
        yield f"{folder}/{name}: is a package that is not expected"
    for name, entry in found.items():
        control = email.parser.Parser().parsestr(entry.content.decode())
        if control["Package"] != name:
            yield f"{entry.path}: expected Package: {name}, got {control['Package']!r}"
        for key in ("Version", "Architecture", "Maintainer"):
            if not control[key]:
                yield f"{entry.path}: has no {key}"
        sums = files.get(f"{entry.path}.md5sums")
        yield from _changed(files, sums) if sums else ()


def _changed(files: Filesystem, sums: Entry) -> Iterator[str]:
    for line in sums.content.decode().splitlines():
        digest, _, path = line.partition("  ")
        entry = files.resolve(f"/{path}")
        if entry is None or entry.kind != FILE:
            continue
        if hashlib.md5(entry.content, usedforsecurity=False).hexdigest() != digest:
            yield f"{entry.path}: is not what {sums.path} says"


def python_packages(
    files: Filesystem, locked: Mapping[str, str], production: Sequence[str]
) -> Iterator[str]:
    """The Python packages are exactly those expected, at the locked versions.

    Names are normalised (PEP 503); `locked` is version by name.
    """
    found: dict[str, str] = {}
    for entry in files:
        if entry.name == "METADATA" and entry.path.endswith(".dist-info/METADATA"):
            metadata = email.parser.Parser().parsestr(entry.content.decode())
            found[normalised(metadata["Name"])] = metadata["Version"]
    for name in sorted(set(found) - set(production)):
        yield f"Python package {name} {found[name]}: is no production package"
    for name in sorted(set(production) - set(found)):
        yield f"Python package {name}: is missing"
    for name, version in sorted(found.items()):
        if name in locked and locked[name] != version:
            yield f"Python package {name}: expected {locked[name]} as locked, got {version}"


def normalised(name: str) -> str:
    """A package's name as indexes have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_versions(text: str) -> dict[str, str]:
    """Version by normalised name, from a requirements file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", text, re.MULTILINE)
    return {normalised(name): version for name, version in found}


def python_modules(files: Filesystem, forbidden: Sequence[str]) -> Iterator[str]:
    """None of these top-level modules is there, with or without its metadata."""
    for entry in files:
        folder, name = posixpath.split(entry.path)
        if folder.endswith(("/dist-packages", "/site-packages")):
            module = name.partition(".")[0] if "-" not in name else name.partition("-")[0]
            if module in forbidden:
                yield f"{entry.path}: belongs to {module}, which is for development"


def budgets(layers: Sequence[Layer], sizes: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Each layer keeps within its budget: bytes of the blob, bytes of its files."""
    for layer in layers:
        if layer.name not in sizes:
            yield f"layer {layer.name}: has no budget; those that have: {', '.join(sizes)}"
            continue
        for what, size, budget in (
            ("compressed", layer.size, sizes[layer.name][0]),
            ("unpacked", layer.unpacked_size, sizes[layer.name][1]),
        ):
            if size > budget:
                yield (
                    f"layer {layer.name}: {size} bytes {what}, {size - budget} over its budget "
                    f"of {budget}. Its largest folders:\n{largest(layer)}"
                )
    for name in sizes.keys() - {layer.name for layer in layers}:
        yield f"layer {name}: has a budget and is not in the image"


def largest(layer: Layer, count: int = 12) -> str:
    """A table of a layer's largest folders: bytes of all below, files, path."""
    sizes: Counter[str] = Counter()
    numbers: defaultdict[str, int] = defaultdict(int)
    for entry in layer.entries:
        for parent in _parents(entry.path):
            sizes[parent] += entry.size
            numbers[parent] += entry.kind == FILE
    # A folder whose only content of weight is one folder says nothing that the latter does not.
    telling = [
        (size, path)
        for path, size in sizes.items()
        if not any(
            other != path and other.startswith(path.rstrip("/") + "/") and size == of_other
            for other, of_other in sizes.items()
        )
    ]
    rows = sorted(telling, key=lambda row: (-row[0], row[1]))[:count]
    return "\n".join(f"{size:>12} {numbers[path]:>6} files  {path}" for size, path in rows)
