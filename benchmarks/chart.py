"""Draws line charts as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 360, 170
LEFT, TOP, RIGHT, BOTTOM = 48, 28, 14, 34
COLOURS = ("#2a6fb0", "#c2571a")


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: named lines over the same x values, with a y axis that begins at 0."""

    title: str
    at: Sequence[float]
    lines: dict[str, Sequence[float]]

    def svg(self, axis: str) -> str:
        """Return its SVG elements, ``WIDTH`` by ``HEIGHT`` pixels; ``axis`` is the unit of x."""
        top = 1.15 * max((max(values) for values in self.lines.values()), default=1) or 1
        begin, end = self.at[0], max(self.at[-1], self.at[0] + 1e-9)
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

        def place(at: float, value: float) -> str:
            return f"{LEFT + (at - begin) / (end - begin) * wide:.1f},{TOP + (1 - value / top) * high:.1f}"

        parts = [f'<text x="{LEFT}" y="16" class="title">{escape(self.title)}</text>']
        for share in (0.0, 0.5, 1.0):
            y = TOP + (1 - share) * high
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{share * top:.3g}</text>')
        for share in (0.0, 0.5, 1.0):
            x = LEFT + share * wide
            text = f"{begin + share * (end - begin):.3g}" + (f" {axis}" if share == 1 else "")
            anchor = "end" if share == 1 else "middle"
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="{anchor}">{escape(text)}</text>')
        for number, (name, values) in enumerate(self.lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            points = " ".join(place(at, value) for at, value in zip(self.at, values, strict=True))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
            parts.append(
                f'<text x="{LEFT + 90 * number}" y="{HEIGHT - 5}" fill="{colour}" class="name">{escape(name)}</text>'
            )
        return "".join(parts)


def draw(title: str, axis: str, panels: Sequence[Panel]) -> str:
    """Return an SVG with all panels, two per row, under one title."""
    rows = -(-len(panels) // 2)
    wide, high = 2 * WIDTH, rows * HEIGHT + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">',
        "<style>svg{font:10px sans-serif}.title,.name{font-weight:bold}.grid{stroke:#ddd}</style>",
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
        f'<text x="{wide / 2}" y="18" text-anchor="middle" style="font-size:14px">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        column, row = number % 2, number // 2
        parts.append(f'<g transform="translate({column * WIDTH} {26 + row * HEIGHT})">{panel.svg(axis)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"
