"""A plot of seconds over numbers of services, as SVG 1.1, both axes logarithmic."""

import math
from collections.abc import Mapping
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 640, 360, 60
_COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7e22ce")


def plot(title: str, lines: Mapping[str, Mapping[int, float]]) -> str:
    """An SVG document with one line for each name: seconds by the number of services.

    Raises:
        ValueError: there is nothing to plot, or a figure is not above zero.
    """
    points = [point for line in lines.values() for point in line.items()]
    if not points or any(count <= 0 or seconds <= 0 for count, seconds in points):
        raise ValueError("figures above zero expected")
    counts = sorted({count for count, _ in points})
    low = math.floor(math.log10(min(seconds for _, seconds in points)))
    high = max(math.ceil(math.log10(max(seconds for _, seconds in points))), low + 1)
    width = math.log10(counts[-1] / counts[0]) or 1.0

    def x(count: int) -> float:
        share = math.log10(count / counts[0]) / width
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    def y(seconds: float) -> float:
        share = (math.log10(seconds) - low) / (high - low)
        return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)

    body = [_text(_WIDTH / 2, 24, title, "middle")]
    body += [_text(x(one), _HEIGHT - _MARGIN + 20, str(one), "middle") for one in counts]
    body.append(_text(_WIDTH / 2, _HEIGHT - 16, "services", "middle"))
    for power in range(low, high + 1):
        height = y(10.0**power)
        body.append(_text(_MARGIN - 8, height + 4, f"{10.0**power:g} s", "end"))
        body.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{height:.1f}" y2="{height:.1f}" '
            'stroke="#cccccc"/>'
        )
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(count):.1f},{y(seconds):.1f}" for count, seconds in line.items())
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last, seconds = max(line.items())
        body.append(_text(x(last), y(seconds) - 8, name, "end", colour))
    head = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13"'
    return "\n".join(
        [
            f'<svg {head} viewBox="0 0 {_WIDTH} {_HEIGHT}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#222222") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
