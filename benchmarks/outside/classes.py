"""Many classes: how long until something is served, how well it predicts, and the freshness then."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping

import msgspec
import numpy as np

from benchmarks.outside.freshness import freshness
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.turns import Figures
from benchmarks.wire import Connection

NODES, EDGES, FEATURES = 20_000, 100_000, 64
HIDDEN_SHARE = 0.1
_ASKED = 500
_MOST_CELLS = 900_000
"""Probabilities asked for at once; the service answers 413 above a million."""


def rows(classes: int, at_most: Mapping[str, float] | None = None) -> tuple[Row, ...]:
    """Freshness, then what was learned."""
    learned = Row(
        f"learned_{classes}_classes",
        "after the freshness row; mean loss of nodes whose label was never given, beside that of guessing",
        _learned,
        at_most={"until_served_s": 30, "loss_to_guessing": 0.9},
        once=True,
    )
    return freshness(f"freshness_{classes}_classes", at_most), learned


def _learned(site: Site) -> Figures:
    if math.isinf(site.until_served_s):
        return {"until_served_s": math.inf}
    graph = site.graph
    asked = random.Random(1).sample(site.unlabelled.tolist(), min(_ASKED, len(site.unlabelled)))
    at_once = max(1, _MOST_CELLS // graph.classes)
    answers = []
    with Connection(site.service.url) as connection:
        for start in range(0, len(asked), at_once):
            body = json.dumps({"nodes": [str(node) for node in asked[start : start + at_once]]}).encode()
            answers += msgspec.json.decode(connection.post("/predict", body))["predictions"]
    losses = [
        -math.log(probability(answer["probabilities"], str(graph.label[node]), graph.classes))
        for node, answer in zip(asked, answers, strict=True)
    ]
    guessing = math.log(graph.classes)
    mean = float(np.mean(losses))
    return {
        "until_served_s": site.until_served_s,
        "loss": mean,
        "loss_of_guessing": guessing,
        "loss_to_guessing": mean / guessing,
    }


def probability(shown: Mapping[str, float], label: str, classes: int) -> float:
    """Of a label; classes that an answer leaves out share what is left.

    >>> probability({"a": 0.7, "b": 0.2}, "c", 12)
    0.01
    """
    if label in shown:
        return max(shown[label], 1e-12)
    return max(round(1 - sum(shown.values()), 9) / max(1, classes - len(shown)), 1e-12)
