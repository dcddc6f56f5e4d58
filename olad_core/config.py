"""Every default of the core, once. The service's settings are built from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

MAX_CLASSES = 1_000
"""Classes of a graph at most, unless configured otherwise: every prediction holds a number for each."""
REMOVED_KEPT = 100_000
"""Ids of removed nodes that are remembered: the last ones."""

Serve = Literal["auto", "best", "group"]
"""What is served: the group where it is expected to be better and can be kept fresh, the best student, the group."""
GROUP = "group"
"""What the group is named where a student's name stands otherwise."""
TREES = "trees"
"""What the boosted trees are named where a student's name stands otherwise."""
LINEAR = "linear"
"""What the linear model is named where a student's name stands otherwise."""
LINEAR_CLASSES = 64
"""There is no linear model with more classes, ..."""
LINEAR_COLUMNS = 1_024
"""... nor with more columns of its table: it holds as many numbers squared, and solving it takes their cube."""
TREE_CELLS = 2**23
"""Of nodes that wait for their label, the trees keep so many numbers at most: 32 MB. And again of labelled ones."""
AVERAGED = 64
"""Up to so many features, trees have their means over the neighbours, too: more would double a wide table."""

ARRIVAL_CLASSES = 64
"""Classes whose probabilities are remembered of such a node, the best ones: all of them where there are no more."""
ARRIVAL_CELLS = 2**24
"""Probabilities that are remembered of nodes that wait for their label: nodes x predictors x classes, at most."""

StructureColumn = Literal["in_degree", "out_degree", "in_weight", "out_weight", "age", "gap"]
"""What the edges of a node come to, that students can get as an input (:mod:`olad_core.graph.structure`)."""
STRUCTURE: tuple[StructureColumn, ...] = get_args(StructureColumn)
"""All of these."""
STRUCTURE_STEPS = 48
"""Values of each of these at most."""

PUBLISHED_WHOLE = 64
"""Up to so many classes, what is published of a node is the probability of each."""
PUBLISHED_CLASSES = 32
"""With more classes it is that of so many, the most likely ones."""


@dataclass(frozen=True)
class TrainerConfig:
    """How the group learns; the symbols are those of ``docs/method.md``.

    Attributes:
        students: architectures of the members.
        width: width of their embeddings.
        structure: those of :data:`STRUCTURE` that are inputs, beside features and labels.
        learning_rate: of Adam, for students and discriminators, in a step of the configured size; see
            :func:`olad_core.step_size.learning_rate_of`.
        weight_decay: of the students.
        feature_decay: weight decay of the first map of the features, the weight of the encoder.
        global_weight: alpha; 0 disables the global knowledge.
        local_weight: beta; 0 disables the local knowledge.
        measures_teaching: whether twins measure what global knowledge is worth, and it is given in proportion
            (:mod:`olad_core.learning.twins`).
        temperature: T of the global knowledge.
        min_confidence: the group teaches only where it is at least this sure.
        hidden_dropout: share of the entries of hidden rows that a step drops.
        feature_dropout: share of the features that a step drops.
        label_dropout: share of the known labels around the seeds that a step hides; those of the seeds are hidden
            always.
        warmup_steps: steps with the supervised loss alone.
        labelled: labelled nodes a step, half of them from the last ``recent_labels``; at most half of those there
            are, so that the labels of the others remain inputs.
        touched: further nodes that a step draws, for the knowledge that needs no labels, half of them from the last
            ``recent_touched`` that changed; those without a label are used.
        fanouts: sampled neighbours of a node, first layer first.
        discriminator_width: hidden width of the discriminators.
        max_gradient_norm: gradients of a student are scaled down to this norm.
        cuda_graphs: whether steps on a GPU are recorded as CUDA graphs (:mod:`olad_core.learning.recorded`).
        seed: of every random choice.
    """

    students: tuple[str, ...] = ("gcn", "sage", "gat", "evolvegcn")
    width: int = 64
    structure: tuple[StructureColumn, ...] = ("in_degree", "out_degree")
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    feature_decay: float = 0.01
    global_weight: float = 1.0
    local_weight: float = 0.0
    measures_teaching: bool = False
    temperature: float = 1.0
    min_confidence: float = 0.7
    hidden_dropout: float = 0.3
    feature_dropout: float = 0.1
    label_dropout: float = 0.5
    warmup_steps: int = 20
    labelled: int = 256
    touched: int = 256
    recent_labels: int = 1400
    recent_touched: int = 1400
    fanouts: tuple[int, ...] = (10, 10)
    discriminator_width: int = 16
    max_gradient_norm: float = 5.0
    cuda_graphs: bool = True
    seed: int = 0

    @property
    def has_twins(self) -> bool:
        """Whether twins learn beside the group, so that what teaching is worth can be measured."""
        return self.measures_teaching and self.global_weight > 0 and len(self.students) > 1


