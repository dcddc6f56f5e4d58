"""Refusing events with 429 before the log, the worker's disk or the memory of Redis is full."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from olad_core.memory_use import GroupSizes, Sizes
from service.api.memory_guard import Admission, MemoryGuard
from service.machine_memory import memory_budget
from service.problems import OVERLOADED, Problem
from service.settings import Settings
from service.store.health import HealthReader

_FULL = 0.9
_EVERY_S = 0.25
RETRY_AFTER_S = 5
_LONGEST_RETRY_S = 60


@dataclass(frozen=True)
class _Refusal:
    """Why events are refused, when to ask again, and whether an operator must act."""

    why: str
    retry_after_s: int = RETRY_AFTER_S
    lasting: bool = True


class OverloadGuard:
    """Decides whether events are accepted. It reads the load from Redis when events arrive, at most every 0.25 seconds.

    Events are refused while more than ``max_behind`` wait to be applied, while Redis uses more than nine tenths of its
    ``maxmemory`` (of the machine's memory where that is not set), and while the worker's disk is nearly full.
    """

    def __init__(self, health: HealthReader, settings: Settings) -> None:
        self._health = health
        self._settings = settings
        self._read_at = float("-inf")
        self._refusal: _Refusal | None = None
        self._budget = memory_budget(settings.memory_budget_mb)
        self.memory = MemoryGuard(self._budget)

    def admission(self) -> Admission:
        """The decision whether the worker has the memory for one decoded batch."""
        return Admission(self.memory)

    async def check(self) -> None:
        """Refuse events while the service is overloaded.

        Raises:
            Problem: 429 with ``Retry-After``.
        """
        refusal = await self._current()
        if refusal is not None:
            raise overloaded(refusal.why, refusal.retry_after_s)

    async def lasting(self) -> str | None:
        """Why every batch is refused until an operator acts; None where none is, or a live worker only lags."""
        refusal = await self._current()
        return refusal.why if refusal is not None and refusal.lasting else None

    async def _current(self) -> _Refusal | None:
        now = time.monotonic()
        if now - self._read_at >= _EVERY_S:
            self._read_at = now
            self._refusal = await self._read()
        return self._refusal

    async def _read(self) -> _Refusal | None:
        """Why events are refused now."""
        load = await self._health.load()
        worker = load.worker
        graph, of = worker.graph, worker.memory
        if of is None:
            self.memory.follow(Sizes(), GroupSizes(), self._budget, load.on_its_way)
        else:
            width, classes = graph.feature_width or 0, len(graph.classes)
            sizes = Sizes(
                of.rows,
                max(of.edges, graph.edges),
                of.featured,
                width,
                classes,
                of.edge_types,
                of.edge_numbers,
                of.tasks,
                of.task_numbers,
            )
            group = GroupSizes(of.students, of.recurrent, of.hidden, of.served, of.trees, linear=of.linear)
            self.memory.follow(sizes, group, of.budget, load.on_its_way)
        limit, used = load.memory_limit, load.used_memory
        if limit and used > _FULL * limit:
            return _Refusal(f"Redis uses {used:,} of {limit:,} bytes; give it more memory")
        least = self._settings.min_disk_free_mb * 10**6
        if worker.disk_free is not None and worker.disk_free < least:
            why = f"{worker.disk_free:,} bytes are free where the worker writes checkpoints, {least:,} must be"
            return _Refusal(why)
        if load.behind > self._settings.max_behind:
            why = f"{load.behind:,} events wait to be applied, {self._settings.max_behind:,} may"
            if not load.alive:
                return _Refusal(f"{why}, and the worker is away")
            return _Refusal(
                why, _seconds_until(load.behind - self._settings.max_behind, worker.events_per_s), lasting=False
            )
        return None


def _seconds_until(surplus: int, rate: float) -> int:
    """When the worker will have caught up, in whole seconds.

    >>> _seconds_until(9_500, rate=1_000.0), _seconds_until(10, rate=0.0), _seconds_until(10**9, rate=1.0)
    (10, 5, 60)
    """
    return min(_LONGEST_RETRY_S, math.ceil(surplus / rate)) if rate > 0 else RETRY_AFTER_S


def overloaded(why: str, retry_after_s: int = RETRY_AFTER_S) -> Problem:
    """The 429 answer."""
    return Problem(
        OVERLOADED,
        f"{why}. Nothing was written; send the batch again later.",
        headers={"Retry-After": str(retry_after_s)},
    )
