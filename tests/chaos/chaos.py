"""Faults against the whole service: ``python -m tests.chaos.chaos 10`` injects each ten times and prints a table.

A producer sends all the time. After each fault every event it was given a position for must be applied, once.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.store.positions import parse_position
from service.worker.checkpoint import list_checkpoints
from tests.chaos import faults
from tests.chaos.lossy_proxy import LossyProxy
from tests.chaos.producer import Producer, is_fresh, lost_and_surplus, present
from tests.chaos.rows import Row, show
from tests.chaos.service import Service, running_service, stopped
from tests.chaos.small_disk import why_not
from tests.chaos.workers import Nursery, nursery, until

LOST_ANSWERS = "lost answers"
FLOODERS = 2
FLOOD_S = 2.0


class Chaos:
    """A service under fire.

    Args:
        service: it.
        seed: of every random choice.
        pause_s: of the producer between two batches.
        patience_s: for so long it is waited until something has happened.
    """

    def __init__(self, service: Service, seed: int = 0, pause_s: float = 0.01, patience_s: float = 60) -> None:
        self.service = service
        self.proxy = LossyProxy(service.port)
        self.producer = Producer(self.proxy.port, "steady", pause_s=pause_s)
        self.random = np.random.default_rng(seed)
        self._patience_s = patience_s
        self._flooders: list[Producer] = []

    def run(self, rounds: int) -> list[Row]:
        """Inject every fault so many times."""
        self.producer.start()
        try:
            self._begin()
            self._until(lambda: self.service.http.get("/health/predicting").is_success)
            self._until(lambda: len(self._checkpoints()) >= 2)
            rows = []
            for name, inject in self._faults().items():
                print(f"{name} ...", flush=True)
                rows.append(self._row(name, inject, rounds))
                print(rows[-1], flush=True)
            return rows
        finally:
            self.producer.stop()
            self.proxy.close()

    def _until(self, condition: Callable[[], object]) -> None:
        until(condition, self._patience_s)

    def _begin(self) -> None:
        """What the worker needs beside events before it can serve."""

    def _faults(self) -> dict[str, Callable[[], None]]:
        service, random = self.service, self.random

        def kill_within(point: str) -> Callable[[], None]:
            def inject() -> None:
                service.fault = faults.draw(random, [point])
                service.kill("worker")
                self._until(lambda: service.fault is None)
                doomed = service.worker.pid
                self._until(lambda: service.worker.pid != doomed or not service.worker.running())

            return inject

        def kill(part: str) -> Callable[[], None]:
            def inject() -> None:
                time.sleep(float(random.uniform(0, 0.3)))
                service.kill(part)

            return inject

        def stop(part: str) -> Callable[[], None]:
            def inject() -> None:
                with stopped(service.pid(part), float(random.uniform(0.3, 1.2))):
                    pass

            return inject

        parts = ("worker", "api", "redis")
        return {
            **{f"kill -9 {part}": kill(part) for part in parts},
            **{f"kill -9 worker within a {point}": kill_within(point) for point in ("checkpoint", "publication")},
            "kill -9 worker within a version swap": kill_within("swap"),
            **{f"SIGSTOP, SIGCONT {part}": stop(part) for part in parts},
            **self._disk_faults(),
            "torn checkpoint": self._tear_checkpoint,
            LOST_ANSWERS: self._lose_answers,
            "producer too fast": self._flood,
        }

    def _row(self, name: str, inject: Callable[[], None], rounds: int) -> Row:
        row, lost_before = Row(name), self.proxy.lost
        self._flooders = []
        accepted, applied = self._settle(row)
        for _ in range(rounds):
            inject()
            row.injected += 1
            row.recovered_s = max(row.recovered_s, self._seconds_to_recover())
        if name == LOST_ANSWERS:
            row.injected = self.proxy.lost - lost_before
        now_accepted, now_applied = self._settle(row)
        row.accepted, row.applied = now_accepted - accepted, now_applied - applied
        row.lost += max(0, row.accepted - row.applied)
        row.duplicated += max(0, row.applied - row.accepted)
        return row

    def _settle(self, row: Row) -> tuple[int, int]:
        """Let everything accepted be applied, and verify that; how many events were accepted and applied."""
        producers = (self.producer, *self._flooders)
        with self.producer.turn:
            position = max((producer.position for producer in producers), key=parse_position)
            self._until(lambda: is_fresh(self.service.http, position))
            self._until(lambda: self._reported(position) is not None)
            for producer in producers:
                lost, surplus = lost_and_surplus(self.service.http, producer)
                row.lost += lost
                row.duplicated += surplus
            return sum(producer.events for producer in producers), self._reported(position) or 0

    def _reported(self, position: str) -> int | None:
        """Events that the worker reports as applied; None before it reports from that position on."""
        status = self.service.status()
        if status is None or parse_position(status.position) < parse_position(position):
            return None
        return status.applied_events

    def _seconds_to_recover(self) -> float:
        """Until a batch that is accepted from now on can be read."""
        started, batches = time.monotonic(), self.producer.batches
        self._until(lambda: self.producer.batches >= batches + 2)
        position = self.producer.position
        self._until(lambda: is_fresh(self.service.http, position))
        return time.monotonic() - started

    def _checkpoints(self) -> list[Path]:
        return list_checkpoints(self._folder_of_checkpoints())

    def _folder_of_checkpoints(self) -> Path:
        return self.service.data_dir / "checkpoints" / self.service.keys.graph

    def _disk_faults(self) -> dict[str, Callable[[], None]]:
        """Real disks that are full where there can be such, else files of the worker that may not grow."""
        if not self.service.disks:
            return {"no file of the worker may grow": lambda: self._limit_files(self.service.worker.pid)}
        return {
            "disk full under the checkpoints": self._fill_worker_disk,
            "disk full under Redis": self._fill_redis_disk,
        }

    def _fill_worker_disk(self) -> None:
        """Checkpoints fail, events are refused, reading goes on; then there is free space again."""
        service, disk = self.service, self.service.disks["worker"]
        status = service.status()
        failures, refused = status.checkpoint_failures if status else 0, self.producer.answers["429"]
        disk.fill()
        try:
            self._until(lambda: (status := service.status()) is not None and status.checkpoint_failures > failures)
            self._until(lambda: self.producer.answers["429"] > refused)
            assert service.http.get("/health/ready").status_code == 503
            assert service.http.get("/health/predicting").is_success
        finally:
            newest = self._checkpoints()[-1]
            disk.free()
        self._until(lambda: self._checkpoints()[-1] != newest)

    def _fill_redis_disk(self) -> None:
        """Nothing can be written, what was published can be read; then there is free space again."""
        service, disk = self.service, self.service.disks["redis"]
        self._until(lambda: service.http.get("/health/predicting").is_success)
        refused, node = self.producer.answers["503"], self.producer.node(self.producer.batches - 1, 0)
        self._until(lambda: present(service.http, [node]))
        disk.fill()
        try:
            self._until(lambda: self.producer.answers["503"] > refused + 2)
            assert service.http.get("/health/live").is_success
            assert service.http.get("/health/ready").status_code == 503
            assert service.http.get("/health/predicting").is_success
            assert present(service.http, [node])
        finally:
            disk.free()

    def _limit_files(self, pid: int) -> None:
        """No file of a process can grow any more, until a checkpoint has failed; then there is free space again."""
        service = self.service
        status = service.status()
        failures = status.checkpoint_failures if status else 0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            self._until(lambda: (status := service.status()) is not None and status.checkpoint_failures > failures)
            # Serving has gone on, and nothing unfinished is left.
            self._seconds_to_recover()
            self._until(lambda: service.http.get("/health/ready").is_success)
        finally:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        newest = self._checkpoints()[-1]
        self._until(lambda: self._checkpoints()[-1] != newest)

    def _tear_checkpoint(self) -> None:
        """The newest checkpoint is not whole when the worker starts again."""
        service = self.service
        service.held.add("worker")
        try:
            service.kill("worker")
            self._until(lambda: not service.worker.running())
            tensors = self._checkpoints()[-1] / "tensors.safetensors"
            os.truncate(tensors, int(self.random.random() * tensors.stat().st_size))
        finally:
            service.held.discard("worker")
        self._until(lambda: service.worker.running() and service.worker.logged("caught up"))
        assert service.worker.logged("skipped a broken checkpoint")

    def _lose_answers(self) -> None:
        batches = self.producer.batches
        self.proxy.share = 0.3
        self._until(lambda: self.producer.batches >= batches + 20)
        self.proxy.share = 0.0

    def _flood(self) -> None:
        """Several clients send large batches as fast as they can."""
        begun = [
            Producer(self.service.port, f"flood-{len(self._flooders)}-{number}", nodes=500, pause_s=0)
            for number in range(FLOODERS)
        ]
        for flooder in begun:
            flooder.start()
        time.sleep(FLOOD_S)
        for flooder in begun:
            flooder.stop()
        self._flooders += begun


def strike(running: Nursery, folder: Path, rounds: int) -> tuple[list[Row], dict[str, int]]:
    """Start a service, inject every fault so many times, and stop it; the rows, and what the producer was answered."""
    with running_service(running, folder, small_disks=True) as service:
        chaos = Chaos(service)
        rows = chaos.run(rounds)
        return rows, dict(chaos.producer.answers)


def in_a_folder(strikes: Callable[[Path], tuple[list[Row], dict[str, int]]]) -> None:
    """Strike a service whose files are in a folder of their own, print the table, and end with a status.

    The folder stays where something went wrong: the logs are in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="olad-chaos-"))
    started = time.monotonic()
    try:
        if why := why_not():
            print(f"no disks that are really full: {why}")
        rows, answers = strikes(folder)
    except BaseException:
        print(f"the logs are in {folder}")
        raise
    shutil.rmtree(folder)
    show(rows, answers, time.monotonic() - started)
    sys.exit(any(row.lost or row.duplicated for row in rows))


def main(rounds: int) -> None:
    with nursery() as running:
        in_a_folder(lambda folder: strike(running, folder, rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]))
