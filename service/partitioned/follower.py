"""One rank's state along the log: its part of the graph, what is served of it, and what is to be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from olad_core.events import GraphSchema, RejectedOp, RejectionReason
from olad_core.graph.arrays import Int64s
from olad_core.partition import Followed, Partition, Superstep
from olad_core.partition.share_thresholds import thresholds_over_ranks
from olad_core.schema import SchemaConflict, TooManyClasses
from olad_core.serving.publication import RejectedEvent, TableUpdate, Version
from olad_core.serving.served_rule import ServedRule
from olad_core.tasks import node_class
from olad_core.tasks.label_rule import LabelRule
from service.partitioned.serving import Answers, Serving
from service.store.log_reader import Entry
from service.store.positions import parse_position

_ROW_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class Counts:
    """How far a rank is.

    Attributes:
        position: last entry that is applied.
        applied: events up to there.
        rejected: events that could not be applied, up to there.
    """

    position: str
    applied: int
    rejected: int


class _Changes:
    """Rows that changed, and nodes that left, since they were taken."""

    def __init__(self) -> None:
        self._rows: list[Int64s] = []
        self._removed: list[str] = []
        self.fresh = 0
        """Rows that were noted since the last call of :meth:`keep`."""

    def note(self, rows: Int64s, removed: Sequence[str]) -> None:
        """Add some."""
        self._rows.append(rows)
        self._removed += removed
        self.fresh += rows.size

    def keep(self, rows: Int64s) -> None:
        """Put back rows that were taken."""
        self._rows.insert(0, rows)
        self.fresh = 0

    def take(self, partition: Partition) -> tuple[Int64s, tuple[str, ...]]:
        """Rows that the rank owns now, and nodes that are not there any more; they are handed out once."""
        rows = np.unique(np.concatenate([np.empty(0, np.int64), *self._rows]))
        rows = rows[partition.store.owned[rows]]
        removed = list(dict.fromkeys(self._removed))
        gone = [node for node, row in zip(removed, partition.graph.rows(removed).tolist(), strict=True) if row < 0]
        self._rows, self._removed = [], []
        return rows, tuple(gone)


class Follower:
    """Applies entries to one rank's part.

    Args:
        partition: the part.
        serving: what is served of it.
        counts: where the log was followed to.
    """

    def __init__(self, partition: Partition, serving: Serving, counts: Counts) -> None:
        self.partition = partition
        self.serving = serving
        self.counts = counts
        self._changed = _Changes()
        self._next = _Changes()
        self._next_number: int | None = None
        self._rejected: list[RejectedEvent] = []
        self._rule = ServedRule()

    @property
    def position(self) -> str:
        """Of the last entry that is applied."""
        return self.counts.position

    @property
    def rule(self) -> LabelRule:
        """What turns probabilities into labels, after :meth:`follow_rule`."""
        return self._rule.rule

    def follow_rule(self) -> Superstep[None]:
        """Bring the rule up to date, together with the other ranks: a share of the nodes is a threshold."""
        graph, store, version = self.partition.graph, self.partition.store, self.serving.version
        number = version.number if version is not None else None
        due = self._rule.due(graph.decisions, number, store.arrivals, self.counts.applied)
        found: dict[str, float] | None = None
        if due and version is not None:
            known = {name: share for name, share in due.items() if name in version.classes}
            rows = np.flatnonzero(store.owned & (graph.label < 0))
            columns = [1 + version.classes.index(name) for name in known]
            probabilities = np.nan_to_num(self.serving.answers(rows)[:, columns])
            found = {}
            if known:
                found = yield from thresholds_over_ranks(probabilities, known, store.rank, store.ranks)
        self._rule.take(graph.decisions, found)

    def rule_state(self) -> dict[str, object]:
        """Plain values of the rule for a checkpoint, the same at all ranks."""
        return self._rule.state()

    def restore_rule(self, values: Mapping[str, Any]) -> None:
        """Take over the rule among the values of a checkpoint, of ranks or of a worker without them."""
        self._rule.restore(values)

    def apply(self, entry: Entry, skipped: Mapping[str, str]) -> Superstep[None]:
        """Apply one entry, together with the other ranks.

        Args:
            entry: the same at all ranks.
            skipped: positions of entries that are not applied, each with the reason.
        """
        problem = entry.problem or skipped.get(entry.position)
        if problem:
            self.partition.pass_over(entry.events)
            self._rejected.append(RejectedEvent(entry.position, -1, "batch", "apply-failed", problem, entry.text()))
            self._reach(entry.position, entry.count, entry.count)
        elif entry.schema is not None:
            self._declare(entry.position, entry.schema)
        elif entry.clock is not None:
            self.partition.set_clock(entry.clock.time, entry.arrival)
            self._reach(entry.position)
        elif entry.version is not None:
            detail = "a worker with partitions keeps no versions but the one that it serves"
            self._reject(entry.position, 0, "version", "unknown-version", detail)
            self._reach(entry.position, rejected=1)
        else:
            followed = yield from self.partition.apply(entry.events, entry.arrival)
            yield from self.serving.follow(entry.position, len(entry.events), followed)
            self._note(entry.position, followed)
            self._reach(entry.position, len(entry.events), len(followed.rejected))

    def take_rows(self) -> TableUpdate | None:
        """The owned rows of the served version that changed since the last call; it is handed out once.

        None where nothing is served yet, or nothing has changed.
        """
        rows, removed = self._changed.take(self.partition)
        if self.serving.version is None or not (rows.size or removed):
            return None
        return self.rows(rows, removed)

    def take_next(self, most: int) -> tuple[TableUpdate, int]:
        """Owned rows of the next version that are not in its table yet, and how many are left then.

        Call it when there is a next version. Its first call begins with all owned rows.

        Args:
            most: rows, beside those that have changed since the last call.
        """
        version = self.serving.next_version
        assert version is not None, "there is no next version"
        if self._next_number != version.number:
            self._next, self._next_number = _Changes(), version.number
            self._next.keep(np.flatnonzero(self.partition.store.owned))
        changed = self._next.fresh
        rows, removed = self._next.take(self.partition)
        due, left = rows[: most + changed], rows[most + changed :]
        self._next.keep(left)
        return self._update(due, removed, version, self.serving.answers_next(due)), left.size

    def rows(self, rows: Int64s, removed: tuple[str, ...] = ()) -> TableUpdate:
        """Owned rows as they are published."""
        version = self.serving.version
        assert version is not None, "nothing is served"
        return self._update(rows, removed, version, self.serving.answers(rows))

    def _update(self, rows: Int64s, removed: tuple[str, ...], version: Version, answers: Answers) -> TableUpdate:
        probabilities, classes = np.ascontiguousarray(answers[:, node_class.CLASSES]), None
        if node_class.are_wide(len(version.classes)):
            classes, probabilities = node_class.best_classes(probabilities)
        return TableUpdate(
            version.number,
            tuple(self.partition.graph.ids(rows)),
            probabilities,
            np.ascontiguousarray(answers[:, 0]),
            removed,
            rows=self.places(rows),
            classes=classes,
        )

    def places(self, rows: Int64s) -> Int64s:
        """Places of owned rows in the bitmap of marks. No row is ever marked, so that they name none."""
        return self.partition.store.number[rows] & _ROW_BITS

    def take_rejected(self) -> tuple[RejectedEvent, ...]:
        """What could not be applied since the last call; it is handed out once, and the same at all ranks."""
        rejected, self._rejected = tuple(self._rejected), []
        return rejected

    def forget_changes(self) -> None:
        """Forget which rows have changed: all rows are published."""
        self._changed = _Changes()

    def switch(self) -> Version:
        """Serve the next version; its rows have to be in its table."""
        learner = self.serving.learner
        assert learner is not None, "weights are fixed"
        self._next, self._next_number = _Changes(), None
        self.forget_changes()
        return learner.switch()

    def forget_news(self, visible: str) -> None:
        """Forget what is to be published, but for what was rejected after a position that readers see."""
        self.forget_changes()
        seen = parse_position(visible)
        self._rejected = [each for each in self._rejected if parse_position(each.position) > seen]

    def _declare(self, position: str, schema: GraphSchema) -> None:
        try:
            refuse_what_ranks_lack(schema)
            self.partition.declare(schema)
        except (SchemaConflict, TooManyClasses) as error:
            reason: RejectionReason = "schema-conflict" if isinstance(error, SchemaConflict) else "too-many-classes"
            self._reject(position, 0, "schema", reason, str(error))
            self._reach(position, rejected=1)
        else:
            self._reach(position)

    def _note(self, position: str, followed: Followed) -> None:
        created = followed.part.changes.created
        created = created[self.partition.store.owned[created]]
        self._changed.note(np.union1d(self.serving.changed(followed), created), followed.removed)
        if self._next_number is not None and self.serving.next_version is not None:
            self._next.note(np.union1d(self.serving.changed_next(followed), created), followed.removed)
        for rejection in followed.rejected:
            self._reject(position, rejection.index, rejection.op, rejection.reason, rejection.detail)

    def _reject(self, position: str, index: int, op: RejectedOp, reason: RejectionReason, detail: str) -> None:
        self._rejected.append(RejectedEvent(position, index, op, reason, detail))

    def _reach(self, position: str, events: int = 0, rejected: int = 0) -> None:
        before = self.counts
        self.counts = Counts(position, before.applied + events, before.rejected + rejected)


def refuse_what_ranks_lack(schema: GraphSchema) -> None:
    """Refuse a schema that a worker with partitions cannot follow.

    Raises:
        SchemaConflict: it declares edges with ids, or tasks on edges.
    """
    named = [name for name, one in (schema.edge_types or {}).items() if one.ids]
    if named:
        raise SchemaConflict(
            f"edge_types.{named[0]}.ids: a worker with partitions has no edges with ids (docs/scaling.md)"
        )
    if schema.tasks:
        raise SchemaConflict("tasks: a worker with partitions has no tasks on edges (docs/scaling.md)")
