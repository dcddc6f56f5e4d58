"""Ranks that learn, killed again and again: ``python -m tests.chaos.killed_ranks 2 50``, ranks and kills.

With a fixed number of training steps an entry, checkpoints and answers depend on the log and the number of ranks alone.
A run in which any rank was killed at random points must end with the bytes of one without kills.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from rich.console import Console
from rich.table import Table

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from service.partitioned.part_files import Complete, list_complete
from service.store.keys import Keys
from service.store.rows import values_of
from service.variant_names import DEFAULT_VARIANT, file_stem
from tests.chaos.workers import is_visible, until
from tests.redis_server import RedisServer
from tests.service.entries import append
from tests.service.partitioned.groups import GroupOfRanks, group_of

NODES = 20
"""Of an entry."""
LEARNING: dict[str, Any] = {
    "weights": "trained",
    "students": "gcn,sage",
    "width": 8,
    "rank_timeout_s": 10,
    "publish_steps": 4,
}
FIRST = 4
"""Entries that are there before the ranks begin."""
LONGEST_LIFE_S = 1.5
TWICE_EVERY = 4
"""Every so many kills are followed at once by another one, of a rank that has just begun."""
PATIENCE_S = 120


@dataclass
class Killed:
    """What a run with kills has shown.

    Attributes:
        entries: of the log.
        kills: how often each rank was killed.
        differences: what was not the same as without kills; empty is what must be.
        seconds: how long both runs took.
    """

    entries: int
    kills: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def entries_of(seed: int) -> Iterator[list[Event]]:
    """Nodes of two classes that features and neighbours show, each with its label."""
    draw, node = np.random.default_rng(seed), 0
    while True:
        entry: list[Event] = []
        for _ in range(NODES):
            side = node % 2
            entry.append(UpsertNode(str(node), [float(2 * side - 1 + draw.normal()), float(draw.normal())]))
            entry += [UpsertEdge(str(node), str(other)) for other in range(max(side, node - 4), node, 2)]
            entry.append(LabelNode(str(node), ("even", "odd")[side]))
            node += 1
        yield entry


def some(entries: Iterator[list[Event]], count: int) -> list[list[Event]]:
    """The next entries."""
    return [next(entries) for _ in range(count)]


def complete(data_dir: Path, keys: Keys) -> list[Complete]:
    """Checkpoints of all ranks, the newest last."""
    return list_complete(data_dir / "checkpoints" / file_stem(keys.graph, DEFAULT_VARIANT))


def prove(server: RedisServer, folder: Path, ranks: int, kills: int, seed: int = 0) -> Killed:
    """Run once without and once with so many kills, and compare what each leaves behind."""
    started, done, runs = time.monotonic(), Killed(FIRST + kills + 1), {}
    settings = {**LEARNING, "steps_per_entry": 2, "checkpoint_interval_s": 0.3}
    with server.client() as client:
        for name in ("steady", "struck"):
            keys, data_dir, entries = Keys(f"{folder.name}-{name}"), folder / name, entries_of(seed)
            append(client, keys, some(entries, FIRST))
            with group_of(ranks, server.url, keys, data_dir, **settings) as group:
                group.wait_until_visible(client, f"{FIRST}-0", PATIENCE_S)
                if name == "steady":
                    append(client, keys, some(entries, kills), first=FIRST + 1)
                else:
                    _kill_again_and_again(group, client, keys, entries, ranks, kills, done, seed)
                # Ranks that have begun again after the last kill apply it.
                append(client, keys, some(entries, 1), first=done.entries)
                group.wait_until_visible(client, f"{done.entries}-0", PATIENCE_S)
                assert group.terminate() == 0, group.text()
            runs[name] = _outcome(client, keys, data_dir)
    done.differences = [part for part, expected in runs["steady"].items() if runs["struck"][part] != expected]
    done.seconds = time.monotonic() - started
    return done


def _kill_again_and_again(
    group: GroupOfRanks,
    client: redis.Redis,
    keys: Keys,
    entries: Iterator[list[Event]],
    ranks: int,
    kills: int,
    done: Killed,
    seed: int,
) -> None:
    """Append an entry before each kill. An entry passes between two of them: else it would be set aside in the end."""
    random = np.random.default_rng(seed)
    while done.kills.total() < kills:
        number = FIRST + done.kills.total() + 1
        append(client, keys, some(entries, 1), first=number)
        time.sleep(float(random.uniform(0, LONGEST_LIFE_S)))
        lost = _strike(group, int(random.integers(ranks)), done)
        if done.kills.total() < kills and number % TWICE_EVERY == 0:
            append(client, keys, some(entries, 1), first=number + 1)
            number += 1
            until(lambda gone=lost: group.rank_pid(gone[0]) not in {None, gone[1]}, PATIENCE_S)  # type: ignore[misc]
            _strike(group, int(random.integers(ranks)), done)
        until(lambda last=number: is_visible(client, keys, f"{last}-0"), PATIENCE_S)  # type: ignore[misc]


def _strike(group: GroupOfRanks, rank: int, done: Killed) -> tuple[int, int]:
    """Kill a rank, once it is there; which one, and its process."""
    until(lambda: group.rank_pid(rank) is not None, PATIENCE_S)
    pid = group.rank_pid(rank)
    with contextlib.suppress(AssertionError, ProcessLookupError):
        group.strike(rank, signal.SIGKILL)
        done.kills[f"rank {rank}"] += 1
    return rank, pid or 0


def _outcome(client: redis.Redis, keys: Keys, data_dir: Path) -> dict[str, Any]:
    """What a run leaves behind: checksums of all parts and weights, and what readers see."""
    newest: Any = complete(data_dir, keys)[-1].manifest
    served: Any = client.hgetall(keys.served)
    rows: Any = client.hgetall(keys.predictions(served[b"table"].decode()))
    assert rows
    rejected: Any = client.xrange(keys.rejected)
    return {
        "position": newest.position,
        "checkpoint": newest.sha256,
        "predictions": {node: values_of(row) for node, row in rows.items()},
        "rejected": [fields for _, fields in rejected],
    }


def main(arguments: Sequence[str]) -> None:
    """Print how often which rank was killed, and what differs."""
    ranks, kills = (int(argument) for argument in arguments)
    server, folder = RedisServer(), Path(tempfile.mkdtemp(prefix="olad-killed-"))
    try:
        server.start()
        done = prove(server, folder, ranks, kills)
    except BaseException:
        print(f"the logs are in {folder}")
        raise
    finally:
        server.close()
    if done.differences:
        print(f"checkpoints and logs are in {folder}")
    else:
        shutil.rmtree(folder)
    table = Table("killed", "times", title=f"{done.entries} entries, {ranks} ranks, {done.seconds:.0f} s")
    for rank, times in sorted(done.kills.items()):
        table.add_row(rank, str(times))
    table.add_row("differences", str(len(done.differences)))
    Console().print(table, *done.differences)
    sys.exit(bool(done.differences))


if __name__ == "__main__":
    main(sys.argv[1:])
