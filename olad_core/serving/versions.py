"""Published versions: one that is served, one on its way, and what is to be published of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import GROUP
from olad_core.graph import DynamicGraph
from olad_core.named_state import join_parts, take_part
from olad_core.serving.answers import Answers, Origin
from olad_core.serving.asked import Asked
from olad_core.serving.combination import Combination
from olad_core.serving.due import DueRows, compute_some
from olad_core.serving.embedding import Embedding
from olad_core.serving.load import Load
from olad_core.serving.naming import FIRST, Made
from olad_core.serving.publication import TableUpdate, Version
from olad_core.serving.refresh_cost import WorkBeneath
from olad_core.serving.served_member import ServedMember
from olad_core.serving.shown import shown_answers
from olad_core.serving.touched import Touch
from olad_core.step_size import StepSize
from olad_core.students import InputShape, Memory, Student, memory_name, registered_name

Rows = npt.NDArray[np.int64]
Values = dict[str, object]

_LISTED = 2_000
"""Rows of lists that are preferred where there is time."""
_SCANNED = 2_048
"""Marked rows among which those are searched that do not take long."""


@dataclass(frozen=True)
class HeldVersion:
    """A version with what is computed from it.

    Attributes:
        version: its number, what it is of, and its classes.
        members: architecture of each of its students by name; several where it is of the group.
        position: where in the log its weights were taken.
        embedding: its layers and answers for every node.
        former: whether its students are of a group that another one has replaced.
        made: why it has a number of its own, and after how many training steps its weights were taken.
        answers: where they were computed, and what is to be published of them.
    """

    version: Version
    members: Mapping[str, str]
    position: str
    embedding: Embedding
    former: bool = False
    made: Made = FIRST
    answers: Answers = field(default_factory=Answers)

    @property
    def students(self) -> dict[str, Student]:
        """Its students by the names under which the memory holds their hidden states, if they have any."""
        names = (memory_name(name, former=self.former) for name in self.members)
        return dict(zip(names, self.embedding.students, strict=True))

    def state(self) -> Values:
        """Plain values for a checkpoint."""
        first = self.embedding.students[0]
        kinds = list(self.members.values())
        several: Values = {"members": [*map(list, self.members.items())]} if kinds[1:] else {}
        return (
            ({"former": True} if self.former else {})
            | InputShape.of_student(first).values()
            | several
            | {
                "number": self.version.number,
                "shown": self.version.shown,
                "reason": self.made.reason,
                "step": self.made.step,
                "student": self.version.student,
                "classes": list(self.version.classes),
                "architecture": GROUP if several else kinds[0],
                "position": self.position,
                "width": first.width,
            }
        )

    def compute(self, graph: DynamicGraph, rows: Rows, origin: Origin) -> int:
        """Compute the marked ones of some rows, which is done at this point of the log; the work that it was."""
        computed = self.embedding.compute(graph, rows)
        self.answers.compute(graph, computed.rows, origin)
        return computed.work


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
        freshness_target_s: how long an event may wait to be visible.
    """

    def __init__(self, device: torch.device, memory: Memory, freshness_target_s: float) -> None:
        self._device = device
        self._memory = memory
        self.served: HeldVersion | None = None
        self.candidate: HeldVersion | None = None
        self.served_since = 0
        """First version of the current run of versions from the served student."""
        self.next_number = 1
        self.next_shown = 1
        """The next number by which people know a version."""
        self.refused = 0
        """Candidates given up because they had more predictions that are no numbers than what is served."""
        self.load = Load(freshness_target_s)
        self._beneath = WorkBeneath()
        self._asked = Asked()
        self._due = DueRows()
        self._next_row = 0
        # Of lists that were asked for last: those of them that are marked are computed before others.
        self._listed = np.empty(0, np.int64)
        self._dropped: list[int] = []

    def start(
        self,
        students: Mapping[str, Student],
        name: str,
        classes: Sequence[str],
        position: str,
        combination: Combination | None = None,
        made: Made = FIRST,
        shown: int | None = None,
    ) -> None:
        """Begin to embed the graph with students whose weights will not change any more.

        Args:
            students: by name.
            name: of the student, or that of the group.
            classes: that they can name.
            position: of the log.
            combination: of their answers; None of a student alone.
            made: why it has a number of its own, and when its weights were taken.
            shown: number of the version that it goes on with, or that is served again; None for the next one.
        """
        if shown is None:
            shown, self.next_shown = self.next_shown, self.next_shown + 1
        version = Version(self.next_number, name, tuple(classes), shown)
        embedding = self._embedding(students, len(version.classes), combination)
        kinds = {name: registered_name(student) for name, student in students.items()}
        self.candidate = HeldVersion(version, kinds, position, embedding, made=made)
        self.load.begin_embedding(name)
        self.next_number += 1

    def advance(self, graph: DynamicGraph, origin: Origin, size: StepSize) -> AdvanceOutcome:
        """Embed one slice of the candidate; with the last one it becomes the served version.

        Args:
            graph: the live graph.
            origin: where in the log it is.
            size: of the slice.
        """
        held = self.candidate
        if held is None:
            return AdvanceOutcome()
        held.answers.compute(graph, held.embedding.advance(graph, size, origin), origin)
        for hub in held.embedding.take_hub_answers():
            held.answers.compute(graph, np.array([hub.row]), hub.origin)
        if not held.embedding.complete:
            return AdvanceOutcome()
        held.compute(graph, held.answers.missing(graph), origin)
        self.load.end_embedding()
        broken = held.embedding.broken(graph)
        if broken and broken > (self.served.embedding.broken(graph) if self.served else 0):
            self.refused += 1
            self.withdraw()
            return AdvanceOutcome(held.version, refused=True)
        before = self.served
        if before is None or before.former or before.version.student != held.version.student:
            self.served_since = held.version.shown
        if before:
            self._dropped.append(before.version.number)
            if before.former:
                for name in before.students:
                    self._memory.discard(name)
        self.served, self.candidate = held, None
        return AdvanceOutcome(held.version)

    def withdraw(self) -> None:
        """Give up the candidate."""
        if self.candidate:
            self._dropped.append(self.candidate.version.number)
            self.candidate = None

    @property
    def members(self) -> int:
        """How many students the served version or the candidate is of; the greater number, and 1 without any."""
        return max((len(held.members) for held in self._held()), default=1)

    @property
    def former(self) -> HeldVersion | None:
        """The served version, while it is of a former group; else None."""
        return self.served if self.served and self.served.former else None

    def mark(self, graph: DynamicGraph, touch: Touch) -> None:
        """Mark what a change of the graph reaches, in both versions."""
        for held in self._held():
            held.answers.mark(held.embedding.mark(graph, touch))
            held.answers.create(graph, touch.created)

    def renew(self, graph: DynamicGraph, touch: Touch, origin: Origin, most_work: int | None) -> int:
        """Compute the answers of the served version that a change touched directly, or that are asked for repeatedly.

        Args:
            graph: the live graph.
            touch: the change, which is marked already.
            origin: where in the log the graph is.
            most_work: bounds the work in rows of layers, but for new nodes; None computes every marked answer.

        Returns:
            The work that it was.
        """
        held = self.served
        if held is None:
            return 0
        if most_work is None:
            return held.compute(graph, held.embedding.marked(graph), origin)
        work = held.compute(graph, touch.created, origin) if len(touch.created) else 0
        # Those that take long come last: one of them must not take the time of many others, turn after turn.
        direct = touch.direct
        direct = direct[np.argsort(graph.in_degree(direct), kind="stable")]
        wanted = np.concatenate([self._asked.again(origin.applied_events), direct])
        wanted = wanted[wanted < graph.capacity]
        wanted = wanted[graph.alive[wanted] & (held.embedding.marks[wanted] > 0)]
        wanted = self._without_heavy(held, graph, wanted)
        work += self._compute_some(held, graph, wanted, origin, most_work - work)[0]
        self.load.note_left(len(wanted), int(np.count_nonzero(held.embedding.marks[wanted])))
        return work

    def ask(self, graph: DynamicGraph, rows: Rows, origin: Origin) -> int:
        """Compute the answers of the served version that somebody asks for; what is asked for again is kept fresh.

        Those that take long are computed later (:meth:`compute_due`).

        Returns:
            The work that it was.
        """
        held = self.served
        if held is None:
            return 0
        self._asked.add(rows, origin.applied_events)
        return held.compute(graph, self._without_heavy(held, graph, rows), origin)

    def compute_due(self, graph: DynamicGraph, origin: Origin, most_work: int) -> int:
        """Compute some of the wanted answers that take long, as a slice; the work that it was, 0 where there are none.

        An answer may be of the position of an earlier slice. Its row stays marked.
        """
        held = self.served
        if held is None:
            return 0
        return self._due.compute(held.embedding, held.answers, graph, origin, most_work, self._beneath)

    @property
    def has_due(self) -> bool:
        """Whether :meth:`compute_due` has anything to do."""
        return self.served is not None and self._due.wait_for(self.served.embedding)

    def whole(self, graph: DynamicGraph, rows: Rows, origin: Origin) -> TableUpdate | None:
        """All classes of distinct rows in the served version, computed where marked; None where no version is."""
        held = self.served
        if held is None:
            return None
        held.compute(graph, rows, origin)
        probabilities, disagreement = held.embedding.answers(rows)
        return TableUpdate(held.version.number, tuple(graph.ids(rows)), probabilities, disagreement, rows=rows)

    def tidy(self, graph: DynamicGraph, origin: Origin, most_work: int, *, hubs: bool = True) -> int:
        """Compute some of the marked answers of the served version; the work that it was, 0 where there were none.

        Args:
            graph: the live graph.
            origin: where in the log it is.
            most_work: bounds the work, in rows of layers.
            hubs: whether answers that take long are computed, too.
        """
        held = self.served
        rows = held.embedding.marked(graph) if held else np.empty(0, np.int64)
        if held is None or not len(rows):
            return 0
        listed = self._listed[self._listed < graph.capacity]
        listed = listed[graph.alive[listed] & (held.embedding.marks[listed] > 0)]
        listed = self._without_heavy(held, graph, listed)
        if len(listed):
            return self._compute_some(held, graph, listed, origin, most_work)[0]
        # Each slice goes on where the last one ended, or rows that are marked all the time would be the only ones.
        rows = np.roll(rows, -int(np.searchsorted(rows, self._next_row)))
        near, later = rows[:_SCANNED], rows[_SCANNED:]
        light, heavy = held.embedding.split(graph, near)
        if not len(light):
            self._due.add(heavy[:hubs])
            self._next_row = int(later[0]) if len(later) else 0
            return self.compute_due(graph, origin, most_work) if hubs else 1
        work, count = self._compute_some(held, graph, light, origin, most_work)
        rest = np.concatenate([light[count:], later])
        self._next_row = int(rest[0]) if len(rest) else 0
        return work

    def prefer(self, rows: Rows) -> None:
        """Let :meth:`tidy` compute these rows before others; they are of a list that somebody asked for."""
        self._listed = np.unique(np.concatenate([rows, self._listed[: max(0, _LISTED - len(rows))]]))

    def marked(self, graph: DynamicGraph) -> int:
        """How many answers of the served version are marked."""
        return len(self.served.embedding.marked(graph)) if self.served else 0

    def begin_anew(self) -> None:
        """Forget all rows: the graph has no node, and gives them out from the first one again."""
        self._asked.begin_anew()
        self._due.begin_anew()
        self._next_row = 0
        self._listed = self._listed[:0]
        for held in self._held():
            held.embedding.begin_anew()
            held.answers.begin_anew()

    def note_all(self, graph: DynamicGraph) -> None:
        """Let the next :meth:`take_updates` hold every prediction there is."""
        for held in self._held():
            held.answers.note_all(graph)

    @property
    def has_news(self) -> bool:
        """Whether :meth:`take_updates` has anything to give."""
        return bool(self._dropped) or any(held.answers.has_news for held in self._held())

    def take_updates(
        self, graph: DynamicGraph, removed: tuple[str, ...]
    ) -> tuple[tuple[TableUpdate, ...], tuple[int, ...]]:
        """Changed predictions since the last call, and the numbers of the versions that are gone."""
        updates = []
        for held in self._held():
            if not (held.answers.has_news or removed):
                continue
            embedding = held.embedding
            news = held.answers.take_news(graph, embedding.marks)
            rows = news.rows
            shown = shown_answers(embedding, rows)
            updates.append(
                TableUpdate(
                    version=held.version.number,
                    nodes=tuple(graph.ids(rows)),
                    probabilities=shown.probabilities,
                    disagreement=shown.disagreement,
                    removed=removed,
                    rows=rows,
                    origins=news.origins,
                    marked=news.marked,
                    classes=shown.classes,
                )
            )
        dropped, self._dropped = tuple(self._dropped), []
        return tuple(updates), dropped

    def state(self, rows: int) -> tuple[dict[str, Tensor], Values]:
        """Tensors and plain values for a checkpoint, of the first rows; call after :meth:`take_updates`."""
        tensors: dict[str, dict[str, Tensor]] = {}
        values: Values = {
            "next_number": self.next_number,
            "next_shown": self.next_shown,
            "served_since": self.served_since,
            "refused": self.refused,
        }
        for role, held in (("served", self.served), ("candidate", self.candidate)):
            if held is None:
                continue
            tensors[role] = held.embedding.state(rows) | {"origin": held.answers.state(rows)}
            if combination := held.embedding.combination:
                tensors[role] |= join_parts({"combination": combination.state()})
            values[role] = held.state()
        return join_parts(tensors), values

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over the tensors and values of :meth:`state`."""
        self.next_number = values["next_number"]
        # Earlier releases gave each version's weights a number of their own.
        self.next_shown = values.get("next_shown", self.next_number)
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
        version = Version(held["number"], held["student"], tuple(held["classes"]), held.get("shown", 0))
        former = bool(held.get("former", False))
        kinds, shape = dict(members_of(held)), InputShape.read(held)
        [capacity, *_] = {t.shape[0] for name, t in own.items() if name.endswith("student/encoder.labels")}
        students = {
            name: shape.build(kind, held["width"], capacity, 0).to(self._device) for name, kind in kinds.items()
        }
        made = Made(held.get("reason", "due"), held.get("step", 0))
        combined = take_part(own, "combination")
        combination = Combination.restored(combined, len(kinds)) if combined else None
        embedding = self._embedding(students, len(version.classes), combination, former=former)
        for name, new in embedding.state(0).items():
            if (own[name].dtype, own[name].shape[1:]) != (new.dtype, new.shape[1:]):
                raise ValueError(f"versions/{role}/{name}: {own[name].dtype} {list(own[name].shape)}")
        embedding.restore(own)
        restored = HeldVersion(version, kinds, held["position"], embedding, former, made)
        restored.answers.restore(own["origin"])
        return restored

    def _embedding(
        self, students: Mapping[str, Student], classes: int, combination: Combination | None, *, former: bool = False
    ) -> Embedding:
        members = [
            ServedMember(student, classes, self._device, partial(self._memory.recall, memory_name(name, former=former)))
            for name, student in students.items()
        ]
        return Embedding(members, self._device, combination)

    def _without_heavy(self, held: HeldVersion, graph: DynamicGraph, rows: Rows) -> Rows:
        """Rows of the served version but those that take long. Where they are marked, these are noted as due."""
        light, heavy = held.embedding.split(graph, rows)
        self._due.add(heavy[held.embedding.marks[heavy] > 0])
        return light

    def _compute_some(
        self, held: HeldVersion, graph: DynamicGraph, rows: Rows, origin: Origin, most_work: int
    ) -> tuple[int, int]:
        """Compute marked rows in their order, see :func:`~olad_core.serving.due.compute_some`."""
        return compute_some(held.embedding, held.answers, graph, rows, origin, most_work, self._beneath)


def members_of(held: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and architecture of each student of a version, out of its plain values in a checkpoint."""
    several = [(str(name), str(kind)) for name, kind in held.get("members", [])]
    return several or [(held["student"], held["architecture"])]
