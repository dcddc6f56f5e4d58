"""``olad status``: the state of the service."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.class_view import class_table
from service.commands.link_view import links_line
from service.commands.options import AsJson, Url
from service.commands.value_view import value_lines
from service.figures import lead_name, lead_value, nats, percent
from service.models import Group, ServiceStatus
from service.store.status import (
    CombinedStatus,
    GraphStatus,
    LeadStatus,
    Score,
    ServingStatus,
    StudentStatus,
    TaskStatus,
)
from service.terminal import Terminal, shown_report

DECISIONS_SHOWN = 5
"""Of those that are more than one more version of the same student."""


def status(
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show positions, lag, graph size, versions, students and their scores."""
    with service_client(url, patience_s=3) as client:
        report, group = client.status(), client.students()
    if as_json:
        typer.echo(json.dumps({"status": report.model_dump(mode="json"), **group.model_dump(mode="json")}))
        return
    report, group = shown_report(report), shown_report(group)
    console = Terminal()
    console.print(_service_table(report))
    if report.worker is not None and report.worker.served_report is not None and report.worker.served_report.classes:
        console.print(class_table(report.worker.served_report))
    console.print(_student_table(group))
    for task in report.worker.tasks if report.worker is not None else ():
        console.print(_task_line(task), soft_wrap=True, highlight=False)
        if task.report.classes:
            console.print(class_table(task.report, "edges"))
    for link in report.worker.links if report.worker is not None else ():
        rules = {"popularity": link.popularity, "last seen": link.last_seen}
        line = links_line(link.name, link.edge_type, (link.scored, link.arrived), link.score, {**rules})
        console.print(line, soft_wrap=True, highlight=False)
    for line in value_lines(report.worker) if report.worker is not None else ():
        console.print(line, soft_wrap=True, highlight=False)
    for decision in [decision for decision in group.decisions if decision.kind != "student-kept"][:DECISIONS_SHOWN]:
        line = f"{decision.position} {decision.kind}: {decision.reason}"
        console.print(line, soft_wrap=True, highlight=False)


