"""From a checkpoint of any number of partitions, or of a worker without them, to one rank's state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from olad_core.graph.relations import rules_in
from olad_core.named_state import take_part
from olad_core.partition import Partition, Source, part_state, whole_graph
from olad_core.partition.frozen import FrozenVersion, NotFrozen
from service.partitioned.follower import Counts, Follower, FrozenServing
from service.partitioned.part_files import Complete, list_complete, read_manifest, read_part, read_shared
from service.store.positions import parse_position
from service.worker.assembly import CannotBegin
from service.worker.checkpoint import Checkpoint, list_checkpoints, read_checkpoint, read_position
from service.worker.earlier_formats import converted


class Choice(msgspec.Struct, frozen=True):
    """A checkpoint to begin from.

    Attributes:
        path: its directory.
        partitioned: whether it has parts.
    """

    path: str
    partitioned: bool


@dataclass(frozen=True)
class Sizes:
    """What the settings say of a graph."""

    max_classes: int
    removed_kept: int


def choices(root: Path) -> list[Choice]:
    """All checkpoints to begin from, the one of the greatest position first.

    Raises:
        CannotBegin: there is none.
    """
    found = [(parse_position(each.manifest.position), True, str(each.path)) for each in list_complete(root)]
    for path in list_checkpoints(root):
        position = read_position(path)
        if position is not None:
            found.append((parse_position(position), False, str(path)))
    if not found:
        raise CannotBegin(
            f"{root} has no checkpoint: a worker with partitions serves fixed weights, which a worker without them "
            "has trained. Let `olad worker` run first, until it serves a version (docs/scaling.md)"
        )
    return [Choice(path, partitioned) for _, partitioned, path in sorted(found, reverse=True)]


def restored(choice: Choice, rank: int, ranks: int, sizes: Sizes) -> Follower:
    """One rank's state out of a checkpoint; what is served has to be computed then.

    Raises:
        BrokenCheckpoint: it is not whole.
        OtherFormat: another release has written it.
        CannotBegin: what it holds cannot be served by ranks.
    """
    path = Path(choice.path)
    if choice.partitioned:
        return _of_parts(Complete(path, read_manifest(path)), rank, ranks, sizes)
    return _of_engine(read_checkpoint(path), rank, ranks, sizes)


def _of_parts(checkpoint: Complete, rank: int, ranks: int, sizes: Sizes) -> Follower:
    tensors, values = read_shared(checkpoint)
    before = checkpoint.manifest.ranks

    def sources() -> Iterator[Source]:
        for other in range(before):
            yield Source(read_part(checkpoint, other), other, before)

    state = read_part(checkpoint, rank) if before == ranks else part_state(sources(), rank, ranks)
    partition = Partition.from_state(state, rank, ranks, max_classes=sizes.max_classes, removed_kept=sizes.removed_kept)
    counts = Counts(values["position"], values["applied_events"], values["rejected_events"])
    frozen = FrozenVersion.from_state(take_part(tensors, "student"), values["version"])
    return Follower(partition, FrozenServing(partition, frozen), counts)


def _of_engine(checkpoint: Checkpoint, rank: int, ranks: int, sizes: Sizes) -> Follower:
    values = checkpoint.values
    counts = Counts(str(values["position"]), _count(values["applied_events"]), _count(values["rejected_events"]))
    tensors = converted(checkpoint.tensors, counts.position, counts.applied)
    try:
        frozen = FrozenVersion.of_engine(tensors, values)
    except NotFrozen as error:
        raise CannotBegin(f"the worker of {checkpoint.path} cannot go on with partitions, since {error}") from error
    graph = {name: tensor.numpy() for name, tensor in take_part(tensors, "graph").items()}
    if "tasks" in graph or any(rule.ids for rule in rules_in(graph).values()):
        raise CannotBegin(
            f"{checkpoint.path}: the graph has tasks on edges, or edges with ids, which a worker with partitions does "
            "not have"
        )
    state = part_state([whole_graph(graph)], rank, ranks)
    partition = Partition.from_state(state, rank, ranks, max_classes=sizes.max_classes, removed_kept=sizes.removed_kept)
    return Follower(partition, FrozenServing(partition, frozen), counts)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
