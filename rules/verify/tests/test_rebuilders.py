"""Which keys count, and that what was attached is there."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from rules.publish.error import PublishError
from rules.verify.kept import Kept
from rules.verify.rebuilders import agreement, attest, different
from rules.verify.statement import REBUILD

DIGEST = f"sha256:{'1' * 64}"
OTHER = f"sha256:{'2' * 64}"


def public(file: Path, content: bytes, *, width: int = 64) -> Path:
    body = base64.b64encode(content).decode()
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    text = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])
    file.write_text(text)
    return file


def said(revision: object, digest: str = DIGEST, kind: str = REBUILD) -> dict[str, Any]:
    """A statement that a commit builds a digest."""
    source = {"name": "sources", "digest": {"gitCommit": revision}}
    return {
        "predicateType": kind,
        "subject": [{"name": "x", "digest": {"sha256": digest[7:]}}],
        "predicate": {"buildDefinition": {"resolvedDependencies": [source]}},
    }


class Signed:
    """What each key has signed of a digest."""

    def __init__(self, statements: Mapping[str, list[Any]] | None = None) -> None:
        self._statements = {name: list(found) for name, found in (statements or {}).items()}
        self.attempts = 0
        self.lost = False

    def attested(self, key: Path, reference: str) -> list[Any]:
        assert reference == f"host/name@{DIGEST}"
        if key.stem not in self._statements:
            raise PublishError(
                f"{DIGEST} has no attestation {REBUILD} signed by {key}: no matching attestations"
            )
        return self._statements[key.stem]

    def attest(self, key: str, public: Path, reference: str, statement: object) -> None:
        assert (Path(key).stem, reference) == (public.stem, f"host/name@{DIGEST}")
        self.attempts += 1
        if not self.lost:
            self._statements.setdefault(public.stem, []).append(statement)


def count(
    tmp_path: Path, statements: Mapping[str, list[Any]], revision: str = ""
) -> tuple[str, list[str], dict[str, str]]:
    keys = [tmp_path / f"{name}.pub" for name in "abc"]
    program = cast("Kept", Signed(statements))
    found = agreement(program, "host/name", DIGEST, keys, revision)
    others = {key.stem: reason for key, reason in found.others.items()}
    return found.revision, [key.stem for key in found.agreeing], others


def test_those_who_name_the_same_commit_agree(tmp_path: Path) -> None:
    revision, agreeing, others = count(tmp_path, {"a": [said("one")], "b": [said("one")]})
    assert (revision, agreeing) == ("one", ["a", "b"])
    assert others == {"c": "has signed no rebuild of this digest (no matching attestations)"}


def test_another_commit_does_not_count_and_is_named(tmp_path: Path) -> None:
    signed = {"a": [said("one")], "b": [said("one")], "c": [said("two")]}
    revision, agreeing, others = count(tmp_path, signed)
    assert (revision, agreeing) == ("one", ["a", "b"])
    assert others == {"c": "has signed a rebuild of another revision: two"}


def test_the_commit_that_the_image_states_is_the_only_one_that_counts(tmp_path: Path) -> None:
    signed = {"a": [said("one")], "b": [said("one")], "c": [said("two")]}
    revision, agreeing, others = count(tmp_path, signed, "two")
    assert (revision, agreeing) == ("two", ["c"])
    assert others.keys() == {"a", "b"}


def test_a_key_counts_once_however_often_it_signed(tmp_path: Path) -> None:
    signed = {"a": [said("one"), said("one"), said("two")], "b": [said("two")]}
    assert count(tmp_path, signed)[:2] == ("two", ["a", "b"])
    assert count(tmp_path, signed, "one")[:2] == ("one", ["a"])


@pytest.mark.parametrize(
    "statement",
    [
        said("one", digest=OTHER),
        said("one", kind="https://slsa.dev/provenance/v1"),
        said(7),
        said(""),
        {"predicateType": REBUILD, "subject": said("one")["subject"], "predicate": {}},
        {"predicateType": REBUILD, "subject": said("one")["subject"], "predicate": None},
        {"predicateType": REBUILD},
        {},
    ],
    ids=[
        "another digest", "provenance", "no text", "no commit", "empty", "null", "no subject",
        "nothing",
    ],
)  # fmt: skip
def test_what_says_something_else_does_not_count(tmp_path: Path, statement: Any) -> None:
    revision, agreeing, others = count(tmp_path, {"a": [statement]})
    assert (revision, agreeing) == ("", [])
    assert others["a"] == "has signed a rebuild of another revision: no revision"


def test_a_statement_that_names_two_commits_names_none(tmp_path: Path) -> None:
    both = said("one")
    both["predicate"]["buildDefinition"]["resolvedDependencies"] *= 2
    assert count(tmp_path, {"a": [both]}, "one")[1] == []


def test_of_two_commits_named_equally_often_it_is_always_the_same(tmp_path: Path) -> None:
    one, two = said("one"), said("two")
    assert count(tmp_path, {"a": [one], "b": [two]})[:2] == ("one", ["a"])
    assert count(tmp_path, {"a": [two], "b": [one]})[:2] == ("one", ["b"])


def test_one_key_in_two_files_is_one_key(tmp_path: Path) -> None:
    first = public(tmp_path / "first.pub", b"key" * 30)
    again = public(tmp_path / "again.pub", b"key" * 30, width=76)
    other = public(tmp_path / "other.pub", b"yek" * 30)
    assert different([first, again, other, first]) == [first, other]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected one public key"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "expected one public key"),
        ("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n", "expected one public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "expected one public key"),
        ("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n", "this is a private one"),
    ],
    ids=["empty", "no key", "no base64", "torn", "private"],
)
def test_what_is_no_public_key_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.pub").write_text(text)
    with pytest.raises(PublishError, match=rf"a\.pub: .*{reason}"):
        different([tmp_path / "a.pub"])


def test_two_keys_in_one_file_are_refused(tmp_path: Path) -> None:
    file = public(tmp_path / "a.pub", b"key")
    file.write_text(file.read_text() * 2)
    with pytest.raises(PublishError, match="expected one public key"):
        different([file])


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"a\.pub: no such public key"):
        different([tmp_path / "a.pub"])


def attached(program: Signed) -> bool:
    name = f"host/name@{DIGEST}"
    return attest(cast("Kept", program), "a.key", Path("a.pub"), name, said("one"))


def test_what_was_said_before_is_not_said_again() -> None:
    program = Signed()
    assert attached(program)
    assert not attached(program)
    assert program.attempts == 1


def test_what_a_registry_never_shows_is_an_error() -> None:
    program = Signed()
    program.lost = True
    with pytest.raises(PublishError, match="took the statement and does not show it"):
        attached(program)
