"""The table of what was measured from outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmarks.outside.rows import Measured
from benchmarks.outside.turns import Figures, Spread, ratios, spreads


def lines(rows: Sequence[Measured], other: str | None = None, *, with_targets: bool = True) -> Iterator[str]:
    """One line a figure, those with a target first; conditions stand in the first line of a row.

    Args:
        rows: in their order.
        other: name of the tree beside this one.
        with_targets: whether the sizes are those that the targets speak of.
    """
    if other is None:
        yield "| benchmark | conditions | what | result | target | met |"
        yield "|---|---|---|---:|---:|---|"
    else:
        yield f"| benchmark | conditions | what | result | {other} | ratio | target | met |"
        yield "|---|---|---|---:|---:|---:|---:|---|"
    for row in rows:
        yield from _row(row, other, with_targets=with_targets)


def text(value: object) -> str:
    """A number with as many digits as it deserves."""
    if isinstance(value, float) and math.isinf(value):
        return "never"
    if isinstance(value, float) and abs(value) >= 100:
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _row(row: Measured, other: str | None, *, with_targets: bool) -> Iterator[str]:
    wanted = {
        what: (sign, bound)
        for sign, bounds in (("≥", row.at_least), ("≤", row.at_most))
        for what, bound in (bounds.items() if with_targets else ())
    }
    these = spreads(_complete(row.rounds["this"]))
    those = spreads(_complete(row.rounds[other])) if other else {}
    beside = ratios(row.rounds["this"], row.rounds[other]) if other else {}
    conditions = row.conditions
    for what in sorted(dict.fromkeys([*these, *those]), key=lambda what: what not in wanted) or [""]:
        sign, bound = wanted.get(what, ("", None))
        value = these.get(what)
        met = "" if bound is None else "yes" if _met(value, sign, bound) else "no"
        cells = [row.name, conditions, what, _cell(value)]
        if other:
            cells += [_cell(those.get(what)), _cell(beside[what]) if what in beside else ""]
        yield f"| {' | '.join([*cells, '' if bound is None else f'{sign} {text(bound)}', met])} |"
        conditions = ""


def _complete(rounds: Sequence[Figures | None]) -> list[Figures]:
    return [figures for figures in rounds if figures is not None]


def _met(value: Spread | str | None, sign: str, bound: float) -> bool:
    if not isinstance(value, Spread):
        return False
    return value.median >= bound if sign == "≥" else value.median <= bound


def _cell(value: Spread | str | None) -> str:
    if value is None:
        return "failed"
    if isinstance(value, str):
        return value
    if value.least == value.greatest:
        return text(value.median)
    return f"{text(value.median)} ({text(value.least)} to {text(value.greatest)})"
