"""A worker whose students are spread over ranks: the first is an ordinary worker, the others repeat what it does."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import structlog
import torch

from olad_core.engine import Engine
from olad_core.students import recurrent
from olad_core.tasks.node_class.candidates import MOST_EXACT
from service.partitioned.launcher import Start, run_ranks
from service.partitioned.leading import end_at_once
from service.partitioned.ranks import Refused
from service.settings import Settings
from service.student_ranks.repeating import Begin, FirstRank, leading, repeat, spread_of
from service.variant_names import file_stem
from service.worker.assembly import CannotBegin, choose_device, engine_config, main
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.copy_buffers import CopyBuffers
from service.worker.determinism import compute_repeatably
from service.worker.students import register_students

log = structlog.get_logger(__name__)


def refuse_settings(settings: Settings) -> None:
    """Refuse settings under which students cannot be spread.

    Raises:
        CannotBegin: naming the first of them.
    """
    ranks = settings.student_ranks
    if settings.partitions > 1:
        raise CannotBegin("OLAD_STUDENT_RANKS and OLAD_PARTITIONS exclude each other: set one of them to 1")
    if settings.max_classes > MOST_EXACT:
        raise CannotBegin(f"students over ranks take {MOST_EXACT:,} classes at most: set OLAD_MAX_CLASSES to that")
    if remembering := [name for name in settings.students if name in recurrent(settings.students)]:
        raise CannotBegin(f"{remembering[0]} has hidden states, and cannot be spread: leave it out of OLAD_STUDENTS")
    kinds = len(list(groupby(settings.students)))
    if ranks > kinds:
        raise CannotBegin(
            f"OLAD_STUDENT_RANKS={ranks}, but OLAD_STUDENTS has {kinds} kinds: take one rank a kind at most"
        )


def run_over_ranks(settings: Settings) -> int:
    """Run the worker with its ranks until it ends; the exit status."""
    return run_ranks(Start(settings, settings.student_ranks, work))


def work(settings: Settings, rank: int, size: int) -> None:
    """Be one of the ranks until the first one stops.

    Raises:
        Refused: the settings cannot be followed.
    """
    try:
        register_students(settings.students)
        refuse_settings(settings)
        limit = timedelta(seconds=settings.rank_timeout_s)
        if rank == 0:
            _lead(settings, size, limit)
        else:
            _follow(settings, rank, size, limit)
    except CannotBegin as error:
        raise Refused(str(error)) from error


def _lead(settings: Settings, size: int, limit: timedelta) -> None:
    first, folder = FirstRank(limit), _folder(settings)

    def begin(engine: Engine) -> Engine:
        path = _write(folder, engine)
        first.begin(Begin(str(path), engine.config.memory_budget))
        engine.spread_over(spread_of(0, size, limit))
        return leading(engine, first)

    try:
        main(settings, begin)
    except SystemExit as ended:
        end_at_once(int(ended.code or 0))
    first.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, engine: Engine) -> Path:
    """Write the state with which all ranks begin."""
    tensors, values = engine.state()
    return write_checkpoint(folder, CopyBuffers().copy(tensors), values, keep=1)


def _follow(settings: Settings, rank: int, size: int, limit: timedelta) -> None:
    for stops in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stops, signal.SIG_IGN)  # The first rank ends the others.
    compute_repeatably(settings.steps_per_entry is not None)
    device = _device(settings, rank)

    def begin(told: Begin) -> Engine:
        checkpoint = read_checkpoint(Path(told.path))
        config = replace(engine_config(settings), memory_budget=told.memory_budget)
        engine = Engine.restore(config, checkpoint.tensors, checkpoint.values, device)
        engine.spread_over(spread_of(rank, size, limit))
        return engine

    repeat(begin)


def _device(settings: Settings, rank: int) -> torch.device:
    """The device of a rank: one of its own where there are several."""
    device = choose_device(settings.device)
    return torch.device("cuda", rank % torch.cuda.device_count()) if device.type == "cuda" else device


def _folder(settings: Settings) -> Path:
    """Where the first rank writes the state with which all begin."""
    return settings.data_dir / "workers" / f"{file_stem(settings.graph, settings.variant)}.ranks"
