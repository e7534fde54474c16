"""Signs what was pushed, and attaches to it what is not attached already."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rules.publish.cosign import Cosign
from rules.publish.error import PublishError


@dataclass(frozen=True)
class Signer:
    """What one key attaches: a second push adds nothing to the first.

    Attributes:
        cosign: the program.
        key: the private key, or the URI of a KMS.
        public: its public half: what another key has signed does not count.
        new: digests of what was not there before, so that cosign need not look.
    """

    cosign: Cosign
    key: str
    public: Path
    new: Collection[str]

    def sign(self, reference: str) -> None:
        """Signs an image or index, REPOSITORY@DIGEST."""
        if self._is_new(reference) or not self._signed(reference):
            self.cosign.sign(self.key, reference)

    def attest(self, reference: str, kind: str, predicate: Path) -> None:
        """Signs a predicate about an image or index, REPOSITORY@DIGEST."""
        if self._is_new(reference) or not self._attested(reference, kind, predicate):
            self.cosign.attest(self.key, reference, kind, predicate)

    def _is_new(self, reference: str) -> bool:
        return reference.partition("@")[2] in self.new

    def _signed(self, reference: str) -> bool:
        try:
            self.cosign.signed(self.public, reference)
        except PublishError:
            return False
        return True

    def _attested(self, reference: str, kind: str, predicate: Path) -> bool:
        try:
            there = self.cosign.attested(self.public, reference, kind)
        except PublishError:
            return False
        wanted = json.loads(predicate.read_bytes())
        return any(each["predicate"] == wanted for each in there)
