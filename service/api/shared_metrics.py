"""Metrics of several API processes under one supervisor, as one: prometheus_client's multi-process mode.

Each process writes its values to memory-mapped files of one folder, named by its id. Whichever process is scraped sums
them up. Counters of a process that has ended stay in the sums, so that they never decrease; its gauges go with it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_OF_A_PROCESS = "gauge_livesum_*.db"


def environment_for(folder: Path) -> Mapping[str, str]:
    """Variables that a process must have before it imports prometheus_client.

    >>> environment_for(Path("/run/metrics"))
    {'PROMETHEUS_MULTIPROC_DIR': '/run/metrics'}
    """
    return {"PROMETHEUS_MULTIPROC_DIR": str(folder)}


def register_shared(registry: CollectorRegistry, folder: Path) -> None:
    """Have a registry show the metrics of all processes that write to a folder, and of the processes themselves."""
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Processes(folder))


def forget_ended(folder: Path, living: Iterable[int]) -> None:
    """Remove the gauges of processes that have ended."""
    for process in _processes(folder) - {*living}:
        mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]


def _processes(folder: Path) -> set[int]:
    """Ids of the processes that write gauges and are not known to have ended."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob(_OF_A_PROCESS)}


class _Processes(Collector):
    """``process_...`` of every process that writes to the folder, with the label ``pid``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process in sorted(_processes(self._folder)):
            for found in ProcessCollector(pid=functools.partial(int, process), registry=None).collect():
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {"pid": str(process)}, sample.value)
        yield from families.values()
