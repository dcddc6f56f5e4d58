"""Records what a publication changes for readers, in the transaction that makes it visible.

Rows are compared with those that Redis holds, not with what the worker remembers. So nothing is lost or repeated by a
crash: whatever readers last saw is what the next publication is compared with. See ``docs/decisions/0043-changes.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
from redis import Redis

from olad_core.judging.decisions import Decision
from olad_core.serving.publication import Publication, TableUpdate
from olad_core.tasks.label_rule import LabelRule
from service.store.changes import (
    LABEL_CHANGED,
    NOT_LISTED,
    RULE_CHANGED,
    Change,
    cloud_event,
    decided,
    next_id,
    unknown_before,
)
from service.store.keys import Keys
from service.store.label_rules import dump_rule, load_rule
from service.store.positions import START, PositionPair, parse_position, position_text
from service.store.row_labels import Labels, labels_of_rows, labels_of_update
from service.store.rows import WHOLE_FORMAT, format_of, graph_rows
from service.store.transaction import Transaction

LISTED = 1_000
"""Nodes whose new label one publication lists at most; one more change says how many others there are."""
_NAMED = 4 * LISTED


@dataclass(frozen=True)
class Shown:
    """What readers see before a publication.

    Attributes:
        table: of predictions; None before the first version.
        rule: that decides labels, as JSON; empty for the likeliest class.
        changed: id of the last change, as Redis writes it; None where there is none.
        decided: which decision was recorded last; None where none was.
    """

    table: str | None
    rule: bytes
    changed: str | None
    decided: str | None


@dataclass(frozen=True)
class _Relabelled:
    node: str
    before: str | None
    after: str | None
    probability: float


@dataclass
class _Coming:
    """A table that readers do not see yet, compared with the one that they see.

    Attributes:
        classes: of its version.
        differs: whether the label of each row of the graph is another one there.
        named: the first of these rows, with the labels.
    """

    classes: tuple[str, ...]
    differs: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    named: dict[int, _Relabelled] = field(default_factory=dict)

    def compare(self, rows: Sequence[int], nodes: Sequence[str], before: Sequence[str | None], after: Labels) -> None:
        """Note for each row whether its label differs; one without a label there does not."""
        if len(rows) and max(rows) >= len(self.differs):
            grown = np.zeros(max(max(rows) + 1, 2 * len(self.differs)), np.bool_)
            grown[: len(self.differs)] = self.differs
            self.differs = grown
        labels = zip(rows, nodes, before, after.names, after.probabilities, strict=True)
        for row, node, old, new, probability in labels:
            differs = new is not None and new != old
            self.differs[row] = differs
            if differs and (row in self.named or len(self.named) < _NAMED):
                self.named[row] = _Relabelled(node, old, new, probability)
            elif not differs:
                self.named.pop(row, None)

    def forget(self, rows: Sequence[int]) -> None:
        """Drop rows of nodes that have left the graph."""
        for row in rows:
            self.named.pop(row, None)
            if row < len(self.differs):
                self.differs[row] = False


class ChangeRecorder:
    """Compares and records; for one writer of predictions.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        kept: changes that are kept, about.
    """

    def __init__(self, redis: Redis, keys: Keys, kept: int) -> None:
        self._redis = redis
        self._keys = keys
        self._kept = kept
        self.begin()

    def begin(self) -> None:
        """Forget the tables of an earlier start."""
        self._coming: dict[str, _Coming] = {}
        self._known: tuple[str | None, tuple[str, ...], int] = (None, (), WHOLE_FORMAT)
        self.begin_publication()

    def begin_publication(self) -> None:
        """Forget what was compared for a publication that has not been carried out, or has."""
        self._relabelled: list[_Relabelled] = []
        self._now: dict[str, str | None] = {}

    def follow(self, update: TableUpdate, table: str, publication: Publication, shown: Shown) -> None:
        """Compare rows before they are written.

        Args:
            update: the rows.
            table: where they go.
            publication: that they are part of.
            shown: what readers see.
        """
        classes = _classes_of(update.version, publication)
        if classes is None:
            return
        after = labels_of_update(update, classes, publication.rule)
        rows = update.rows.tolist()
        if table == shown.table:
            self._follow_shown(update, rows, after, shown, publication.rule)
        else:
            coming = self._coming.setdefault(table, _Coming(classes))
            stored = self._labels(shown, update.nodes)
            before = [self._now.get(node, name) for node, name in zip(update.nodes, stored, strict=True)]
            coming.compare(rows, update.nodes, before, after)
            coming.forget(self._rows(table, update.removed))

    def record(
        self, pending: Transaction, publication: Publication, table: str | None, shown: Shown, *, moves: bool
    ) -> None:
        """Add the changes of a publication to its transaction, after all of its rows were followed.

        Args:
            pending: the transaction.
            publication: the publication.
            table: that readers see afterwards; None while there is none.
            shown: what they saw before.
            moves: whether they go on to the publication's position.
        """
        new = _undecided(publication.decisions, shown.decided)
        changes = [decided(one) for one in new]
        rule = dump_rule(publication.rule)
        if moves and shown.table is not None and rule != shown.rule:
            changes.append(Change(RULE_CHANGED, msgspec.to_builtins(publication.rule)))
        relabelled, total = self._relabelled, len(self._relabelled)
        if table is not None and table != shown.table and (coming := self._coming.get(table)) is not None:
            differing = int(coming.differs.sum())
            relabelled = [*relabelled, *coming.named.values()]
            total += differing
        changes += _label_changes(relabelled, total, publication)
        if changes:
            last = self._write(pending, changes, publication.position, shown)
            pending.add("HSET", self._keys.served, "changed", last)
        if new:
            pending.add("HSET", self._keys.served, "decided", _identity(new[-1]))

    def carried_out(self, table: str | None, dropped: Sequence[str]) -> None:
        """Forget comparisons with a table that readers see now, and with those that are gone."""
        for name in (table, *dropped):
            self._coming.pop(name or "", None)

    def _follow_shown(
        self, update: TableUpdate, rows: Sequence[int], after: Labels, shown: Shown, rule: LabelRule
    ) -> None:
        before = self._labels(shown, update.nodes)
        for node, old, new, share in zip(update.nodes, before, after.names, after.probabilities, strict=True):
            if old != new:
                self._relabelled.append(_Relabelled(node, old, new, share))
                self._now[node] = new
        assert shown.table is not None
        for node, old in zip(update.removed, self._labels(shown, update.removed), strict=True):
            if old is not None:
                self._relabelled.append(_Relabelled(node, old, None, 0.0))
        for table, coming in self._coming.items():
            there = self._stored(table, update.nodes)
            labels = labels_of_rows(there, format_of(len(coming.classes)), coming.classes, rule)
            coming.compare(rows, update.nodes, after.names, labels)
            coming.forget(self._rows(shown.table, update.removed))

    def _labels(self, shown: Shown, nodes: Sequence[str]) -> Sequence[str | None]:
        """Labels that readers see; None for a node that has none."""
        if shown.table is None or not nodes:
            return [None] * len(nodes)
        if self._known[0] != shown.table:
            found = cast("list[bytes]", self._redis.hmget(self._keys.served, ["classes", "format"]))
            self._known = (shown.table, msgspec.json.decode(found[0], type=tuple[str, ...]), int(found[1]))
        _, classes, row_format = self._known
        return labels_of_rows(self._stored(shown.table, nodes), row_format, classes, load_rule(shown.rule)).names

    def _stored(self, table: str, nodes: Sequence[str]) -> list[bytes | None]:
        if not nodes:
            return []
        return cast("list[bytes | None]", self._redis.hmget(self._keys.predictions(table), list(nodes)))

    def _rows(self, table: str, nodes: Sequence[str]) -> list[int]:
        """The graph's rows of nodes, as far as a table holds them."""
        there = [row for row in self._stored(table, nodes) if row is not None]
        return graph_rows(there).tolist() if there else []

    def _write(self, pending: Transaction, changes: Sequence[Change], position: str, shown: Shown) -> str:
        """Add changes to the stream; the id of the last one.

        Each names the one before it, so that a reader finds out whether any is missing.
        """
        at = parse_position(position)
        last: PositionPair | None = None
        if shown.changed is not None:
            last = parse_position(shown.changed)
        elif shown.table is not None:
            # What changed before was not recorded, or is deleted: no reader may go on from it without noticing.
            last = unknown_before(at)
        previous = START if last is None else position_text(last)
        for change in changes:
            last = next_id(at, last)
            written = position_text(last)
            event = cloud_event(change, last, position, self._keys)
            limit = ("MAXLEN", "~", self._kept)
            pending.add("XADD", self._keys.changes, *limit, written, "event", event, "previous", previous)
            previous = written
        return previous


