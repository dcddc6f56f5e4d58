"""Predicted values of many nodes in one file, each with the position that it is exact for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from service.client.http import Client
from service.export.asked_nodes import NodePart
from service.export.failed import ExportFailed
from service.export.tables import Exported, write_tables
from service.models import MAX_VALUED_NODES, NodeValueOfMany, NodeValues

_FLOAT = pa.float64()
_SCHEMA = pa.schema(
    {
        "node": pa.string(),
        "value": _FLOAT,
        "low": _FLOAT,
        "high": _FLOAT,
        "at_arrival": _FLOAT,
        "known_value": _FLOAT,
        "task": pa.string(),
        "model_version": pa.int64(),
        "position": pa.string(),
        "behind": pa.int64(),
    }
)


def export_values(
    client: Client,
    parts: Iterable[NodePart],
    path: Path,
    task: str,
    *,
    position: str | None,
    limit: int | None = None,
    on_rows: Callable[[int], None] = lambda _rows: None,
) -> Exported:
    """Ask for the values of nodes, part by part, and write them into a file that is there whole or not at all.

    Nodes for which the task has no value are left out, such as those of another type.

    Args:
        client: the service.
        parts: the nodes.
        path: of the file; its suffix is its format.
        task: that predicts.
        position: asks for rows that are exact for this position or a later one.
        limit: only so many rows are written.
        on_rows: called with the number of nodes so far.

    Raises:
        ExportFailed: the graph has no such task, or it predicts nothing yet.
        ServiceError: the service refused or did not answer in time.
    """
    counted = _Counted(client, task, position)
    about = {"olad.position": position or ""}
    tables = counted.tables(parts, on_rows)
    rows = write_tables(tables, path, order=None, limit=limit, about=lambda: about | counted.about(), what="nodes")
    return Exported(rows, counted.missing, position, tuple(sorted(counted.versions)))


class _Counted:
    """Answers as tables, and what was counted in them."""

    def __init__(self, client: Client, task: str, position: str | None) -> None:
        self._client, self._task, self._position = client, task, position
        self.missing = 0
        self.versions: set[int] = set()

    def tables(self, parts: Iterable[NodePart], on_rows: Callable[[int], None]) -> Iterator[Any]:
        """The answers about nodes that have a value."""
        asked = 0
        for nodes in _fitting(parts):
            found = self._client.predict_values(nodes, task=self._task, min_position=self._position)
            kept = [each for each in found.predictions if each.error is None]
            if any(each.error == "no-model" for each in found.predictions):
                raise ExportFailed(f"the task {self._task!r} predicts nothing yet: too few values have come")
            self.versions |= {each.model_version for each in kept if each.model_version is not None}
            asked, self.missing = asked + len(nodes), self.missing + len(nodes) - len(kept)
            on_rows(asked)
            yield _table(found, kept)
        if self.missing == asked:
            raise ExportFailed(f"there is no value to export: no node has one by the task {self._task!r}")

    def about(self) -> dict[str, str]:
        """What the file states about itself."""
        return {"olad.model_versions": ",".join(map(str, sorted(self.versions)))}


def _fitting(parts: Iterable[NodePart]) -> Iterable[Sequence[str]]:
    """The nodes in parts that one request may ask for."""
    for part in parts:
        for first in range(0, len(part.nodes), MAX_VALUED_NODES):
            yield part.nodes[first : first + MAX_VALUED_NODES]


def _table(found: NodeValues, kept: Sequence[NodeValueOfMany]) -> Any:
    intervals = [each.interval or (None, None) for each in kept]
    columns = {
        "node": [str(each.node) for each in kept],
        "value": [each.value for each in kept],
        "low": [low for low, _ in intervals],
        "high": [high for _, high in intervals],
        "at_arrival": [each.at_arrival.value if each.at_arrival is not None else None for each in kept],
        "known_value": [each.truth for each in kept],
        "task": [each.task for each in kept],
        "model_version": [each.model_version for each in kept],
        "position": [found.position] * len(kept),
        "behind": [found.behind] * len(kept),
    }
    return pa.table(columns, schema=_SCHEMA)
