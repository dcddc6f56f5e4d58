"""The terminal output of an evaluation, while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from service.commands.bar_view import BarView, arrivals_bar
from service.commands.class_view import class_table
from service.commands.link_view import links_line
from service.figures import lead_line, nats, number, percent
from service.store.status import ClassReportStatus
from service.terminal import shown, shown_report

if TYPE_CHECKING:
    from olad_core.judging.paired import Difference
    from service.evaluation.prequential import Progress
    from service.evaluation.report import NodeValueScore, Report, ValueTaskScore


class EvaluateView(BarView):
    """A progress bar with the accuracy of the first contestant; nothing where there is no terminal.

    What is printed there is the same each time.
    """

    def __init__(self, console: Console, name: str, nodes: int | None) -> None:
        super().__init__(arrivals_bar(console) if console.is_terminal else None, name, nodes)

    def update(self, progress: Progress) -> None:
        """Show where the evaluation is."""
        now = ", ".join(f"{shown(name)} {percent(value)}" for name, value in progress.accuracy.items())
        self._moved(now, progress.arrivals)


def print_report(console: Console, report: Report) -> None:
    """Scores of nodes, where any has a known class, then of tasks on edges."""
    first = report.contestants[0]
    if report.labelled or not (first.tasks or first.node_values):
        _print_nodes(console, report)
    for contestant in report.contestants:
        if contestant.rejected:
            what = f"{contestant.name}: {contestant.rejected:,} of {report.events:,} events could not be applied"
            console.print(shown(what), soft_wrap=True, highlight=False)
    _print_tasks(console, report)
    _print_links(console, report)
    for contestant in report.contestants:
        for value in contestant.value_tasks:
            console.print(shown(_value_line(contestant.name, value)), soft_wrap=True, highlight=False)
    for contestant in report.contestants:
        for one in contestant.node_values:
            console.print(shown(_node_value_line(contestant.name, one)), soft_wrap=True, highlight=False)
            if one.difference is not None:
                console.print(shown(_less(report.reference, one.difference)), soft_wrap=True, highlight=False)
    console.print(
        f"{report.arrivals:,} nodes arrived in {report.entries:,} entries of {report.events:,} events; "
        f"{report.labelled:,} have a known class",
        soft_wrap=True,
        highlight=False,
    )


def _print_nodes(console: Console, report: Report) -> None:
    """Scores, differences, the course over time, and the classes of the reference."""
    # Loads what needs torch.
    from service.evaluation.texts import (  # noqa: PLC0415
        DECIDED_HEAD,
        DECIDED_TITLE,
        DIFFERENCE_HEAD,
        HEAD,
        decided_rows,
        difference_rows,
        score_rows,
    )

    name = shown(report.source)
    _print(console, f"{name}: prequential scores at arrival", HEAD, score_rows(report, later=False))
    if any(contestant.later.scored for contestant in report.contestants):
        _print(console, f"from arrival {report.score_from:,} on", HEAD, score_rows(report, later=True))
    if rows := difference_rows(report):
        title = f"less {shown(report.reference)}, same arrivals, with 95 % interval"
        _print(console, title, DIFFERENCE_HEAD, rows)
    for contestant in report.contestants:
        if line := lead_line(contestant.lead):
            console.print(shown(f"{contestant.name}: {line}"), soft_wrap=True, highlight=False)
    if decided := decided_rows(report):
        _print(console, DECIDED_TITLE, DECIDED_HEAD, decided)
    course = [
        (f"{first.first:,} to {first.last:,}", *(percent(one.course[place].accuracy) for one in report.contestants))
        for place, first in enumerate(report.contestants[0].course)
    ]
    heads = ("arrivals", *(contestant.name for contestant in report.contestants))
    _print(console, "accuracy over time", heads, course)
    classes = ClassReportStatus(**asdict(report.contestants[0].classes))
    if classes.classes:
        console.print(class_table(shown_report(classes)))


def _print_tasks(console: Console, report: Report) -> None:
    """The scores of tasks on edges, and how each contestant differs from the reference."""
    # Loads what needs torch.
    from service.evaluation.texts import interval, points  # noqa: PLC0415

    for contestant in report.contestants:
        for task in contestant.tasks:
            log_loss, base = nats(task.log_loss), nats(task.base_log_loss)
            line = f"task {task.name} of {contestant.name}: {task.scored:,} of {task.arrived:,} edges scored, "
            line += f"log-loss {log_loss} (shares of the classes: {base})"
            console.print(shown(line), soft_wrap=True, highlight=False)
            if task.differences is not None:
                line = f"less {report.reference} on {task.differences.arrivals:,} edges, with 95 % interval: log-loss "
                line += interval(task.differences.log_loss, 3)
                if task.differences.average_precision is not None:
                    line += f", average precision of {task.ranked} {points(task.differences.average_precision)} points"
                console.print(shown(line), soft_wrap=True, highlight=False)
            if task.classes.classes:
                console.print(class_table(shown_report(ClassReportStatus(**asdict(task.classes))), "edges"))


def _value_line(contestant: str, task: ValueTaskScore) -> str:
    """Scores of a task that predicts values, beside those of the mean of what both ends gave and received."""
    line = f"task {task.name} of {contestant}: {task.scored:,} of {task.arrived:,} edges scored, "
    line += f"MAE {number(task.mae)} (means of the ends: {number(task.base_mae)}), RMSE {number(task.rmse)}, "
    line += f"R2 {number(task.r2)}, {percent(task.coverage)} in the interval of {percent(task.expected_coverage)}"
    return line


def _node_value_line(contestant: str, task: NodeValueScore) -> str:
    """The same of a task on values of nodes, beside those of the mean of the neighbours' values."""
    line = f"task {task.name} of {contestant}: {task.scored:,} of {task.arrived:,} nodes scored, "
    line += f"MAE {number(task.mae)}, RMSE {number(task.rmse)}, R2 {number(task.r2)}"
    if task.width:
        line += f" (MAE of the neighbours' mean: {number(task.base_mae)}), {percent(task.coverage)} in the interval of "
        line += percent(task.expected_coverage)
    return line


def _less(reference: str, difference: Difference) -> str:
    """How much an error is above that of the reference."""
    within = "" if difference.low is None else f" [{number(difference.low)}, {number(difference.high)}]"
    return f"less {reference} on the same nodes, with 95 % interval: MAE {number(difference.value)}{within}"


def _print(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(head):
        table.add_column(shown(column), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)


def _print_links(console: Console, report: Report) -> None:
    """How the tasks on links stand."""
    for contestant in report.contestants:
        for link in contestant.links:
            rules = {"popularity": link.scores["popularity"], "last seen": link.scores["last_seen"]}
            counts = link.scored, link.arrived
            line = links_line(link.name, link.edge_type, counts, link.scores["learned"], {**rules})
            console.print(shown(f"{contestant.name}: {line}"), soft_wrap=True, highlight=False)
