"""Tests of an image as container-structure-test v2 has them: YAML or JSON files.

https://github.com/GoogleContainerTools/container-structure-test#readme says what each key means.
What differs: an unknown key is an error; `licenseTests`, `privileged` and `allocateTty` are not
offered; commands run confined, on a read-only root file system unless there is a `setup`; regular
expressions are Python's, which lack POSIX classes such as `[[:alpha:]]`.
"""

import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from tests.oci.filesystem import DIRECTORY, SYMLINK, Entry, Filesystem
from tests.oci.layout import Configuration

_POSIX_CLASS = re.compile(r"\[\[:\^?[a-z]+:")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_EXECUTABLE_BY = {"owner": 0o100, "group": 0o010, "other": 0o001, "any": 0o111}


class SpecificationError(Exception):
    """A file is no specification; the text has a line for each thing that is wrong with it."""


def _pattern(text: str) -> str:
    if _POSIX_CLASS.search(text):
        raise ValueError("POSIX classes such as [[:alpha:]] are not known; use \\w, \\d, \\s")
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
Command = Annotated[list[str], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True, frozen=True)


class Pair(_Model):
    """A variable or a label; `value` is a regular expression with `is_regex`."""

    key: Name
    value: str
    is_regex: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.is_regex:
            _pattern(self.value)
        return self

    def problem(self, what: str, found: Mapping[str, str]) -> Iterator[str]:
        """Says how what was found differs."""
        value = found.get(self.key)
        if value is None:
            yield f"{what} {self.key}: is not set"
        elif self.is_regex and not re.search(self.value, value):
            yield f"{what} {self.key}: expected a match of {self.value!r}, got {value!r}"
        elif not self.is_regex and self.value != value:
            yield f"{what} {self.key}: expected {self.value!r}, got {value!r}"


class Key(_Model):
    """A variable, whatever its value."""

    key: Name
    value: str = ""


class CommandTest(_Model):
    """A command is run, and its output and exit code are as expected."""

    name: Name
    setup: list[Command] = []
    teardown: list[Command] = []
    env_vars: list[Pair] = []
    exit_code: int = 0
    command: Name
    args: list[str] = []
    expected_output: list[Pattern] = []
    excluded_output: list[Pattern] = []
    expected_error: list[Pattern] = []
    excluded_error: list[Pattern] = []

    def problems(self, code: int, output: str, error: str) -> Iterator[str]:
        """Says how what the command did differs from what is expected."""
        if code != self.exit_code:
            yield f"expected exit code {self.exit_code}, got {code}"
        yield from _matches("output", output, self.expected_output, self.excluded_output)
        yield from _matches("error", error, self.expected_error, self.excluded_error)


class FileExistenceTest(_Model):
    """A path is there or not, with its owner and mode as Go prints it ("drwxr-xr-x")."""

    name: Name
    path: Name
    should_exist: bool = True
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None
    is_executable_by: Literal["", "owner", "group", "other", "any"] = ""

    def problems(self, files: Filesystem, environment: Mapping[str, str]) -> Iterator[str]:
        """Says what is wrong with the path; a link is not followed."""
        path = substituted(self.path, environment)
        entry = _itself(files, path)
        if entry is None or not self.should_exist:
            if (entry is not None) != self.should_exist:
                yield f"{path}: {'exists' if entry else 'does not exist'}"
            return
        if self.permissions and (mode := permissions(entry)) != self.permissions:
            yield f"{path}: expected permissions {self.permissions}, got {mode}"
        for what, expected, owner in (("uid", self.uid, entry.uid), ("gid", self.gid, entry.gid)):
            if expected is not None and expected != owner:
                yield f"{path}: expected {what} {expected}, got {owner}"
        if self.is_executable_by and not entry.mode & _EXECUTABLE_BY[self.is_executable_by]:
            yield (
                f"{path}: expected to be executable by {self.is_executable_by}, "
                f"got {permissions(entry)}"
            )


class FileContentTest(_Model):
    """A file's content matches, and does not match, regular expressions."""

    name: Name
    path: Name
    expected_contents: list[Pattern] = []
    excluded_contents: list[Pattern] = []

    def problems(self, files: Filesystem, environment: Mapping[str, str]) -> Iterator[str]:
        """Says what is wrong with the content; a link is followed."""
        path = substituted(self.path, environment)
        entry = files.resolve(path)
        if entry is None or entry.kind == DIRECTORY:
            yield f"{path}: {'is a directory' if entry else 'does not exist'}"
            return
        text = entry.content.decode(errors="replace")
        yield from _matches(path, text, self.expected_contents, self.excluded_contents)


