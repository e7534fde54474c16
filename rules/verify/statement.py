"""What a rebuild proved, as an in-toto statement: signed and attached by `rebuilders`.

Its predicate is that of SLSA provenance v1. It has a type of its own, so that nobody who asks for
the provenance is given what a rebuilder said, or the other way round.
"""

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
    made = provenance(
        subjects=[resource(name, digest)],
        build_type=REBUILD,
        target=target,
        options=options,
        dependencies=[resource("sources", f"gitCommit:{sources.revision}"), *locks],
        builder={"id": REBUILD},
    )
    return {**made, "predicateType": REBUILD}
