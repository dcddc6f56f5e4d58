"""Predictions of many nodes in one file, each with the position that it is exact for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.client.frames import probability_of_label
from service.client.http import Client
from service.export.asked_nodes import NodePart
from service.export.tables import Exported, write_tables

MOST_CLASSES = 500
"""Classes that have a column of their own; with more of them the likeliest class is exported alone."""


def export_predictions(
    client: Client,
    parts: Iterable[NodePart],
    path: Path,
    *,
    position: str | None,
    by: str | None = None,
    limit: int | None = None,
    on_rows: Callable[[int], None] = lambda _rows: None,
) -> Exported:
    """Ask for the predictions of nodes, part by part, and write them into a file that is there whole or not at all.

    Memory does not depend on the number of nodes, unless the rows are ordered.

    Args:
        client: the service.
        parts: the nodes.
        path: of the file; its suffix, one of :data:`FORMATS`, is its format.
        position: asks for rows that are exact for this position or a later one.
        by: orders the rows by the probability of this class, the greatest first; None keeps the order of the nodes.
        limit: only so many rows are written.
        on_rows: called with the number of nodes so far.

    Raises:
        ExportFailed: no such class, or a class came meanwhile.
        ServiceError: the service refused or did not answer in time.
    """
    counted = _Counted(position)
    tables = counted.tables(client, parts, on_rows)
    order = None if by is None else (by, "node")
    rows = write_tables(tables, path, order=order, limit=limit, about=counted.about, what="nodes")
    return Exported(rows, counted.missing, position, tuple(sorted(counted.versions)))


class _Counted:
    """Answers as tables, and what was counted in them."""

    def __init__(self, position: str | None) -> None:
        self._position = position
        self.missing = 0
        self.versions: set[int] = set()
        self._lacks_classes = False

    def tables(self, client: Client, parts: Iterable[NodePart], on_rows: Callable[[int], None]) -> Iterator[Any]:
        """The answers about nodes that are in the graph."""
        asked = 0
        for part in parts:
            answer = self._asked(client, part.nodes)
            about = {name.decode(): value.decode() for name, value in (answer.schema.metadata or {}).items()}
            known = pa.array(part.classes, pa.string())
            there = pc.is_null(answer["error"])
            table = _flat(answer, known, about).filter(there)
            self.missing += len(part.nodes) - table.num_rows
            self.versions.add(int(about["model_version"]))
            asked += len(part.nodes)
            on_rows(asked)
            yield table

    def _asked(self, client: Client, nodes: Sequence[str]) -> Any:
        content = client.predict_arrow(nodes, min_position=self._position, top="all" if self._lacks_classes else None)
        with pa.ipc.open_stream(content) as reader:
            answer = reader.read_all()
        if not self._lacks_classes and "rest" in answer.schema.names:
            # Each class has a column: the most likely ones are not enough.
            self._lacks_classes = len(json.loads(answer.schema.metadata[b"classes"])) <= MOST_CLASSES
            if self._lacks_classes:
                return self._asked(client, nodes)
        return answer

    def about(self) -> dict[str, str]:
        """What the file states about itself."""
        return {
            "olad.position": self._position or "",
            "olad.model_versions": ",".join(map(str, sorted(self.versions))),
        }


def _flat(answer: Any, known: Any, about: dict[str, str]) -> Any:
    """One column for each thing, as tables of other programs have them."""
    classes: list[str] = json.loads(about["classes"])
    shown = answer["probabilities"].combine_chunks()
    values = np.asarray(pc.fill_null(shown.values, 0.0)).reshape(len(answer), shown.type.list_size)
    columns: dict[str, Any] = {
        "node": answer["node"],
        "label": answer["label"],
        "probability": pa.array(probability_of_label(answer, values, classes), pa.float32()),
        "disagreement": answer["disagreement"],
        "known_label": known,
        "position": answer["position"],
        "behind": answer["behind"],
        "student": pa.array([about["student"]] * len(answer), pa.string()),
        "model_version": pa.array([int(about["model_version"])] * len(answer), pa.int64()),
    }
    if len(classes) <= MOST_CLASSES:
        columns |= {f"p({name})": pa.array(values[:, place], pa.float32()) for place, name in enumerate(classes)}
    return pa.table(columns)
