"""A training step over partitions: every rank computes the loss terms of its own seeds, and all descend alike."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.errors import OladError
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Int64s
from olad_core.learning.group import Group
from olad_core.learning.step import Knowledge, StepNodes, backward, forward, knowledge_of, show
from olad_core.learning.trainer import StepOutcome, Terms, Trainer
from olad_core.messages.sample import features
from olad_core.partition.exchange import Superstep, to_all
from olad_core.partition.feature_rows import FeatureRows
from olad_core.partition.gradients import sum_gradients
from olad_core.partition.keyed import KeyedDropout, key_of
from olad_core.partition.sampling import sample_over_ranks
from olad_core.partition.seeds import LabelHistory, Seeds, draw_seeds
from olad_core.partition.store import PartitionStore
from olad_core.parts import whole
from olad_core.step_size import StepSize, learning_rate_of
from olad_core.students import InputShape, Memory
from olad_core.tasks import node_class

_CPU = torch.device("cpu")
_STEP = 1
"""Part of the key of what a step draws."""


class NotOverRanks(OladError, ValueError):
    """A configuration asks for what is not trained over several ranks."""


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
    return trainer


def require_trainable(config: TrainerConfig) -> None:
    """Refuse what is not trained over several ranks.

    Raises:
        NotOverRanks: local knowledge, which reads the embeddings of neighbours at other ranks; twins.
    """
    if config.local_weight > 0:
        raise NotOverRanks("local_weight is not 0: local knowledge is not learned over several ranks; set it to 0")
    if config.measures_teaching:
        raise NotOverRanks("global_weight is auto: no twins measure teaching over several ranks; set a number")


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
        teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
        size: of the step.

    Raises:
        RanksDiffer: the students of another rank have other weights.
    """
    group, config, graph = trainer.group, trainer.config, store.graph
    group.set_learning_rate(learning_rate_of(config.learning_rate, size))
    group.fit_classes(len(graph.classes))
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
        checksum=checksum(group),
    )
    if not seeds.all_labelled:
        return StepOutcome({})
    width = group.shape.feature_width
    drawn = yield from sample_over_ranks(store, seeds.rows, config.fanouts, key_of(*key), width)
    yield from _follow_scale(group, store, drawn.served, trainer.steps)
    begin_dropout(group, key_of(*key, 1), drawn.sample.rows)
    targets = node_class.targets(graph, seeds.rows[: seeds.labelled], _CPU)
    unlearned = slice(seeds.labelled if seeds.all > seeds.all_labelled else 0, None)
    nodes = StepNodes(targets, drawn.sample, len(graph.classes), unlearned)
    terms = _learn(trainer, nodes, seeds, knowledge, torch.from_numpy(teaching))
    own = torch.cat([term.detach() for term in terms.values()])
    total = yield from sum_gradients(group.student_optimizer.parameters, own, store.rank, store.ranks)
    losses = dict(zip(terms, total.view(len(terms), -1), strict=True))
    renewed = trainer.descend(losses["supervised"], finite=bool(torch.isfinite(total).all()))
    return StepOutcome({name: term.numpy() for name, term in losses.items()}, renewed)


def checksum(group: Group) -> int:
    """CRC-32 of the weights of all students."""
    found = 0
    for weight in group.student_optimizer.parameters:
        found = zlib.crc32(weight.detach().numpy().tobytes(), found)
    return found


def begin_dropout(group: Group, key: int, numbers: Int64s) -> None:
    """Let dropout be that of a step with these nodes."""
    assert isinstance(group.dropout, KeyedDropout), "see `keyed`"
    group.dropout.begin(key, numbers)


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


def _learn(trainer: Trainer, nodes: StepNodes, seeds: Seeds, knowledge: Knowledge, teaching: Tensor) -> Terms:
    """Loss terms ``[G]`` of this rank's seeds, as shares of the means over all; the gradients of their sum are left."""
    group, own = trainer.group, len(seeds.rows)
    all_unlearned = seeds.all - seeds.all_labelled or seeds.all
    counts = {
        "supervised": (seeds.labelled, seeds.all_labelled),
        **({"global": (own, seeds.all)} if knowledge.from_predictions else {}),
        "disagreement": (own - nodes.unlearned.start, all_unlearned),
    }
    group.student_optimizer.zero_grad()
    nothing = torch.zeros(len(group.students))
    if not own:
        return dict.fromkeys(counts, nothing)
    computed = whole(forward(group, nodes.sample))
    means = whole(trainer.terms(nodes, whole(show(group, nodes, computed, knowledge)), teaching))
    # The mean over no seed is not a number.
    terms = {name: means[name] * (some / every) if some else nothing for name, (some, every) in counts.items()}
    total = torch.stack(list(terms.values())).sum()
    if bool(torch.isfinite(total)):
        whole(backward(group, computed, total))
    return terms
