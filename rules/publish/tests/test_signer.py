"""What is attached already is not attached again, and what cannot be is not looked for."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from rules.publish.cosign import SPDX, Cosign
from rules.publish.error import PublishError
from rules.publish.signer import Signer

DIGEST = f"sha256:{'1' * 64}"
REFERENCE = f"host/name@{DIGEST}"
MINE, OTHER = Path("mine.pub"), Path("other.pub")


class Registry:
    """Stands in for cosign: what each key has attached, and what was asked."""

    def __init__(self, *keys: Path, predicate: object = None) -> None:
        self._keys = keys
        self._predicate = predicate
        self.asked = 0
        self.added: list[str] = []

    def signed(self, key: Path, reference: str) -> None:
        self.asked += 1
        if key not in self._keys:
            raise PublishError(f"{reference} is not signed by {key}")

    def attested(self, key: Path, reference: str, kind: str) -> list[Any]:
        self.signed(key, f"{reference} {kind}")
        return [{"predicate": self._predicate}]

    def sign(self, key: str, reference: str) -> None:
        self.added.append(f"{key} {reference}")

    def attest(self, key: str, reference: str, kind: str, predicate: Path) -> None:
        self.added.append(f"{key} {reference} {kind} {predicate.name}")


@pytest.fixture
def predicate(tmp_path: Path) -> Path:
    file = tmp_path / "spdx.json"
    file.write_text(json.dumps({"name": "image"}))
    return file


def signer(registry: Registry, *new: str) -> Signer:
    return Signer(cast("Cosign", registry), "mine.key", MINE, new)


def test_what_the_key_has_attached_is_not_attached_again(predicate: Path) -> None:
    registry = Registry(MINE, predicate={"name": "image"})
    signer(registry).sign(REFERENCE)
    signer(registry).attest(REFERENCE, SPDX, predicate)
    assert registry.added == []


def test_what_another_key_has_attached_does_not_count(predicate: Path) -> None:
    registry = Registry(OTHER, predicate={"name": "image"})
    signer(registry).sign(REFERENCE)
    signer(registry).attest(REFERENCE, SPDX, predicate)
    assert registry.added == [
        f"mine.key {REFERENCE}",
        f"mine.key {REFERENCE} {SPDX} spdx.json",
    ]


def test_another_predicate_of_the_same_kind_does_not_count(predicate: Path) -> None:
    registry = Registry(MINE, predicate={"name": "older"})
    signer(registry).attest(REFERENCE, SPDX, predicate)
    assert registry.added == [f"mine.key {REFERENCE} {SPDX} spdx.json"]


def test_nothing_is_looked_for_at_what_was_not_there_before(predicate: Path) -> None:
    registry = Registry()
    signer(registry, DIGEST).sign(REFERENCE)
    signer(registry, DIGEST).attest(REFERENCE, SPDX, predicate)
    assert len(registry.added) == 2
    assert registry.asked == 0


def test_what_is_new_says_nothing_of_what_was_there() -> None:
    registry = Registry(MINE)
    signer(registry, f"sha256:{'2' * 64}").sign(REFERENCE)
    assert (registry.asked, registry.added) == (1, [])
