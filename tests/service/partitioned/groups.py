"""Workers with partitions as real processes, and the checkpoint of a worker without them to begin from."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import redis
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.variant_names import DEFAULT_VARIANT, file_stem
from service.worker.checkpoint import write_checkpoint
from tests.chaos.workers import is_visible, until
from tests.docs.markdown import ROOT
from tests.olad_core.runs import CONFIG

OF_ONE = replace(CONFIG, trainer=replace(CONFIG.trainer, students=("gcn",)), serve="best")
QUICK = {"rank_timeout_s": 3, "checkpoint_interval_s": 3600}


def trained(client: redis.Redis, keys: Keys, data_dir: Path, entries: int, config: EngineConfig = OF_ONE) -> Engine:
    """An engine that has applied the first entries of the log and serves a version; its checkpoint is written."""
    engine = Engine(config, torch.device("cpu"))
    for entry in LogReader(client, keys).read("0-0", max_events=10**9)[:entries]:
        engine.apply(entry.position, entry.events, entry.arrival)
        engine.refresh()
    while engine.versions.served is None:
        assert engine.learn(1)
    engine.take_publication()
    root = data_dir / "checkpoints" / file_stem(keys.graph, DEFAULT_VARIANT)
    write_checkpoint(root, *engine.state(), keep=3)
    return engine


class GroupOfRanks:
    """A worker with partitions. Its processes end with it."""

    def __init__(self, command: Sequence[str], redis_url: str, keys: Keys, data_dir: Path, **settings: object) -> None:
        self.log = data_dir / "ranks.log"
        given = {"redis_url": redis_url, "graph": keys.graph, "data_dir": data_dir} | QUICK | settings
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
        environment |= {f"OLAD_{name.upper()}": str(value) for name, value in given.items()}
        self._keys = keys
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        self._begins = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)

    def rank_pid(self, rank: int) -> int | None:
        """Process of a rank; None while it is not there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == f"olad-rank-{rank}":
                    return int(child)
        return None

    def strike(self, rank: int, name: signal.Signals) -> None:
        """Send a signal to a rank."""
        pid = self.rank_pid(rank)
        assert pid is not None, self.text()
        os.kill(pid, name)

    def text(self) -> str:
        """The end of what all ranks have logged."""
        return self.log.read_text()[self._begins :][-6000:]

    def wait_until_visible(self, client: redis.Redis, position: str, timeout_s: float = 120) -> None:
        """Wait until readers see a position."""

        def seen() -> bool:
            assert self.process.poll() is None, self.text()
            return is_visible(client, self._keys, position) and "caught up" in self.text()

        try:
            until(seen, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.text()}") from None

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def close(self, ranks: int) -> None:
        """Kill its processes, so many ranks among them."""
        if self.process.poll() is None:
            for rank in range(ranks):
                if (pid := self.rank_pid(rank)) is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()


def command_of(ranks: int, weights: str = "fixed") -> list[str]:
    """What starts a worker with so many partitions."""
    return [sys.executable, "-m", "service.entry", "worker", "--partitions", str(ranks), "--weights", weights]


@contextlib.contextmanager
def group_of(
    ranks: int, redis_url: str, keys: Keys, data_dir: Path, weights: str = "fixed", **settings: object
) -> Iterator[GroupOfRanks]:
    """A worker with so many partitions: one by torchrun, more by ``olad worker``."""
    settings |= {"weights": weights}
    command = command_of(ranks, weights)
    if ranks == 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
        command += ["-m", "service.partitioned.worker"]
    running = GroupOfRanks(command, redis_url, keys, data_dir, **settings)
    try:
        yield running
    finally:
        running.close(ranks)
