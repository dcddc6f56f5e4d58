"""A line chart as SVG: the course of a score over the arrivals. The same values give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 190, 28, 40
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555", "#8c510a")
"""Of Okabe and Ito, which people with any colour vision distinguish."""
TICKS = 5

Line = Sequence[tuple[float, float | None]]
"""Arrivals and values; None interrupts the line."""


def line_chart(title: str, lines: Mapping[str, Line], *, lowest: float | None = None, unit: str = "") -> str:
    """The chart.

    Args:
        title: above it.
        lines: by name.
        lowest: where the vertical axis begins; None for the least value.
        unit: behind the numbers of the vertical axis.

    >>> line_chart("accuracy", {"a": [(0, 0.5), (10, 1.0)]}).count("<polyline")
    1
    """
    values = [value for line in lines.values() for _, value in line if value is not None]
    last = max((at for line in lines.values() for at, _ in line), default=1.0) or 1.0
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = low if lowest is None else min(low, lowest)
    high = high if high > low else low + 1

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / last

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    for tick in range(TICKS + 1):
        value, at = low + (high - low) * tick / TICKS, last * tick / TICKS
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}{unit}</text>')
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at:,.0f}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">arrivals</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour, dash = COLOURS[number % len(COLOURS)], _dash(number // len(COLOURS))
        for piece in _pieces(line):
            points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            if len(piece) == 1:
                [(at, value)] = piece
                parts.append(f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>')
        beside, below = WIDTH - RIGHT + 12, TOP + 8 + 18 * number
        parts.append(f'<path d="M{beside} {below}h20" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{beside + 26}" y="{below + 4}">{escape(name[:24])}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _dash(turn: int) -> str:
    """Lines beyond the number of colours are dashed."""
    return f' stroke-dasharray="{4 * turn} 3"' if turn else ""


def _pieces(line: Line) -> list[list[tuple[float, float]]]:
    """The line without gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in line:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((at, value))
    return [piece for piece in pieces if piece]
