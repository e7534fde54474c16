"""The report as one file of HTML without scripts: the same bytes for the same report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rules.report import markup
from rules.report.changes import Changes
from rules.report.contents import Image, Layer, largest
from rules.report.markup import Cell, code, signed, size
from rules.report.origin import Origin
from rules.report.picture import colour, treemap
from rules.scan.findings import Finding
from rules.scan.scan import Scan
from rules.update.change import Change
from rules.update.comparison import Difference

_NOTHING = "<p>Nothing.</p>"
_STYLE = Path(__file__).with_name("style.css").read_text()


@dataclass(frozen=True)
class Report:
    """What a page is about: an index and its images.

    Attributes:
        name: of the service.
        digest: of the index.
        images: by CPU.
        origin: how they came to be.
        scan: what is known to be wrong with them; None where nobody looked.
        changes: what differs from other images; None where there are none.
    """

    name: str
    digest: str
    images: Sequence[Image]
    origin: Origin
    scan: Scan | None = None
    changes: Changes | None = None


def html(report: Report) -> str:
    """The page."""
    name = escape(report.name)
    sections = [
        *([("changes", "What changed")] if report.changes else []),
        *((each.architecture, f"linux/{each.architecture}") for each in report.images),
        ("advisories", "Known advisories"),
        ("origin", "How it came to be"),
        ("verify", "How to verify it"),
    ]
    known = _by_package(report.scan)
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}: what is in the image</title>\n<style>\n{_STYLE}</style>\n</head>",
        f"<body>\n<main>\n<h1>{name}</h1>",
        f"<p>The index of the images: {code(report.digest)}</p>",
        '<nav aria-label="Sections"><ul>',
        *(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title in sections),
        "</ul></nav>",
    ]
    bodies = [
        *([_changes(report.changes, scanned=report.scan is not None)] if report.changes else []),
        *(_image(image, known) for image in report.images),
        _advisories(report.scan, report.origin),
        _origin(report.origin),
        _verify(report),
    ]
    for (key, title), body in zip(sections, bodies, strict=True):
        parts += markup.section(key, title, body)
    return "\n".join([*parts, "</main>\n</body>\n</html>\n"])


def _changes(changes: Changes, *, scanned: bool) -> Iterable[str]:
    yield f"<p>From {code(changes.against)}, {code(changes.digest)}, to these images.</p>"
    for cpu in changes.same:
        yield f"<p>linux/{cpu}: the same image.</p>"
    for cpu in changes.alone:
        yield f"<p>linux/{cpu}: the other has no image for it.</p>"
    for cpu, difference in changes.differences.items():
        yield f"<h3>linux/{cpu}</h3>"
        yield from _difference(difference, scanned=scanned)


def _difference(difference: Difference, *, scanned: bool) -> Iterable[str]:
    yield "<h4>Packages</h4>"
    yield _moves("Package", difference.packages)
    yield "<h4>Layers whose size changes</h4>"
    sizes = difference.sizes.items()
    yield (
        markup.table(
            ("Layer", "Old size", "New size", "Difference"),
            [(name, size(old), size(new), signed(new - old)) for name, (old, new) in sizes],
        )
        if sizes
        else _NOTHING
    )
    yield "<h4>Licences</h4>"
    yield _moves("Package", difference.licences)
    yield "<h4>Advisories</h4>"
    if scanned:
        yield from _paths("fixed", difference.fixed)
        yield from _paths("new", difference.new_advisories)
    else:
        yield "<p>None were looked at.</p>"
    yield "<h4>Files</h4>"
    yield from _paths("appear", difference.appeared)
    yield from _paths("go", difference.gone)
    yield from _paths("change", difference.changed)


def _moves(title: str, moves: Sequence[Change]) -> str:
    if not moves:
        return _NOTHING
    rows = [(each.name, each.old or "not there", each.new or "not there") for each in moves]
    return markup.table((title, "Old", "New"), rows)


def _paths(what: str, values: Sequence[str]) -> Iterable[str]:
    if not values:
        yield f"<p>0 {what}</p>"
        return
    yield f"<details><summary>{len(values)} {what}</summary>\n<ul>"
    yield from (f"<li>{code(each)}</li>" for each in values)
    yield "</ul></details>"


def _image(image: Image, known: Mapping[str, Sequence[str]] | None) -> Iterable[str]:
    yield f"<p>Manifest: {code(image.digest)}</p>"
    yield "<h3>Layers</h3>"
    yield markup.table(
        ("Layer", "Compressed", "Unpacked"),
        [
            (Cell(each.label, each.digest, is_code=True), size(each.size), size(each.unpacked))
            for each in image.layers
        ],
    )
    yield "<p>A layer has another digest when what it is made of changes: a locked package, or a "
    yield "source that its target names.</p>"
    yield "<h3>Where the bytes are</h3>"
    yield treemap(image)
    yield "<p>The same as lists:</p>"
    for number, layer in enumerate(image.layers):
        yield from _lists(layer, colour(number))
    yield "<h3>Packages and licences</h3>"
    titles = ["Package", "Version", "Licence as declared"]
    rows = [[each.name, each.version, each.licence] for each in image.packages]
    if known is not None:
        titles.append("Advisories")
        for row, package in zip(rows, image.packages, strict=True):
            row.append(", ".join(known.get(package.purl, ["none"])))
    yield markup.table(titles, rows)
    yield "<h3>What may be executed</h3>\n<ul>"
    yield from (f"<li>{code(path)}</li>" for path in image.executables)
    yield "</ul>"


def _lists(layer: Layer, ground: str) -> Iterable[str]:
    swatch = f'<span class="swatch" style="background: {ground}"></span>'
    yield f"<details><summary>{swatch} {escape(layer.label)}, {size(layer.unpacked)}</summary>"
    for name, count in layer.sizes:
        yield f"<details><summary>{escape(name)}, {size(count)}</summary>"
        files = [(path, size(each)) for path, each in largest(layer.packages[name])]
        yield markup.table(("File", "Size"), files)
        yield "</details>"
    yield "</details>"


def _by_package(scan: Scan | None) -> Mapping[str, Sequence[str]] | None:
    """The names of advisories by the URL of the package that they are about."""
    if scan is None:
        return None
    found: dict[str, list[str]] = {}
    for finding in scan.findings:
        counts = not finding.ignore or finding.ignore in scan.expired
        ignored = "" if counts else " (ignored)"
        found.setdefault(finding.package.purl, []).append(f"{finding.name}{ignored}")
    return found


def _advisories(scan: Scan | None, origin: Origin) -> Iterable[str]:
    if scan is None:
        yield "<p><strong>No advisories were looked at.</strong> Whether anything is known to be "
        yield "wrong with these packages is not said here. The page that says it:</p>"
        yield markup.commands(
            f"tools/bazel run {origin.label('report.page')} -- "
            "--advisories FOLDER_OR_ZIP --output FILE"
        )
        return
    yield (
        f"<p>{scan.packages} packages held against {scan.advisories} advisories, the newest of "
        f"{scan.newest:%Y-%m-%d} ({scan.age} days old); {scan.others} components that packages "
        "have built in were not. Whether the service uses what is affected was not looked at.</p>"
    )
    # A package of both CPUs is a row once.
    rows = dict.fromkeys(_row(scan, finding) for finding in scan.findings)
    if rows:
        titles = ("Package", "Advisory", "Severity", "Fixed in")
        yield markup.table(titles, rows)
    else:
        yield "<p>No advisory is about any of them.</p>"


def _row(scan: Scan, finding: Finding) -> tuple[str | Cell, ...]:
    about = finding.summary
    if entry := finding.ignore:
        word = "ignored" if entry not in scan.expired else "no longer ignored: it was"
        about = f"{word} until {entry.expires}: {entry.reason}. {about}"
    return (
        Cell(finding.package.name, finding.package.version),
        Cell(finding.name, about),
        finding.rating if finding.score is None else f"{finding.rating} {finding.score}",
        finding.fixed or "no fix",
    )


def _origin(origin: Origin) -> Iterable[str]:
    yield "<p>As the provenance of the same build states it:</p>"
    revision = f"{origin.revision} of {origin.source}" if origin.source else origin.revision
    yield markup.facts(
        [
            ("Target", origin.target),
            ("Options", " ".join(origin.options) or "none"),
            ("Built by", f"Bazel {origin.bazel}"),
            ("Commit", revision or "not stated: this build is no release"),
            ("Archives of Debian", f"{origin.debs}, of both CPUs"),
            ("Wheels", f"{origin.wheels}, of both CPUs"),
        ]
    )
    yield "<p>What else decides, by hash:</p>"
    yield markup.table(
        ("File",), [(Cell(path, digest, is_code=True),) for path, digest in origin.locks]
    )


def _verify(report: Report) -> Iterable[str]:
    verify = f"tools/bazel run {report.origin.label('verify')} --"
    image = f"REPOSITORY@{report.digest}"
    stated = " --stated-revision" if report.origin.revision else ""
    yield "<p>In a checkout of the sources, which are built anew and compared:</p>"
    yield markup.commands(f"{verify} {image}{stated}")
    yield "<p>With the key of who pushed it, and with those of others who rebuilt it:</p>"
    yield markup.commands(
        f"{verify} {image}{stated} --key KEY.pub",
        f"{verify} {image} --require 2 --keys A.pub,B.pub,C.pub",
    )
