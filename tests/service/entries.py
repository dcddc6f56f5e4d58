"""A stream of entries with everything in it, and a way into the log for them."""

from __future__ import annotations

import numpy as np
import redis

from olad_core.event_codec import encode_log
from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from service.store.keys import Keys

CLASSES = 3
FEATURES = 6


def random_entries(count: int, seed: int) -> list[list[Event]]:
    """Batches in which nodes, edges, features and labels come and go, some of them impossible."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(CLASSES, FEATURES))
    entries: list[list[Event]] = []
    for number in range(count):
        events: list[Event] = []
        for node in range(number * 4, number * 4 + 4):
            label = node % CLASSES
            x = (centres[label] + random.normal(scale=0.5, size=FEATURES)).tolist()
            events.append(UpsertNode(id=str(node), x=x))
            events += [
                UpsertEdge(src=str(node), dst=str(other), weight=float(random.uniform(0.5, 2)))
                for other in random.integers(max(node, 1), size=3)
            ]
            events.append(LabelNode(id=str(node // 2), label=f"class {node // 2 % CLASSES}"))
        any_node = str(random.integers(number * 4 + 4))
        if number % 5 == 4:
            events.append(RemoveNode(id=any_node))
        events.append(RemoveEdge(src=any_node, dst=str(random.integers(number * 4 + 4))))
        entries.append(events)
    return entries


def append(client: redis.Redis, keys: Keys, entries: list[list[Event]], first: int = 1) -> None:
    """Append entries under positions that are the same in every run: ``1-0``, ``2-0``, ..."""
    for number, events in enumerate(entries, start=first):
        with client.pipeline(transaction=True) as pipe:
            pipe.xadd(keys.log, {"events": encode_log(events), "n": len(events)}, id=f"{number}-0")
            pipe.incrby(keys.appended, len(events))
            pipe.execute()