def _classes_of(version: int, publication: Publication) -> tuple[str, ...] | None:
    """The classes of a version; None where it is neither the served one nor on its way."""
    for one in (publication.served, publication.coming):
        if one is not None and one.number == version:
            return one.classes
    return None


def _identity(decision: Decision) -> str:
    return f"{decision.number}:{decision.position}:{decision.kind}:{decision.version}"


def _undecided(decisions: Sequence[Decision], recorded: str | None) -> Sequence[Decision]:
    """The decisions after the one that was recorded last; a transaction whose answer was lost has recorded some."""
    known = [_identity(decision) for decision in decisions]
    return decisions[known.index(recorded) + 1 :] if recorded in known else decisions


def _label_changes(relabelled: Sequence[_Relabelled], total: int, publication: Publication) -> list[Change]:
    """So many of the changes of labels as are listed, and how many more there are."""
    served = publication.served
    if served is None or not total:
        return []
    by = {"student": served.student, "model_version": served.shown}
    listed = [
        Change(
            LABEL_CHANGED,
            {"node": one.node, "before": one.before, "label": one.after, "probability": one.probability, **by},
            one.node,
        )
        for one in relabelled[:LISTED]
    ]
    more = total - len(listed)
    return [*listed, *([Change(NOT_LISTED, {"count": more, **by})] if more else [])]
