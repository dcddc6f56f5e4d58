"""Means over seeds, paired differences with their intervals, and the targets beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.learning.run import NOT_STUDENTS
from benchmarks.learning.statistics import interval, mean, spread
from benchmarks.learning.streams import STREAMS
from olad_core.judging.metric import parse_metric

Line = dict[str, Any]


def table(lines: Iterable[Line], baseline: str = "independent") -> str:
    """One table a stream: every method, and how it differs from the baseline on the same seeds."""
    parts = []
    for stream, own in _by(lines, "stream").items():
        spec = STREAMS[stream]
        parts.append(f"## {stream}\n\n{spec.about}. Score: {parse_metric(spec.metric).words}, in points.\n")
        parts.append(_stream_table(own, spec.score, baseline))
    return "\n".join(parts)


def overview(lines: Iterable[Line], baseline: str = "independent") -> str:
    """What each method served on each stream, a mean over seeds, the baseline's ensemble beside it."""
    lines = list(lines)
    columns = [(method, method, "served") for method in _by(lines, "method")]
    if any(line["method"] == baseline and "ensemble" in line["predictors"] for line in lines):
        columns.append((f"{baseline}'s ensemble", baseline, "ensemble"))
    rows = []
    for stream, own in _by(lines, "stream").items():
        metric, by_method = STREAMS[stream].score, _by(own, "method")
        cells = [
            mean([_score(line, predictor, metric) for line in by_method.get(method, [])], 1)
            for _, method, predictor in columns
        ]
        rows.append([stream, *cells])
    return markdown(["stream", *(head for head, _, _ in columns)], rows)


def _stream_table(lines: Sequence[Line], metric: str, baseline: str) -> str:
    heads = (
        *("method", "seeds", "served", f"less {baseline}", "log-loss", "calibration error", "mean student"),
        *("best student", "ensemble", "lost to drifts", "arrivals until back", "seconds"),
    )
    rows = []
    methods = _by(lines, "method")
    against = {line["seed"]: _score(line, "served", metric) for line in methods.get(baseline, [])}
    for method, own in methods.items():
        students = [_students(line, metric) for line in own]
        paired = [_score(line, "served", metric) - against[line["seed"]] for line in own if line["seed"] in against]
        cells = [
            method,
            str(len(own)),
            spread([_score(line, "served", metric) for line in own]),
            "" if method == baseline else interval(paired),
            mean([line["predictors"]["served"].get("log_loss", math.nan) for line in own], 3),
            mean([line["predictors"]["served"].get("ece", math.nan) for line in own], 3),
            mean([float(np.mean(found)) for found in students if found], 2),
            mean(_best_student(own, metric), 2),
            mean([_score(line, "ensemble", metric) for line in own if "ensemble" in line["predictors"]], 2),
            _recovered(own, "lost"),
            _recovered(own, "arrivals"),
            mean([line["seconds"] for line in own], 0),
        ]
        rows.append(cells)
    return markdown(heads, rows)


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A table whose first column is text, and the others numbers or text."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    lines.insert(1, f"|---|{(len(heads) - 1) * ('---:|' if numbers else '---|')}")
    return "\n".join(lines) + "\n"


def _score(line: Line, predictor: str, metric: str) -> float:
    """In points; NaN where it said nothing."""
    return 100 * float(line["predictors"][predictor].get(metric, math.nan))


def _students(line: Line, metric: str) -> list[float]:
    return [_score(line, name, metric) for name in line["predictors"] if name not in NOT_STUDENTS]


def _best_student(lines: Sequence[Line], metric: str) -> list[float]:
    """Each seed's score of the student that is best over all seeds: the best choice in hindsight."""
    names = [name for name in lines[0]["predictors"] if name not in NOT_STUDENTS]
    found = [[_score(line, name, metric) for line in lines] for name in names]
    return max(found, key=lambda values: float(np.mean(values)), default=[])


def _recovered(lines: Sequence[Line], what: str) -> str:
    return mean(
        [float(np.mean([drift[what] for drift in line["recovery"]["served"]])) for line in lines if line["recovery"]], 0
    )


def _by(lines: Iterable[Line], key: str) -> dict[str, list[Line]]:
    found: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[str(line[key])].append(line)
    return dict(found)
