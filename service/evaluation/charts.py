"""The charts of a report: accuracy and log loss over the arrivals."""

from __future__ import annotations

from service.evaluation.chart import line_chart
from service.evaluation.report import Report


def charts(report: Report) -> dict[str, str]:
    """SVG by name."""
    accuracy, log_loss = (
        {
            contestant.name: [((point.first + point.last) / 2, _value(point, score)) for point in contestant.course]
            for contestant in report.contestants
        }
        for score in ("accuracy", "log_loss")
    )
    return {
        "accuracy": line_chart(f"{report.source}: accuracy at arrival", accuracy, lowest=0.0, unit=" %"),
        "log-loss": line_chart(f"{report.source}: log loss at arrival", log_loss, lowest=0.0),
    }


def _value(point: object, score: str) -> float | None:
    value: float | None = getattr(point, score)
    return 100 * value if value is not None and score == "accuracy" else value
