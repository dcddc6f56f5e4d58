"""The same stream through one, two and four partitions in lockstep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from olad_core.events import Event, GraphSchema
from olad_core.partition import Followed, Partition, Traffic, run_in_lockstep
from olad_core.students import Student

RANKS = (1, 2, 4)
CLASSES = 2


@dataclass
class Group:
    """All ranks of one graph."""

    parts: list[Partition]
    traffic: Traffic

    def apply(self, events: Sequence[Event], time: float = 0.0) -> list[Followed]:
        return run_in_lockstep([part.apply(events, time) for part in self.parts], self.traffic)

    def served(self, student: int = 0) -> dict[str, bytes]:
        """What is served of each node."""
        found: dict[str, bytes] = {}
        for part in self.parts:
            ids, answers = part.answers(student)
            assert not found.keys() & set(ids), "a node has one owner"
            found |= {node: row.tobytes() for node, row in zip(ids, answers, strict=True)}
        return found


def group(ranks: int, students: Iterable[Student] = (), schema: GraphSchema | None = None, **settings: Any) -> Group:
    parts = [Partition(rank, ranks, **settings) for rank in range(ranks)]
    members = list(students)
    for part in parts:
        if schema is not None:
            part.declare(schema)
        if members:
            part.serve(members, CLASSES)
    return Group(parts, Traffic())
