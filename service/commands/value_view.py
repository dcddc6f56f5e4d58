"""The scores of tasks on values, a line each."""

from __future__ import annotations

from service.figures import number, percent
from service.store.status import NodeValueTaskStatus, ValueTaskStatus, WorkerStatus


def value_lines(worker: WorkerStatus) -> list[str]:
    """How each task on values of edges or nodes stands, beside a simple prediction."""
    edges = [_value_task_line(task) for task in worker.value_tasks]
    return edges + [_node_value_line(task) for task in worker.node_value_tasks]


def _value_task_line(task: ValueTaskStatus) -> str:
    """How a task that predicts values stands, beside the mean of what both ends gave and received."""
    counts = f"{task.arrived:,} edges arrived, {task.labels:,} values"
    about = f"task {task.name}, value of edges of the type {task.edge_type}"
    return f"{about}: {counts}, {_errors(task, 'means of the ends')}"


def _node_value_line(task: NodeValueTaskStatus) -> str:
    """The same of a task on values of nodes, beside the mean of the neighbours' values."""
    counts = f"{task.arrived:,} nodes arrived, {task.labels:,} values"
    about = f"task {task.name}, value of nodes of the type {task.node_type}"
    return f"{about}: {counts}, {_errors(task, 'mean of the neighbours')}"


def _errors(task: ValueTaskStatus | NodeValueTaskStatus, simple: str) -> str:
    """The scores of a task on values, beside those of a simple prediction."""
    errors = f"MAE {number(task.score.mae)} ({simple}: {number(task.base_score.mae)})"
    more = f"RMSE {number(task.score.rmse)}, R2 {number(task.score.r2)}"
    return f"{errors}, {more}, {percent(task.score.coverage)} in the interval of {percent(task.coverage)}"
