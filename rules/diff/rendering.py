"""A report as text, as JSON, and as one page of HTML that needs nothing else."""

import html
import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rules.diff.difference import Difference, Report, Side

# Of one kind in one place: more are counted.
_FEW = 3


def text(report: Report, *, everything: bool = False) -> str:
    """What a person reads: differences by place, repetitions counted unless all are wanted."""
    lines = [f"A  {_shown(report.left)}", f"B  {_shown(report.right)}"]
    lines += [f"Note: {note}." for note in report.notes]
    if report.same:
        return "\n".join([*map(printable, lines), "The same.", ""])
    for where, group in groupby(report.differences, key=_heading):
        lines += ["", " > ".join(where) or "index"]
        for kind in _kinds(list(group), everything=everything):
            lines += [f"  {line}" for line in kind]
    lines += ["", *_conclusion(report), ""]
    return "\n".join(map(printable, lines))


def printable(line: str) -> str:
    r"""A line as a terminal may be given it: an image's maker names its files as he likes.

    >>> printable("/caf\udce9 \x1b[31mred")
    '/caf\\udce9 \\x1b[31mred'
    """
    return "".join(
        each if each.isprintable() or each == "\t" else repr(each)[1:-1] for each in line
    )


def _shown(side: Side) -> str:
    return f"{side.name}  {side.digest}  ({side.kind})"


def _heading(difference: Difference) -> tuple[str, ...]:
    """The part of a place that is written once: down to the layer or the document."""
    where = difference.where
    paths = [number for number, part in enumerate(where) if part.startswith("/")]
    if paths:
        return where[: paths[0]]
    documents = {"manifest", "config", "index"}
    return where[:-1] if difference.level in documents and len(where) > 2 else where


def _kinds(group: Sequence[Difference], *, everything: bool) -> Iterator[list[str]]:
    kinds: dict[tuple[str, str], list[Difference]] = {}
    for each in group:
        # The numbers of lines and bytes differ from file to file; the kind is the same.
        kind = each.what if each.level in {"entry", "layer"} else each.level
        key = (kind, each.cause.name if each.cause else "")
        kinds.setdefault(key, []).append(each)
    for (kind, _), several in kinds.items():
        count = len(several) if everything else _FEW
        for each in several[:count]:
            yield _one(each, len(_heading(each)))
        if len(several) > count:
            yield [f"… and {len(several) - count} more of this kind ({kind}); --all shows them"]


def _one(each: Difference, depth: int) -> list[str]:
    place = " > ".join(each.where[depth:])
    lines = [f"{place}: {each.what}" if place else each.what]
    lines += [f"    {line}" for line in each.context if line.startswith("  ")]
    lines += [f"    A  {each.left}", f"    B  {each.right}"]
    lines += [f"    {line}" for line in each.context if not line.startswith("  ")]
    if each.cause:
        lines.append(f"    probably: {each.cause.name}: {each.cause.meaning}")
    return lines


def _conclusion(report: Report) -> Iterator[str]:
    count = len(report.differences)
    yield f"Different: {count} difference{'s' if count > 1 else ''}."
    unexplained = sum(each.cause is None for each in report.differences)
    for each, number in report.causes:
        yield f"  {number:6} {each.name}: {each.remedy}"
    if unexplained:
        yield (
            f"  {unexplained:6} follow no known pattern: look for another source, version or option"
        )


def as_json(report: Report) -> str:
    """Everything, for programs: keys left, right, same, notes, differences, causes."""
    document = {
        "left": _side(report.left),
        "right": _side(report.right),
        "same": report.same,
        "notes": report.notes,
        "causes": {each.name: number for each, number in report.causes},
        "differences": [
            {
                "level": each.level,
                "where": each.where,
                "what": each.what,
                "left": each.left,
                "right": each.right,
                "cause": each.cause.name if each.cause else None,
                "context": each.context,
            }
            for each in report.differences
        ],
    }
    # In ASCII, which holds every name that there can be.
    return json.dumps(document, indent=2) + "\n"


def _side(side: Side) -> dict[str, str]:
    return {"name": side.name, "digest": side.digest, "kind": side.kind}


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
pre, code { font: 13px/1.4 ui-monospace, monospace; white-space: pre-wrap; word-break: break-all }
pre { margin: .2rem 0 .2rem 1rem; padding: .2rem .5rem }
.a { background: #fde8e8 } .b { background: #e3f4e3 } .c { color: #666 }
.cause { margin-left: 1rem; font-style: italic }
@media (prefers-color-scheme: dark) {
  body { background: #16181b; color: #ddd } .a { background: #4a2326 } .b { background: #1f3d27 }
}
"""


def as_html(report: Report) -> str:
    """Everything, as a page that loads nothing from elsewhere and runs no script."""
    verdict = "The same" if report.same else f"{len(report.differences)} differences"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{verdict}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{verdict}</h1>",
        f"<p>A <code>{html.escape(_shown(report.left))}</code><br>",
        f"B <code>{html.escape(_shown(report.right))}</code></p>",
        *(f"<p>Note: {html.escape(note)}.</p>" for note in report.notes),
    ]
    if not report.same:
        parts.append(f"<pre>{html.escape('\n'.join(_conclusion(report)))}</pre>")
    for where, group in groupby(report.differences, key=_heading):
        several = list(group)
        title = html.escape(" > ".join(where) or "index")
        opened = " open" if len(several) <= 20 else ""
        parts.append(f"<details{opened}><summary>{title} ({len(several)})</summary>")
        parts += [_item(each, len(where)) for each in several]
        parts.append("</details>")
    page = "\n".join([*parts, "</body></html>", ""])
    return "\n".join(map(printable, page.split("\n")))


def _item(each: Difference, depth: int) -> str:
    place = " > ".join(each.where[depth:])
    context = "".join(f'<pre class="c">{html.escape(line)}</pre>' for line in each.context)
    guess = f"probably: {each.cause.name}: {each.cause.meaning}" if each.cause else ""
    cause = f'<div class="cause">{html.escape(guess)}</div>' if guess else ""
    return (
        f"<div><code>{html.escape(place)}</code> {html.escape(each.what)}{context}"
        f'<pre class="a">A  {html.escape(each.left)}</pre>'
        f'<pre class="b">B  {html.escape(each.right)}</pre>{cause}</div>'
    )
