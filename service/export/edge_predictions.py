"""Predictions of many edges in one file, each with the position that it is exact for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from service.client.http import Client
from service.export.asked_edges import NO_TASK, AskedEdge
from service.export.failed import ExportFailed
from service.export.tables import Exported, write_tables
from service.models import EdgeOfMany, EdgePredictions, EdgeValueOfMany

_WHY = {
    "no-task": NO_TASK,
    "no-model": "nothing is predicted of edges of the type {!r} yet: labels are missing",
}


def export_edge_predictions(
    client: Client,
    parts: Iterable[Sequence[AskedEdge]],
    edge_type: str,
    path: Path,
    *,
    position: str | None,
    by: str | None = None,
    limit: int | None = None,
    on_rows: Callable[[int], None] = lambda _rows: None,
) -> Exported:
    """Ask for the predictions of edges, part by part, and write them into a file that is there whole or not at all.

    Args:
        client: the service.
        parts: the edges, each part of at most as many as one request takes.
        edge_type: their type, which has a task.
        path: of the file; its suffix is its format.
        position: asks for rows that are exact for this position or a later one.
        by: orders the rows by the probability of this class, the greatest first; None keeps the order of the edges.
        limit: only so many rows are written.
        on_rows: called with the number of edges so far.

    Raises:
        ExportFailed: the type has no task, its task has no such class, or nothing was predicted yet.
        ServiceError: the service refused or did not answer in time.
    """
    counted = _Counted(edge_type, position)
    found = [row for part in parts for row in counted.rows(client, part, on_rows)]
    order = None if by is None else (by, "edge")
    about = {"olad.position": position or "", "olad.edge_type": edge_type}
    tables = [_table(found)] if found else []
    rows = write_tables(tables, path, order=order, limit=limit, about=lambda: about, what="edges that are remembered")
    return Exported(rows, counted.missing, position, tuple(sorted(counted.versions)))


class _Counted:
    """Answers as rows, and what was counted in them."""

    def __init__(self, edge_type: str, position: str | None) -> None:
        self._type = edge_type
        self._position = position
        self._asked = 0
        self.missing = 0
        self.versions: set[int] = set()

    def rows(
        self, client: Client, part: Sequence[AskedEdge], on_rows: Callable[[int], None]
    ) -> Iterator[dict[str, Any]]:
        """One row for each edge that the task remembers."""
        answer = client.predict_edges([edge.named(self._type) for edge in part], min_position=self._position)
        for edge, found in zip(part, answer.predictions, strict=True):
            if isinstance(found, EdgeOfMany) and found.error in {"no-task", "no-model"}:
                raise ExportFailed(_WHY[found.error].format(self._type))
            if not found.arrived:
                self.missing += 1
                continue
            assert found.model_version is not None
            self.versions.add(found.model_version)
            yield _row(edge, found, answer)
        self._asked += len(part)
        on_rows(self._asked)


def _row(edge: AskedEdge, found: EdgeOfMany | EdgeValueOfMany, answer: EdgePredictions) -> dict[str, Any]:
    named = {"edge": edge.id, "src": edge.src, "dst": edge.dst, "type": found.type, "task": found.task}
    last = {"position": answer.position, "behind": answer.behind, "model_version": found.model_version}
    return {**named, **(_classes(found) if isinstance(found, EdgeOfMany) else _value(found)), **last}


def _classes(found: EdgeOfMany) -> dict[str, Any]:
    assert found.probabilities is not None
    assert found.label is not None
    then = found.at_arrival or {}
    return {
        "label": found.label,
        "probability": found.probabilities[found.label],
        "known_label": found.truth,
        **{f"p({name})": share for name, share in found.probabilities.items()},
        **{f"at arrival p({name})": then.get(name) for name in found.probabilities},
    }


def _value(found: EdgeValueOfMany) -> dict[str, Any]:
    then = found.at_arrival
    return {
        "value": found.value,
        "low": found.interval[0],
        "high": found.interval[1],
        "known_value": found.truth,
        "at arrival value": None if then is None else then.value,
        "at arrival low": None if then is None else then.interval[0],
        "at arrival high": None if then is None else then.interval[1],
    }


def _table(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as columns; a class that came meanwhile is empty before."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _column(name: str, values: list[Any]) -> Any:
    if name in {"edge", "known_label"}:
        return pa.array(values, pa.string())  # All of them may be null.
    return (
        pa.array(values, pa.float64()) if name.startswith("at arrival") or name == "known_value" else pa.array(values)
    )
