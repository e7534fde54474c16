"""What a rebuild proved, as an in-toto statement, for others to sign and attach.

In-toto Attestation Framework, Statement v1, with SLSA's provenance v1 as predicate. It holds no
time, user or host: two who rebuild the same write the same.
"""

import json
from collections.abc import Mapping, Sequence

from rules.verify.checkout import Sources

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"
_BUILD = "urn:bazel:rebuild:v1"


def statement(
    name: str, digest: str, sources: Sources, target: str, options: Sequence[str]
) -> Mapping[str, object]:
    """The statement for an image of this digest, rebuilt from these sources."""
    algorithm, _, encoded = digest.partition(":")
    locks = [{"name": path, "digest": {"sha256": value}} for path, value in sources.locks.items()]
    commit = {"name": "sources", "digest": {"gitCommit": sources.revision}}
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {algorithm: encoded}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD,
                "externalParameters": {"target": target, "options": list(options)},
                "resolvedDependencies": [commit, *locks],
            },
            "runDetails": {"builder": {"id": _BUILD}},
        },
    }


def text(value: Mapping[str, object]) -> str:
    """The statement as a file holds it."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
