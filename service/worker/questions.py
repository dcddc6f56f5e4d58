"""Answering questions that need the graph and the served version: what events would lead to."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import structlog

from olad_core.engine import Engine
from olad_core.event_codec import decode_log
from olad_core.graph.part import PartTooLarge
from olad_core.serving.publication import Reply, Version
from olad_core.serving.what_if import Predicted
from service.store.questions import (
    Answer,
    PredictedNode,
    Question,
    Refused,
    RejectedTry,
    Source,
    WhatIfAnswered,
)
from service.store.request_reader import AskedQuestion
from service.worker.metrics import WorkerMetrics

log = structlog.get_logger(__name__)
_question = msgspec.msgpack.Decoder(Question)
_READ_PER_ROW = 4
"""Nodes and edges that are read in the time in which a row of a layer is computed."""


class Replied(NamedTuple):
    """A reply, and the work that it was, in rows of layers."""

    reply: Reply
    work: int


def reply_to(engine: Engine, asked: AskedQuestion, metrics: WorkerMetrics) -> Replied:
    """Answer a question. The engine's state stays as it is, so a question that fails harms nothing but its answer."""
    try:
        question = _question.decode(asked.content)
        with metrics.stage("what-if"):
            answer, work = _answer(engine, question)
    except Exception:
        log.exception("a question could not be answered", question=asked.name)
        answer, work = Refused("failed"), 1
    return Replied(Reply(asked.name, msgspec.msgpack.encode(answer)), max(1, work // _READ_PER_ROW))


def _answer(engine: Engine, question: Question) -> tuple[Answer, int]:
    """The answer, and how many nodes and edges were read."""
    try:
        outcome = engine.what_if(decode_log(question.events), question.nodes)
    except PartTooLarge as error:
        return Refused("too-large", error.need, error.most), error.most
    served = engine.versions.served
    if outcome is None or served is None:
        return Refused("no-model"), 1
    rejected = [RejectedTry(each.index, each.op, each.reason, each.detail) for each in outcome.rejected]
    nodes = predicted_nodes(outcome.predicted, served.version)
    return WhatIfAnswered(source_of(engine, served.version), nodes, rejected), outcome.work


def source_of(engine: Engine, version: Version) -> Source:
    """What an answer is exact for now."""
    return Source(engine.position, engine.applied_events, version.number, version.student)


def predicted_nodes(predicted: Predicted, version: Version) -> list[PredictedNode]:
    """Predictions as readers have them."""
    answers, classes, found = predicted.answers, version.classes, []
    for place, (node, label) in enumerate(zip(predicted.nodes, predicted.labels.tolist(), strict=True)):
        numbers = range(len(classes)) if answers.classes is None else answers.classes[place].tolist()
        shares = answers.probabilities[place].tolist()
        shown = {classes[number]: share for number, share in zip(numbers, shares, strict=True)}
        rest = None if answers.classes is None else max(0.0, 1.0 - math.fsum(shares))
        found.append(PredictedNode(node, classes[label], shown, float(answers.disagreement[place]), rest))
    return found
