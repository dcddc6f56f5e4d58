"""The numbers of a report as text, the same for the terminal and for HTML."""

from __future__ import annotations

from olad_core.judging.paired import Difference
from service.evaluation.report import Contestant, Report

HEAD = ("", "accuracy", "macro-F1", "log loss", "scored", "not answered", "steps")
DIFFERENCE_HEAD = ("", "accuracy, points", "macro-F1, points", "log loss", "arrivals")
DECIDED_HEAD = ("", "labelled where", "nodes", "labelled", "precision", "recall", "F1")
DECIDED_TITLE = "labels by decisions"


def score_rows(report: Report, *, later: bool) -> list[tuple[str, ...]]:
    """One row a contestant under :data:`HEAD`, over all arrivals or the later ones."""
    return [_score_row(contestant, later=later) for contestant in report.contestants]


def difference_rows(report: Report) -> list[tuple[str, ...]]:
    """One row for each contestant but the reference, under :data:`DIFFERENCE_HEAD`."""
    rows: list[tuple[str, ...]] = []
    for contestant in report.contestants:
        found = contestant.differences
        if found is not None:
            accuracy, macro_f1 = points(found.accuracy), points(found.macro_f1)
            rows.append((contestant.name, accuracy, macro_f1, interval(found.log_loss, 3), f"{found.arrivals:,}"))
    return rows


def decided_rows(report: Report) -> list[tuple[str, ...]]:
    """Under :data:`DECIDED_HEAD`, each class that a decision is about, by each contestant; none without decisions.

    A contestant without decisions labels with the likeliest class.
    """
    names = dict.fromkeys(name for contestant in report.contestants for name in contestant.decisions)
    return [_decided_row(contestant, name) for name in names for contestant in report.contestants]


def share(value: float | None) -> str:
    """A share in percent.

    >>> share(0.8123), share(None)
    ('81.2 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"


def points(difference: Difference | None) -> str:
    """A difference of shares, in points, with its interval.

    >>> points(Difference(0.0123, -0.002, 0.03))
    '+1.2 [-0.2, +3.0]'
    """
    if difference is None:
        return "-"
    low, high = (None if end is None else 100 * end for end in (difference.low, difference.high))
    return interval(Difference(100 * difference.value, low, high), 1)


def interval(difference: Difference | None, digits: int) -> str:
    """A difference with its interval, where there is one."""
    if difference is None:
        return "-"
    text = f"{difference.value:+.{digits}f}"
    if difference.low is None or difference.high is None:
        return text
    return f"{text} [{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"


def _decided_row(contestant: Contestant, name: str) -> tuple[str, ...]:
    [decided] = contestant.decisions.get(name, {"likeliest": None}).items()
    where = f"{name}: {decided[0]}" + ("" if decided[1] is None else f" {decided[1]:g}")
    row = next((row for row in contestant.classes.classes if row.name == name), None)
    if row is None:
        return contestant.name, where, "-", "-", "-", "-", "-"
    measures = (row.whole.precision, row.whole.recall, row.whole.f1)
    return contestant.name, where, f"{row.support:,}", f"{row.predicted:,}", *map(share, measures)


def _score_row(contestant: Contestant, *, later: bool) -> tuple[str, ...]:
    found = contestant.later if later else contestant.whole
    loss = "-" if found.log_loss is None else f"{found.log_loss:.3f}"
    counts = f"{found.scored:,}", f"{found.unanswered:,}", f"{contestant.steps:,}" if contestant.steps else "-"
    return contestant.name, share(found.accuracy), share(found.macro_f1), loss, *counts
