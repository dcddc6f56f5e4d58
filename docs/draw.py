"""Draws a picture out of lines of text: ``python docs/draw.py docs/architecture.txt > docs/architecture.svg``.

A line of the text is one of::

    size WIDTH HEIGHT: title of the picture
    box NAME X Y WIDTH HEIGHT: first line / further line / ...
    group NAME X Y WIDTH HEIGHT: title
    arrow NAME.SIDE.PERCENT NAME.SIDE.PERCENT DX DY: label

An arrow leads from a place on the edge of one box to one on another; DX and DY move its label from the middle.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

STYLE = """
text { font: 14px sans-serif; fill: #16202a; }
.first { font-weight: 600; }
.label { font-size: 13px; fill: #0b5c8f; }
.box { fill: #ffffff; stroke: #54616e; }
.group { fill: #e2eef6; stroke: #0b5c8f; stroke-dasharray: 5 4; }
.page { fill: #f3f5f7; }
path { stroke: #0b5c8f; stroke-width: 1.6; fill: none; marker-end: url(#head); }
marker path { stroke: none; fill: #0b5c8f; }
"""
HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L10 5L0 10z"/></marker></defs>'
)
LINE_HEIGHT = 19


def draw(text: str) -> str:
    """The picture as SVG."""
    return "\n".join(_elements(text)) + "\n</svg>\n"


def _elements(text: str) -> Iterator[str]:
    boxes: dict[str, tuple[float, float, float, float]] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        head, _, label = (part.strip() for part in line.partition(":"))
        kind, *given = head.split()
        if kind == "size":
            width, height = given
            yield (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" role="img" aria-label="{escape(label)}">'
            )
            yield f"<title>{escape(label)}</title><style>{STYLE}</style>{HEAD}"
            yield f'<rect class="page" width="{width}" height="{height}"/>'
        elif kind in {"box", "group"}:
            name, *numbers = given
            x, y, w, h = boxes[name] = tuple(map(float, numbers))  # type: ignore[assignment]
            yield f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8"/>'
            for number, part in enumerate(label.split(" / ")):
                look = ' class="first"' if number == 0 else ""
                yield f'<text{look} x="{x + 10:g}" y="{y + 20 + number * LINE_HEIGHT:g}">{escape(part)}</text>'
        elif kind == "arrow":
            start, end, dx, dy = given
            (x1, y1), (x2, y2) = _place(boxes, start), _place(boxes, end)
            yield f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>'
            at = f'x="{(x1 + x2) / 2 + float(dx):g}" y="{(y1 + y2) / 2 + float(dy):g}"'
            yield f'<text class="label" {at} text-anchor="middle">{escape(label)}</text>'
        else:
            raise ValueError(f"a line begins with size, box, group or arrow, not {kind!r}")


def _place(boxes: dict[str, tuple[float, float, float, float]], where: str) -> tuple[float, float]:
    name, side, percent = where.split(".")
    x, y, w, h = boxes[name]
    along = float(percent) / 100
    return {
        "left": (x, y + along * h),
        "right": (x + w, y + along * h),
        "top": (x + along * w, y),
        "bottom": (x + along * w, y + h),
    }[side]


if __name__ == "__main__":
    sys.stdout.write(draw(Path(sys.argv[1]).read_text()))
