"""The tasks on links of a graph: an edge is ranked among sampled negatives before it is applied, then learned.

See ``docs/decisions/0049-embeddings-and-links.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.config import EngineConfig
from olad_core.graph import DynamicGraph
from olad_core.graph.arriving_edges import ArrivedEdges, ArrivingEdges, time_of_arrival
from olad_core.task_types import LinkTask
from olad_core.tasks.link import LEAST_TARGETS, MOST_SCORED, PREDICTORS, Learner, Ranked, RankScore
from olad_core.tasks.task_states import joined_states, restore_states

Arrays = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.int64]

_SEED = 500_000
"""Added to the seed, so that links are drawn otherwise than what other tasks draw."""

NoLinkAnswer = Literal["no-task", "few-edges", "unknown-node"]
"""Why there is no answer: the type has no task of this kind, too few edges were ranked, or no such node is there."""


@dataclass(frozen=True)
class LinkReport:
    """How a task stands.

    Attributes:
        name: of the task.
        edge_type: of its edges.
        arrived: edges that have arrived.
        scored: edges that were ranked when they arrived.
        steps: of the scorer.
        scores: by predictor: two rules, and what is learned, on the same negatives; None before the first edge.
        recent: the same, with forgetting.
    """

    name: str
    edge_type: str
    arrived: int
    scored: int
    steps: int
    scores: Mapping[str, RankScore | None]
    recent: Mapping[str, RankScore | None]


class LinkAnswer(NamedTuple):
    """Scores of pairs.

    Attributes:
        task: its name.
        nodes: the other ends, the best first where they were not named.
        scores: of these.
        linked: whether there is an edge of the type, for each.
        scored: candidates that were scored.
        all: whether all candidates were.
        version: steps that the scorer had taken.
    """

    task: str
    nodes: list[str]
    scores: list[float]
    linked: list[bool]
    scored: int
    all: bool
    version: int


class _Predicted(NamedTuple):
    """Edges that were ranked before the entry they arrive with.

    Attributes:
        places: of these among all that arrive.
        ranked: these.
    """

    places: Rows
    ranked: Ranked


class _Task:
    """One task."""

    def __init__(self, name: str, task: LinkTask, graph: DynamicGraph, config: EngineConfig) -> None:
        self.name, self.edge_type = name, task.edge_type
        seed = config.trainer.seed + _SEED + graph.relations.index(task.edge_type)
        self._seed, self._most = seed, config.arrivals_scored
        self.learner = Learner(seed, config.score_memory, directed=graph.relation_rules[task.edge_type].directed)

    def predict(self, graph: DynamicGraph, position: str, edges: ArrivingEdges) -> _Predicted:
        """Rank the edges of this type that arrive with an entry, before it is applied."""
        enough = len(self.learner.ends.targets) >= LEAST_TARGETS
        places = np.flatnonzero(self.learner.ends.is_target(edges.rows[:, 1])) if enough else np.empty(0, np.int64)
        places = _spread(places, self._most)
        random = np.random.Generator(np.random.PCG64([self._seed, *map(int, position.split("-"))]))
        source, target = edges.rows[places, 0], edges.rows[places, 1]
        return _Predicted(places, self.learner.rank(graph, source, target, edges.time[places], random))

    def follow(self, arrived: ArrivedEdges, predicted: _Predicted) -> None:
        """Score and learn the ranked edges that were applied, and remember those whose ends are still there."""
        self.learner.learn(predicted.ranked.part(np.flatnonzero(arrived.applied[predicted.places])))
        if arrived.places.size:
            source, target = arrived.rows.T.copy()
            self.learner.arrive(source, target, arrived.time)

    def linked(self, graph: DynamicGraph, row: int) -> Rows:
        """Rows to which a node has an edge of the type."""
        if row < 0:
            return np.empty(0, np.int64)
        near = graph.out_neighbours(np.array([row]))
        at = graph.relations.index(self.edge_type)
        return near.index[near.groups[at] : near.groups[at + 1]]


class LinkTasks:
    """All tasks on links of a graph.

    Args:
        config: of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._tasks: dict[str, _Task] = {}
        self._predicted: dict[str, _Predicted] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def declare(self, graph: DynamicGraph) -> None:
        """Follow what the graph's schema declares now."""
        for name, task in graph.tasks.items():
            if isinstance(task, LinkTask) and name not in self._tasks:
                self._tasks[name] = _Task(name, task, graph, self._config)

    def predict(self, graph: DynamicGraph, position: str, arriving: Mapping[str, ArrivingEdges]) -> None:
        """Rank the edges that arrive with an entry, which is not applied yet.

        Args:
            graph: before the entry.
            position: of the entry; negatives are drawn by it.
            arriving: these edges, by type.
        """
        self._predicted = {
            name: task.predict(graph, position, arriving[task.edge_type]) for name, task in self._tasks.items()
        }

    def follow(self, arrived: Mapping[str, ArrivedEdges], removed: Rows) -> None:
        """Learn and remember the edges of an entry that were ranked and then applied.

        Args:
            arrived: these edges, by type.
            removed: rows of nodes that have left.
        """
        for name, task in self._tasks.items():
            if removed.size:
                task.learner.forget(removed)
            task.follow(arrived[task.edge_type], self._predicted.pop(name))

    def score(
        self, graph: DynamicGraph, edge_type: str, source: str, targets: Sequence[str]
    ) -> LinkAnswer | NoLinkAnswer:
        """Scores of edges of a type from a node, which need not be there, as if they arrived now.

        Args:
            graph: the live graph.
            edge_type: of the edges.
            source: id of the node.
            targets: ids of the other ends, of no node, too.
        """
        task = self._of(edge_type)
        if isinstance(task, str):
            return task
        row, rows = int(graph.rows([source])[0]), graph.rows(targets)
        scores = task.learner.score(graph, row, rows, time_of_arrival(graph))
        linked = np.isin(rows, task.linked(graph, row))
        version = task.learner.scorer.steps
        return LinkAnswer(task.name, [*targets], scores.tolist(), linked.tolist(), len(targets), True, version)

    def partners(
        self,
        graph: DynamicGraph,
        edge_type: str,
        node: str,
        most: int,
        *,
        linked: bool,
        most_scored: int = MOST_SCORED,
    ) -> LinkAnswer | NoLinkAnswer:
        """The nodes to which an edge of a type from a node is likeliest.

        Args:
            graph: the live graph.
            edge_type: of the edges.
            node: its id.
            most: partners that are wanted.
            linked: whether those to which it has an edge of the type are listed, too.
            most_scored: candidates that are scored; of more, the likely ones are chosen.
        """
        task = self._of(edge_type)
        if isinstance(task, str):
            return task
        row = int(graph.rows([node])[0])
        if row < 0:
            return "unknown-node"
        known = task.linked(graph, row)
        left_out, now = known[:0] if linked else known, time_of_arrival(graph)
        found = task.learner.partners(graph, row, most, left_out, now, most_scored)
        is_linked = np.isin(found.rows, known).tolist()
        version = task.learner.scorer.steps
        return LinkAnswer(
            task.name, graph.ids(found.rows), found.scores.tolist(), is_linked, found.scored, found.all, version
        )

    def reports(self) -> tuple[LinkReport, ...]:
        """How each task stands."""
        return tuple(
            LinkReport(
                name,
                task.edge_type,
                task.learner.arrived,
                task.learner.scores.scored,
                task.learner.scorer.steps,
                {rule: task.learner.scores.of(at) for at, rule in enumerate(PREDICTORS)},
                {rule: task.learner.scores.of(at, recent=True) for at, rule in enumerate(PREDICTORS)},
            )
            for name, task in self._tasks.items()
        )

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays and plain values for a checkpoint, by task."""
        return joined_states({name: task.learner for name, task in self._tasks.items()})

    def restore(self, graph: DynamicGraph, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the tasks of this graph."""
        self.declare(graph)
        restore_states({name: task.learner for name, task in self._tasks.items()}, arrays, values)

    def _of(self, edge_type: str) -> _Task | Literal["no-task", "few-edges"]:
        task = next((each for each in self._tasks.values() if each.edge_type == edge_type), None)
        if task is None:
            return "no-task"
        return task if task.learner.answers else "few-edges"


def _spread(places: Rows, most: int) -> Rows:
    """So many of the places at most, evenly spread: an entry must not take long.

    >>> _spread(np.arange(10), 4).tolist(), _spread(np.arange(3), 4).tolist()
    ([0, 2, 5, 7], [0, 1, 2])
    """
    return places if len(places) <= most else places[np.arange(most) * len(places) // most]
