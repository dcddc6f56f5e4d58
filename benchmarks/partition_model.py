"""A model of larger machines: updates a second of ranks on so many machines, out of what was measured on one.

``python -m benchmarks.partition_model`` prints the table of docs/scaling.md, in a second. ``--measure`` measures the
CPU time that goes into it, in some minutes: all ranks take turns in one process, so gloo's time is not in it. An update
is one event. Each machine has one rank. All the updates of a batch are one entry of the log, and one turn.

The time of a turn is the sum of three parts, since ranks compute, then exchange, then compute:

- compute: ``fixed_s + entry_s / ranks + batch * (each_s + shared_s / ranks)``, the CPU time of a rank;
- bytes: what a rank sends, through its own link;
- waiting: ``2 * exchanges * (latency_s + (ranks - 1) * message_s)``, one for the sizes
  of an exchange and one for its records.

A row that changes is sent once to each other rank that has one of its ``fan`` readers. Owners are drawn by a hash, so
that ``(ranks - 1) * (1 - (1 - 1 / ranks) ** fan)`` ranks receive it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from benchmarks.graphs import arxiv_shaped
from benchmarks.partition_costs import batches_of, student_for, without_partitions
from benchmarks.partition_traffic import CLASSES, graph_events, updates
from olad_core.partition import Partition, run_in_lockstep

EXCHANGES_OF_A_TURN = 4
"""The turn, its entries, rows and publication."""
MACHINES = (2, 4, 8, 16, 32, 64)
BATCHES = (1, 20, 200)
GBITS = (10, 25)


@dataclass(frozen=True)
class Compute:
    """CPU seconds of a rank.

    Attributes:
        fixed_s: for an entry, whatever the number of ranks.
        entry_s: for an entry, divided by the number of ranks.
        each_s: for each update at every rank: all of them settle the whole batch.
        shared_s: for each update, divided by the number of ranks.
    """

    fixed_s: float
    entry_s: float
    each_s: float
    shared_s: float

    def seconds(self, ranks: int, batch: int) -> float:
        """For an entry with so many updates."""
        return self.fixed_s + self.entry_s / ranks + batch * (self.each_s + self.shared_s / ranks)


@dataclass(frozen=True)
class Measured:
    """What was measured on one machine, and counted, on the graphs of docs/scaling.md with a GCN.

    Attributes:
        alone_s: CPU seconds of an update without partitions, one an entry.
        compute: of a rank.
        bytes_of_two: that an update sends, of 2 ranks together.
        bytes_of_four: the same of 4 ranks.
        exchanges: of an entry: the numbers of its nodes, and one for each layer.
    """

    alone_s: float
    compute: Compute
    bytes_of_two: float
    bytes_of_four: float
    exchanges: int = 3


@dataclass(frozen=True)
class Network:
    """What is assumed of a network, and not measured.

    Attributes:
        gbit: a second, of each machine's link, in each direction.
        latency_s: of one exchange between two machines, gloo and TCP included.
        message_s: CPU time of a rank for each message to another.
    """

    gbit: float
    latency_s: float = 100e-6
    message_s: float = 10e-6


def receivers(ranks: int, fan: float) -> float:
    """Ranks that a row is sent to on average, where so many nodes read it."""
    return float((ranks - 1) * (1 - (1 - 1 / ranks) ** fan))


def fan_of(measured: Measured) -> float:
    """Readers of a row, for which 4 ranks send so much more than 2 as was measured; found by halving."""
    wanted, low, high = measured.bytes_of_four / measured.bytes_of_two, 1.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        if receivers(4, middle) / receivers(2, middle) < wanted:
            low = middle
        else:
            high = middle
    return low


def fitted(cpu_s: Sequence[tuple[int, int, float]]) -> Compute:
    """What fits CPU seconds best, as a share of each.

    Args:
        cpu_s: numbers of ranks and of updates in an entry, with the seconds of all ranks together for an update.
    """
    terms = [
        np.array([1, 1 / ranks, batch, batch / ranks]) / (seconds * batch / ranks) for ranks, batch, seconds in cpu_s
    ]
    found, *_ = np.linalg.lstsq(np.array(terms), np.ones(len(terms)), rcond=None)
    return Compute(*found.tolist())


@dataclass(frozen=True)
class Turn:
    """Seconds of a turn: what a rank computes, sends and waits for."""

    compute_s: float
    bytes_s: float
    waiting_s: float

    @property
    def seconds(self) -> float:
        """Of all three."""
        return self.compute_s + self.bytes_s + self.waiting_s


def turn(measured: Measured, network: Network, ranks: int, batch: int) -> Turn:
    """A turn with so many updates in one entry.

    Args:
        measured: on one machine.
        network: between machines.
        ranks: one a machine.
        batch: updates of the entry.
    """
    fan = fan_of(measured)
    size = measured.bytes_of_two * receivers(ranks, fan) / receivers(2, fan)
    exchanges = measured.exchanges + EXCHANGES_OF_A_TURN
    return Turn(
        measured.compute.seconds(ranks, batch),
        batch * size / ranks * 8 / (network.gbit * 1e9),
        2 * exchanges * (network.latency_s + (ranks - 1) * network.message_s),
    )


MEASURED = Measured(
    alone_s=4.66e-3,
    compute=fitted(
        [
            (1, 1, 24.88e-3),
            (2, 1, 33.85e-3),
            (4, 1, 42.08e-3),
            (1, 20, 4.20e-3),
            (2, 20, 6.55e-3),
            (4, 20, 6.47e-3),
        ]
    ),
    bytes_of_two=11e3,
    bytes_of_four=32e3,
)
"""By ``--measure --nodes 10000 --updates 40``, and by ``partition_traffic``."""


def table(measured: Measured) -> str:
    """Updates a second as a Markdown table: a row for each number of machines, a column for each batch and link."""
    columns = [(batch, gbit) for batch in BATCHES for gbit in GBITS]
    lines = [
        "| machines | " + " | ".join(f"{batch:,} a batch, {gbit} Gbit/s" for batch, gbit in columns) + " |",
        "|" + "---|" * (len(columns) + 1),
    ]
    alone = [f"{1 / measured.alone_s:,.0f}" if batch == 1 else "not measured" for batch, _ in columns]
    lines.append("| 1, without partitions | " + " | ".join(alone) + " |")
    for ranks in MACHINES:
        rates = [batch / turn(measured, Network(gbit), ranks, batch).seconds for batch, gbit in columns]
        lines.append(f"| {ranks} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |")
    return "\n".join(lines)


def measure(nodes: int, count: int) -> None:
    """Print the CPU time of updates, without partitions and by all ranks together."""
    torch.set_num_threads(1)
    graph = arxiv_shaped(nodes, int(nodes * 1_166_243 / 169_343), features=32)
    for batch in (1, 20):
        alone = without_partitions(batches_of(graph, count, batch)).cpu["updates"]
        print(f"without partitions: {1e3 * alone / count:.2f} ms an update, {batch} an entry", flush=True)
    for ranks in (1, 2, 4):
        parts = [Partition(rank, ranks) for rank in range(ranks)]
        for part in parts:
            part.serve([student_for(graph.x.shape[1])], CLASSES)
        for events in graph_events(graph):
            run_in_lockstep([part.apply(events, 0.0) for part in parts])
        # Those of one batch size after the other, since an update that is repeated changes nothing.
        waiting = iter(list(updates(graph, 3 * count)))
        for batch in (20, 1, 20):
            entries = [list(islice(waiting, batch)) for _ in range(count // batch)]
            began = time.process_time()
            for entry in entries:
                run_in_lockstep([part.apply(entry, 0.0) for part in parts])
            spent = time.process_time() - began
            print(f"{ranks} ranks together: {1e3 * spent / count:.2f} ms an update, {batch} an entry", flush=True)


def main() -> None:
    """Print the table, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--updates", type=int, default=100)
    options = parser.parse_args()
    if options.measure:
        measure(options.nodes, options.updates)
    else:
        print(table(MEASURED))


if __name__ == "__main__":
    main()
