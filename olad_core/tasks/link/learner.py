"""One task on links: ranks edges when they arrive, learns from them, and finds the best partners of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph
from olad_core.named_state import join_parts, take_part
from olad_core.tasks.link.ends import Ends
from olad_core.tasks.link.pairs import Pairs
from olad_core.tasks.link.scorer import Scorer
from olad_core.tasks.link.scores import RankScores, ranks_of_first
from olad_core.tasks.link.two_hops import PATHS, reached, two_hops
from olad_core.tasks.roles import IN, OUT

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

INPUTS = 14 + PATHS
"""Inputs of a pair."""
NEGATIVES = 100
"""Nodes against which an edge is ranked."""
LEARNED_NEGATIVES = 10
"""Of these, so many are learned from."""
LEAST_TARGETS = 10
"""Edges are ranked once edges have led to so many nodes."""
RECENT = 4_096
"""The scorer learns from the edges ranked last, so many."""
EDGES_A_STEP, BATCH = 4, 64
"""The scorer takes a step on so many drawn edges for every so many ranked ones."""
FIRST_STEPS = 32
"""Ranked edges before the first step."""
MOST_PAIRS = 2**18
"""Pairs that are remembered with their last edge."""
MOST_SCORED = 10_000
"""Candidates that are scored for one list of partners."""
_PIECE = 64
"""Edges whose candidates are scored at once."""
_SCORED_AT_ONCE = 8_192


class Ranked(NamedTuple):
    """Edges that were ranked before they are applied.

    Attributes:
        inputs: of each edge and its first negatives ``[n, 1 + LEARNED_NEGATIVES, INPUTS]``.
        ranks: of each edge by each predictor ``[n, predictors]``; NaN before anything was learned.
    """

    inputs: Floats
    ranks: Doubles

    def part(self, places: Rows) -> Ranked:
        """Some of them."""
        return Ranked(self.inputs[places], self.ranks[places])


class Partners(NamedTuple):
    """The best partners of a node.

    Attributes:
        rows: the best first ``[k]``.
        scores: of these ``[k]``.
        scored: candidates that were scored.
        all: whether these are all candidates.
    """

    rows: Rows
    scores: Floats
    scored: int
    all: bool


class Learner:
    """The state of one task.

    Args:
        seed: of the scorer.
        memory: of recent scores.
        directed: whether the roles of the ends differ.
    """

    def __init__(self, seed: int, memory: float, *, directed: bool) -> None:
        self.ends, self.pairs = Ends(directed=directed), Pairs(MOST_PAIRS)
        self.scorer, self.scores = Scorer(INPUTS, seed), RankScores(memory)
        self.arrived = 0
        """Edges that have arrived."""
        self._recent = np.empty((0, 1 + LEARNED_NEGATIVES, INPUTS), np.float32)
        self._ranked = 0

    @property
    def answers(self) -> bool:
        """Whether the scorer has learned anything."""
        return self.scorer.steps > 0

    def inputs(self, graph: DynamicGraph, source: Rows, candidates: Rows, time: Doubles) -> Floats:
        """What scores of n sources with S candidates each read, ``[n, S, INPUTS]``.

        Args:
            graph: the live graph.
            source: rows ``[n]``, negative for a node that is not there.
            candidates: rows ``[n, S]``, likewise.
            time: ``[n]``.
        """
        ends, now = self.ends, time[:, None]
        own = source[:, None]
        columns = []
        for rows in (own, candidates):
            count, last = ends.at(ends.count, rows), ends.at(ends.last, rows)
            for role in (OUT, IN):
                columns += [np.log1p(count[..., role]), _since(now, last[..., role], count[..., role])]
        one, other = np.broadcast_arrays(ends.numbers_of(own), ends.numbers_of(candidates))
        for pair in ((one, other), (other, one)):
            count, last = self.pairs.find(*pair)
            columns += [np.log1p(count), _since(now, last, count)]
        columns += [own == candidates, ends.likeness(source, candidates)]
        inputs = np.empty((*candidates.shape, INPUTS), np.float32)
        for number, column in enumerate(columns):
            inputs[..., number] = column
        inputs[..., len(columns) :] = np.log1p(two_hops(graph, source, candidates))
        return inputs

    def rank(
        self, graph: DynamicGraph, source: Rows, target: Rows, time: Doubles, random: np.random.Generator
    ) -> Ranked:
        """Rank edges that arrive, each against negatives: nodes that edges of the type have led to.

        Args:
            graph: before the entry.
            source: rows ``[n]``, negative for a node that is not there.
            target: rows ``[n]`` of nodes that are there.
            time: ``[n]``.
            random: of the negatives.
        """
        parts = [self._nothing]
        for first in range(0, len(source), _PIECE):
            piece = slice(first, first + _PIECE)
            candidates = np.concatenate([target[piece, None], self._negatives(target[piece], random)], axis=1)
            inputs = self.inputs(graph, source[piece], candidates, time[piece])
            ranks = np.full((len(candidates), 3), np.nan)
            if self.answers:
                ends = self.ends
                rules = [ends.at(held, candidates)[..., IN] for held in (ends.count, ends.last)]
                ranks = np.stack([ranks_of_first(each) for each in (*rules, self.scorer.scores(inputs))], axis=1)
            parts.append(Ranked(inputs[:, : 1 + LEARNED_NEGATIVES], ranks))
        return Ranked(*map(np.concatenate, zip(*parts, strict=True)))

    def arrive(self, source: Rows, target: Rows, time: Doubles) -> None:
        """Remember edges that have arrived, in order; rows are of nodes that are there."""
        self.arrived += len(source)
        self.ends.arrive(source, target, time)
        one, other = self.ends.number[source], self.ends.number[target]
        self.pairs.add(one, other, time)
        if not self.ends.directed:
            self.pairs.add(other, one, time)

    def learn(self, ranked: Ranked) -> int:
        """Score edges that were ranked and applied, and learn from them; the steps that were taken."""
        answered = np.isfinite(ranked.ranks).all(axis=1)
        if answered.any():
            self.scores.add(ranked.ranks[answered])
        if not len(ranked.inputs):
            return 0
        self.scorer.observe(ranked.inputs)
        self._recent = np.concatenate([self._recent, ranked.inputs])[-RECENT:]
        before, self._ranked = self._ranked, self._ranked + len(ranked.inputs)
        steps = max(0, self._ranked - FIRST_STEPS) // EDGES_A_STEP - max(0, before - FIRST_STEPS) // EDGES_A_STEP
        for _ in range(steps):
            self.scorer.learn(self._recent, BATCH)
        return steps

    def score(self, graph: DynamicGraph, source: int, candidates: Rows, time: float) -> Floats:
        """Scores of pairs of a node and candidates ``[n]``, rows as in :meth:`inputs`."""
        asked = np.array([source]), candidates[None], np.array([time])
        scores: Floats = self.scorer.scores(self.inputs(graph, *asked)[0])
        return scores

    def partners(
        self,
        graph: DynamicGraph,
        source: int,
        most: int,
        left_out: Rows,
        time: float,
        most_scored: int,
    ) -> Partners:
        """The nodes to which an edge from a node is likeliest.

        Candidates are the nodes that edges of the type have led to. Where they are more than ``most_scored``, those are
        scored that two edges connect with the node, and of the others those that are best by three rules.

        Args:
            graph: the live graph.
            source: row of the node.
            most: partners that are wanted.
            left_out: rows that are not listed.
            time: at which an edge would arrive.
            most_scored: candidates that are scored.
        """
        passed_over = np.zeros(graph.capacity, np.bool_)
        passed_over[left_out] = passed_over[source] = True
        targets = np.sort(self.ends.targets[~passed_over[self.ends.targets]])
        rows = targets if len(targets) <= most_scored else self._likely(graph, source, targets, most_scored)
        pieces = [rows[first : first + _SCORED_AT_ONCE] for first in range(0, len(rows), _SCORED_AT_ONCE)]
        scored = [np.empty(0, np.float32), *(self.score(graph, source, piece, time) for piece in pieces)]
        scores = np.concatenate(scored)
        best = np.lexsort((rows, -scores))[:most]
        return Partners(rows[best], scores[best], len(rows), len(rows) == len(targets))

    def forget(self, rows: Rows) -> None:
        """Forget nodes that have left. What was learned stays."""
        self.ends.forget(rows)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, values = self.scorer.state()
        parts = {"scorer": arrays, "ends": self.ends.state(), "pairs": self.pairs.state()}
        joined = join_parts(parts | {"scores": self.scores.state()})
        plain = {"scorer": values, "arrived": self.arrived, "ranked": self._ranked}
        return joined | {"recent": self._recent.copy()}, plain

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state` of the same task."""
        self.scorer.restore(take_part(arrays, "scorer"), values["scorer"])
        self.ends.restore(take_part(arrays, "ends"))
        self.pairs.restore(take_part(arrays, "pairs"))
        self.scores.restore(take_part(arrays, "scores"))
        self._recent = arrays["recent"].astype(np.float32)
        self.arrived, self._ranked = values["arrived"], values["ranked"]

    @property
    def _nothing(self) -> Ranked:
        return Ranked(self._recent[:0], np.empty((0, 3)))

    def _negatives(self, target: Rows, random: np.random.Generator) -> Rows:
        """Nodes drawn for each edge ``[n, NEGATIVES]``, none of them its target."""
        targets = self.ends.targets
        places = random.integers(len(targets), size=(len(target), NEGATIVES))
        return np.where(targets[places] == target[:, None], targets[(places + 1) % len(targets)], targets[places])

    def _likely(self, graph: DynamicGraph, source: int, targets: Rows, most: int) -> Rows:
        """Targets that are likely partners, so many at most."""
        near = reached(graph, source)
        near = near[np.isin(near, targets, assume_unique=True)][: most // 4]
        each = (most - len(near)) // 3
        ends = self.ends
        rules = (ends.count[targets, IN], ends.last[targets, IN], ends.likeness_to_all(source)[targets])
        best = [targets[np.argpartition(rule, len(rule) - each)[-each:]] for rule in rules]
        return np.unique(np.concatenate([near, *best]))


def _since(now: Doubles, last: Doubles, count: Doubles) -> Doubles:
    """Logarithm of the time since something happened last; -1 where it never did."""
    since: Doubles = np.where(count > 0, np.log1p(np.maximum(now - last, 0)), -1.0)
    return since
