"""Labels that have come: the predictions that waited for them are scored first, then the labels are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from olad_core.beside_students import BesideStudents
from olad_core.config import EngineConfig
from olad_core.graph import Changes, DynamicGraph
from olad_core.judging.assessment import Assessment, Scored
from olad_core.judging.decisions import Decisions
from olad_core.judging.drift import Drift
from olad_core.judging.served_outcomes import NewestOutcomes, arrival_keys
from olad_core.learning.label_history import Replay
from olad_core.learning.teaching import teaching_of

Rows = npt.NDArray[np.int64]


class KnownLabels:
    """The labelled nodes to learn from, and the classes that they have.

    Args:
        config: of the engine.
        decisions: takes in new classes and drifts.
    """

    def __init__(self, config: EngineConfig, decisions: Decisions) -> None:
        self.replay = Replay(config.trainer.recent_labels)
        """Labelled nodes in the order of their labels."""
        self.outcomes = NewestOutcomes()
        """What was served of them at their arrival, scored; of no state, so not in a checkpoint."""
        self._least_remembered = config.least_remembered
        self._decisions = decisions
        self._classes: set[int] = set()

    @property
    def classes(self) -> int:
        """Number of classes that labels have had so far."""
        return len(self._classes)

    def add(
        self,
        changes: Sequence[Changes],
        graph: DynamicGraph,
        assessment: Assessment,
        beside: BesideStudents,
        *,
        training: bool,
    ) -> None:
        """Score the predictions that waited for the labels in ``changes``; only then may the labels be learned from.

        Args:
            changes: of the graph, since the last call.
            graph: after them.
            assessment: scores the predictions.
            beside: learn from the labels, too.
            training: whether there are students to which a class can be new.
        """
        labelled = _newly_labelled(changes, graph)
        if not len(labelled):
            return
        labels = graph.label[labelled].astype(np.int64)
        arrival = graph.arrival[labelled]
        by_others = beside.labelled(arrival, labels)
        scored = assessment.score(labelled, arrival, labels, by_others)
        self._add_outcomes(scored, labelled, arrival, graph)
        assessment.compare_with_teachers(scored, teaching_of(assessment, len(graph.classes)))
        self._add_classes(np.unique(labels).tolist(), graph, training=training)
        self.replay.add(labelled, graph)
        if scored.drift:
            forget_before(scored.drift, assessment, self.replay, self._least_remembered, self._decisions)
            beside.forget(max(scored.drift.width, self._least_remembered))

    def state(self) -> tuple[dict[str, npt.NDArray[np.generic]], list[int]]:
        """For a checkpoint: arrays of the labelled nodes, and numbers of the classes."""
        return self.replay.state(), sorted(self._classes)

    def restore(self, arrays: dict[str, npt.NDArray[Any]], classes: Sequence[int], graph: DynamicGraph) -> None:
        """Take over the :meth:`state` of labels on this graph."""
        self.replay.restore(arrays, graph)
        self._classes = set(classes)

    def _add_outcomes(self, scored: Scored, labelled: Rows, arrival: Rows, graph: DynamicGraph) -> None:
        records, places = scored.served, scored.places
        records["arrival"] = arrival_keys(arrival[places], graph.ids(labelled[places]))
        records["time"] = graph.last_arrival
        self.outcomes.add(records)

    def _add_classes(self, seen: list[int], graph: DynamicGraph, *, training: bool) -> None:
        new = sorted(set(seen) - self._classes)
        self._classes.update(new)
        if new and training:
            note_classes([graph.classes[number] for number in new], len(self._classes), self._decisions)


class History(Protocol):
    """Labelled nodes in the order of their labels."""

    def shorten(self, count: int) -> None:
        """Let the latest ones be the last ``count`` of now."""


def note_classes(new: Sequence[str], classes: int, decisions: Decisions) -> None:
    """Note that classes were seen for the first time.

    Args:
        new: their names, one at least.
        classes: number of classes seen so far, these included.
        decisions: takes it in.
    """
    names = ", ".join(map(repr, new[:5])) + (", ..." if new[5:] else "")
    reason = f"labels {names} were seen for the first time: versions from now on can predict them"
    decisions.add("classes-grown", reason, numbers={"new": len(new), "classes": classes})


def forget_before(drift: Drift, assessment: Assessment, history: History, least: int, decisions: Decisions) -> None:
    """Let scores and labels of before a drift weigh less.

    Args:
        drift: that the scores show.
        assessment: of the students.
        history: labelled nodes.
        least: scored nodes that stay in memory, at least.
        decisions: takes in a drift that is new.
    """
    assessment.forget(max(drift.width, least))
    history.shorten(drift.width)
    if drift.is_new:
        rose = f"rose from {100 * drift.before:.1f} % to {100 * drift.after:.1f} %"
        reason = f"errors of served predictions {rose}: scores and labels before the last {drift.width} weigh less"
        numbers = {"before": drift.before, "after": drift.after, "width": drift.width}
        decisions.add("drift", reason, numbers=numbers)


def _newly_labelled(changes: Sequence[Changes], graph: DynamicGraph) -> Rows:
    """Living rows that were labelled, each once, in the order of their last labels."""
    rows: Rows = np.concatenate([change.labelled for change in changes])
    rows = rows[graph.alive[rows] & (graph.label[rows] >= 0)]
    _, last = np.unique(rows[::-1], return_index=True)
    in_order: Rows = rows[np.sort(len(rows) - 1 - last)]
    return in_order
