"""A training step over partitions: every rank computes the loss terms of its own seeds, and all descend alike."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Int64s
from olad_core.learning.dropout import Dropout
from olad_core.learning.group import Group
from olad_core.learning.step import (
    Knowledge,
    StepNodes,
    backward_to_embeddings,
    backward_to_inputs,
    forward,
    knowledge_of,
    show,
)
from olad_core.learning.trainer import StepOutcome, Terms, Trainer
from olad_core.learning.twins import LossShares, Twins
from olad_core.messages.sample import features
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.feature_rows import FeatureRows
from olad_core.partition.gradients import sum_gradients
from olad_core.partition.keyed import KeyedDropout, key_of
from olad_core.partition.near_seeds import local_terms_over_ranks, near_seeds, return_gradients
from olad_core.partition.sampling import PartSample, sample_over_ranks
from olad_core.partition.seeds import LabelHistory, Seeds, draw_seeds
from olad_core.partition.store import PartitionStore
from olad_core.parts import whole
from olad_core.step_size import StepSize, learning_rate_of
from olad_core.students import InputShape, Memory
from olad_core.tasks import node_class

_CPU = torch.device("cpu")
_STEP = 1
"""Part of the key of what a step draws."""


@dataclass(frozen=True)
class Drawable:
    """What a step may be about.

    Attributes:
        history: labelled nodes.
        touched: numbers of nodes that changed lately.
        lowest: least number of a node that there is.
    """

    history: LabelHistory
    touched: Int64s
    lowest: int


def new_trainer(config: TrainerConfig, graph: DynamicGraph) -> Trainer:
    """A trainer of new students, the same at all ranks."""
    return keyed(Trainer(Group(config, InputShape.of_graph(graph), len(graph.classes), _CPU, no_memory(config))))


def keyed(trainer: Trainer) -> Trainer:
    """The same trainer, whose dropout does not depend on the number of ranks."""
    trainer.group.dropout = KeyedDropout(trainer.config)
    if trainer.twins:
        trainer.twins.group.dropout = KeyedDropout(trainer.config)
    return trainer


def no_memory(config: TrainerConfig) -> Memory:
    """Hidden states are zeros at all times."""
    return Memory((), config.width, _CPU)


def step_over_ranks(
    trainer: Trainer, store: PartitionStore, drawable: Drawable, teaching: npt.NDArray[np.float32], size: StepSize
) -> Superstep[StepOutcome]:
    """One training step, in which the single worker's loss terms are means over the seeds of all ranks.

    Weights, moments and losses are the same bytes at all ranks, before and after.

    Args:
        trainer: of the students.
        store: this rank's part.
        drawable: what the step may be about.
        teaching: as :meth:`~olad_core.learning.trainer.Trainer.step_in_parts` has it.
        size: of the step.

    Raises:
        RanksDiffer: the students of another rank have other weights.
    """
    group, config, graph = trainer.group, trainer.config, store.graph
    learning_rate = learning_rate_of(config.learning_rate, size)
    group.set_learning_rate(learning_rate)
    group.fit_classes(len(graph.classes))
    teaching, twins = trainer.with_twins(teaching)
    knowledge = knowledge_of(config, trainer.steps, teaching)
    key = (config.seed, _STEP, trainer.steps + trainer.skipped_steps)
    seeds = yield from draw_seeds(
        store,
        drawable.history,
        drawable.touched,
        drawable.lowest,
        config,
        size,
        key,
        unlabelled=knowledge.any,
        checksum=checksum(trainer),
    )
    if not seeds.all_labelled:
        return StepOutcome({})
    width = group.shape.feature_width
    drawn = yield from sample_over_ranks(store, seeds.rows, config.fanouts, key_of(*key), width)
    yield from _follow_scale(group, store, drawn.served, trainer.steps)
    begin_dropout(group.dropout, key_of(*key, 1), drawn.sample.rows)
    if trainer.twins:
        trainer.twins.fit(group, learning_rate)
        trainer.twins.follow_scale(group)
        begin_dropout(trainer.twins.group.dropout, key_of(*key, 2), drawn.sample.rows)
    terms = yield from _learn(trainer, store, drawn, seeds, knowledge, torch.from_numpy(teaching), twins)
    own = torch.cat([term.detach() for term in terms.values()])
    weights = [*group.student_optimizer.parameters, *(twins.group.student_optimizer.parameters if twins else ())]
    total = yield from sum_gradients(weights, own, store.rank, store.ranks)
    losses = dict(zip(terms, total.view(len(terms), -1), strict=True))
    finite = all(bool(torch.isfinite(term).all()) for name, term in losses.items() if name != "discriminator")
    renewed = trainer.descend(losses["supervised"], finite=finite)
    if twins:
        twins.descend()
    return StepOutcome({name: term.numpy() for name, term in losses.items()}, renewed)


def checksum(trainer: Trainer) -> int:
    """CRC-32 of the weights of all students, of the discriminators and of twins."""
    found, group = 0, trainer.group
    twins = trainer.twins.group.student_optimizer.parameters if trainer.twins else []
    for weight in (*group.student_optimizer.parameters, *group.discriminator_optimizer.parameters, *twins):
        found = zlib.crc32(weight.detach().numpy().tobytes(), found)
    return found


def begin_dropout(dropout: Dropout, key: int, numbers: Int64s) -> None:
    """Let dropout be that of a step with these nodes."""
    assert isinstance(dropout, KeyedDropout), "see `keyed`"
    dropout.begin(key, numbers)


def _follow_scale(group: Group, store: PartitionStore, rows: Int64s, steps: int) -> Superstep[None]:
    """Follow the features' mean square over the nodes of the samples at all ranks, each counted by its owner."""
    width = group.shape.feature_width
    x = FeatureRows.of(store.graph, rows, width).sparse() if width else features(store.graph, rows, 0, _CPU)
    squares = [each.numpy() for each in group.squares(x)]
    records = np.empty(sum(map(len, squares)), [("type", "<i4"), ("square", "<f4")])
    records["type"] = np.repeat(np.arange(len(squares)), list(map(len, squares)))
    records["square"] = np.concatenate(squares)
    received = yield to_all("mean squares of features", records, store.rank, store.ranks)
    every = np.concatenate([*received, records])
    # In ascending order, means do not depend on how many ranks there are.
    sums = [np.sort(every["square"][every["type"] == number]) for number in range(len(squares))]
    group.follow_squares(list(map(torch.from_numpy, sums)), steps)


