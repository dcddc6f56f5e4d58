"""The one thing the worker calls: apply events, refresh what is served, learn.

The engine is deterministic: the same calls with the same arguments from the same state give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olad_core.beside_students import BesideStudents
from olad_core.config import EngineConfig
from olad_core.edge_tasks import EdgeTasks
from olad_core.engine_state import (
    Values,
    beside_new_group,
    join_tensors,
    made_with,
    new_group_reason,
    require_served,
    take_arrays,
)
from olad_core.events import ClockSetting, Event, GraphSchema, RejectedOp, RejectionReason, VersionChange
from olad_core.graph import Changes, DynamicGraph
from olad_core.graph_tasks import GraphTasks
from olad_core.judging.assessment import Assessment
from olad_core.judging.decisions import Decisions
from olad_core.judging.served_outcomes import NewestOutcomes
from olad_core.known_labels import KnownLabels
from olad_core.learning.convergence import Convergence
from olad_core.learning.group import Group
from olad_core.learning.label_history import Touched
from olad_core.learning.spread import ALONE, Spread
from olad_core.learning.teaching import members_teaching, teaching_with_twins
from olad_core.learning.trainer import Trainer
from olad_core.linear.member import Linear
from olad_core.link_tasks import LinkTasks
from olad_core.memory_use import GroupSizes, bytes_needed
from olad_core.named_state import join_parts, take_part
from olad_core.node_value_tasks import NodeValueTasks
from olad_core.parts import Parts, whole
from olad_core.predicting import compare_now, predict_arrivals, served_labels
from olad_core.schema import SchemaConflict, TooManyClasses
from olad_core.serving.answers import Origin
from olad_core.serving.explain import Explanation, explain
from olad_core.serving.kept_versions import KeptVersions
from olad_core.serving.list_names import ListName
from olad_core.serving.load import TurnTime
from olad_core.serving.node_lists import list_nodes
from olad_core.serving.pinning import Pinning, VersionNotKept
from olad_core.serving.publication import ListedNodes, Publication, RejectedEvent, TableUpdate
from olad_core.serving.refresh_cost import costs_of
from olad_core.serving.served_rule import ServedRule
from olad_core.serving.touched import merge
from olad_core.serving.version_schedule import Schedule
from olad_core.serving.versions import Versions
from olad_core.serving.what_if import Outcome, what_if
from olad_core.step_size import FULL_SIZE, StepSize
from olad_core.students import InputShape, Memory, recurrent
from olad_core.taken_step import take_in
from olad_core.tasks.label_rule import LabelRule
from olad_core.trees.forest import Forest
from olad_core.trees.member import Trees
from olad_core.value_tasks import ValueTasks

MEMORY_OF_GROUP = 0.8
"""Part of the memory budget up to which ``auto`` serves the group."""


@dataclass(frozen=True)
class EntryOutcome:
    """What became of one log entry, or of several.

    Attributes:
        events: that the log counts for it, applied or not.
        rejected: what was not applied: events, or a declaration of the schema.

    >>> EntryOutcome(3, 1) + EntryOutcome(2, 0)
    EntryOutcome(events=5, rejected=1)
    """

    events: int = 0
    rejected: int = 0

    def __add__(self, other: EntryOutcome) -> EntryOutcome:
        return EntryOutcome(self.events + other.events, self.rejected + other.rejected)


class Engine:
    """A live graph, a group of students learning on it, and the predictions of the group or of the best of them.

    Args:
        config: how it works.
        device: where it computes.
        spread: over which ranks the students are trained. All of them make the same calls in the same order; those
            that train, predict arrivals, begin a version or ask for the state exchange.
    """

    trainer_type: type[Trainer] = Trainer
    """What trains the group; ``benchmarks/learning`` compares others."""

    def __init__(self, config: EngineConfig, device: torch.device, spread: Spread = ALONE) -> None:
        self.config = config
        self.spread = spread
        """Over which ranks the students are trained."""
        self.device = device
        self.graph = DynamicGraph(max_classes=config.max_classes, removed_kept=config.removed_ids_kept)
        self.position = "0-0"
        self.applied_events = 0
        self.rejected_events = 0
        self.trainer: Trainer | None = None
        self.memory = Memory(recurrent(config.trainer.students), config.trainer.width, device)
        self.versions = Versions(device, self.memory, config.freshness_target_ms / 1000)
        self.assessment = Assessment(config)
        self.trees = Trees(config.arrivals_remembered) if config.grows_trees else None
        """Boosted trees, a member of the group; None where they are not grown."""
        self.linear = Linear(config.arrivals_remembered) if config.solves_linear else None
        """A linear model, a member of the group; None without."""
        self._beside = BesideStudents(self.trees, self.linear)
        self.edge_tasks = EdgeTasks(config)
        """What is predicted of the classes of edges."""
        self.link_tasks = LinkTasks(config)
        """Which edges are predicted."""
        self.value_tasks = ValueTasks(config)
        """What is predicted of their values."""
        self.node_values = NodeValueTasks(config)
        """What is predicted of the values of nodes."""
        self._tasks = GraphTasks(self.edge_tasks, self.link_tasks, self.value_tasks, self.node_values)
        self._version_grown_at = 0
        self.decisions = Decisions()
        self.renewal = config.renewal
        self.renewed = False
        """Whether its students have begun anew in :meth:`restore`."""
        self._labels = KnownLabels(config, self.decisions)
        self._touched = Touched(config.trainer.recent_touched)
        self.kept = KeptVersions(config.versions_kept)
        self.schedule = Schedule(config, self.versions, self.kept, self.decisions)
        self._pinning = Pinning(self.kept, self.versions, self.schedule, self.decisions)
        self._convergence = Convergence()
        self._rule = ServedRule()
        self._step: Parts[bool] | None = None
        self._advance_event = 0
        self._unfollowed: list[Changes] = []
        self._removed: list[str] = []
        self._rejected: list[RejectedEvent] = []
        self._published_version: int | None = None
        self._lists: dict[str, ListedNodes] = {}

    def spread_over(self, spread: Spread) -> None:
        """Train the students over these ranks from now on. All of them have the same state, and call this.

        Raises:
            NotSpread: there are students that remember, or too few students.
        """
        self.spread = spread
        if self.trainer:
            self.trainer.group.spread_over(spread)

    def apply(self, position: str, events: Sequence[Event], time: float) -> EntryOutcome:
        """Apply one log entry to the graph; predictions follow at the next :meth:`refresh`.

        Args:
            position: the entry's id.
            events: its events.
            time: seconds at which the entry arrived, for events without a time.
        """
        arriving = self._tasks.predict(self.graph, position, events, time)
        changes = self.graph.apply(events, time)
        refused = self._tasks.follow(self.graph, events, changes, arriving)
        self._unfollowed.append(changes)
        self._removed.extend(changes.removed_ids)
        for rejection in (*changes.rejected, *refused):
            self._reject(position, rejection.index, rejection.op, rejection.reason, rejection.detail)
        return self._reach(position, len(events), len(changes.rejected) + len(refused))

    def declare(self, position: str, schema: GraphSchema) -> EntryOutcome:
        """Apply a log entry that declares the schema."""
        try:
            self.graph.declare(schema)
        except (SchemaConflict, TooManyClasses) as error:
            reason: RejectionReason = "schema-conflict" if isinstance(error, SchemaConflict) else "too-many-classes"
            self._reject(position, 0, "schema", reason, str(error))
            return self._reach(position, 0, 1)
        self._tasks.declare(self.graph)
        return self._reach(position, 0)

    def change_version(self, position: str, change: VersionChange) -> EntryOutcome:
        """Apply a log entry that pins a version, releases it, or goes back to the one before the last switch."""
        try:
            self._pinning.change(change)
        except VersionNotKept as error:
            self._reject(position, 0, "version", "unknown-version", str(error))
            return self._reach(position, 0, 1)
        return self._reach(position, 0)

    def pass_over(self, position: str) -> EntryOutcome:
        """Go past a log entry that is for another engine."""
        return self._reach(position, 0)

    @property
    def outcomes(self) -> NewestOutcomes:
        """How served predictions scored, as far as nobody has stored it yet."""
        return self._labels.outcomes

    @property
    def group_sizes(self) -> GroupSizes:
        """What the group needs memory for."""
        config = self.config.trainer
        former, hidden = self.versions.former, config.width
        if former:
            hidden = max(hidden, former.embedding.student.width)
        return GroupSizes(
            len(config.students) + config.has_twins,  # Two of half the width need no more than one.
            self.memory.students,
            hidden,
            self.versions.members,
            self.trees is not None,
            self.kept.students,
            self.linear is not None,
        )

    def set_clock(self, position: str, setting: ClockSetting, time: float) -> EntryOutcome:
        """Apply a log entry that sets the graph's clock, and arrived at ``time`` in seconds."""
        self.graph.set_clock(setting.time, time)
        return self._reach(position, 0)

    def skip(self, position: str, count: int, detail: str, content: str, events: Sequence[Event] = ()) -> EntryOutcome:
        """Go past a log entry that cannot be applied; it is rejected as a whole.

        What it adds to the schema is followed, since the API has followed it.

        Args:
            position: the entry's id.
            count: its number of events.
            detail: why.
            content: the entry as text.
            events: its events, where they can be read.
        """
        self.graph.pass_over(events)
        self._rejected.append(RejectedEvent(position, -1, "batch", "apply-failed", detail, content))
        return self._reach(position, count, count)

    def refresh(self, most_work: int | None = None) -> int:
        """Follow the applied events: mark what they reach, compute what they touched, score the new labels.

        Args:
            most_work: bounds the work, in rows of layers. Predictions that are not computed stay marked until they
                are asked for (:meth:`ask`), or there is time (:meth:`tidy`). None computes all of them.

        Returns:
            The work that it was.
        """
        changes, self._unfollowed = self._unfollowed, []
        if not changes:
            return 0
        if any(change.anything for change in changes):
            self._convergence.renew()
        touch = merge(changes, self.graph)
        self._touched.add(touch.rows)
        self.memory.forget(touch.created)
        if self.trainer and self.applied_events - self._advance_event >= self.config.advance_events:
            lately = self._touched.lately(self.graph)
            self.trainer.group.advance(self.graph, lately)
            if former := self.versions.former:
                for name, student in former.students.items():
                    self.trainer.group.remember(self.graph, lately, name, student)
            touch = replace(touch, remembered=lately)
            self._advance_event = self.applied_events
        self.versions.mark(self.graph, touch)
        work = self.versions.renew(self.graph, touch, self._origin, most_work)
        self.assessment.know_classes(self.graph.classes, self._follow_rule())
        arrivals = touch.created[: self.config.arrivals_scored]
        by_others = self._beside.arrived(self.graph, arrivals)
        if self.trainer and len(arrivals):
            predictions = predict_arrivals(self.graph, arrivals, self.trainer, self.versions.served)
            labels = served_labels(predictions, self._rule.rule, self.graph.classes)
            self.assessment.remember(arrivals, self.graph.arrival[arrivals], predictions, labels, by_others)
        self._labels.add(changes, self.graph, self.assessment, self._beside, training=self.trainer is not None)
        if self.graph.is_worth_beginning_anew:
            self._begin_anew()
        return work

    def follow_load(self, turn: TurnTime) -> None:
        """Take in how long a turn took; what is served by ``auto`` depends on it.

        A training step that is under way is given up where the group cannot be served any more.
        """
        replaces = self.must_replace_group
        served = self.versions.served
        costs = costs_of(self.trainer.group.by_name, beside=len(self.config.beside)) if self.trainer else {}
        self.versions.load.follow(turn, served.version.student if served else None, costs)
        if self.must_replace_group and not replaces:
            self._step = None

    @property
    def must_replace_group(self) -> bool:
        """Whether the group is served, or on its way, and there is no time or memory for it any more."""
        return self.schedule.must_replace_group(self._group_fits)

    @property
    def hurries(self) -> bool:
        """Whether the group is served and there is no time for it: the version that replaces it goes first."""
        return self.schedule.hurries

    def ask(self, nodes: Sequence[str]) -> int:
        """Compute the predictions of nodes that somebody asks for, where they are marked; the work that it was.

        Those that are asked for again are kept fresh by :meth:`refresh` for a while. Ids of no node are passed over.
        """
        rows = self.graph.rows(nodes)
        return self.versions.ask(self.graph, rows[rows >= 0], self._origin)

    def make_list(self, name: str) -> int:
        """Make a list of nodes that somebody asks for, for the next publication; the work that it was.

        Args:
            name: of the list, see :class:`~olad_core.serving.list_names.ListName`. An unknown one is passed over.
        """
        served = self.versions.served
        try:
            wanted = ListName.parsed(name)
        except ValueError:
            return 0
        if served is None:
            return 0
        made = list_nodes(
            wanted, self.graph, served, self._origin, self._follow_rule(), self._touched.newest(self.graph)
        )
        self.versions.prefer(made.rows)
        if made.found is not None:
            self._lists[name] = made.found
        return made.work

    def whole(self, nodes: Sequence[str]) -> TableUpdate | None:
        """All classes of nodes, computed where they are marked; None where no version is served.

        Ids of no node are passed over.
        """
        self.ask(nodes)
        rows = self.graph.rows(nodes)
        return self.versions.whole(self.graph, np.unique(rows[rows >= 0]), self._origin)

    def what_if(self, events: Sequence[Event], nodes: Sequence[str]) -> Outcome | None:
        """Predict nodes as if events had been applied; None where no version is served.

        What this engine does later is what it would have done.

        Args:
            events: checked events.
            nodes: ids; of no node, too.

        Raises:
            PartTooLarge: it would read more than the configuration allows.
        """
        served = self.versions.served
        if served is None:
            return None
        return what_if(self.graph, served, self._follow_rule(), events, nodes, self.config.most_read)

    def explain(self, node: str, shown: int) -> Explanation | None:
        """What the probability of a node's label becomes without each thing; None where no version is served.

        What this engine does later is what it would have done.

        Args:
            node: its id.
            shown: how many effects are listed at most.

        Raises:
            KeyError: there is no such node.
            PartTooLarge: it would read more than the configuration allows.
        """
        served = self.versions.served
        if served is None:
            return None
        row = self.graph.row(node)
        return explain(self.graph, served, self._follow_rule(), row, shown, self.config.most_read)

    def compute_due(self, most_work: int) -> int:
        """Compute a slice of the predictions that are wanted and take long; the work that it was, 0 where none is due.

        They are those of nodes with very many neighbours, and of others that read these. Such a prediction may be of
        the position of an earlier slice.
        """
        return self.versions.compute_due(self.graph, self._origin, most_work)

    @property
    def has_due(self) -> bool:
        """Whether :meth:`compute_due` has anything to do."""
        return self.versions.has_due

    def tidy(self, most_work: int, *, hubs: bool = True) -> int:
        """Compute some of the marked predictions; the work that it was, 0 where none is marked.

        Args:
            most_work: bounds the work, in rows of layers.
            hubs: whether predictions that take long are computed, too.
        """
        return self.versions.tidy(self.graph, self._origin, most_work, hubs=hubs)

    @property
    def marked(self) -> int:
        """How many served predictions are of an earlier position."""
        return self.versions.marked(self.graph)

    @property
    def has_news(self) -> bool:
        """Whether anything but the position has changed since the last :meth:`take_publication`."""
        served = self.versions.served
        number = served.version.number if served else None
        changed = self.versions.has_news or self._removed or self._rejected or number != self._published_version
        return bool(changed or self.decisions.has_news)

    def take_publication(self) -> Publication:
        """Everything that changed since the last call, to become visible in one step; it is handed out once."""
        removed = list(dict.fromkeys(self._removed))
        rows = self.graph.rows(removed).tolist()
        gone = [node for node, row in zip(removed, rows, strict=True) if row < 0]
        updates, dropped = self.versions.take_updates(self.graph, tuple(gone))
        rejected, self._removed, self._rejected = tuple(self._rejected), [], []
        served = self.versions.served.version if self.versions.served else None
        self._published_version = served.number if served else None
        lists, self._lists = tuple(self._lists.values()), {}
        return Publication(
            self.position,
            self.applied_events,
            updates,
            served,
            dropped,
            rejected,
            rule=self._follow_rule(),
            lists=lists,
            coming=self.versions.candidate.version if self.versions.candidate else None,
            decisions=self.decisions.take_news(),
        )

    def republish(self) -> None:
        """Let the next publication hold every prediction there is."""
        self.versions.note_all(self.graph)

    def learn(self, steps: int, size: StepSize = FULL_SIZE) -> bool:
        """Take training steps, and embed one slice of the version on its way after each.

        A forest that is due is grown first.

        Args:
            steps: how many.
            size: of the steps and slices: what bounds the time of each.

        Returns:
            False while there is nothing to learn: until labels of two classes are known, and where every labelled
            node has left the graph.
        """
        if self.trees and (plan := self.trees.plan()):
            self.trees.take(plan.grow(), plan.labels_seen)
        for _ in range(steps):
            if not self.train(size):
                return False
            self.embed(size)
        return True

    def take_forest(self, forest: Forest, labels_seen: int) -> bool:
        """Predict by trees that were grown beside the loop; whether they are of the graph's features.

        Args:
            forest: grown by a plan of :attr:`trees`.
            labels_seen: of the plan.
        """
        return self.trees is not None and self.trees.take(forest, labels_seen)

    def train(self, size: StepSize = FULL_SIZE) -> bool:
        """Take one whole training step, and begin a version where one is due; arguments and result are :meth:`learn`'s.

        A step that is under way (:meth:`train_part`) is given up.
        """
        self._step = None
        return whole(self._train(size))

    def train_part(self, size: StepSize = FULL_SIZE) -> bool:
        """Take one part of what :meth:`train` does; whether it was the last one.

        Anything else may be done between two parts: a step reads the graph in its first part only.

        Args:
            size: of the step, where it is the first part.
        """
        if self._step is None:
            self._step = self._train(size)
        try:
            next(self._step)
        except StopIteration:
            self._step = None
            return True
        return False

    def embed(self, size: StepSize = FULL_SIZE) -> None:
        """Embed one slice of the version on its way, if there is one; with the last one it is served."""
        if self.trainer:
            self._pinning.keep()
            if self.schedule.advance(self.graph, self._origin, self.trainer.steps, size):
                self._follow_served()
            if not self.versions.former:
                self.assessment.end_succession()

    @property
    def converged(self) -> bool:
        """Whether training steps are of no use before something new comes; :meth:`learn` takes them all the same."""
        return self._labels.classes < 2 or self._convergence.reached

    @property
    def resting(self) -> bool:
        """Whether there is nothing to learn before something new comes: what was learned last is served, too."""
        return self.converged and (self.trainer is None or self._is_done(self.trainer))

    def finish(self, size: StepSize = FULL_SIZE) -> None:
        """Once converged: bring what was learned last into a version, one slice a call, until :attr:`resting`.

        A step that is under way is given up.
        """
        self._step = None
        if self.trainer is None:
            return
        if self.versions.candidate and not self.must_replace_group:
            self.embed(size)
        elif not self._is_done(self.trainer):
            whole(self._start_version(self.trainer, size))

    def restart_training(self) -> None:
        """Give up the students, the step and the version on their way; the next step begins with new students."""
        if self.trainer:
            steps = self.trainer.steps
            self.decisions.add("group-restarted", f"training failed after {steps} steps: all students get new weights")
        self.trainer = self._step = None
        self._convergence.restart()
        self.schedule.begin_anew()

    def missing(self) -> tuple[str, ...]:
        """What must still happen before the first version is served; empty once there is one."""
        if self.versions.served:
            return ()
        if self._labels.classes < 2:
            return (f"labels of at least two classes ({self._labels.classes} so far)",)
        candidate = self.versions.candidate
        if candidate is None:
            steps = self.trainer.steps if self.trainer else 0
            return (f"training steps before the first version ({steps} of {self.config.publish_steps})",)
        return (f"embedding the graph for the first version ({candidate.embedding.progress(self.graph):.0%} done)",)

    def state(self) -> tuple[dict[str, Tensor], Values]:
        """Tensors and plain values of everything that decides what comes next.

        Call it when everything is refreshed and published: what waits for either is not part of it. Neither is a
        training step that is under way: it has changed no weight yet. The tensors may
        be those in use: write or copy them (:class:`service.worker.copy_buffers.CopyBuffers`) before the next call.
        """
        waiting = [*self._unfollowed, *self._removed, *self._rejected]
        assert not waiting, "refresh and publish first"
        graph = self.graph.state()
        held, versions = self.versions.state(rows=len(graph["label"]))
        weights, kept = self.kept.state()
        replay, classes_seen = self._labels.state()
        values: Values = {
            "position": self.position,
            "applied_events": self.applied_events,
            "rejected_events": self.rejected_events,
            "classes_seen": classes_seen,
            "advance_event": self._advance_event,
            "decisions": self.decisions.state(),
            "versions": versions,
            "kept": kept,
            "convergence": self._convergence.state(),
            "version_grown_at": self._version_grown_at,
            **made_with(self.config.trainer),
            **self.schedule.state(),
            **self._rule.state(),
        }
        if self.renewal is not None:
            values["renewal"] = self.renewal
        trained: dict[str, Tensor] = {}
        if self.trainer:
            trained, values["trainer"] = self.trainer.state()
        arrays = join_parts({"graph": graph, "replay": replay, "touched": self._touched.state()})
        arrays |= self.assessment.state()
        arrays |= self._beside.state()
        learned, learned_values = self._tasks.state(self.graph)
        arrays |= learned
        values |= learned_values
        on_device = {"versions": held, "trainer": trained, "memory": self.memory.state(), "kept": weights}
        return join_tensors(arrays, on_device), values

    @classmethod
    def restore(
        cls,
        config: EngineConfig,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, Any],
        device: torch.device,
        *,
        keep_served: bool = True,
        spread: Spread = ALONE,
    ) -> Engine:
        """The engine whose :meth:`state` this was.

        Where the configuration has other students, or asks for new ones, they begin beside what is served.

        Args:
            config: how it works from now on.
            tensors: of the state.
            values: of the state.
            device: where it computes.
            keep_served: whether what is served stays when new students begin.
            spread: over which ranks the students are trained.

        Raises:
            ServedLost: what is served is of a student that is not registered.
        """
        reason = new_group_reason(config, values)
        if reason is None or keep_served:
            require_served(values)
        if reason is not None:
            tensors, values = beside_new_group(config.trainer, tensors, values, keep_served=keep_served)
        arrays = take_arrays(tensors)
        engine = cls(config, device, spread)
        engine._reach(values["position"], values["applied_events"], values["rejected_events"])
        arrival = int(engine.position.partition("-")[0]) / 1000
        engine.graph = DynamicGraph.from_state(
            take_part(arrays, "graph"),
            arrival,
            max_classes=config.max_classes,
            removed_kept=config.removed_ids_kept,
        )
        memory = take_part(tensors, "memory")
        engine.memory.restore(memory)
        engine.versions.restore(take_part(tensors, "versions"), values["versions"])
        engine.assessment.know_classes(engine.graph.classes)
        if former := engine.versions.former:
            for name, student in former.students.items():
                if student.remembers:
                    engine.memory.adopt(name, memory[name])
        engine.assessment.restore(arrays)
        engine._tasks.restore(engine.graph, arrays, values)
        engine._beside.restore(arrays, engine.graph)
        for held in (engine.versions.served, engine.versions.candidate):
            if held:
                held.embedding.check_graph(engine.graph)
        engine._version_grown_at = values.get("version_grown_at", 0)
        engine.decisions.restore(values["decisions"])
        engine._labels.restore(take_part(arrays, "replay"), values["classes_seen"], engine.graph)
        engine._touched.restore(take_part(arrays, "touched"))
        engine.schedule.restore(values)
        if "convergence" in values:  # earlier releases had none: training begins with a whole budget
            engine._convergence.restore(values["convergence"])
        engine._advance_event = values["advance_event"]
        if "trainer" in values:
            trained = take_part(tensors, "trainer")
            group = Group.restore(config.trainer, trained, values["trainer"], device, engine.memory, spread)
            engine.trainer = engine.trainer_type.restore(group, trained, values["trainer"])
        engine.renewal = config.renewal or values.get("renewal")
        engine._restore_kept(take_part(tensors, "kept"), values.get("kept"))
        if reason is not None:
            engine._begin_group(reason)
        return engine

    def _restore_kept(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any] | None) -> None:
        """Take over the last versions; earlier releases kept none but what is served."""
        if values is None:
            self._follow_served()
            return
        self.kept.restore(tensors, values, self.versions.served, self.device)

    def _reject(self, position: str, index: int, op: RejectedOp, reason: RejectionReason, detail: str) -> None:
        self._rejected.append(RejectedEvent(position, index, op, reason, detail))

    def _follow_rule(self) -> LabelRule:
        """What turns probabilities into labels now."""
        return self._rule.follow(self.graph, self.versions.served, self.applied_events)

    @property
    def _origin(self) -> Origin:
        """Where in the log the graph is."""
        return Origin.at(self.position, self.applied_events)

    def _reach(self, position: str, events: int, rejected: int = 0) -> EntryOutcome:
        """Count an entry: the log is applied up to its position."""
        self.position = position
        self.applied_events += events
        self.rejected_events += rejected
        self.decisions.follow(position, self.applied_events)
        return EntryOutcome(events, rejected)

    def _train(self, size: StepSize) -> Parts[bool]:
        if self._labels.classes < 2:
            return False
        trainer = self._current_trainer()
        if self.must_replace_group and not self.schedule.was_refused(trainer.steps):
            yield from self._start_version(trainer, size)
            return True
        self._convergence.begin_step(size)
        teaching = teaching_with_twins(self.assessment, self.config.trainer.students, len(self.graph.classes))
        members = members_teaching(self.assessment, self.config.trainer.students, len(self.graph.classes))
        outcome = yield from trainer.step_in_parts(
            self.graph, self._labels.replay, self._touched, teaching, size, members
        )
        if not outcome.taken:
            self._convergence.exhaust()
            return False
        take_in(outcome, size, trainer, self._convergence, self.assessment, self.decisions)
        if self.schedule.is_due(trainer.steps):
            yield
            yield from self._start_version(trainer, size)
        return True

    def _start_version(self, trainer: Trainer, size: StepSize) -> Parts[None]:
        """Begin a version of what is best."""
        most = size.of(self.config.arrivals_compared)
        candidates = yield from compare_now(
            self.graph,
            trainer,
            self.assessment,
            most,
            self._beside,
            group_fits=self._group_fits(),
            served=self.versions.served,
        )
        self._version_grown_at = self.trees.grown_at if self.trees else 0
        self.schedule.start(candidates, trainer.steps, self.position)

    def _follow_served(self) -> None:
        """Keep what is served from now on among the last versions."""
        if served := self.versions.served:
            calibration = self.assessment.served_calibration()
            at = self.position, self.applied_events
            self.kept.follow(served, self.graph, at, self.assessment.served_tally(), calibration)

    def _is_done(self, trainer: Trainer) -> bool:
        """Whether a version of the students and trees as they are now has begun, and none is on its way."""
        grown_at = self.trees.grown_at if self.trees else self._version_grown_at
        is_grown = grown_at == self._version_grown_at or self.kept.pinned is not None
        waits = self.must_replace_group or self.schedule.may_return(self._group_fits)
        return self.schedule.is_done(trainer.steps) and is_grown and not waits

    def _group_fits(self) -> bool:
        """Whether there is memory to serve the group, and for the graph to grow."""
        budget = self.config.memory_budget
        if budget is None or self.config.serve != "auto":
            return True
        needed = bytes_needed(self.graph.sizes, replace(self.group_sizes, served=len(self.config.trainer.students)))
        return needed <= MEMORY_OF_GROUP * budget

    def _begin_anew(self) -> None:
        """Give back the memory of all rows, of which no node is left; what was learned stays."""
        self.graph.begin_anew()
        for holder in (self.memory, self.versions, self._labels.replay, self._touched):
            holder.begin_anew()
        self.assessment.forget_waiting()

    def _begin_group(self, reason: str) -> None:
        """Begin with new students, beside what is served if there is anything."""
        self.renewed = True
        self.kept.begin_anew(self.versions.served)
        self.assessment = self.assessment.of_new_group(self.config, beside_served=self.versions.former is not None)
        stays = "nothing is served"
        if served := self.versions.served:
            stays = f"version {served.version.shown} of {served.version.student} stays until one of them is better"
        self.decisions.add("group-restarted", f"new students begin, because {reason}: {stays}")
        if self._labels.classes >= 2:
            self.trainer = self._new_trainer()

    def _new_trainer(self) -> Trainer:
        shape, classes = InputShape.of_graph(self.graph), len(self.graph.classes)
        return self.trainer_type(Group(self.config.trainer, shape, classes, self.device, self.memory, self.spread))

    def _current_trainer(self) -> Trainer:
        """The trainer; a new one when features appear on a graph that had none, or types are declared."""
        shape = InputShape.of_graph(self.graph)
        trained = self.trainer.group.shape if self.trainer else None
        if self.trainer is None or trained != shape:
            if trained:
                reason, numbers = shape.explain_change(trained)
                self.decisions.add("group-restarted", f"{reason}: all students get new weights", numbers=numbers)
            self.trainer = self._new_trainer()
            self.schedule.begin_anew()
            former = self.versions.former is not None
            self.assessment = (
                self.assessment.of_new_group(self.config, beside_served=True) if former else Assessment(self.config)
            )
        return self.trainer
