"""The nodes whose predictions are exported, in parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from olad_core.graph.store import DynamicGraph
from service.export.failed import ExportFailed


@dataclass(frozen=True)
class NodePart:
    """Some nodes, and the classes that the graph knows of them; None for each where that is not known."""

    nodes: Sequence[str]
    classes: Sequence[str | None]


def of_graph(graph: DynamicGraph, size: int) -> Iterator[NodePart]:
    """All nodes of a graph in the order of their arrival, in parts of that size."""
    rows, names = graph.living(), graph.classes
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        labels = graph.label[part].tolist()
        yield NodePart(graph.ids(part), [None if label < 0 else names[label] for label in labels])


def of_lines(lines: Iterable[bytes], name: str, size: int) -> Iterator[NodePart]:
    """The nodes of a text with one id a line, in parts of that size; empty lines are skipped.

    Raises:
        ExportFailed: naming a line that is not UTF-8.
    """
    ids = _ids(lines, name)
    while nodes := list(itertools.islice(ids, size)):
        yield NodePart(nodes, [None] * len(nodes))


def _ids(lines: Iterable[bytes] | IO[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            node = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ExportFailed(f"{name}, line {number}: not UTF-8; write one id a line") from None
        if node:
            yield node
