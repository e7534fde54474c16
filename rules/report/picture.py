"""A map of where the bytes of an image are, as SVG: layers, packages in them, files in those."""

from collections.abc import Iterable, Mapping
from html import escape

from rules.report.contents import Image, Layer, largest
from rules.report.markup import size
from rules.report.treemap import Box, fill

# Beside each other on a desk and on paper, above each other on a telephone; the style shows one.
_SHAPES = {"wide": Box(0, 0, 960, 480), "narrow": Box(0, 0, 480, 720)}
# A name is written where it has room: so many units for a character, and for a line.
_CHARACTER, _LINE = 7.2, 16.0
# Characters of a name that is cut.
_FEWEST = 5
# The same for a file's, which is smaller; files below the smallest area are left out.
_FILE_CHARACTER, _FILE_LINE = 5.6, 12.0
_SMALLEST = 12.0 * 12.0
# One for each layer, light enough for black letters in either scheme.
_COLOURS = ("#9ecae1", "#fdd0a2", "#c7e9c0", "#dadaeb", "#fde0dd", "#d9d9d9")


def colour(number: int) -> str:
    """The colour of a layer, counted from 0."""
    return _COLOURS[number % len(_COLOURS)]


def treemap(image: Image) -> str:
    """The map in both shapes: areas are in proportion to unpacked sizes."""
    label = (
        f"Unpacked size of each package of linux/{image.architecture}, by layer; the lists below "
        "say the same"
    )
    return "".join(
        f'<svg class="{name}" viewBox="0 0 {box.width:.0f} {box.height:.0f}" role="img" '
        f'aria-label="{label}">{"".join(_layers(image, box))}</svg>'
        for name, box in _SHAPES.items()
    )


def _layers(image: Image, box: Box) -> Iterable[str]:
    places = fill(box, [each.unpacked for each in image.layers])
    for number, (layer, place) in enumerate(zip(image.layers, places, strict=True)):
        yield f'<g fill="{colour(number)}">'
        yield from _packages(layer, place)
        yield "</g>"


def _packages(layer: Layer, box: Box) -> Iterable[str]:
    places = fill(box, [count for _, count in layer.sizes])
    for (name, count), place in zip(layer.sizes, places, strict=True):
        yield f"<g><title>{escape(f'{layer.label}: {name}, {size(count)}')}</title>"
        yield _rectangle(place)
        # Files are drawn below the name.
        label = _cut(name, int((place.width - 4) / _CHARACTER)) if place.height >= _LINE else ""
        if label:
            yield f'<text x="{place.x + 3:.1f}" y="{place.y + 12:.1f}">{escape(label)}</text>'
        top = _LINE if label else 0
        inner = Box(place.x, place.y + top, place.width, place.height - top)
        yield from _files(layer.packages[name], inner)
        yield "</g>"


def _cut(name: str, room: int) -> str:
    """A name, or as much of it as there is room for; "" where that would tell nothing."""
    if len(name) <= room:
        return name
    return f"{name[: room - 1]}\u2026" if room >= _FEWEST else ""


def _files(sizes: Mapping[str, int], box: Box) -> Iterable[str]:
    total = sum(sizes.values())
    area = box.width * box.height
    ordered = largest(sizes)
    shown = [each for each in ordered if total and area * each[1] / total >= _SMALLEST]
    if not shown:
        return
    rest = total - sum(count for _, count in shown)
    titles = [f"{path}, {size(count)}" for path, count in shown]
    names = [path.rpartition("/")[2] for path, _ in shown]
    if rest:
        titles.append(f"{len(ordered) - len(shown)} smaller files, {size(rest)}")
        names.append(f"{len(ordered) - len(shown)} smaller files")
    places = fill(box, [*(count for _, count in shown), *([rest] if rest else [])])
    for title, name, place in zip(titles, names, places, strict=True):
        yield f'<g class="file"><title>{escape(title)}</title>'
        yield _rectangle(place)
        if place.height >= _FILE_LINE and place.width >= _FILE_CHARACTER * len(name) + 4:
            yield f'<text x="{place.x + 3:.1f}" y="{place.y + 10:.1f}">{escape(name)}</text>'
        yield "</g>"


def _rectangle(box: Box) -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"/>'
    )
