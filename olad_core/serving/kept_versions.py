"""The last versions that were served, with their weights: for people, and to serve one of them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph
from olad_core.judging.tally import NOTHING, Tally
from olad_core.named_state import join_parts, take_part
from olad_core.serving.combination import Combination
from olad_core.serving.version_reasons import Reason
from olad_core.serving.versions import HeldVersion
from olad_core.students import InputShape, Student


@dataclass(frozen=True)
class Weights:
    """What a version computes with.

    Attributes:
        members: architecture of each of its students, by name.
        students: in that order; their weights do not change any more.
        combination: of their answers; None of a student alone.
    """

    members: Mapping[str, str]
    students: tuple[Student, ...]
    combination: Combination | None = None

    @property
    def parameters(self) -> int:
        """Numbers in the weights of its students."""
        return sum(parameter.numel() for student in self.students for parameter in student.parameters())

    @property
    def bytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name: those in use, not copies of them."""
        parts: dict[str, Mapping[str, Tensor]] = {
            f"student/{place}": student.state_dict() for place, student in enumerate(self.students)
        }
        if self.combination:
            parts["combination"] = self.combination.state()
        return join_parts(parts)

    def shape(self) -> dict[str, object]:
        """Plain values that :meth:`of` needs beside the tensors."""
        first = self.students[0]
        return {
            "members": [[name, kind] for name, kind in self.members.items()],
            "width": first.width,
            **InputShape.of_student(first).values(),
        }

    @classmethod
    def of(cls, shape: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device) -> Weights:
        """The weights whose :meth:`shape` and :meth:`tensors` these were.

        Raises:
            ValueError: they do not belong together.
        """
        members, reads = {str(name): str(kind) for name, kind in shape["members"]}, InputShape.read(shape)
        students = []
        for place, kind in enumerate(members.values()):
            own = take_part(tensors, f"student/{place}")
            if "encoder.labels" not in own:
                raise ValueError(f"student/{place}: has no weights")
            student = reads.build(kind, shape["width"], len(own["encoder.labels"]), 0)
            student.load_state_dict(own)
            students.append(student.to(device).eval().requires_grad_(False))
        combined = take_part(tensors, "combination")
        return cls(members, tuple(students), Combination.restored(combined, len(members)) if combined else None)


@dataclass(frozen=True)
class KeptVersion:
    """A version that is served or was.

    Attributes:
        number: by which people know it.
        student: name of its student, or that of the group.
        classes: that it can name.
        reason: why it was made.
        position: of the log at which its weights were taken, the last ones while it is refined.
        step: training steps until then.
        refined: how often its weights were taken anew.
        nodes: of the graph then.
        edges: of the graph then.
        labelled: labelled nodes of the graph then.
        applied_events: events up to there.
        served_from: position from which it was served, the last time.
        served_until: position at which another one took its place; None while it is served.
        scores: of what it predicted at arrival, counted where the label came while it was served; without the present
            time, if it is served.
        calibration: expected calibration error of what was served when its time ended; None before.
        former: whether its students are of a group that another one has replaced.
        weights: what it computes with.
    """

    number: int
    student: str
    classes: tuple[str, ...]
    reason: Reason
    position: str
    step: int
    refined: int
    nodes: int
    edges: int
    labelled: int
    applied_events: int
    served_from: str
    served_until: str | None
    scores: Tally
    calibration: float | None
    former: bool
    weights: Weights

    @property
    def remembers(self) -> bool:
        """Whether some of its students has hidden states, which are those of the present group."""
        return any(student.remembers for student in self.weights.students)

    def values(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**plain, "classes": list(self.classes), "scores": self.scores.values(), "weights": self.weights.shape()}

    @classmethod
    def of(cls, values: Mapping[str, Any], weights: Weights) -> KeptVersion:
        """The version whose :meth:`values` these were."""
        plain = {name: values[name] for name in _PLAIN}
        return cls(**plain, classes=tuple(values["classes"]), scores=Tally.of(values["scores"]), weights=weights)


_PLAIN = (
    "number",
    "student",
    "reason",
    "position",
    "step",
    "refined",
    "nodes",
    "edges",
    "labelled",
    "applied_events",
    "served_from",
    "served_until",
    "calibration",
    "former",
)


