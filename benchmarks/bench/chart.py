"""A line chart as SVG, written by hand: x is logarithmic, y begins at zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 84
INSET: Final = 32
"""From the axis to the first point, and from the last one to the edge."""
COLOURS: Final = ("#666666", "#0b62c4", "#c4550b", "#2a8a3c")
STEPS: Final = (1, 2, 5)


@dataclass(frozen=True)
class Line:
    """One line: its name in the legend, and its points by x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """The whole file."""
    xs = sorted({x for line in lines for x, _ in line.points})
    scale = _Scale(xs[0], xs[-1], max(y for line in lines for _, y in line.points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 26, title, "middle", 'font-size="15" font-weight="bold"'),
        *_axes(scale, xs),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 40, x_name, "middle"),
        _text(0, 0, y_name, "middle",
              f'transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"'),
    ]  # fmt: skip
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        parts += _drawn(line, scale, colour, 18 if number % 2 else -8)
        parts += _legend(line.name, number, len(lines), colour)
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Scale:
    """From figures to places."""

    low: float
    high: float
    most: float

    def x(self, value: float) -> float:
        span = math.log(self.high / self.low) or 1
        room = WIDTH - LEFT - RIGHT - 2 * INSET
        return LEFT + INSET + room * math.log(value / self.low) / span

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top

    @property
    def step(self) -> float:
        """Between two marks of y: about six of them."""
        power = 10.0 ** math.floor(math.log10(self.most / 6))
        return next((s * power for s in STEPS if s * power >= self.most / 6), 10 * power)

    @property
    def top(self) -> float:
        """The mark above all points."""
        return self.step * math.ceil(self.most / self.step)


def _axes(scale: _Scale, xs: Sequence[float]) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for mark in range(round(scale.top / scale.step) + 1):
        y = scale.y(mark * scale.step)
        colour = "#ddd" if mark else "#333"
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{colour}"/>'
        yield _text(LEFT - 8, y + 4, f"{mark * scale.step:g}", "end")
    yield f'<path d="M{LEFT} {TOP}V{bottom}" stroke="#333"/>'
    for value in xs:
        x = scale.x(value)
        yield f'<path d="M{x:.1f} {bottom}v5" stroke="#333"/>'
        yield _text(x, bottom + 20, f"{value:,.0f}", "middle")


def _drawn(line: Line, scale: _Scale, colour: str, aside: int) -> Iterator[str]:
    places = [(scale.x(x), scale.y(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for (x, y), (_, value) in zip(places, line.points, strict=True):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        yield _text(x, y + aside, f"{value:.1f}", "middle", f'fill="{colour}" font-size="11"')


def _legend(name: str, number: int, count: int, colour: str) -> Iterator[str]:
    x = LEFT + (WIDTH - LEFT - RIGHT) * number / count
    y = HEIGHT - 16
    yield f'<path d="M{x:.0f} {y - 4}h24" stroke="{colour}" stroke-width="2"/>'
    yield _text(x + 30, y, name, "start")


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
