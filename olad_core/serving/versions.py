"""Published versions: one that is served, one on its way, and what readers must be told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph
from olad_core.named_state import join_parts, take_part
from olad_core.serving.embedding import Embedding
from olad_core.serving.publication import TableUpdate, Version
from olad_core.serving.touched import Touch
from olad_core.step_size import StepSize
from olad_core.students import Memory, Student, build_student, registered_name

Rows = npt.NDArray[np.int64]
Values = dict[str, object]


@dataclass(frozen=True)
class HeldVersion:
    """A version with what is computed from it.

    Attributes:
        version: its number, student and classes.
        architecture: kind of its student.
        position: where in the log its weights were taken.
        embedding: its layers and probabilities for every node.
    """

    version: Version
    architecture: str
    position: str
    embedding: Embedding


@dataclass(frozen=True)
class AdvanceOutcome:
    """What embedding one slice did.

    Attributes:
        finished: the version whose last slice it was; None where slices are left, or none was on its way.
        refused: whether that version was given up instead of being served, because more of its predictions are not
            finite than of the served version's.
    """

    finished: Version | None = None
    refused: bool = False


class Versions:
    """The served version and the candidate that will replace it once every node is embedded.

    Args:
        device: where embeddings are computed.
        memory: of the students that remember.
    """

    def __init__(self, device: torch.device, memory: Memory) -> None:
        self._device = device
        self._memory = memory
        self.served: HeldVersion | None = None
        self.candidate: HeldVersion | None = None
        self.served_since = 0
        """First version of the current run of versions from the served student."""
        self.next_number = 1
        self.refused = 0
        """Candidates given up because they had more predictions that are no numbers than what is served."""
        self._changed: dict[int, list[Rows]] = {}
        self._dropped: list[int] = []

    def start(self, student: Student, name: str, classes: Sequence[str], position: str) -> None:
        """Begin to embed the graph with a student whose weights will not change any more."""
        version = Version(self.next_number, name, tuple(classes))
        self.candidate = HeldVersion(version, registered_name(student), position, self._embedding(student, version))
        self.next_number += 1

    def advance(self, graph: DynamicGraph, size: StepSize) -> AdvanceOutcome:
        """Embed one slice of the candidate; with the last one it becomes the served version."""
        held = self.candidate
        if held is None:
            return AdvanceOutcome()
        self._note(held, held.embedding.advance(graph, size))
        if not held.embedding.complete:
            return AdvanceOutcome()
        broken = held.embedding.broken(graph)
        if broken and broken > (self.served.embedding.broken(graph) if self.served else 0):
            self.refused += 1
            self.withdraw()
            return AdvanceOutcome(held.version, refused=True)
        if self.served is None or self.served.version.student != held.version.student:
            self.served_since = held.version.number
        if self.served:
            self._forget(self.served)
        self.served, self.candidate = held, None
        return AdvanceOutcome(held.version)

    def withdraw(self) -> None:
        """Give up the candidate."""
        if self.candidate:
            self._forget(self.candidate)
            self.candidate = None

    def follow(self, graph: DynamicGraph, touch: Touch) -> None:
        """Bring both versions up to a change of the graph."""
        for held in self._held():
            self._note(held, held.embedding.update(graph, touch))

    def begin_anew(self) -> None:
        """Forget all rows: the graph has no node, and gives them out from the first one again."""
        self._changed = {}
        for held in self._held():
            held.embedding.begin_anew()

    def note_all(self, graph: DynamicGraph) -> None:
        """Let the next :meth:`take_updates` hold every prediction there is."""
        for held in self._held():
            self._note(held, held.embedding.computed(graph))

    @property
    def has_news(self) -> bool:
        """Whether :meth:`take_updates` has anything to give."""
        return bool(self._changed or self._dropped)

    def take_updates(
        self, graph: DynamicGraph, removed: tuple[str, ...]
    ) -> tuple[tuple[TableUpdate, ...], tuple[int, ...]]:
        """Changed predictions since the last call, and the numbers of the versions that are gone."""
        updates = []
        for held in self._held():
            changed = self._changed.get(held.version.number, [])
            rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *changed]))
            rows = rows[graph.alive[rows]]
            if len(rows) or removed:
                nodes = tuple(graph.ids(rows))
                probabilities, disagreement = held.embedding.probabilities(rows), held.embedding.disagreement(rows)
                updates.append(TableUpdate(held.version.number, nodes, probabilities, disagreement, removed, rows=rows))
        dropped = tuple(self._dropped)
        self._changed, self._dropped = {}, []
        return tuple(updates), dropped

    def state(self, rows: int) -> tuple[dict[str, Tensor], Values]:
        """Tensors and plain values for a checkpoint, of the first rows; call after :meth:`take_updates`."""
        tensors: dict[str, dict[str, Tensor]] = {}
        values: Values = {"next_number": self.next_number, "served_since": self.served_since, "refused": self.refused}
        for role, held in (("served", self.served), ("candidate", self.candidate)):
            if held is None:
                continue
            tensors[role] = held.embedding.state(rows)
            values[role] = {
                "number": held.version.number,
                "student": held.version.student,
                "classes": list(held.version.classes),
                "architecture": held.architecture,
                "position": held.position,
                "feature_width": held.embedding.student.feature_width,
                "width": held.embedding.student.width,
            }
        return join_parts(tensors), values

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over the tensors and values of :meth:`state`."""
        self.next_number = values["next_number"]
        self.served_since = values["served_since"]
        self.refused = values["refused"]
        self.served = self._restored("served", tensors, values)
        self.candidate = self._restored("candidate", tensors, values)

    def _held(self) -> list[HeldVersion]:
        return [held for held in (self.served, self.candidate) if held]

    def _restored(self, role: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> HeldVersion | None:
        if role not in values:
            return None
        held, own = values[role], take_part(tensors, role)
        capacity = own["student/encoder.labels"].shape[0]
        student = build_student(held["architecture"], held["feature_width"], held["width"], capacity, seed=0)
        version = Version(held["number"], held["student"], tuple(held["classes"]))
        embedding = self._embedding(student.to(self._device), version)
        for name, new in embedding.state(0).items():
            if (own[name].dtype, own[name].shape[1:]) != (new.dtype, new.shape[1:]):
                raise ValueError(f"versions/{role}/{name}: {own[name].dtype} {list(own[name].shape)}")
        embedding.restore(own)
        return HeldVersion(version, held["architecture"], held["position"], embedding)

    def _embedding(self, student: Student, version: Version) -> Embedding:
        recall = partial(self._memory.recall, version.student)
        return Embedding(student, len(version.classes), self._device, recall)

    def _note(self, held: HeldVersion, rows: Rows) -> None:
        if len(rows):
            self._changed.setdefault(held.version.number, []).append(rows)

    def _forget(self, held: HeldVersion) -> None:
        self._changed.pop(held.version.number, None)
        self._dropped.append(held.version.number)
