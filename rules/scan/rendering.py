"""Findings as a table, JSON, SARIF 2.1.0 and OpenVEX 0.2.0."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from rules.scan.findings import Finding
from rules.scan.scan import Scan

_LEVELS = {"critical": "error", "high": "error", "medium": "warning"}


def table(scan: Scan) -> str:
    """For people."""
    head = (
        f"{scan.packages} packages of {scan.image} held against {scan.advisories} advisories, the "
        f"newest of {scan.newest:%Y-%m-%d} ({scan.age} days old); {scan.others} components that "
        "packages have built in were not."
    )
    rows = [
        (
            finding.package.name,
            finding.package.version,
            finding.name,
            finding.rating if finding.score is None else f"{finding.rating} {finding.score}",
            finding.fixed or "no fix",
            f"ignored: {finding.ignore.reason}" if finding.ignore else finding.summary,
        )
        for finding in scan.findings
    ]
    titles = ("PACKAGE", "VERSION", "ADVISORY", "SEVERITY", "FIXED IN", "ABOUT")
    lines = [head, *_columns(titles, rows)] if rows else [head, "No advisory is about any of them."]
    if scan.newer:
        lines += ["", *_columns(("PACKAGE", "VERSION", "NEWER"), sorted(set(scan.newer)))]
    elif scan.newer is not None:
        lines.append("Neither Debian's suites nor the index have a newer version of any.")
    return "\n".join([*lines, ""])


def _columns(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]


def as_json(scan: Scan) -> str:
    """For programs."""
    return _json(
        {
            "image": scan.image,
            "packages": scan.packages,
            "not_scanned": scan.others,
            "advisories": {
                "count": scan.advisories,
                "newest": scan.newest.isoformat(),
                "age_days": scan.age,
            },
            "findings": [
                {
                    "package": finding.package.name,
                    "version": finding.package.version,
                    "purl": finding.package.purl,
                    "advisory": finding.name,
                    "aliases": [name for name in finding.names if name != finding.name],
                    "severity": finding.rating,
                    "score": finding.score,
                    "fixed": finding.fixed or None,
                    "summary": finding.summary,
                    "ignored": finding.ignore.reason if finding.ignore else None,
                }
                for finding in scan.findings
            ],
            "newer": None
            if scan.newer is None
            else [
                {"package": name, "version": version, "newer": newer}
                for name, version, newer in sorted(set(scan.newer))
            ],
        }
    )


def sarif(scan: Scan) -> str:
    """For code scanning."""
    first = {finding.name: finding for finding in reversed(scan.findings)}
    return _json(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {"name": "//rules/scan", "rules": [*map(_rule, first.values())]}
                    },
                    "results": [_result(scan, finding) for finding in scan.findings],
                }
            ],
        }
    )


def _rule(finding: Finding) -> Mapping[str, object]:
    properties = {} if finding.score is None else {"security-severity": str(finding.score)}
    return {
        "id": finding.name,
        "shortDescription": {"text": finding.summary or finding.name},
        "properties": properties,
    }


def _result(scan: Scan, finding: Finding) -> Mapping[str, object]:
    fix = f"fixed in {finding.fixed}" if finding.fixed else "without a fix"
    result: dict[str, object] = {
        "ruleId": finding.name,
        "level": _LEVELS.get(finding.rating, "note"),
        "message": {
            "text": f"{finding.package.name} {finding.package.version}: {finding.name}, {fix}"
        },
        "locations": [
            {
                "logicalLocations": [{"fullyQualifiedName": finding.package.purl}],
                "physicalLocation": {"artifactLocation": {"uri": scan.image}},
            }
        ],
        "partialFingerprints": {
            "finding/v1": hashlib.sha256(
                f"{finding.package.name} {finding.name}".encode()
            ).hexdigest()
        },
    }
    if finding.ignore:
        result["suppressions"] = [{"kind": "external", "justification": finding.ignore.reason}]
    return result


def openvex(scan: Scan) -> str:
    """What is ignored, as statements that other scanners read."""
    statements = [
        {
            "vulnerability": {
                "name": finding.name,
                "aliases": [name for name in finding.names if name != finding.name],
            },
            "products": [{"@id": finding.package.purl}],
            "status": "not_affected",
            "justification": finding.ignore.justification,
            "impact_statement": finding.ignore.reason,
        }
        for finding in scan.findings
        if finding.ignore
    ]
    digest = hashlib.sha256(json.dumps(statements, sort_keys=True).encode()).hexdigest()
    return _json(
        {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": f"urn:sha256:{digest}",
            "author": scan.image,
            "timestamp": scan.now.isoformat(),
            "version": 1,
            "statements": statements,
        }
    )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2) + "\n"
