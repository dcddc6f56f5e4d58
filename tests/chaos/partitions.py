"""Faults against a worker with partitions: ``python -m tests.chaos.partitions 4 8``, ranks and rounds.

The service, the producer and the table are those of :mod:`tests.chaos.chaos`. The ranks have a network of their own
where this process may make one, so that it can be lost; Redis is on a unix socket, and stays.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from service.partitioned.part_files import list_complete
from service.store.keys import Keys
from tests.chaos.chaos import Chaos, in_a_folder
from tests.chaos.connections import cut
from tests.chaos.faults import Fault
from tests.chaos.rows import Row
from tests.chaos.service import Service, started, stopped
from tests.chaos.workers import until
from tests.service.partitioned.groups import GroupOfRanks, command_of, trained

TRAINED_BATCHES = 30
PATIENCE_S = 200.0
PAUSE_S = 0.1
"""Between two batches: ranks on few cores take longer for each than one worker does."""
OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')


@functools.cache
def has_own_networks() -> bool:
    """Whether processes can be given a network of their own here."""
    try:
        return subprocess.run([*OWN_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


class RestartedRanks:
    """A worker with partitions that can be started again and again."""

    def __init__(self, ranks: int, redis_url: str, keys: Keys, data_dir: Path, **settings: object) -> None:
        self.ranks = ranks
        command = [*(OWN_NETWORK if has_own_networks() else ()), *command_of(ranks)]
        self._make = partial(GroupOfRanks, command, redis_url, keys, data_dir, **settings)
        self._group: GroupOfRanks | None = None

    @property
    def group(self) -> GroupOfRanks:
        """What was started last."""
        assert self._group is not None
        return self._group

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self.group.process.pid

    def start(self, fault: Fault | None = None) -> None:
        """Start launcher and ranks."""
        assert fault is None, "faults strike ranks from outside"
        self._group = self._make()

    def running(self) -> bool:
        """Whether the launcher is there."""
        return self._group is not None and self._group.process.poll() is None

    def logged(self, text: str) -> bool:
        """Whether a rank or the launcher has logged that lately."""
        return text in self.group.text()

    def rank_pid(self, rank: int) -> int:
        """Process of a rank, which is waited for."""
        until(lambda: self.running() and self.group.rank_pid(rank) is not None, PATIENCE_S)
        pid = self.group.rank_pid(rank)
        assert pid is not None
        return pid

    def set_network(self, state: str) -> None:
        """Take the network between ranks ``down``, or bring it ``up``."""
        command = ["nsenter", f"--target={self.pid}", "--net", "ip", "link", "set", "lo", state]
        subprocess.run(command, check=True)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        return self.group.terminate()

    def close(self) -> None:
        """Kill all processes."""
        if self._group is not None:
            self._group.close(self.ranks)


class ChaosOfRanks(Chaos):
    """A service whose worker has partitions, under fire."""

    def __init__(self, service: Service, worker: RestartedRanks, rank_timeout_s: float) -> None:
        super().__init__(service, pause_s=PAUSE_S, patience_s=PATIENCE_S)
        self.worker = worker
        self._rank_timeout_s = rank_timeout_s

    def _begin(self) -> None:
        """Train a version on the first entries, and let the ranks begin with it."""
        self._until(lambda: self.producer.batches > TRAINED_BATCHES)
        service = self.service
        with service.redis.client() as client:
            trained(client, service.keys, service.data_dir, TRAINED_BATCHES)
        service.held.discard("worker")

    def _checkpoints(self) -> list[Path]:
        return [each.path for each in list_complete(self._folder_of_checkpoints())]

    def _faults(self) -> dict[str, Callable[[], None]]:
        def any_moment() -> None:
            time.sleep(float(self.random.uniform(0, 0.5)))

        def strike(rank: int, name: signal.Signals) -> None:
            any_moment()
            os.kill(self.worker.rank_pid(rank), name)

        def another() -> int:
            return int(self.random.integers(1, self.worker.ranks))

        def pause(rank: int) -> None:
            with stopped(self.worker.rank_pid(rank), float(self.random.uniform(0.3, 1.2))):
                pass

        def kill(part: str) -> None:
            any_moment()
            self.service.kill(part)

        faults: dict[str, Callable[[], None]] = {
            "kill -9 the first rank": lambda: strike(0, signal.SIGKILL),
            "kill -9 another rank": lambda: strike(another(), signal.SIGKILL),
            "kill -9 the launcher": lambda: kill("worker"),
            "SIGSTOP the first rank": lambda: strike(0, signal.SIGSTOP),
            "SIGSTOP another rank": lambda: strike(another(), signal.SIGSTOP),
            "SIGSTOP, SIGCONT a rank": lambda: pause(int(self.random.integers(self.worker.ranks))),
            "kill -9 redis": lambda: kill("redis"),
            "connection cut between two ranks": self._cut,
        }
        if has_own_networks():
            faults["network between ranks lost"] = self._lose_network
        if self.service.disks:
            faults["disk full under the checkpoints"] = self._fill_disk
        faults["no file of one rank may grow"] = lambda: self._limit_files(self.worker.rank_pid(another()))
        return faults

    def _cut(self) -> None:
        ranks = self.random.permutation(self.worker.ranks)[:2].tolist()
        first, second = (self.worker.rank_pid(rank) for rank in ranks)
        assert cut(first, second) > 0

    def _lose_network(self) -> None:
        """Until the ranks have given each other up; then it is back."""
        ranks = [self.worker.rank_pid(rank) for rank in range(self.worker.ranks)]
        self.worker.set_network("down")
        try:
            until(lambda: not all(is_alive(pid) for pid in ranks), 6 * self._rank_timeout_s)
        finally:
            if self.worker.running():
                self.worker.set_network("up")

    def _fill_disk(self) -> None:
        """A checkpoint fails and serving continues; then there is free space again."""
        service, disk = self.service, self.service.disks["worker"]
        status = service.status()
        failures = status.checkpoint_failures if status else 0
        disk.fill()
        try:
            self._until(lambda: (status := service.status()) is not None and status.checkpoint_failures > failures)
            assert service.http.get("/health/predicting").is_success
        finally:
            newest = self._checkpoints()[-1]
            disk.free()
        self._until(lambda: self._checkpoints()[-1] != newest)


def strike_ranks(ranks: int, folder: Path, rounds: int, **settings: object) -> tuple[list[Row], dict[str, int]]:
    """Start a service with so many ranks, inject every fault so many times, and stop it.

    Returns:
        The rows, and what the producer was answered.
    """
    made: list[RestartedRanks] = []

    def make(*arguments: object, **given: object) -> RestartedRanks:
        made.append(RestartedRanks(ranks, *arguments, **given))  # type: ignore[arg-type]
        return made[0]

    service = Service(make, folder, **settings)
    service.held.add("worker")
    with started(service, small_disks=True):
        chaos = ChaosOfRanks(service, made[0], float(str(settings["rank_timeout_s"])))
        rows = chaos.run(rounds)
        return rows, dict(chaos.producer.answers)


def main(arguments: Sequence[str]) -> None:
    """Print the table for so many ranks and rounds."""
    ranks, rounds = (int(argument) for argument in arguments)
    in_a_folder(lambda folder: strike_ranks(ranks, folder, rounds, rank_timeout_s=10))


if __name__ == "__main__":
    main(sys.argv[1:])
