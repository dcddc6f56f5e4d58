"""Builds the worker from the settings and runs it. Where it cannot continue, the reason is logged."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import redis
import structlog
import torch

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.engine_state import ServedLost
from olad_core.errors import OladError
from service.archive.history import History, HistoryBroken
from service.archive.place import ArchiveUnusable, open_place
from service.archive.writer import ArchiveWriter
from service.exit_codes import REFUSES
from service.machine_memory import memory_budget
from service.settings import Settings
from service.store.connection import connect_blocking
from service.store.entry_format import UnknownEntryFormat
from service.store.fence import LogLost, Superseded
from service.store.keys import Keys
from service.store.lease import Lease
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.raw_log import RawLog
from service.store.redis_refusals import RedisUnusable
from service.store.redis_versions import version_of_server
from service.store.request_reader import RequestReader
from service.variant_names import DEFAULT_VARIANT, file_stem
from service.worker.archived_log import ArchivedLog
from service.worker.archiver import Archiver
from service.worker.attempts import Attempts
from service.worker.checkpoint import BrokenCheckpoint, OtherFormat, list_checkpoints, read_checkpoint
from service.worker.checkpoint_schedule import CheckpointSchedule
from service.worker.checkpointer import Checkpointer
from service.worker.clock import Clock, SystemClock
from service.worker.determinism import compute_repeatably
from service.worker.growing import Grower
from service.worker.lane import Lane
from service.worker.learning import Learning
from service.worker.loop import Worker
from service.worker.metrics import WorkerMetrics
from service.worker.other_variants import other_checkpoints, restore_graph
from service.worker.pace import LearningPace
from service.worker.recovery import Recovery, check_log
from service.worker.reporting import Reporter
from service.worker.restoring import restore
from service.worker.retrying import Retrying
from service.worker.row_pace import RowPace
from service.worker.standby import wait_for_graph
from service.worker.stop import Stop
from service.worker.stores import Log, Predictions, Requests
from service.worker.students import StudentUnusable, register_students
from service.worker.turn_times import TurnTimes
from service.worker.webhook_metrics import WebhookMetrics

log = structlog.get_logger(__name__)


class CannotBegin(OladError, RuntimeError):
    """The worker cannot begin with these settings and these checkpoints, however often it is started."""


def engine_config(settings: Settings) -> EngineConfig:
    """The engine's configuration as the settings ask for it."""
    trainer = TrainerConfig(
        students=settings.students,
        width=settings.width,
        structure=settings.structure,
        learning_rate=settings.learning_rate,
        global_weight=TrainerConfig.global_weight if settings.global_weight == "auto" else settings.global_weight,
        local_weight=settings.local_weight,
        measures_teaching=settings.global_weight == "auto",
        temperature=settings.temperature,
        warmup_steps=settings.warmup_steps,
        cuda_graphs=settings.cuda_graphs,
        seed=settings.seed,
    )
    return EngineConfig(
        trainer=trainer,
        publish_steps=settings.publish_steps,
        versions_kept=settings.versions_kept,
        metric=settings.metric,
        serve=settings.serve,
        freshness_target_ms=settings.freshness_target_ms,
        trees=settings.trees,
        linear=settings.linear,
        members_teach=settings.members_teach,
        max_classes=settings.max_classes,
        most_read=settings.most_read,
        renewal=settings.new_students,
    )


def restore_engine(checkpoints: Path, config: EngineConfig, device: torch.device, *, alone: bool = False) -> Engine:
    """The engine of the newest checkpoint that can be restored, or a new one where there is none.

    Args:
        checkpoints: directory of the variant.
        config: of the engine.
        device: where it computes.
        alone: whether a new one begins with nothing, and not on the graph of another variant.

    Raises:
        CannotBegin: the checkpoints cannot be read, are not for these settings, or none that is whole can be restored.
    """
    refused: BrokenCheckpoint | None = None
    try:
        paths = list_checkpoints(checkpoints)
    except OSError as error:
        raise CannotBegin(f"the checkpoints cannot be read: {error}") from error
    for path in reversed(paths):
        try:
            checkpoint = read_checkpoint(path)
        except BrokenCheckpoint as broken:
            log.error("skipped a broken checkpoint", problem=str(broken))
            continue
        try:
            engine = restore(config, checkpoint, device)
        except ServedLost as error:
            raise CannotBegin(f"{path}: {error}") from error
        except BrokenCheckpoint as broken:
            log.error("skipped a broken checkpoint", problem=str(broken))
            refused = refused or broken
            continue
        log.info("restored", checkpoint=str(path), position=engine.position, nodes=engine.graph.num_nodes)
        return engine
    if refused is not None:
        raise CannotBegin(
            f"{refused}: use the release that wrote it, or another data directory. "
            "`olad up --new-students` or OLAD_NEW_STUDENTS gives up the students, and keeps the graph where it is whole"
        )
    return Engine(config, device) if alone else beside_other_variant(checkpoints, config, device)


