"""In-toto statements about images (Attestation Framework, Statement v1, SLSA provenance v1).

They hold no time, user or host: two who build the same write the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"

# A ResourceDescriptor of the framework.
Resource = Mapping[str, object]


def resource(name: str, digest: str, uri: str = "") -> Resource:
    """A thing by its digest, ALGORITHM:VALUE."""
    algorithm, _, value = digest.partition(":")
    found: dict[str, object] = {"name": name, "digest": {algorithm: value}}
    return found | {"uri": uri} if uri else found


def provenance(
    *,
    subjects: Iterable[Resource],
    build_type: str,
    target: str,
    options: Sequence[str],
    dependencies: Iterable[Resource],
    builder: Mapping[str, object],
    byproducts: Iterable[Resource] = (),
) -> Mapping[str, object]:
    """The statement of how subjects came to be: Bazel built a target with options."""
    details: dict[str, object] = {"builder": dict(builder)}
    if made := list(byproducts):
        details["byproducts"] = made
    return {
        "_type": STATEMENT,
        "subject": list(subjects),
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": {"target": target, "options": list(options)},
                "resolvedDependencies": list(dependencies),
            },
            "runDetails": details,
        },
    }


def text(value: Mapping[str, object]) -> str:
    """The statement as a file holds it."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
