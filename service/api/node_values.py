"""The values of nodes, which the worker computes when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from olad_core.task_types import FEW_VALUES, NodeValueTask
from service.api.context import Context
from service.api.edge_answers import value_fields
from service.api.questions import answer_to, too_large
from service.api.waiting import Patience
from service.problems import NO_MODEL, NO_TASK, UNKNOWN_NODE, Problem
from service.store.questions import NodeValue, NodeValuesAnswered, NodeValuesAsked

_ERRORS = {"unknown-node": "not-found"}


async def default_task(context: Context) -> str | None:
    """The first task on values of a graph without classes, which answers where no task is named; else None."""
    tasks = (await context.log.schema()).tasks
    found = next((name for name, task in tasks.items() if isinstance(task, NodeValueTask)), None)
    return None if found is None or await context.log.has_classes() else found


async def value_of_node(context: Context, patience: Patience, node: str, task: str | None) -> dict[str, Any]:
    """The value of a node, as it is answered.

    Args:
        context: the application's.
        patience: of the request.
        node: its id.
        task: that predicts; None for that of the node's type.

    Raises:
        Problem: 404 where there is no such node or task, 413 where the node has too many edges, 503 before enough
            values have come.
    """
    answered = await answer_to(context, patience, NodeValuesAsked([node], task))
    answer = answered.answer
    assert isinstance(answer, NodeValuesAnswered)
    context.metrics.predictions.inc()
    (found,), position, behind = answer.nodes, answer.source.position, answered.behind(answer.source)
    if found == "unknown-node":
        detail = f"node {node!r} is not in the graph at this position"
        raise Problem(UNKNOWN_NODE, detail, position=position, behind=behind)
    if found == "no-task":
        detail = "nodes of this type have no such task on values: PUT /schema with tasks declares one"
        raise Problem(NO_TASK, detail)
    if found == "no-model":
        missing = [f"values of {FEW_VALUES} nodes"]
        detail = f"nothing is predicted yet; missing: {missing[0]}"
        raise Problem(NO_MODEL, detail, headers={"Retry-After": "1"}, missing=missing)
    if found == "too-large":
        raise too_large(answer.need, answer.most)
    return {"node": node, **_fields(found), "position": position, "behind": behind, **answered.named}


async def values_of_nodes(
    context: Context, patience: Patience, nodes: Sequence[str | int], task: str | None
) -> dict[str, Any]:
    """The values of nodes, as they are answered; arguments as for :func:`value_of_node`."""
    answered = await answer_to(context, patience, NodeValuesAsked([str(node) for node in nodes], task))
    answer = answered.answer
    assert isinstance(answer, NodeValuesAnswered)
    context.metrics.predictions.inc(len(nodes))
    shown: list[dict[str, Any]] = []
    for node, found in zip(nodes, answer.nodes, strict=True):
        if isinstance(found, NodeValue):
            shown.append({"node": node, **_fields(found)})
        else:
            shown.append({"node": node, "value": None, "error": _ERRORS.get(found, found)})
    behind = answered.behind(answer.source)
    return {"predictions": shown, "position": answer.source.position, "behind": behind, **answered.named}


def _fields(found: NodeValue) -> dict[str, Any]:
    at_arrival = None if found.at_arrival is None else value_fields(found.at_arrival)
    return {
        "task": found.task,
        **value_fields(found.now),
        "coverage": found.coverage,
        "at_arrival": at_arrival,
        "truth": found.truth,
        "model_version": found.version,
    }
