"""Ratings of bitcoin_otc at arrival: which are negative, how high they are, and which come next, beside baselines.

python -m benchmarks.learning.bitcoin [--tasks class value link] [--seeds 5] [--ratings 35592]

The first 4,000 ratings take 75 s of CPU time a seed, all tasks together.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.learning import links
from benchmarks.report import emit
from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask, EdgeValueTask
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.replay.arrival_stream import Arrival
from service.replay.sources import Source, StreamOptions
from service.settings import Settings

Floats = npt.NDArray[np.float64]

RATINGS = 35_592
NODES = 6_100
"""More than there are."""
ENTRY = 20
"""Ratings of an entry: what a rating is predicted from came in an earlier one."""
RETRAINED = 1_000
"""Ratings between two trainings of a baseline."""
SCORED_FROM = 2_000
BASELINES = ("gradient-boosting", "logistic-regression")
RATED = {"rated": EdgeType(directed=True)}
CLASSES = GraphSchema(
    edge_types=RATED,
    tasks={"trust": EdgeClassTask(kind="edge_class", edge_type="rated", classes=("positive", "negative"))},
)
VALUES = GraphSchema(edge_types=RATED, tasks={"rating": EdgeValueTask(kind="edge_value", edge_type="rated")})


class Ratings(NamedTuple):
    """The ratings in the order of time.

    Attributes:
        source: who rates ``[n]``.
        target: who is rated ``[n]``.
        value: from -10 to 10 ``[n]``.
        time: in seconds ``[n]``.
    """

    source: list[int]
    target: list[int]
    value: list[int]
    time: list[float]


def ratings(count: int) -> Ratings:
    """The first ratings of the file."""
    with np.load(Path(os.environ.get("OLAD_DATA_HOME", "../shared/data")) / "bitcoin_otc.npz") as found:
        source, target = found["edges"][:, :count].tolist()
        return Ratings(source, target, found["edge_rating"][:count].tolist(), found["edge_time"][:count].tolist())


def classes(seed: int, given: Ratings) -> dict[str, float]:
    """Average precision of negative ratings, whose signs are known one entry after they arrive."""

    def arrivals() -> Iterator[Arrival]:
        for source, target, value, time in zip(*given, strict=True):
            edge = UpsertEdge(src=str(source), dst=str(target), type="rated", ts=time)
            sign = "negative" if value < 0 else "positive"
            label = LabelNode(src=edge.src, dst=edge.dst, type="rated", label=sign, ts=time)
            yield Arrival((edge, label), edge=True)

    source = Source("bitcoin_otc", None, StreamOptions(batch_size=ENTRY).batches(arrivals()), CLASSES)
    compared = configurations(Settings(seed=seed), [])
    report = evaluate(source, compared, BASELINES, score_from=SCORED_FROM)
    results: dict[str, float] = {}
    for contestant in report.contestants:
        (task,) = contestant.tasks
        negative = next(row for row in task.classes.classes if row.name == "negative")
        results[f"{contestant.name}_average_precision"] = negative.whole.average_precision or 0.0
        results[f"{contestant.name}_log_loss"] = task.log_loss or 0.0
        difference = task.differences.average_precision if task.differences else None
        if difference is not None and difference.low is not None and difference.high is not None:
            results |= {f"{contestant.name}_{name}": getattr(difference, name) for name in ("value", "low", "high")}
    return results


class _Columns:
    """What a practitioner would keep of both ends: counts, means and times by role, and the pair's other direction."""

    def __init__(self) -> None:
        self._count, self._sum, self._last = (np.zeros((2, NODES)) for _ in range(3))
        self._between: dict[tuple[int, int], int] = {}
        self._mean = [0.0, 0]

    def of(self, source: int, target: int, time: float) -> Floats:
        """The columns of one rating, before it is known."""
        usual = self._mean[0] / max(1, self._mean[1])
        found = []
        for node in (source, target):
            count = self._count[:, node]
            means = np.where(count > 0, self._sum[:, node] / np.maximum(count, 1), usual)
            since = np.where(count > 0, np.log1p(np.maximum(time - self._last[:, node], 0)), -1.0)
            found += [np.log1p(count), means, since]
        back = self._between.get((target, source))
        return np.concatenate([*found, [0.0 if back is None else float(back), float(back is not None)]])

    def simple(self, source: int, target: int) -> float:
        """The mean of what the source gave and the target received; of all where neither did."""
        counts, sums = self._count[0, source] + self._count[1, target], self._sum[0, source] + self._sum[1, target]
        return float(sums / counts) if counts else float(self._mean[0] / max(1, self._mean[1]))

    def take(self, source: int, target: int, value: int, time: float) -> None:
        """Follow a rating."""
        for role, node in enumerate((source, target)):
            self._count[role, node] += 1
            self._sum[role, node] += value
            self._last[role, node] = time
        self._between[source, target] = value
        self._mean[0] += value
        self._mean[1] += 1


