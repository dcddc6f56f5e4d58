"""The table of classes that status and replay show."""

from __future__ import annotations

from rich.table import Table

from service.figures import percent
from service.store.status import ClassReportStatus


def class_table(report: ClassReportStatus) -> Table:
    """Measures class by class, beside what always naming the commonest class would score."""
    always = f"always {report.commonest}: {percent(report.commonest_accuracy)} right"
    title = f"classes, as served at arrival ({always})"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("nodes", "predicted", "precision", "recall", "F1", "average precision"):
        table.add_column(column, justify="right")
    for row in report.classes:
        found = row.whole
        measures = (found.precision, found.recall, found.f1, found.average_precision)
        table.add_row(row.name, f"{row.support:,}", f"{row.predicted:,}", *map(percent, measures))
    if report.unlisted:
        table.add_row(f"{report.unlisted:,} more", *[""] * 6)
    return table