def _service_table(report: ServiceStatus) -> Table:
    table = Table(title=f"graph {report.graph}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    log, worker = report.log, report.worker
    table.add_row("log ends at", log.position or "nothing in it yet")
    table.add_row("predictions show", report.position or "nothing yet")
    table.add_row("lag", f"{log.behind_events:,} of {log.appended_events:,} events")
    if worker is None:
        table.add_row("worker", "has never reported")
        return table
    table.add_row("worker", f"{'alive' if report.heartbeat else '[red]no heartbeat[/]'}, on {worker.device}")
    table.add_row("rates", f"{worker.events_per_s:,.0f} events/s, {worker.steps_per_s:,.1f} steps/s")
    if worker.learning.state == "resting" and worker.learning.since is not None:
        table.add_row(
            "training", f"rests, for {max(0.0, time.time() - worker.learning.since):,.0f} s: nothing new to learn"
        )
    table.add_row("rejected events", f"{worker.rejected_events:,}")
    graph = worker.graph
    table.add_row("graph", f"{graph.nodes:,} nodes ({graph.labelled:,} labelled), {graph.edges:,} edges")
    table.add_row("latest time", _latest_time(graph))
    table.add_row("classes", ", ".join(graph.classes) or "none yet")
    if worker.served is None:
        table.add_row("model", "missing: " + ("; ".join(worker.learning.missing) or "the first version is being made"))
    else:
        of_former = " of the former group" if worker.served.former else ""
        table.add_row("model", f"version {worker.served.version}, {worker.served.student}{of_former}")
        if worker.kept is not None and worker.kept.serving is not None:
            table.add_row("choice", _choice(worker.kept.serving))
        if worker.lead is not None:
            table.add_row(f"served {lead_name(worker.lead)}", _lead(worker.lead), style="bold")
        score, first = worker.served_score, worker.lead.metric if worker.lead is not None else ""
        if first != "accuracy":
            table.add_row("served", f"{percent(score.accuracy)} right, lately {percent(score.accuracy_recent)}")
        if first != "macro_f1":
            table.add_row("macro-F1", f"{percent(score.macro_f1)}, lately {percent(score.macro_f1_recent)}")
    if worker.candidate is not None:
        table.add_row(
            "next model", f"version {worker.candidate.version}, {percent(worker.candidate.progress)} embedded"
        )
    age = report.checkpoint_age_s
    table.add_row("checkpoint", "none yet" if age is None else f"{age:,.0f} s old")
    if (archive := worker.archive) is not None:
        found = f"up to {archive.position or '-'}" if archive.problem is None else f"[red]fails:[/] {archive.problem}"
        table.add_row("archive", found)
    return table


def _choice(serving: ServingStatus) -> str:
    """The rule, what keeps the group from being served, and what an event takes with what is served.

    >>> costs = {"cost_us": 128.4, "measured": True, "load": 0.2}
    >>> choice = {"name": "gcn"} | costs
    >>> _choice(ServingStatus(rule="auto", served="gcn", expected_gain=0.011, withheld="load", choices=(choice,)))
    'auto; the group is expected to be +1.1 points better; withheld: load; an event takes 128 microseconds'
    """
    parts = [serving.rule]
    if serving.expected_gain is not None:
        parts.append(f"the group is expected to be {100 * serving.expected_gain:+.1f} points better")
    if serving.withheld is not None:
        parts.append(f"withheld: {serving.withheld}")
    costs = [choice.cost_us for choice in serving.choices if choice.name == serving.served and choice.cost_us]
    parts += [f"an event takes {cost:,.0f} microseconds" for cost in costs]
    return "; ".join(parts)


def _lead(lead: LeadStatus) -> str:
    """The lead figure, beside that of one who has learned nothing."""
    whole, recent = lead_value(lead, lead.value), lead_value(lead, lead.recent)
    beside = f"; {lead.baseline_of}: {lead_value(lead, lead.baseline)}" if lead.baseline_of else ""
    return f"{whole}, lately {recent}{beside}"


def _latest_time(graph: GraphStatus) -> str:
    """The graph's latest time: a number in the unit of ``ts``, or a date where it is the time of arrival.

    >>> sizes = {"nodes": 1, "edges": 0, "labelled": 0, "classes": (), "feature_width": None}
    >>> _latest_time(GraphStatus(**sizes, latest_time=2010.5, event_time=True))
    '2010.5, a ts'
    >>> _latest_time(GraphStatus(**sizes, latest_time=1763900000.25, event_time=False))
    '2025-11-23 12:13:20 UTC, the time of arrival'
    >>> _latest_time(GraphStatus(**sizes, latest_time=1e30, event_time=False))
    '1e+30, the time of arrival in seconds'
    """
    if graph.latest_time is None:
        return "none yet"
    if graph.event_time:
        return f"{graph.latest_time:.15g}, a ts"
    try:
        return f"{datetime.fromtimestamp(graph.latest_time, UTC):%Y-%m-%d %H:%M:%S} UTC, the time of arrival"
    except (OverflowError, ValueError, OSError):
        # PUT /clock can set any time.
        return f"{graph.latest_time:.15g}, the time of arrival in seconds"


def _task_line(task: TaskStatus) -> str:
    """How a task stands, beside who knows nothing but the shares of the classes."""
    counts = f"{task.arrived:,} edges arrived, {task.labels:,} labels"
    scores = f"log-loss {nats(task.score.log_loss)} (shares of the classes: {nats(task.base_score.log_loss)})"
    return f"task {task.name}, class of edges of the type {task.edge_type}: {counts}, {scores}"


def _student_table(group: Group) -> Table:
    table = Table(title="students, with their recent scores", title_justify="left")
    table.add_column("student")
    for column in ("parameters", "scored", "accuracy", "macro-F1", "log-loss", "calibration"):
        table.add_column(column, justify="right")
    table.add_column("served")
    for student in group.students:
        table.add_row(student.name, f"{student.parameters:,}", *_scored(student))
    if group.combined is not None:
        parameters = sum(student.parameters for student in group.students)
        table.add_row("group", f"{parameters:,}", *_scored(group.combined), style="bold")
    if group.combined is not None and (trees := group.combined.trees) is not None:
        table.add_row("trees", "", *_score(trees.score), "within the group" if trees.served else "")
    if group.combined is not None and (linear := group.combined.linear) is not None:
        table.add_row("linear", "", *_score(linear.score), "within the group" if linear.served else "")
    return table


def _scored(found: StudentStatus | CombinedStatus) -> tuple[str, ...]:
    """The scores, and since which version it is served."""
    return (*_score(found.score), f"since version {found.served_since_version}" if found.served else "")


def _score(score: Score) -> tuple[str, ...]:
    return (
        f"{score.scored:,}",
        percent(score.accuracy_recent),
        percent(score.macro_f1_recent),
        nats(score.log_loss_recent),
        percent(score.calibration_error_recent),
    )