MODELS: dict[str, Callable[[int], Any]] = {
    "gradient-boosting": lambda seed: HistGradientBoostingRegressor(loss="absolute_error", random_state=seed),
    "linear-regression": lambda seed: make_pipeline(
        StandardScaler(), SGDRegressor("epsilon_insensitive", epsilon=0.0, average=True, random_state=seed)
    ),
}
"""Both minimise the absolute error, by which they are compared."""


def values(seed: int, given: Ratings) -> dict[str, float]:
    """Mean absolute error of ratings at arrival: the task, the running means, and models of the practitioner."""
    errors = {name: [] for name in ("default", "both-means", *MODELS)}  # type: dict[str, list[float]]
    engine = Engine(EngineConfig(trainer=TrainerConfig(seed=seed)), torch.device("cpu"))
    engine.declare("0-1", VALUES)
    columns, known, told = _Columns(), [], []  # type: _Columns, list[Floats], list[int]
    models: dict[str, Any] = {}
    for first in range(0, len(given.value), ENTRY):
        entry = list(zip(*(each[first : first + ENTRY] for each in given), strict=True))
        rows = np.stack([columns.of(source, target, time) for source, target, _, time in entry])
        simple = [columns.simple(source, target) for source, target, _, _ in entry]
        with threadpool_limits(1):
            predicted = {name: model.predict(rows).tolist() for name, model in models.items()}
        number = first // ENTRY + 1
        events: list[Event] = [UpsertEdge(str(one), str(other), None, at, "rated") for one, other, _, at in entry]
        engine.apply(f"{number}-1", events, 0.0)
        if first >= SCORED_FROM:
            for place, (source, target, value, _) in enumerate(entry):
                answer = engine.value_tasks.answer(engine.graph, "rated", (str(source), str(target)), None, 1.0)
                assert not isinstance(answer, str)
                at_arrival = answer.edge.at_arrival
                errors["default"].append(abs(at_arrival.value - value))
                errors["both-means"].append(abs(simple[place] - value))
                for name in MODELS:
                    errors[name].append(abs(predicted[name][place] - value))
        labels: list[Event] = [
            LabelNode(src=str(one), dst=str(other), type="rated", value=float(value), ts=at)
            for one, other, value, at in entry
        ]
        engine.apply(f"{number}-2", labels, 0.0)
        for (source, target, value, time), row in zip(entry, rows, strict=True):
            columns.take(source, target, value, time)
            known.append(row)
            told.append(value)
        if (first + ENTRY) % RETRAINED == 0:
            with threadpool_limits(1):
                models = {name: build(seed).fit(np.stack(known), told) for name, build in MODELS.items()}
    results = {f"{name}_mae": float(np.mean(found)) for name, found in errors.items()}
    for name in errors.keys() - {"default"}:
        results |= {f"{name}_{key}": value for key, value in _paired(errors[name], errors["default"]).items()}
    return results


def _paired(errors: list[float], ours: list[float], batch: int = 500) -> dict[str, float]:
    """Difference of two means over the same ratings, with 95 % limits from the means of batches in their order."""
    differences = np.subtract(errors, ours)
    means = np.array([part.mean() for part in np.array_split(differences, len(differences) // batch)])
    half = 1.96 * means.std(ddof=1) / np.sqrt(len(means))
    return {"value": means.mean(), "low": means.mean() - half, "high": means.mean() + half}


def partners(seed: int, given: Ratings) -> dict[str, float]:
    """Mean reciprocal rank of each rating's target among 100 negatives, and that of two rules."""
    report, _ = links.played(links.entries_of(given.source, given.target, given.time, ENTRY), seed)
    return {f"{rule}_mrr": score.mrr for rule, score in report.scores.items() if score is not None}


TASKS = {"class": classes, "value": values, "link": partners}


def main() -> None:
    """Each task and seed in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratings", type=int, default=RATINGS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    given = ratings(arguments.ratings)
    for task in arguments.tasks:
        results: dict[str, float] = {}
        for seed in range(arguments.seeds):
            results |= {f"seed_{seed}_{name}": value for name, value in TASKS[task](seed, given).items()}
        emit(f"bitcoin_{task}", results)


if __name__ == "__main__":
    main()
