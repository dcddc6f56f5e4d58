"""The report as one HTML file: tables and charts, without scripts and without anything to load."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from service.evaluation.charts import charts
from service.evaluation.report import Contestant, Report
from service.evaluation.texts import (
    DECIDED_HEAD,
    DECIDED_TITLE,
    DIFFERENCE_HEAD,
    HEAD,
    decided_rows,
    difference_rows,
    score_rows,
    share,
)
from service.figures import lead_line

_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; }
"""
_CLASS_HEAD = ("class", "nodes", "predicted", "precision", "recall", "F1", "average precision")


def page(report: Report) -> str:
    """The file's text."""
    title = f"{report.source}: prequential evaluation"
    parts = [
        f"<h1>{escape(title)}</h1>",
        (
            f"<p>{report.arrivals:,} nodes arrived in {report.entries:,} entries of {report.events:,} events; "
            f"{report.labelled:,} have a known class. Each is scored with its prediction at arrival.</p>"
        ),
        _section("All arrivals", HEAD, score_rows(report, later=False)),
        _section(f"From arrival {report.score_from:,} on", HEAD, score_rows(report, later=True)),
    ]
    if rows := difference_rows(report):
        about = f"Less {report.reference}, on arrivals that both answered; 95 % intervals by the jackknife over batches"
        parts.append(_section(about, DIFFERENCE_HEAD, rows))
    if decided := decided_rows(report):
        parts.append(_section(DECIDED_TITLE.capitalize(), DECIDED_HEAD, decided))
    parts += charts(report).values()
    parts += [_contestant(contestant) for contestant in report.contestants]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _contestant(contestant: Contestant) -> str:
    found = contestant.classes
    rows = []
    for row in found.classes:
        of = row.whole
        measures = (share(value) for value in (of.precision, of.recall, of.f1, of.average_precision))
        rows.append((row.name, f"{row.support:,}", f"{row.predicted:,}", *measures))
    if found.unlisted:
        rows.append((f"{found.unlisted:,} more", *[""] * 6))
    always = f"<p>Always {escape(str(found.commonest))}: {share(found.commonest_accuracy)} right.</p>"
    always += f"<p>{escape(lead_line(contestant.lead))}</p>"
    settings = "".join(f"<li>{escape(name)} = {escape(str(value))}</li>" for name, value in contestant.settings.items())
    listed = f"<details><summary>Settings</summary><ul>{settings}</ul></details>" if settings else ""
    return _section(contestant.name, _CLASS_HEAD, rows) + always + listed


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
