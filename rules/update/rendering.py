"""What an update changes, as a table in Markdown and as JSON."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from rules.update.change import Change
from rules.update.comparison import Difference
from rules.update.locks import Lock

# How many paths a table shows; the JSON has all.
_SHOWN = 20
_NONE = "nothing"


def table(locks: Sequence[Lock], differences: Mapping[str, Difference]) -> str:
    """For people, and for the text of a pull request."""
    lines = []
    for lock in locks:
        if lock.changes:
            lines += [f"## {lock.path}", "", *_rows(lock.changes), ""]
    if not lines:
        return "Nothing is behind: what was looked for is as new as in Debian and the index.\n"
    for architecture, difference in differences.items():
        lines += [f"## Image for {architecture}", "", *_image(difference)]
    return "\n".join(lines).rstrip() + "\n"


def _rows(changes: Sequence[Change]) -> list[str]:
    return [
        "| Package | Old | New |",
        "| --- | --- | --- |",
        *(f"| {each.name} | {each.old or '-'} | {each.new or '-'} |" for each in changes),
    ]


def _image(difference: Difference) -> list[str]:
    lines = []
    if difference.sizes:
        lines += ["| Layer | Old bytes | New bytes | Difference |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {layer} | {old} | {new} | {new - old:+d} |"
            for layer, (old, new) in difference.sizes.items()
        ]
        lines.append("")
    packages = ", ".join(map(str, difference.packages)) or _NONE
    lines += [f"- packages: {packages}", f"- files that change: {len(difference.changed)}"]
    for title, values in (
        ("files that appear", difference.appeared),
        ("files that go", difference.gone),
        ("advisories fixed", difference.fixed),
        ("advisories that are new", difference.new_advisories),
        ("licences changed", tuple(map(str, difference.licences))),
    ):
        more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
        lines.append(f"- {title}: {', '.join(values[:_SHOWN]) or _NONE}{more}")
    return [*lines, ""]


def as_json(locks: Sequence[Lock], differences: Mapping[str, Difference]) -> str:
    """For programs."""
    return (
        json.dumps(
            {
                "locks": {
                    lock.path: [dataclasses.asdict(each) for each in lock.changes] for lock in locks
                },
                "images": {
                    architecture: dataclasses.asdict(each)
                    for architecture, each in differences.items()
                },
            },
            indent=2,
        )
        + "\n"
    )
