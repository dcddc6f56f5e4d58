"""What a replay of a graph with tasks on edges ends with: scores of each task, and the edges to examine first."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from service.client.errors import ServiceError
from service.client.http import Client
from service.commands.class_view import class_table
from service.commands.value_view import value_lines
from service.figures import nats, percent
from service.store.positions import parse_position
from service.store.status import WorkerStatus
from service.terminal import shown, shown_report

LISTED = 10
"""Edges that are listed."""
_REPORT_S = 5.0
"""For so long a report of the worker is waited for, which comes once a second."""


def print_tasks(console: Console, client: Client, position: str | None) -> None:
    """The classes of each task, and the edges without a label that are likeliest to be of the rarest class.

    Args:
        console: prints them.
        client: of the service.
        position: of the last entry that was sent.
    """
    worker = _worker(client, position)
    for task in worker.tasks if worker is not None else ():
        losses = f"log-loss {nats(task.score.log_loss)} (shares of the classes: {nats(task.base_score.log_loss)})"
        line = f"task {task.name}: {task.labels:,} of {task.arrived:,} {task.edge_type} edges have a label; {losses}"
        console.print(shown(line), soft_wrap=True, highlight=False)
        if task.report.classes:
            console.print(class_table(shown_report(task.report), "edges"))
        scored = sorted(task.report.classes, key=lambda row: row.support)
        # Before any prediction is scored, the class that was declared last.
        rarest = scored[0].name if scored else next(reversed(task.classes), "")
        try:
            found = client.top_edges(rarest, edge_type=task.edge_type, limit=LISTED, min_position=position)
        except ServiceError as error:
            console.print(shown(str(error)), soft_wrap=True)
            continue
        title = f"likeliest to be {rarest}, of {found.compared:,} {task.edge_type} edges without a label"
        console.print(shown(title), soft_wrap=True, highlight=False)
        table = Table()
        for column in ("edge", "from", "to"):
            table.add_column(column)
        table.add_column("probability", justify="right")
        for edge in found.edges:
            table.add_row(*map(shown, (edge.id or "-", edge.src, edge.dst)), percent(edge.probability))
        console.print(table)
        console.print(f"exact at position {found.position}", highlight=False)


def print_values(console: Console, client: Client, position: str | None) -> None:
    """The scores of each task on values, where there are any; arguments as of :func:`print_tasks`."""
    worker = _with_values(client, position)
    for line in value_lines(worker) if worker is not None else ():
        console.print(shown(line), soft_wrap=True, highlight=False)


def values_for_machines(client: Client, position: str | None) -> dict[str, list[dict[str, Any]]]:
    """The same scores as `GET /status` answers them: lists by the names they have there, empty without such tasks."""
    worker = _with_values(client, position)
    return {
        "value_tasks": [] if worker is None else [task.model_dump() for task in worker.value_tasks],
        "node_value_tasks": [] if worker is None else [task.model_dump() for task in worker.node_value_tasks],
    }


def _with_values(client: Client, position: str | None) -> WorkerStatus | None:
    """The worker's report at a position; None, without waiting for it, where no task is on values."""
    now = client.status().worker
    return None if now is None or not value_lines(now) else _worker(client, position)


def _worker(client: Client, position: str | None) -> WorkerStatus | None:
    """The worker's report at a position, or later; its last one where that takes long."""
    until = time.monotonic() + _REPORT_S
    while True:
        worker = client.status().worker
        reached = worker is not None and (position is None or _reaches(worker.position, position))
        if reached or time.monotonic() > until:
            return worker
        time.sleep(0.2)


def _reaches(reported: str | None, position: str) -> bool:
    return reported is not None and parse_position(reported) >= parse_position(position)