def beside_other_variant(checkpoints: Path, config: EngineConfig, device: torch.device) -> Engine:
    """A new engine on the graph of the newest checkpoint of another variant; an empty one where there is none.

    Args:
        checkpoints: directory of the variant that begins, which has none.
        config: of the engine.
        device: where it computes.
    """
    tried: set[Path] = set()
    # The other worker removes its checkpoints as it writes new ones, so they are listed for each try.
    while path := next((path for path in other_checkpoints(checkpoints) if path not in tried), None):
        tried.add(path)
        try:
            engine = restore_graph(config, read_checkpoint(path), device, checkpoints.name)
        except BrokenCheckpoint as broken:
            if path.exists():
                log.error("skipped a broken checkpoint", problem=str(broken))
            continue
        log.info("beginning on the graph of another variant", checkpoint=str(path), position=engine.position)
        return engine
    log.info("no checkpoint, starting from the beginning of the log", directory=str(checkpoints))
    return Engine(config, device)


def connect(settings: Settings) -> redis.Redis:
    """A client whose commands are never sent twice on their own: the worker decides what to do again."""
    return connect_blocking(settings.redis_url, Keys(settings.graph), timeout_s=30)


def warn_of_known_holes(client: redis.Redis) -> None:
    """Log a warning where the server is of a version with known security holes.

    A server that cannot be asked now, or whose access list does not allow it, is passed over.
    """
    try:
        version = version_of_server(client.info("server"))
    except redis.RedisError:
        return
    if version is not None and version.has_known_holes:
        log.warning(
            "this Redis is of a version with known security holes: update it, unless its package has been mended",
            version=str(version),
            at_least=version.sound_release,
        )


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU where there is one.

    Raises:
        CannotBegin: there is no GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise CannotBegin("OLAD_DEVICE=cuda, but torch finds no GPU here: set it to auto or cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def build_worker(
    restore: Callable[[], Engine],
    event_log: Log,
    predictions: Predictions,
    requests: Requests,
    checkpointer: Checkpointer,
    attempts: Attempts,
    settings: Settings,
    clock: Clock,
    grower: Grower,
    archiver: Archiver | None = None,
    metrics: WorkerMetrics | None = None,
) -> Worker:
    """Put the parts of a worker together.

    Args:
        restore: makes the engine of the newest checkpoint, or a new one.
        event_log: the log.
        predictions: the store of predictions.
        requests: of readers for predictions that are marked.
        checkpointer: writes checkpoints.
        attempts: stores which entries are being applied.
        settings: of the service.
        clock: the time that the loop works by.
        grower: grows trees beside the loop.
        archiver: has the entries that are to be trimmed; None without an archive.
        metrics: of the worker; None for new ones.
    """
    engine, metrics, stop = restore(), metrics or WorkerMetrics(), Stop()
    row_pace = RowPace(settings.freshness_target_ms, clock)
    pace = LearningPace(settings.freshness_target_ms, clock.monotonic())
    times = TurnTimes(clock)
    learning = Learning(pace, row_pace, metrics, clock, grower, times)
    steps, variant = settings.steps_per_entry, settings.variant
    lane = Lane(engine, event_log, predictions, requests, attempts, learning, row_pace, metrics, times, steps, variant)
    checkpoints = CheckpointSchedule(
        checkpointer, event_log, settings.checkpoint_interval_s, metrics, clock, stop, archiver
    )
    memory = memory_budget(settings.memory_budget_mb)
    reporter = Reporter(engine, predictions, checkpoints, checkpointer, metrics, clock, memory)
    check = functools.partial(check_log, event_log, lane, settings.accept_log_loss, archiver, variant=variant)
    retrying = Retrying(check, metrics, clock, stop)
    recovery = Recovery(
        lane, restore, event_log, predictions, requests, attempts, checkpoints, reporter, retrying, metrics, stop
    )
    return Worker(lane, recovery, retrying, reporter, checkpoints, attempts, stop)


