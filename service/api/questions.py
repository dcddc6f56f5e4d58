"""Asking the worker what needs more than what is published, within limits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import Request

from olad_core.task_types import FEW_VALUES
from service.api.body import client_of
from service.api.context import Context
from service.api.no_model import no_model
from service.api.partitions import not_with_partitions
from service.api.variants import answered_by
from service.api.waiting import Patience, until_visible
from service.problems import (
    INTERNAL,
    NO_MODEL,
    NO_TASK,
    NOT_ANSWERED,
    QUEUE_FULL,
    TOO_LARGE,
    UNKNOWN_CLASS,
    UNKNOWN_EDGE,
    UNKNOWN_NODE,
    WORKER_AWAY,
    Problem,
)
from service.shares import NoShare
from service.store.questions import Answer, Asked, Question, Refused, Source
from service.store.redis_refusals import REDIS_ERRORS

_LATER = {"Retry-After": "1"}


class Answered(NamedTuple):
    """An answer of the worker, the number of events in the log, and the field that names the variant, if any."""

    answer: Answer
    appended: int
    named: Mapping[str, str]

    def behind(self, source: Source) -> int:
        """Events in the log after the position of the answer."""
        return max(0, self.appended - source.applied_events)


async def answer_in_time(
    request: Request,
    context: Context,
    question: Question,
    min_position: str | None,
    timeout_ms: int,
    variant: str | None = None,
    node: str | None = None,
) -> Answered:
    """The worker's answer to the one question of a request, once predictions show the position that it waits for.

    Args:
        request: whose patience ends with its connection, or after ``timeout_ms``.
        context: the application's.
        question: what is asked.
        min_position: that of the query; None waits for none.
        timeout_ms: for both together.
        variant: that the request names; None for none.
        node: that the question is about, as of :func:`~service.api.variants.answered_by`.

    Raises:
        Problem: 504 where the position is not reached in time, 422 where it is none; and as :func:`answer_to` and
            :func:`~service.api.variants.answered_by`.
        TooManyWaiting: too many wait.
        ClientDisconnect: nobody waits for the answer any more.
    """
    with Patience(request.receive, client_of(request), timeout_ms) as patience:

        async def answer(asked: Context) -> Answered:
            await until_visible(asked, patience, min_position)
            return await answer_to(asked, patience, question)

        return await answered_by(context, variant, answer, node)


async def answer_to(context: Context, patience: Patience, question: Question) -> Answered:
    """The worker's answer to a question.

    Args:
        context: the application's.
        patience: of the request.
        question: what is asked.

    Raises:
        Problem: 404 where there is no such node, 413 where the answer would read too much, 429 where too many
            questions wait, 503 where the worker is away or serves nothing yet, 504 where it has not answered in time.
        TooManyWaiting: too many wait.
        ClientDisconnect: nobody waits for the answer any more.
    """
    try:
        with context.asking.take(patience.client):
            answered = await _asked(context, patience, question)
    except NoShare as error:
        detail = (
            f"{error.used} of {error.total} questions that may wait for the worker do so, {error.own} of them of this "
            "client; ask again when others are answered"
        )
        raise Problem(QUEUE_FULL, detail, headers=_LATER) from None
    if isinstance(answered.answer, Refused):
        raise await _refused(context, answered, answered.answer)
    return answered


async def _asked(context: Context, patience: Patience, question: Question) -> Answered:
    asked = await context.questions.ask(question, max(1, int(1000 * patience.left_s)))
    if asked is None:
        raise _away()
    try:
        with context.watermark.answer_waiter(asked.request, patience.client) as done:
            in_time = await patience.wait_for(done)
        answer, appended = await context.questions.take(asked)
    except BaseException:
        await _withdraw(context, asked)
        raise
    if answer is not None:
        return Answered(answer, appended, context.named)
    if in_time:
        raise _away()
    context.metrics.timeouts.inc()
    raise Problem(NOT_ANSWERED, f"the worker has not answered within {patience.timeout_ms} ms", headers=_LATER)


async def _withdraw(context: Context, asked: Asked) -> None:
    with contextlib.suppress(*REDIS_ERRORS):
        await context.questions.withdraw(asked)


def _away() -> Problem:
    return Problem(WORKER_AWAY, "the worker, which would answer, is away or has just begun; ask again", headers=_LATER)


async def _refused(context: Context, answered: Answered, refused: Refused) -> Problem:
    if refused.reason in {"no-task", "value-task", "few-labels", "few-values", "few-edges", "unknown-edge"}:
        return _no_edge(answered, refused)
    if refused.reason == "unknown-class":
        return Problem(UNKNOWN_CLASS, "the task for edges of this type has no such class")
    if refused.source is not None:
        detail = "the node is not in the graph at this position"
        behind = answered.behind(refused.source)
        return Problem(UNKNOWN_NODE, detail, position=refused.source.position, behind=behind)
    if refused.reason == "no-model":
        return await no_model(context)
    if refused.reason == "too-large":
        return too_large(refused.need, refused.most)
    if refused.reason == "partitioned":
        problem = not_with_partitions()
    else:
        problem = Problem(INTERNAL, "the worker could not answer this, and has logged why")
    return problem


def too_large(need: int, most: int) -> Problem:
    """The 413 answer where the worker would read too much."""
    detail = (
        f"the answer would read {need:,} nodes and edges or more, and may read {most:,}: ask for fewer nodes, for what "
        "fewer events lead to, or about a node with fewer neighbours"
    )
    return Problem(TOO_LARGE, detail, need=need, most=most)


def _no_edge(answered: Answered, refused: Refused) -> Problem:
    """Why an edge has no prediction."""
    if refused.reason == "no-task":
        return Problem(NO_TASK, "edges of this type have no task: PUT /schema with tasks declares one")
    if refused.reason == "value-task":
        return Problem(NO_TASK, "the task for edges of this type predicts a value, and only classes are explained")
    if refused.reason in {"few-labels", "few-values"}:
        by_values = refused.reason == "few-values"
        missing = [f"values of {FEW_VALUES} edges" if by_values else "labels of edges of two classes"]
        return Problem(NO_MODEL, f"nothing is predicted yet; missing: {missing[0]}", headers=_LATER, missing=missing)
    if refused.reason == "few-edges":
        missing = ["edges of the type to nodes that had some before"]
        return Problem(NO_MODEL, f"nothing is predicted yet; missing: {missing[0]}", headers=_LATER, missing=missing)
    assert refused.source is not None
    behind = answered.behind(refused.source)
    detail = "no edge of this type and id is remembered at this position"
    return Problem(UNKNOWN_EDGE, detail, position=refused.source.position, behind=behind)