class MetadataTest(_Model):
    """What the image's configuration says; what is not named is not looked at."""

    env_vars: list[Pair] = Field(default=[], alias="envVars")
    env: list[Pair] = Field(default=[], description="the former name of envVars")
    unbound_env_vars: list[Key] = []
    labels: list[Pair] = []
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    exposed_ports: list[str] = []
    unexposed_ports: list[str] = []
    volumes: list[str] = []
    unmounted_volumes: list[str] = []
    workdir: str = ""
    user: str = ""

    def problems(self, image: Configuration) -> Iterator[str]:
        """Says how the configuration differs from what is expected."""
        for pair in [*self.env_vars, *self.env]:
            yield from pair.problem("variable", image.environment)
        for key in self.unbound_env_vars:
            if key.key in image.environment:
                yield f"variable {key.key}: expected none, got {image.environment[key.key]!r}"
        for pair in self.labels:
            yield from pair.problem("label", image.labels)
        for what, expected, found in (
            ("entrypoint", self.entrypoint, image.entrypoint),
            ("cmd", self.cmd, image.command),
            ("workdir", self.workdir or None, image.working_directory),
            ("user", self.user or None, image.user),
        ):
            if expected is not None and expected != found:
                yield f"{what}: expected {expected!r}, got {found!r}"
        ports = {name for port in image.exposed_ports for name in (port, port.partition("/")[0])}
        yield from _listed("port", self.exposed_ports, self.unexposed_ports, ports)
        yield from _listed("volume", self.volumes, self.unmounted_volumes, set(image.volumes))


class RunOptions(_Model):
    """How commands run: another user ("UID:GID"), more capabilities, mounts, variables."""

    user: Annotated[str, Field(pattern=r"^\d+:\d+$")] = ""
    capabilities: list[Name] = []
    bind_mounts: list[Annotated[str, Field(pattern=r"^/[^:]+:/[^:]+$")]] = []
    env_vars: list[Name] = []


class Specification(_Model):
    """One file."""

    schema_version: Literal["2.0.0"]
    global_env_vars: list[Pair] = []
    command_tests: list[CommandTest] = []
    file_existence_tests: list[FileExistenceTest] = []
    file_content_tests: list[FileContentTest] = []
    metadata_test: MetadataTest | None = None
    container_run_options: RunOptions = RunOptions()


def read(file: Path) -> Specification:
    """Reads a file; raises `SpecificationError` naming the file and each key that is wrong."""
    try:
        content: Any = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecificationError(f"{file}: is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise SpecificationError(f"{file}: expected keys such as schemaVersion, got {content!r}")
    try:
        return Specification.model_validate(content)
    except ValidationError as error:
        lines = [f"{file}: {_problem(detail)}" for detail in error.errors()]
        raise SpecificationError("\n".join(lines)) from None


def _problem(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{where}: is not a key that is known here"
    if detail["type"] == "missing":
        return f"{where}: is missing"
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}; got {detail['input']!r}"


def substituted(text: str, environment: Mapping[str, str]) -> str:
    """A text with `$NAME` and `${NAME}` replaced; a variable that is not set is empty."""
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], ""), text)


def permissions(entry: Entry) -> str:
    """A mode as Go's `FileMode.String` has it, which is not as `ls` has it."""
    kind = {DIRECTORY: "d", SYMLINK: "L"}.get(entry.kind, "")
    special = "".join(
        letter
        for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))
        if entry.mode & bit
    )
    bits = "".join(
        letter if entry.mode & 1 << 8 - place else "-" for place, letter in enumerate("rwx" * 3)
    )
    return (kind + special or "-") + bits


def _itself(files: Filesystem, path: str) -> Entry | None:
    folder, name = posixpath.split(posixpath.normpath(path))
    parent = files.resolve(folder)
    if parent is None or not name:
        return parent
    return files.get(posixpath.join(parent.path, name)) or files.resolve(
        posixpath.join(parent.path, name)
    )


def _matches(
    what: str, text: str, expected: Sequence[str], excluded: Sequence[str]
) -> Iterator[str]:
    for pattern in expected:
        if not re.search(pattern, text):
            yield f"{what}: expected a match of {pattern!r}, got {text!r}"
    for pattern in excluded:
        if found := re.search(pattern, text):
            yield f"{what}: expected no match of {pattern!r}, got {found[0]!r}"


def _listed(
    what: str, expected: Sequence[str], excluded: Sequence[str], found: set[str]
) -> Iterator[str]:
    for name in expected:
        if name not in found:
            yield f"{what} {name}: expected, got only {', '.join(sorted(found)) or 'none'}"
    for name in excluded:
        if name in found:
            yield f"{what} {name}: not expected"