@dataclass(frozen=True)
class EngineConfig:
    """How the engine learns, scores and publishes.

    Attributes:
        trainer: how the group learns.
        publish_steps: training steps between two versions, at least; and twice as many as it took to embed the last.
        score_memory: scored nodes after which a recent score's weight has fallen to 1/e.
        metric: what decides which student is served, as :func:`olad_core.judging.metric.parse_metric` reads it. None:
            accuracy where classes are balanced, else macro-F1.
        serve: what is served.
        freshness_target_ms: how long an event may wait to be visible; ``auto`` serves what keeps to it.
        trees: whether boosted trees are a member of the group, where it can be served.
        linear: whether a linear model on propagated inputs is a member of the group, where it can be served.
        members_teach: whether trees and linear model teach the students. Then they are there under any ``serve``.
        memory_budget: bytes of memory; the group is served by ``auto`` only where it needs a part of them, at most.
            None: whatever it needs.
        versions_kept: versions whose weights are kept, the served one among them.
        switch_margin: by how much another student's expected score must be better to take over.
        least_remembered: scored nodes that stay in memory after a drift, at least.
        drift_delta: probability that one test for drift reports one where there is none, at most.
        arrivals_scored: arrivals in one refresh that every student predicts, at most; the rest are not scored.
        arrivals_compared: nodes without a label of which students are compared before one is chosen, in steps of the
            configured size.
        arrivals_remembered: predictions that wait for a label, at most; fewer where they would hold more than
            :data:`ARRIVAL_CELLS` probabilities. The trees keep as many nodes that wait, and labelled ones, at most.
        advance_events: events between two steps of time for students with a memory.
        max_classes: classes of the graph at most; a label that would be one more is rejected.
        removed_ids_kept: ids of removed nodes that are remembered, the last ones.
        most_read: nodes and edges that the answer to one question may read (:meth:`Engine.what_if`).
        renewal: name of the last time that new students were asked for. Restoring a state of another renewal begins
            with new ones; None continues with those of the state.
    """

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    publish_steps: int = 2
    score_memory: float = 500.0
    metric: str | None = None
    serve: Serve = "auto"
    freshness_target_ms: int = 100
    trees: bool = True
    linear: bool = True
    members_teach: bool = False
    memory_budget: int | None = None
    versions_kept: int = 5
    switch_margin: float = 0.005
    least_remembered: int = 50
    drift_delta: float = 0.02
    arrivals_scored: int = 256
    arrivals_compared: int = 200
    arrivals_remembered: int = 65_536
    advance_events: int = 1000
    max_classes: int = MAX_CLASSES
    removed_ids_kept: int = REMOVED_KEPT
    most_read: int = 50_000
    renewal: str | None = None

    @property
    def combines(self) -> bool:
        """Whether the group itself can be served, beside its students."""
        return self.serve != "best" and len(self.trainer.students) > 1

    @property
    def grows_trees(self) -> bool:
        """Whether trees are grown: they are served with the group alone, but may teach students."""
        return self.trees and (self.combines or self.members_teach)

    @property
    def solves_linear(self) -> bool:
        """Whether there is a linear model: it is served with the group alone, but may teach students."""
        return self.linear and (self.combines or self.members_teach)

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of the members that are no students, in the order of their predictions."""
        there = ((TREES, self.grows_trees), (LINEAR, self.solves_linear))
        return tuple(name for name, is_there in there if is_there)