def _learn(
    trainer: Trainer,
    store: PartitionStore,
    drawn: PartSample,
    seeds: Seeds,
    knowledge: Knowledge,
    teaching: Tensor,
    twins: Twins | None,
) -> Superstep[Terms]:
    """Loss terms ``[G]`` of this rank's seeds, as shares of the means over all; the gradients of their sum are left."""
    group, own = trainer.group, len(seeds.rows)
    targets = node_class.targets(store.graph, seeds.rows[: seeds.labelled], _CPU)
    unlearned = slice(seeds.labelled if seeds.all > seeds.all_labelled else 0, None)
    nodes = StepNodes(targets, drawn.sample, len(store.graph.classes), unlearned)
    shares, weights = _shares(seeds, knowledge), teaching[: len(group.students)]
    group.student_optimizer.zero_grad()
    if twins:
        twins.group.student_optimizer.zero_grad()
    nothing = torch.zeros(len(group.students))
    terms, computed = dict.fromkeys(shares, nothing), None
    embeddings: Tensor | None = nothing.new_zeros(len(group.students), 0, trainer.config.width)
    if own:
        computed = whole(forward(group, nodes.sample))
        shown = whole(show(group, nodes, computed, knowledge))
        means, embeddings = whole(trainer.terms(nodes, shown, weights)), shown.embeddings
        # The mean over no seed is not a number.
        terms |= {name: mean * shares[name] if shares[name] else nothing for name, mean in means.items()}
        if twins:
            labelled = LossShares(shares["supervised"], own / seeds.all)
            whole(twins.learn(nodes, shown.teachers, teaching[-1], labelled))
    near = None
    if knowledge.from_embeddings:
        assert embeddings is not None, "local knowledge is transferred"
        near = yield from near_seeds(store, drawn, embeddings)
        share = shares["local"]
        local = yield from local_terms_over_ranks(group, store, near, embeddings, weights, share)
        terms["discriminator"], terms["local"] = local
    total = torch.stack([term for name, term in terms.items() if name != "discriminator"]).sum()
    if computed and bool(torch.isfinite(total)):
        backward_to_embeddings(group, computed, total, [near.embeddings] if near else [])
    if near:
        yield from return_gradients(near, computed)
    if computed:
        whole(backward_to_inputs(group, computed))
    return terms


def _shares(seeds: Seeds, knowledge: Knowledge) -> dict[str, float]:
    """Of the seeds of all ranks that a loss term is a mean over, which share are this rank's."""
    own = len(seeds.rows)
    others, all_others = own - seeds.labelled, seeds.all - seeds.all_labelled
    shares = {
        "supervised": seeds.labelled / seeds.all_labelled,
        "disagreement": others / all_others if all_others else own / seeds.all,
    }
    if knowledge.from_predictions:
        shares["global"] = own / seeds.all
    if knowledge.from_embeddings:
        shares |= dict.fromkeys(("discriminator", "local"), own / seeds.all)
    return shares
