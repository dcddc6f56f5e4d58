"""From a checkpoint of any number of partitions, or of a worker without them, to one rank's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy.typing as npt
import structlog
from torch import Tensor

from olad_core.config import EngineConfig
from olad_core.graph.relations import rules_in
from olad_core.named_state import take_part
from olad_core.partition import Partition, PartitionedLearner, Source, join_own, part_state, whole_graph
from olad_core.partition.frozen import FrozenVersion, NotFrozen
from service.partitioned.follower import Counts, Follower
from service.partitioned.part_files import Complete, list_complete, read_manifest, read_part, read_shared
from service.partitioned.serving import OWN, FrozenServing, LearningServing, learner_state
from service.store.positions import START, parse_position
from service.worker.assembly import CannotBegin
from service.worker.checkpoint import Checkpoint, list_checkpoints, read_checkpoint, read_position
from service.worker.earlier_formats import converted

log = structlog.get_logger(__name__)


class Choice(msgspec.Struct, frozen=True):
    """A checkpoint to begin from.

    Attributes:
        path: its directory.
        partitioned: whether it has parts.
    """

    path: str
    partitioned: bool


@dataclass(frozen=True)
class Wanted:
    """What ranks are to do, as the settings ask for it.

    Attributes:
        config: of the learner.
        removed_kept: ids of removed nodes that are remembered.
        fixed: whether the served version is to stay, and nothing is learned.
    """

    config: EngineConfig
    removed_kept: int
    fixed: bool


def choices(root: Path, wanted: Wanted) -> list[Choice]:
    """All checkpoints to begin from, the one of the greatest position first; none where ranks begin with nothing.

    Raises:
        CannotBegin: there is none, and weights are to be fixed.
    """
    found = [(parse_position(each.manifest.position), True, str(each.path)) for each in list_complete(root)]
    for path in list_checkpoints(root):
        position = read_position(path)
        if position is not None:
            found.append((parse_position(position), False, str(path)))
    if not found and wanted.fixed:
        raise CannotBegin(
            f"{root} has no checkpoint: fixed weights are those of a version that a worker has trained. Let the worker "
            "run without --weights fixed until it serves a version (docs/scaling.md)"
        )
    return [Choice(path, partitioned) for _, partitioned, path in sorted(found, reverse=True)]


def begun(rank: int, ranks: int, wanted: Wanted) -> Follower:
    """One rank's state of a graph without events."""
    partition = Partition(rank, ranks, max_classes=wanted.config.max_classes, removed_kept=wanted.removed_kept)
    return Follower(partition, LearningServing(PartitionedLearner(wanted.config, partition), None), Counts(START, 0, 0))


def restored(choice: Choice, rank: int, ranks: int, wanted: Wanted) -> Follower:
    """One rank's state out of a checkpoint; what is served has to be computed then.

    Raises:
        BrokenCheckpoint: it is not whole.
        OtherFormat: another release has written it.
        CannotBegin: what it holds cannot be served by ranks.
    """
    path = Path(choice.path)
    if choice.partitioned:
        complete = Complete(path, read_manifest(path))
        tensors, values = read_shared(complete)
        follower = _of_parts(complete, tensors, values, rank, ranks, wanted)
    else:
        checkpoint = read_checkpoint(path)
        values = dict(checkpoint.values)
        follower = _of_engine(checkpoint, rank, ranks, wanted)
    follower.restore_rule(values)
    return follower


def _of_parts(
    checkpoint: Complete, tensors: dict[str, Tensor], values: dict[str, Any], rank: int, ranks: int, wanted: Wanted
) -> Follower:
    before = checkpoint.manifest.ranks

    def sources() -> Iterator[Source]:
        for other in range(before):
            yield Source(read_part(checkpoint, other), other, before)

    state = read_part(checkpoint, rank) if before == ranks else part_state(sources(), rank, ranks)
    partition = _partition(state, rank, ranks, wanted)
    counts = Counts(values["position"], values["applied_events"], values["rejected_events"])
    if wanted.fixed:
        return Follower(partition, FrozenServing(partition, _frozen(checkpoint.path, tensors, values)), counts)
    learner = PartitionedLearner(wanted.config, partition)
    if OWN not in values:
        return Follower(partition, LearningServing(learner, None), counts)
    every = range(before) if before != ranks else (rank,)
    own = [take_part(read_part(checkpoint, other), OWN) for other in every]
    state_of_learner = learner_state(tensors, values, own[0] if before == ranks else join_own(own))
    return Follower(partition, LearningServing(learner, state_of_learner), counts)


def _frozen(path: Path, tensors: dict[str, Tensor], values: dict[str, Any]) -> FrozenVersion:
    """The version that ranks with fixed weights have served, or ranks that learned."""
    try:
        if OWN not in values:
            return FrozenVersion.from_state(take_part(tensors, "student"), values["version"])
        return FrozenVersion.of_learner(take_part(tensors, OWN), values[OWN])
    except NotFrozen as error:
        raise CannotBegin(f"the weights of {path} cannot be fixed, since {error}") from error


def _of_engine(checkpoint: Checkpoint, rank: int, ranks: int, wanted: Wanted) -> Follower:
    values = checkpoint.values
    counts = Counts(str(values["position"]), _count(values["applied_events"]), _count(values["rejected_events"]))
    tensors = converted(checkpoint.tensors, counts.position, counts.applied)
    graph = {name: tensor.numpy() for name, tensor in take_part(tensors, "graph").items()}
    if "tasks" in graph or any(rule.ids for rule in rules_in(graph).values()):
        raise CannotBegin(
            f"{checkpoint.path}: the graph has tasks on edges, or edges with ids, which a worker with partitions does "
            "not have"
        )
    partition = _partition(part_state([whole_graph(graph)], rank, ranks), rank, ranks, wanted)
    if not wanted.fixed:
        return Follower(partition, _of_students(checkpoint, tensors, partition, wanted), counts)
    try:
        frozen = FrozenVersion.of_engine(tensors, values)
    except NotFrozen as error:
        raise CannotBegin(f"the worker of {checkpoint.path} cannot go on with partitions, since {error}") from error
    return Follower(partition, FrozenServing(partition, frozen), counts)


def _of_students(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], partition: Partition, wanted: Wanted
) -> LearningServing:
    """The students of a worker without partitions go on learning; scores, versions and decisions begin anew."""
    learner = PartitionedLearner(wanted.config, partition)
    trained = checkpoint.values.get("trainer")
    if isinstance(trained, dict):
        try:
            learner.take_students(take_part(tensors, "trainer"), trained)
        except (KeyError, RuntimeError, ValueError) as error:
            log.warning("the students do not fit the settings: new ones begin", error=str(error))
    return LearningServing(learner, None)


def _partition(state: dict[str, npt.NDArray[Any]], rank: int, ranks: int, wanted: Wanted) -> Partition:
    sizes = {"max_classes": wanted.config.max_classes, "removed_kept": wanted.removed_kept}
    return Partition.from_state(state, rank, ranks, **sizes)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
