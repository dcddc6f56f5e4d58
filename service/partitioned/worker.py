"""One rank of a worker with partitions: ``torchrun ... -m service.partitioned.worker``.

torchrun, or ``olad worker --partitions`` (:mod:`service.partitioned.launcher`), starts as many of these as there are
ranks, and starts all of them again where one has ended. They read the settings of ``olad worker``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog
import torch
import torch.distributed as dist

from olad_core.config import REMOVED_KEPT
from service.exit_codes import REFUSES
from service.logs import configure_logging
from service.parent import tie_to_parent
from service.partitioned.checkpoints import RankCheckpoints
from service.partitioned.follower import Follower
from service.partitioned.leading import Leader, end_at_once
from service.partitioned.loop import RankLoop
from service.partitioned.pace import RankPace
from service.partitioned.ranks import Ranks, Refused
from service.partitioned.restoring import Choice, Wanted, begun, choices, restored
from service.partitioned.warming import compile_beforehand
from service.settings import Settings
from service.store.connection import connect_blocking
from service.store.keys import Keys
from service.store.lease import Lease
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.request_reader import RequestReader
from service.store.staged_rows import RankRows
from service.variant_names import DEFAULT_VARIANT, file_stem
from service.worker.assembly import CannotBegin, engine_config
from service.worker.attempts import Attempts
from service.worker.checkpoint import BrokenCheckpoint
from service.worker.clock import SystemClock
from service.worker.metrics import WorkerMetrics
from service.worker.standby import LOOK_EVERY_S
from service.worker.stop import Stop
from service.worker.students import register_students

log = structlog.get_logger(__name__)

Work = Callable[[Settings, int, int], None]
"""What one rank does: it is given the settings, its number, and how many ranks there are."""
START_LIMIT = timedelta(minutes=30)
"""Time limit of exchanges while a checkpoint is restored, and all layers are computed."""
_REDIS_SHARE = 0.5
"""Of the time limit of a turn, within which Redis must answer: the other ranks wait meanwhile."""


def refuse_settings(settings: Settings) -> None:
    """Refuse settings that a worker with partitions cannot follow.

    Raises:
        CannotBegin: naming the first of them.
    """
    lacking = {
        "OLAD_CHANGES": bool(settings.changes),
        "OLAD_WEBHOOK_URLS": bool(settings.webhook_urls),
        "OLAD_HISTORY_ROWS": bool(settings.history_rows),
        "OLAD_ARCHIVE": settings.archive is not None,
        "OLAD_VARIANT": settings.variant != DEFAULT_VARIANT,
        "OLAD_ACCEPT_LOG_LOSS": settings.accept_log_loss is not None,
    }
    for name, is_set in lacking.items():
        if is_set:
            raise CannotBegin(f"a worker with partitions cannot follow {name}: unset it (docs/scaling.md)")
    if settings.device == "cuda":
        raise CannotBegin("a worker with partitions computes on CPUs: set OLAD_DEVICE to auto or cpu")


def wanted_of(settings: Settings) -> Wanted:
    """What the settings ask of ranks."""
    return Wanted(engine_config(settings), REMOVED_KEPT, settings.weights == "fixed")


def work(settings: Settings, rank: int, size: int) -> None:
    """Work as one rank of so many until a stop is requested.

    Raises:
        Refused: starting the ranks again does not help.
        RankLost: all ranks have to be started again.
    """
    stop = Stop()
    excused: list[Attempts] = []

    def request(_signal: int, _frame: FrameType | None) -> None:
        stop.requested = True
        for attempts in excused:
            attempts.excuse()

    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, request)
    limit = timedelta(seconds=settings.rank_timeout_s)
    patient, ranks = Ranks(rank, size), Ranks(rank, size, limit)
    keys = Keys(settings.graph)
    client = connect_blocking(settings.redis_url, keys, timeout_s=max(1.0, _REDIS_SHARE * settings.rank_timeout_s))
    name = file_stem(settings.graph, DEFAULT_VARIANT)
    root, workers = settings.data_dir / "checkpoints" / name, settings.data_dir / "workers"
    lease = Lease(client, keys, workers / f"{name}.lock")
    event_log = LogReader(client, keys, lease, settings.redis_wait_replicas)

    def begin() -> bool:
        refuse_settings(settings)
        register_students(settings.students)
        wanted = wanted_of(settings)
        compile_beforehand(None if wanted.fixed else replace(wanted.config, publish_steps=1))
        return True

    patient.together("settings", bool, begin)
    if not _wait_for_graph(ranks, lease, event_log, stop):
        return
    with contextlib.ExitStack() as held:
        if ranks.leads:
            held.enter_context(lease.kept())
        checkpoints = held.enter_context(RankCheckpoints(root, rank, size, settings.checkpoints_kept))
        follower = _restored(patient, root, wanted_of(settings))
        patient.run(follower.serving.begin())
        leader = None
        if ranks.leads:
            attempts = held.enter_context(contextlib.closing(Attempts(workers / f"{name}.attempts")))
            excused.append(attempts)
            clock, steps = SystemClock(), settings.steps_per_entry
            leader = Leader(
                event_log,
                PredictionWriter(client, keys, lease),
                RequestReader(client, keys),
                attempts,
                WorkerMetrics(),
                clock,
                settings.checkpoint_interval_s,
                stop,
                RankPace(settings.freshness_target_ms, clock.monotonic(), steps),
            )
        begun = ranks.together("start", tuple[int, str], lambda: leader.begin() if leader is not None else (0, ""))
        start, visible = begun[0]
        rows = RankRows(client, keys, rank, start)
        loop = RankLoop(
            ranks,
            patient,
            follower,
            event_log,
            rows,
            leader,
            checkpoints,
            stop,
            most_read=settings.most_read,
            steps_per_entry=settings.steps_per_entry or 0,
        )
        loop.run(visible, keys, start)


def _wait_for_graph(ranks: Ranks, lease: Lease, event_log: LogReader, stop: Stop) -> bool:
    """Wait while another worker owns the graph; False where a stop was requested of any rank first."""
    waiting = False

    def take() -> tuple[bool, bool]:
        if not ranks.leads or stop.requested:
            return False, stop.requested
        taken = lease.take()
        if taken:
            event_log.hold()
        elif waiting:
            time.sleep(LOOK_EVERY_S)
        return taken, False

    while True:
        found = ranks.together("lease", tuple[bool, bool], take)
        if any(stopped for _, stopped in found):
            return False
        if found[0][0]:
            return True
        if not waiting and ranks.leads:
            log.info("another worker owns the graph: waiting as a standby")
        waiting = True


def _restored(patient: Ranks, root: Path, wanted: Wanted) -> Follower:
    """The state of this rank from the newest checkpoint that all ranks can read; a new one where there is none.

    Raises:
        Refused: no checkpoint can be read, or there is none and weights are to be fixed.
    """
    found: list[Follower] = []

    def restore(choice: Choice) -> str:
        found.clear()
        try:
            found.append(restored(choice, patient.rank, patient.size, wanted))
        except BrokenCheckpoint as broken:
            return str(broken)
        except OSError as error:
            return f"{choice.path}: {error}"
        return ""

    listed = patient.together("checkpoints", list[Choice], lambda: choices(root, wanted) if patient.leads else [])[0]
    if not listed:
        if patient.leads:
            log.info("no checkpoint, starting from the beginning of the log", directory=str(root), ranks=patient.size)
        return begun(patient.rank, patient.size, wanted)
    for choice in listed:
        broken = [each for each in patient.together("restore", str, lambda one=choice: restore(one)) if each]  # type: ignore[misc]
        if not broken:
            if patient.leads:
                log.info("restored", checkpoint=choice.path, position=found[0].position, ranks=patient.size)
            return found[0]
        if patient.leads:
            log.error("skipped a broken checkpoint", problem=broken[0])
    raise Refused(f"{root}: no checkpoint can be read; restore a backup, or let `olad worker` begin anew")


@dataclass(frozen=True)
class Place:
    """Which rank this process is, and where it meets the others. The defaults are torchrun's variables.

    Attributes:
        rank: this one.
        size: how many there are.
        meeting: URL by which they find each other, as ``torch.distributed`` has it.
    """

    rank: int = -1
    size: int = -1
    meeting: str | None = None


@contextlib.contextmanager
def _process_group(place: Place) -> Iterator[tuple[int, int]]:
    """This process among the other ranks: its rank, and how many there are."""
    dist.init_process_group(
        "gloo", timeout=START_LIMIT, init_method=place.meeting, rank=place.rank, world_size=place.size
    )
    yield dist.get_rank(), dist.get_world_size()
    dist.destroy_process_group()


def be_rank(settings: Settings, place: Place, work: Work) -> NoReturn:
    """Be one rank, and end this process with its status: 78 where starting the ranks again does not help.

    Args:
        settings: of the worker.
        place: of the rank among the others.
        work: what it does.
    """
    torch.set_num_threads(settings.torch_threads)
    try:
        with _process_group(place) as (rank, size):
            structlog.contextvars.bind_contextvars(rank=rank)
            _show_rank(rank)
            work(settings, rank, size)
    except Refused as refused:
        log.error("the worker cannot go on, and starting it again does not help", reason=str(refused))
        end_at_once(REFUSES)
    except Exception:
        log.exception("the rank ends, and all ranks begin again")
        end_at_once()
    end_at_once(0)


def _show_rank(rank: int) -> None:
    """Let ``ps -o comm`` and ``top`` show which rank this process is. Only Linux can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"olad-rank-{rank}")


def main() -> None:
    """Be one of the ranks that torchrun has started."""
    tie_to_parent(signal.SIGKILL, os.getppid())
    settings = Settings()
    configure_logging(settings.log_level, settings.log_format)
    be_rank(settings, Place(), work)


if __name__ == "__main__":
    main()
