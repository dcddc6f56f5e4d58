"""What every benchmark prints, and how two ways are measured beside each other."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping

Numbers = Mapping[str, float]


def emit(
    benchmark: str,
    results: Mapping[str, object],
    *,
    at_least: Numbers | None = None,
    at_most: Numbers | None = None,
) -> None:
    """Print the results for people, then one line of JSON.

    Args:
        benchmark: name of the module.
        results: by name; those that have a target are numbers.
        at_least: results that must be this great.
        at_most: results that must be this small.
    """
    least, most = at_least or {}, at_most or {}
    met = all(_number(results[name]) >= bound for name, bound in least.items()) and all(
        _number(results[name]) <= bound for name, bound in most.items()
    )
    for name, value in results.items():
        print(f"{name:>36}: {value:,.2f}" if isinstance(value, float) else f"{name:>36}: {value}")
    target = {"at_least": dict(least), "at_most": dict(most)}
    print(json.dumps({"benchmark": benchmark, "results": results, "target": target, "met": met}), flush=True)


def alternate(rounds: int, **sides: Callable[[], float]) -> dict[str, float]:
    """The median of each side over rounds in which the sides take turns, so that a busy machine troubles all alike."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def _number(value: object) -> float:
    assert isinstance(value, (int, float)), "only numbers have targets"
    return float(value)
