"""Fraud among generated payments at arrival: the task, the same without types and features, and baselines.

python -m benchmarks.learning.payments [--seeds 3] [--payments 10000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.report import emit
from olad_core.events import Event, GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType
from olad_core.judging.paired import Difference
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.evaluation.report import TaskScore
from service.replay.arrival_stream import Arrival
from service.replay.label_delay import delay_own_labels
from service.replay.payments import PAYMENTS, SCHEMA, payments
from service.replay.sources import Source, StreamOptions
from service.settings import Settings

DELAY = 500
"""Payments between one and its label."""
BASELINES = ("gradient-boosting", "logistic-regression")
UNTYPED = GraphSchema(directed=True, edge_types={"paid": EdgeType(ids=True)}, tasks=SCHEMA.tasks)


def without_types(arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
    """The payments alone: no types of nodes, no devices, and no features of payments."""
    for arrival in arrivals:
        yield Arrival(tuple(_plain(arrival.events)), edge=True, label=arrival.label)


def source(seed: int, count: int, *, typed: bool = True) -> Source:
    """A stream of this seed."""
    arrivals = payments(seed, count)
    delayed = delay_own_labels(arrivals if typed else without_types(arrivals), DELAY)
    return Source("payments", None, StreamOptions().batches(delayed), SCHEMA if typed else UNTYPED)


def main() -> None:
    """Each seed in turn; differences are less the task with types and features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    arguments = parser.parse_args()
    settings = Settings()
    results: dict[str, float] = {}
    for seed in range(arguments.seeds):
        compared = configurations(settings, [])
        report = evaluate(source(seed, arguments.payments), compared, BASELINES)
        untyped = evaluate(source(seed, arguments.payments, typed=False), compared)
        for name, contestant in (
            *((each.name, each) for each in report.contestants),
            ("untyped", untyped.contestants[0]),
        ):
            results |= {f"seed_{seed}_{name}_{key}": value for key, value in _figures(contestant.tasks[0]).items()}
    emit("payments", results)


def _plain(events: tuple[Event, ...]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, UpsertEdge) and event.type == "paid":
            yield UpsertEdge(src=event.src, dst=event.dst, type="paid", id=event.id, ts=event.ts)
        elif not isinstance(event, UpsertEdge | UpsertNode):
            yield event


def _figures(score: TaskScore) -> dict[str, float]:
    fraud = next(row for row in score.classes.classes if row.name == "fraud")
    found = {"average_precision": fraud.whole.average_precision or 0.0, "log_loss": score.log_loss or 0.0}
    difference: Difference | None = score.differences.average_precision if score.differences else None
    if difference is not None and difference.low is not None and difference.high is not None:
        found |= {"difference": difference.value, "low": difference.low, "high": difference.high}
    return found


if __name__ == "__main__":
    main()
