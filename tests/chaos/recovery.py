"""Recovery to the byte: ``python -m tests.chaos.recovery 100`` kills a worker at 100 random points and compares.

With a fixed number of training steps an entry, the state and what is served depend on the log alone. A run that was
killed anywhere, also within a checkpoint, a publication or the swap of versions, must end like one that was not; and
so must every replay of the log from any checkpoint that is kept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from rich.console import Console
from rich.table import Table

from service.store.keys import Keys
from service.store.rows import values_of
from service.worker.checkpoint import list_checkpoints, newest_checkpoint, read_checkpoint
from tests.chaos import faults
from tests.chaos.workers import ForkedWorker, Nursery, is_visible, nursery
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

ENTRIES_PER_KILL = 12
SETTINGS = {"steps_per_entry": 2, "checkpoint_interval_s": 0.03}
LONGEST_LIFE_S = 20.0


@dataclass
class Recovery:
    """What a run has shown.

    Attributes:
        entries: of the log.
        kills: how often the worker died, by the point where.
        replays: kept checkpoints from which the log was replayed.
        differences: what was not the same; empty is what must be.
        seconds: how long it took.
    """

    entries: int
    kills: Counter[str] = field(default_factory=Counter)
    replays: int = 0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def outcome(client: redis.Redis, keys: Keys, data_dir: Path) -> dict[str, Any]:
    """Everything a run leaves behind: the state on disk, what readers see, what was rejected."""
    checkpoint, broken = newest_checkpoint(data_dir / "checkpoints" / keys.graph)
    assert checkpoint is not None
    assert not broken
    served: Any = client.hgetall(keys.served)
    table = served.pop(b"table").decode()
    del served[b"written"]
    rejected: Any = client.xrange(keys.rejected)
    assert rejected
    rows: Any = client.hgetall(keys.predictions(table))
    assert rows
    return {
        "values": checkpoint.values,
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in checkpoint.tensors.items()},
        "served": served,
        # Where a row was computed depends on when the worker was killed, what it says does not.
        "predictions": {node: values_of(row) for node, row in rows.items()},
        "rejected": [fields for _, fields in rejected],
    }


def prove(server: RedisServer, nursery: Nursery, folder: Path, kills: int, seed: int = 0) -> Recovery:
    """Run once without and once with kills, then replay from every kept checkpoint."""
    started = time.monotonic()
    entries = random_entries(max(30, kills * ENTRIES_PER_KILL), seed)
    last = f"{len(entries)}-0"
    done = Recovery(len(entries))
    with server.client() as client:
        runs = {}
        for name in ("uninterrupted", "interrupted"):
            keys, data_dir = Keys(f"{folder.name}-{name}"), folder / name
            data_dir.mkdir(parents=True)
            append(client, keys, entries)
            worker = ForkedWorker(nursery, server.url, keys, data_dir, **SETTINGS)
            if name == "interrupted":
                _kill_again_and_again(worker, client, keys, last, kills, done, seed)
            worker.run_until(client, last)
            runs[name] = outcome(client, keys, data_dir)
        _compare("interrupted", runs["interrupted"], runs["uninterrupted"], done)
        for path in list_checkpoints(data_dir / "checkpoints" / keys.graph)[:-1]:
            copy = folder / f"replay-{path.name}"
            shutil.copytree(path, copy / "checkpoints" / keys.graph / path.name)
            worker = ForkedWorker(nursery, server.url, keys, copy, **SETTINGS)
            worker.run_until(client, last)
            again = outcome(client, keys, copy)
            _compare(f"replayed from {read_checkpoint(path).values['position']}", again, runs["uninterrupted"], done)
            done.replays += 1
    done.seconds = time.monotonic() - started
    return done


def _kill_again_and_again(
    worker: ForkedWorker, client: redis.Redis, keys: Keys, last: str, kills: int, done: Recovery, seed: int
) -> None:
    """Let faults strike until there were enough; one that finds nothing left to strike is an outright kill."""
    random = np.random.default_rng(seed)
    while done.kills.total() < kills:
        # The first ones in order, so that few kills strike everywhere too.
        point = faults.KILL_POINTS[done.kills.total() % len(faults.KILL_POINTS)]
        fault = faults.draw(random, [point])
        worker.start(fault)
        deadline = time.monotonic() + LONGEST_LIFE_S
        while worker.running() and time.monotonic() < deadline and not is_visible(client, keys, last):
            time.sleep(0.002)
        if worker.running():
            worker.kill()
            fault["point"] = "at the end of the log"
        assert worker.code is not None
        assert worker.code < 0, worker.log.read_text()[-4000:]
        done.kills[fault["point"]] += 1


def _compare(name: str, run: dict[str, Any], expected: dict[str, Any], done: Recovery) -> None:
    done.differences += [f"{name}: {part}" for part in expected if run[part] != expected[part]]


def main(kills: int) -> None:
    server = RedisServer()
    folder = Path(tempfile.mkdtemp(prefix="olad-recovery-"))
    try:
        server.start()
        with nursery() as running:
            done = prove(server, running, folder, kills)
    finally:
        server.close()
        shutil.rmtree(folder)
    table = Table("killed", "times", title=f"{done.entries} entries, {done.seconds:.0f} s")
    for point, times in sorted(done.kills.items()):
        table.add_row(point, str(times))
    table.add_row("replayed from kept checkpoints", str(done.replays))
    table.add_row("differences", str(len(done.differences)))
    Console().print(table, *done.differences)
    sys.exit(bool(done.differences))


if __name__ == "__main__":
    main(int(sys.argv[1]))
