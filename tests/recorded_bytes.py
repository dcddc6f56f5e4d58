"""Digests of what two recorded streams lead to, for changes that must not change a byte.

`python -m tests.recorded_bytes` prints them. Run it before and after the change.

One stream has features, the other has none. Both are made from a seed, so nothing is stored. Fixed steps follow each
entry. The first digest is of every publication in order; the second of the final state: the bytes of each tensor,
whatever its name, so that renaming a part of the state changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from olad_core.config import EngineConfig
from olad_core.events import Event, UpsertNode
from tests.olad_core.runs import Run
from tests.olad_core.streams import changes, take, two_communities

STEPS = 2
ENTRIES = 60
EVENTS = 50


@dataclass(frozen=True)
class Digests:
    """What a stream led to.

    Attributes:
        events: how many were applied.
        published: SHA-256 over all publications, in order.
        state: SHA-256 over the final state's tensors.
    """

    events: int
    published: str
    state: str


def with_features() -> Iterator[list[Event]]:
    """Two communities, then random changes of all kinds."""
    yield two_communities(80)
    stream = changes(11, nodes=200)
    for _ in range(ENTRIES):
        yield take(stream, EVENTS)


def without_features() -> Iterator[list[Event]]:
    """The same kinds of changes, with no feature anywhere."""
    for entry in with_features():
        yield [UpsertNode(event.id, None, event.label) if isinstance(event, UpsertNode) else event for event in entry]


def digests(entries: Iterator[Sequence[Event]]) -> Digests:
    """Play a stream to an engine of the default configuration."""
    run = Run(EngineConfig())
    for entry in entries:
        run.turn(entry, STEPS)
    published = hashlib.sha256()
    for publication in run.published:
        published.update(f"{publication.position} {publication.applied_events} {publication.dropped}".encode())
        if publication.served:
            published.update(repr(publication.served).encode())
        for update in publication.updates:
            published.update(repr((update.version, update.nodes, update.removed)).encode())
            published.update(update.probabilities.tobytes() + update.disagreement.tobytes())
        for rejected in publication.rejected:
            published.update(f"{rejected.position} {rejected.index} {rejected.reason}".encode())
    tensors, _ = run.engine.state()
    parts = sorted(hashlib.sha256(_bytes(tensor)).hexdigest() for tensor in tensors.values())
    state = hashlib.sha256("".join(parts).encode()).hexdigest()
    return Digests(run.engine.applied_events, published.hexdigest(), state)


def _bytes(tensor: torch.Tensor) -> bytes:
    array = tensor.detach().cpu().contiguous().numpy()
    return f"{array.dtype}{array.shape}".encode() + array.tobytes()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, stream in (("with features", with_features()), ("without features", without_features())):
        found = digests(stream)
        print(f"{name}: {found.events} events, published {found.published[:16]}, state {found.state[:16]}")
