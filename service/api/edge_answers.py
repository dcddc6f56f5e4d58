"""What the worker predicts of an edge, as fields of an answer."""

from __future__ import annotations

from typing import Any

from service.store.questions import EdgeAnswered, ValueAnswered


def edge_fields(found: EdgeAnswered | ValueAnswered) -> dict[str, Any]:
    """The task and what it predicts: a class with probabilities, or a value with its interval."""
    after = {"truth": found.truth, "model_version": found.source.version}
    predicted: dict[str, Any]
    if isinstance(found, EdgeAnswered):
        likeliest = max(found.probabilities, key=found.probabilities.__getitem__)
        predicted = {"label": likeliest, "probabilities": found.probabilities}
        at_arrival: dict[str, Any] | None = found.at_arrival
    else:
        predicted = {**value_fields(found.now), "coverage": found.coverage}
        at_arrival = None if found.at_arrival is None else value_fields(found.at_arrival)
    return {"task": found.task, **predicted, "arrived": found.remembered, "at_arrival": at_arrival, **after}


def value_fields(found: tuple[float, float, float]) -> dict[str, Any]:
    """A predicted value with its interval."""
    value, low, high = found
    return {"value": value, "interval": [low, high]}
