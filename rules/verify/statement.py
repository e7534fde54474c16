"""What a rebuild proved, as an in-toto statement, for others to sign and attach."""

from collections.abc import Mapping, Sequence

from rules.provenance.statement import provenance, resource, text
from rules.verify.checkout import Sources

__all__ = ["REBUILD", "statement", "text"]

REBUILD = "urn:bazel:rebuild:v1"


def statement(
    name: str, digest: str, sources: Sources, target: str, options: Sequence[str]
) -> Mapping[str, object]:
    """The statement for an image of this digest, rebuilt from these sources."""
    locks = [resource(path, f"sha256:{value}") for path, value in sources.locks.items()]
    return provenance(
        subjects=[resource(name, digest)],
        build_type=REBUILD,
        target=target,
        options=options,
        dependencies=[resource("sources", f"gitCommit:{sources.revision}"), *locks],
        builder={"id": REBUILD},
    )
