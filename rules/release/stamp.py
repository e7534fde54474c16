"""Writes what an image says of its origin, as files: labels, annotations, variables, creation.

`oci_image` and `oci_image_index` take such files: KEY=VALUE lines, and a time without a newline.
Names are those of the OCI image-spec, annotations.md.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

_KEYS = {
    "STABLE_CREATED": "org.opencontainers.image.created",
    "STABLE_REVISION": "org.opencontainers.image.revision",
    "STABLE_VERSION": "org.opencontainers.image.version",
}
_SOURCE = "org.opencontainers.image.source"
# What the service shows in its metrics (serving/watch/settings.py).
_VARIABLE = "REVISION"


class StampError(Exception):
    """The status has not what a stamp is made of."""


def stamps(status: str, source: str) -> Mapping[str, str]:
    """Annotations of what Bazel's stable status says; raises `StampError` where it lacks a key."""
    said = dict(line.partition(" ")[::2] for line in status.splitlines())
    missing = [key for key in _KEYS if not said.get(key)]
    if missing:
        raise StampError(
            f"expected {', '.join(missing)} in Bazel's workspace status, got none: --stamp alone "
            "does not say what is built; use --config=release"
        )
    found = {name: said[key] for key, name in _KEYS.items()}
    if source:
        found[_SOURCE] = source
    return dict(sorted(found.items()))


def lines(pairs: Mapping[str, str]) -> str:
    """KEY=VALUE lines; raises `StampError` for a value that takes more than one."""
    for key, value in pairs.items():
        if "\n" in value:
            raise StampError(f"{key}: expected one line, got {value!r}")
    return "".join(f"{key}={value}\n" for key, value in pairs.items())


def main() -> int:
    """Writes the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--label", action="append", default=[], help="JSON: a key and its value")
    parser.add_argument(
        "--variable", action="append", default=[], help="JSON: a name and its value"
    )
    parser.add_argument("--source", default="", help="URL of the sources")
    parser.add_argument("--status", type=Path, help="Bazel's stable status; no stamps without")
    parser.add_argument("--labels", type=Path, required=True, help="file to write")
    parser.add_argument("--annotations", type=Path, required=True, help="file to write")
    parser.add_argument("--environment", type=Path, required=True, help="file to write")
    parser.add_argument("--created", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    fixed = dict(json.loads(label) for label in options.label)
    variables = dict(json.loads(variable) for variable in options.variable)
    try:
        found = stamps(options.status.read_text(), options.source) if options.status else {}
        if found:
            variables[_VARIABLE] = found[_KEYS["STABLE_REVISION"]]
        options.environment.write_text(lines(variables))
        options.labels.write_text(lines({**fixed, **found}))
        options.annotations.write_text(lines(found))
    except StampError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    options.created.write_text(found.get(_KEYS["STABLE_CREATED"], "1970-01-01T00:00:00Z"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
