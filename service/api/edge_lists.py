"""The edges that are likeliest to be of a class, as an answer."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from olad_core.events import GraphSchema
from olad_core.task_types import EdgeClassTask
from service.api.answers import one_answer
from service.api.context import Context
from service.api.questions import answer_in_time
from service.problems import UNKNOWN_CLASS, Problem
from service.store.questions import TopEdgesAnswered, TopEdgesAsked


async def edge_list(
    request: Request,
    context: Context,
    asked: TopEdgesAsked,
    min_position: str | None,
    timeout_ms: int,
    variant: str | None,
) -> Response:
    """The worker's list of edges; see ``GET /edges/top/{class}``.

    Raises:
        Problem: the type has no task, its task no such class, or no answer came in time.
    """
    answered = await answer_in_time(request, context, asked, min_position, timeout_ms, variant)
    found = answered.answer
    assert isinstance(found, TopEdgesAnswered)
    context.metrics.predictions.inc(len(found.edges))
    edges = [
        {
            **({} if each.id is None else {"id": each.id}),
            "src": each.src,
            "dst": each.dst,
            "probability": each.probabilities[asked.of_class],
            "label": max(each.probabilities, key=each.probabilities.__getitem__),
        }
        for each in found.edges
    ]
    body = {
        "edges": edges,
        "type": asked.edge_type,
        "task": found.task,
        "compared": found.compared,
        "waiting": found.waiting,
        "model_version": found.source.version,
        "position": found.source.position,
        "behind": answered.behind(found.source),
        **answered.named,
    }
    return one_answer(request, msgspec.json.encode(body))


def type_with_class(schema: GraphSchema, class_name: str) -> str | None:
    """The type of the edges of which a class is, where no nodes have it; None where no task predicts it.

    A task whose classes are not declared may have any.

    Raises:
        Problem: several types have a task that may predict it.
    """
    types = sorted(
        task.edge_type
        for task in schema.tasks.values()
        if isinstance(task, EdgeClassTask) and (not task.classes or class_name in task.classes)
    )
    if len(types) > 1:
        known = ", ".join(f"type={name}" for name in types)
        detail = f"edges of several types may be of the class {class_name!r}: ask /edges/top/ with one of {known}"
        raise Problem(UNKNOWN_CLASS, detail)
    return types[0] if types else None
