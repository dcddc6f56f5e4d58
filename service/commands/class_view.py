"""The table of classes that status and replay show."""

from __future__ import annotations

from rich.table import Table

from service.figures import percent
from service.store.status import ClassReportStatus

_TITLES = {"f1": "F1", "average_precision": "average precision"}


def class_table(report: ClassReportStatus, counted: str = "nodes") -> Table:
    """Measures class by class, beside what always naming the commonest class would score.

    The average precision has a column where it is known of a class: it needs the probabilities that were served.

    Args:
        report: of what was served.
        counted: what has the classes.
    """
    always = f"always {report.commonest}: {percent(report.commonest_accuracy)} right"
    title = f"classes, as served at arrival ({always})"
    measures = ["precision", "recall", "f1"]
    if any(row.whole.average_precision is not None for row in report.classes):
        measures.append("average_precision")
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in (counted, "predicted", *measures):
        table.add_column(_TITLES.get(column, column), justify="right")
    for row in report.classes:
        found = [percent(getattr(row.whole, measure)) for measure in measures]
        table.add_row(row.name, f"{row.support:,}", f"{row.predicted:,}", *found)
    if report.unlisted:
        table.add_row(f"{report.unlisted:,} more", *[""] * (2 + len(measures)))
    return table