class KeptVersions:
    """The last versions, the served one among them.

    Beyond ``most`` the oldest goes, but for the pinned one and the one that a rollback would go to.

    Args:
        most: versions that are kept; the served one is kept always.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._kept: dict[int, KeptVersion] = {}
        self._begun = NOTHING
        self.pinned: int | None = None
        """Number of the version that is to be served whatever is learned; None where the choice is free."""
        self.rolled_back = False
        """Whether it is pinned because of a rollback."""

    def newest_first(self) -> tuple[KeptVersion, ...]:
        """All that are kept."""
        return tuple(self._kept[number] for number in sorted(self._kept, reverse=True))

    def get(self, number: int) -> KeptVersion | None:
        """The version with this number; None where it is not kept."""
        return self._kept.get(number)

    @property
    def served(self) -> KeptVersion | None:
        """The one that is served; None before the first."""
        return next((kept for kept in self._kept.values() if kept.served_until is None), None)

    @property
    def students(self) -> int:
        """Students whose weights are kept beside those of what is served."""
        return sum(len(kept.weights.students) for kept in self._kept.values() if kept.served_until is not None)

    def scores(self, kept: KeptVersion, now: Tally) -> Tally:
        """Scores of a version while it was served.

        Args:
            kept: the version.
            now: counts of what was served, over all scored nodes.
        """
        return kept.scores if kept.served_until is not None else kept.scores.plus(now.since(self._begun))

    def before_switch(self, number: int) -> KeptVersion | None:
        """The newest version before this one that is of another student; None where none is kept."""
        own = self._kept.get(number)
        earlier = (kept for kept in self.newest_first() if kept.number < number)
        return next((kept for kept in earlier if own is not None and kept.student != own.student), None)

    def rollback_to(self, served: int) -> KeptVersion | None:
        """The version that a rollback goes to while one is served: that before the pinned one, where one is."""
        return self.before_switch(self.pinned or served)

    def follow(
        self, held: HeldVersion, graph: DynamicGraph, origin: tuple[str, int], now: Tally, calibration: float | None
    ) -> None:
        """Another version is served from now on, or the same one with other weights.

        Args:
            held: what is served.
            graph: the live graph.
            origin: position and number of applied events.
            now: counts of what was served, over all scored nodes.
            calibration: expected calibration error of what was served lately.
        """
        position, applied_events = origin
        number, before = held.version.shown, self.served
        if before is not None and before.number != number:
            closed = replace(before, served_until=position, scores=self.scores(before, now), calibration=calibration)
            self._kept[before.number] = closed
            if closed.former and closed.remembers:  # Its hidden states are gone.
                del self._kept[before.number]
        known = self._kept.get(number)
        if known is None or before is None or before.number != number:
            self._begun = now
        if known is not None and before is not None and before.number != number:
            self._kept[number] = replace(known, served_from=position, served_until=None)
        else:
            self._kept[number] = KeptVersion(
                number,
                held.version.student,
                held.version.classes,
                known.reason if known else held.made.reason,
                held.position,
                held.made.step,
                known.refined + 1 if known else 0,
                graph.num_nodes,
                graph.num_edges,
                int(np.count_nonzero(graph.alive & (graph.label >= 0))),
                applied_events,
                known.served_from if known else position,
                None,
                known.scores if known else NOTHING,
                None,
                held.former,
                weights_of(held),
            )
        self._trim(number)

    def begin_anew(self, served: HeldVersion | None) -> None:
        """Other students replace the group: versions whose hidden states are gone with it are not kept."""
        for number, kept in list(self._kept.items()):
            is_served = served is not None and served.version.shown == number
            if kept.remembers and not is_served:
                del self._kept[number]
            else:
                self._kept[number] = replace(kept, former=True)
        if served is None and not self._kept:
            self.pinned = None

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint; the weights of what is served are not among them."""
        tensors = join_parts(
            {str(n): kept.weights.tensors() for n, kept in self._kept.items() if kept.served_until is not None}
        )
        return tensors, {
            "versions": [self._kept[number].values() for number in sorted(self._kept)],
            "begun": self._begun.values(),
            "pinned": self.pinned,
            "rolled_back": self.rolled_back,
        }

    def restore(
        self,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, Any],
        served: HeldVersion | None,
        device: torch.device,
    ) -> None:
        """Take over the tensors and values of :meth:`state`.

        Args:
            tensors: of the state.
            values: of the state.
            served: what is served, restored before.
            device: where weights are.
        """
        for each in values["versions"]:
            if each["served_until"] is not None:
                weights = Weights.of(each["weights"], take_part(tensors, str(each["number"])), device)
            elif served is not None:
                weights = weights_of(served)
            else:
                continue
            kept = KeptVersion.of(each, weights)
            self._kept[kept.number] = kept
        self._begun = Tally.of(values["begun"])
        self.pinned, self.rolled_back = values["pinned"], bool(values["rolled_back"])

    def _trim(self, served: int) -> None:
        target = self.before_switch(self.pinned if self.pinned in self._kept else served)
        wanted = {served, self.pinned, target.number if target else None}
        for number in sorted(self._kept):
            if len(self._kept) <= self._most:
                return
            if number not in wanted:
                del self._kept[number]


def weights_of(held: HeldVersion) -> Weights:
    """The weights of a version that is held."""
    return Weights(dict(held.members), held.embedding.students, held.embedding.combination)


def names_of(kept: Sequence[KeptVersion]) -> str:
    """The numbers of versions, for people."""
    return ", ".join(str(each.number) for each in sorted(kept, key=lambda each: each.number)) or "none"