@contextlib.contextmanager
def _archiving(settings: Settings, event_log: RawLog) -> Iterator[Archiver | None]:
    """The archive of the settings; None without one, and for a challenger, whose log is that of the default variant.

    Its end waits for the segment that is being written.
    """
    if settings.archive is None or settings.variant != DEFAULT_VARIANT:
        yield None
        return
    ending = threading.Event()
    clock = SystemClock()
    writer = ArchiveWriter(
        open_place(settings.archive, settings.graph),
        settings.graph,
        event_log,
        clock.monotonic,
        settings.archive_interval_s,
        ending.is_set,
    )
    with Archiver(writer, clock) as archiver:
        try:
            yield archiver
        finally:
            ending.set()


def log_from(settings: Settings, reader: LogReader) -> Log:
    """The log that the worker reads: with the archive before it where a variant begins from one.

    Raises:
        CannotBegin: the default variant shall begin from an archive.
        ArchiveUnusable: the archive cannot be opened.
    """
    if settings.begin_from is None:
        return reader
    if settings.variant == DEFAULT_VARIANT:
        raise CannotBegin("--from is for a worker with --variant: olad rebuild brings the log of the default one back")
    place = open_place(settings.begin_from, settings.graph)
    return ArchivedLog(reader, functools.partial(History, place))


def open_webhooks(settings: Settings, keys: Keys, metrics: WorkerMetrics) -> contextlib.AbstractContextManager[object]:
    """What sends decisions to the addresses of the settings.

    Raises:
        CannotBegin: there are addresses, but no secret to sign with, or changes are not recorded.
    """
    if not settings.webhook_urls:
        return contextlib.nullcontext()
    if settings.webhook_secret is None or not settings.changes:
        raise CannotBegin("OLAD_WEBHOOK_URLS needs OLAD_WEBHOOK_SECRET, and OLAD_CHANGES=on")
    from service.worker.webhooks import Webhooks  # noqa: PLC0415 (imports httpx)

    of_addresses = WebhookMetrics(len(settings.webhook_urls), metrics.registry, time.monotonic)
    return Webhooks(connect(settings), keys, settings.webhook_urls, settings.webhook_secret, of_addresses)


def main(settings: Settings, prepared: Callable[[Engine], Engine] = lambda engine: engine) -> None:
    """Put the worker together and run it until SIGTERM or SIGINT.

    Args:
        settings: of the service.
        prepared: makes what the worker calls of an engine that has been restored.
    """
    torch.set_num_threads(settings.torch_threads)
    compute_repeatably(settings.steps_per_entry is not None)
    keys = Keys(settings.graph, settings.variant)
    metrics = WorkerMetrics({"graph": settings.graph, "variant": settings.variant})
    client = connect(settings)
    warn_of_known_holes(client)
    name = file_stem(settings.graph, settings.variant)
    checkpoints = settings.data_dir / "checkpoints" / name
    lease = Lease(client, keys, settings.data_dir / "workers" / f"{name}.lock")
    reader = LogReader(client, keys, lease, settings.redis_wait_replicas)
    stop = threading.Event()
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, lambda _signal, _frame: stop.set())
    try:
        device = choose_device(settings.device)
        register_students(settings.students)
        event_log = log_from(settings, reader)
        if not wait_for_graph(lease, stop, reader.hold):
            return
        with (
            lease.kept(),
            Grower() as grower,
            Checkpointer(checkpoints, settings.checkpoints_kept) as checkpointer,
            contextlib.closing(Attempts(settings.data_dir / "workers" / f"{name}.attempts")) as attempts,
            _archiving(settings, RawLog(client, keys, lease)) as archiver,
            open_webhooks(settings, keys, metrics),
        ):
            config = replace(engine_config(settings), memory_budget=memory_budget(settings.memory_budget_mb))
            worker = build_worker(
                lambda: prepared(restore_engine(checkpoints, config, device, alone=event_log is not reader)),
                event_log,
                PredictionWriter(client, keys, lease, settings.history_rows, settings.changes),
                RequestReader(client, keys),
                checkpointer,
                attempts,
                settings,
                SystemClock(),
                grower,
                archiver,
                metrics,
            )
            for ends in (signal.SIGTERM, signal.SIGINT):
                signal.signal(ends, worker.stop)
            if stop.is_set():
                worker.stop()
            worker.run()
    except (
        ArchiveUnusable,
        CannotBegin,
        HistoryBroken,
        LogLost,
        OtherFormat,
        RedisUnusable,
        StudentUnusable,
        Superseded,
        UnknownEntryFormat,
    ) as error:
        log.error("the worker cannot go on, and starting it again does not help", reason=str(error))
        raise SystemExit(REFUSES) from error
