"""What cosign is asked, and what is made of its answers (the real one: //tests/supply_chain)."""

import base64
import json
from pathlib import Path

import pytest

from rules.publish.cosign import SPDX, check_key, cosign, describes
from rules.publish.error import PublishError

PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" >> {folder}/asked
cat {folder}/answer
cat {folder}/complaint >&2
test ! -s {folder}/complaint
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    script = tmp_path / "cosign"
    script.write_text(PROGRAM.format(folder=tmp_path))
    script.chmod(0o755)
    (tmp_path / "answer").write_text("")
    (tmp_path / "complaint").write_text("")
    return str(script)


def test_signing_names_an_empty_configuration_and_an_empty_root(
    program: str, tmp_path: Path
) -> None:
    with cosign(program, insecure=False) as found:
        found.sign("kms://key", "host/name@sha256:0")
        options = (tmp_path / "asked").read_text().split()
        texts = {
            name: json.loads(Path(path).read_text())
            for name, _, path in (each.partition("=") for each in options)
            if name in {"--signing-config", "--trusted-root"}
        }

    assert options[:3] == ["sign", "--yes", "--key=kms://key"]
    assert options[-1] == "host/name@sha256:0"
    assert texts["--signing-config"].keys() == {"mediaType", "rekorTlogConfig", "tsaConfig"}
    assert texts["--trusted-root"].keys() == {"mediaType"}


def test_statements_are_taken_out_of_their_envelopes(program: str, tmp_path: Path) -> None:
    payload = base64.b64encode(json.dumps({"predicate": 1}).encode()).decode()
    (tmp_path / "answer").write_text(f'Verified\n{{"payload": "{payload}"}}\n')

    with cosign(program, insecure=True) as found:
        assert found.attested(tmp_path / "key.pub", "host/name", SPDX) == [{"predicate": 1}]
    assert "--allow-http-registry" in (tmp_path / "asked").read_text()


def test_a_program_is_named_from_where_the_person_is(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    for name in ("cosign", "./cosign", program):
        with cosign(name, insecure=False, base=tmp_path) as found:
            found.sign("kms://key", "host/name@sha256:0")


def test_a_program_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a program")

    for name in ("text", "nowhere"):
        with (
            pytest.raises(PublishError, match=f"--cosign: expected a program.*{tmp_path}/{name}$"),
            cosign(name, insecure=False, base=tmp_path),
        ):
            pass


def test_a_failure_has_cosigns_reason(program: str, tmp_path: Path) -> None:
    (tmp_path / "complaint").write_text("WARNING: skipping\nError: no matching signatures\nmore\n")

    with (
        cosign(program, insecure=False) as found,
        pytest.raises(PublishError, match=r"is not signed by .*key\.pub: no matching signatures$"),
    ):
        found.signed(tmp_path / "key.pub", "host/name@sha256:0")


def test_a_key_that_only_its_owner_may_read_is_fine(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)

    check_key(str(key))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "key"
    key.touch()
    key.chmod(mode)

    with pytest.raises(PublishError, match=f"has mode {mode:04o}.*chmod 600"):
        check_key(str(key))


def test_a_document_describes_the_image_that_its_checksum_names() -> None:
    checksum = {"algorithm": "SHA256", "checksumValue": "ab"}
    image = {"SPDXID": "SPDXRef-Image", "checksums": [checksum]}
    other = {"SPDXID": "SPDXRef-Package-x", "checksums": [checksum]}

    assert describes({"packages": [other, image]}, "sha256:ab")
    assert not describes({"packages": [image]}, "sha256:cd")
    assert not describes({"packages": [other]}, "sha256:ab")
    assert not describes({}, "sha256:ab")
