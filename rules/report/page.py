"""The report as one file of HTML without scripts: the same bytes for the same images."""

from collections.abc import Iterable, Sequence
from html import escape

from rules.report.contents import Image, Layer
from rules.report.treemap import Box, fill

_WIDTH, _HEIGHT = 960.0, 480.0
# Columns of words that are never broken; others are, where a screen is narrow.
_SHORT = {"Layer", "Compressed", "Unpacked", "Size"}
# A name is written where it has room: so many units for a character, and for a line.
_CHARACTER, _LINE = 7.5, 16.0
_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --edge: #767676; --link: #0b57d0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --paper: #161616; --edge: #999; --link: #8ab4f8 }
}
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 64rem; margin: 0 auto; padding: 1rem }
a { color: var(--link) }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0;
  border-bottom: 1px solid var(--edge); overflow-wrap: anywhere }
th, td.short { overflow-wrap: normal; white-space: nowrap }
svg { width: 100%; height: auto; font-size: 12px }
svg rect { stroke: var(--paper); stroke-width: 1 }
svg text { fill: #000 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--edge);
  padding: .5rem }
summary { cursor: pointer; padding: .25rem 0 }
@media print { body { max-width: none } nav { display: none } }
"""
# Light enough for black letters in either scheme.
_COLOURS = ("#9ecae1", "#fdd0a2", "#c7e9c0", "#dadaeb", "#fde0dd", "#d9d9d9")


def html(name: str, digest: str, images: Sequence[Image]) -> str:
    """The page."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(name)}: what is in the image</title>\n<style>{_STYLE}</style>\n</head>",
        f"<body>\n<main>\n<h1>{escape(name)}</h1>",
        f"<p>The index of the images: <code>{escape(digest)}</code></p>",
        '<nav aria-label="Images"><ul>',
        *(f'<li><a href="#{each.architecture}">{each.architecture}</a></li>' for each in images),
        '<li><a href="#verify">How to verify it</a></li></ul></nav>',
        *(line for image in images for line in _image(image)),
        *_verify(digest),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def size(count: int) -> str:
    """A number of bytes for people.

    >>> size(999), size(1_500_000)
    ('999 B', '1.5 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def _image(image: Image) -> Iterable[str]:
    cpu = image.architecture
    yield f'<section aria-labelledby="{cpu}">\n<h2 id="{cpu}">linux/{cpu}</h2>'
    yield f"<p>Manifest: <code>{escape(image.digest)}</code></p>"
    yield "<h3>Layers</h3>"
    yield _table(
        ("Layer", "Digest", "Compressed", "Unpacked"),
        [
            (each.label, each.digest, size(each.size), size(_unpacked(each)))
            for each in image.layers
        ],
    )
    yield "<p>A layer has another digest when what it is made of changes: a locked package, or a "
    yield "source that its target names.</p>"
    yield "<h3>Where the bytes are</h3>"
    yield _treemap(image)
    yield "<p>The same as lists:</p>"
    for layer in image.layers:
        yield from _lists(layer)
    yield "<h3>Packages and licences</h3>"
    yield _table(
        ("Package", "Version", "Licence as declared"),
        [(each.name, each.version, each.licence) for each in image.packages],
    )
    yield "<h3>What may be executed</h3>\n<ul>"
    yield from (f"<li><code>{escape(path)}</code></li>" for path in image.executables)
    yield "</ul>\n</section>"


def _unpacked(layer: Layer) -> int:
    return sum(sum(files.values()) for files in layer.packages.values())


def _ordered(sizes: dict[str, int]) -> list[tuple[str, int]]:
    """The largest first."""
    return sorted(sizes.items(), key=lambda each: (-each[1], each[0]))


def _packages(layer: Layer) -> list[tuple[str, int]]:
    return _ordered({name: sum(files.values()) for name, files in layer.packages.items()})


def _treemap(image: Image) -> str:
    cpu = image.architecture
    shapes = []
    boxes = fill(Box(0, 0, _WIDTH, _HEIGHT), [_unpacked(each) for each in image.layers])
    for number, (layer, box) in enumerate(zip(image.layers, boxes, strict=True)):
        packages = _packages(layer)
        inner = fill(box, [each[1] for each in packages])
        for (name, count), place in zip(packages, inner, strict=True):
            shapes.append(_shape(place, number, f"{layer.label}: {name}, {size(count)}", name))
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="Unpacked size of '
        f'each package of linux/{cpu}, by layer; the lists below say the same">'
        + "".join(shapes)
        + "</svg>"
    )


def _shape(box: Box, number: int, title: str, name: str) -> str:
    rectangle = (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'fill="{_COLOURS[number % len(_COLOURS)]}"/>'
    )
    text = ""
    if box.height >= _LINE and box.width >= _CHARACTER * len(name):
        text = f'<text x="{box.x + 3:.1f}" y="{box.y + 13:.1f}">{escape(name)}</text>'
    return f"<g><title>{escape(title)}</title>{rectangle}{text}</g>"


def _lists(layer: Layer) -> Iterable[str]:
    total = size(_unpacked(layer))
    yield f"<details><summary>{escape(layer.label)}, {total}</summary>"
    for name, count in _packages(layer):
        yield f"<details><summary>{escape(name)}, {size(count)}</summary>"
        files = [(path, size(each)) for path, each in _ordered(layer.packages[name])]
        yield _table(("File", "Size"), files)
        yield "</details>"
    yield "</details>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in titles)
    classes = [' class="short"' if each in _SHORT else "" for each in titles]
    lines = []
    for row in rows:
        cells = zip(classes, row, strict=True)
        lines.append("".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in cells))
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _verify(digest: str) -> Iterable[str]:
    yield '<section aria-labelledby="verify">\n<h2 id="verify">How to verify it</h2>'
    yield "<p>In a checkout of the sources, which are built anew and compared:</p>"
    yield f"<pre>tools/bazel run //image:verify -- REPOSITORY@{escape(digest)}</pre>\n</section>"
