"""Answering questions that need the graph or the served version: what events would lead to, explanations, edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import structlog

from olad_core.engine import Engine
from olad_core.event_codec import decode_log
from olad_core.graph import DynamicGraph
from olad_core.graph.edges_of_node import NodeEdges, edges_of_node
from olad_core.graph.part import PartTooLarge
from olad_core.serving.node_embeddings import node_embeddings
from olad_core.serving.publication import Reply, Version
from olad_core.serving.versions import HeldVersion
from olad_core.serving.what_if import Predicted
from olad_core.value_tasks import ValueTaskAnswer
from service.store.questions import (
    Answer,
    EarlierLabel,
    EdgeAnswered,
    EdgeAsked,
    EdgesAnswered,
    EdgesAsked,
    EmbeddingsAnswered,
    EmbeddingsAsked,
    ExplainAnswered,
    ExplainAsked,
    ExplainEdgeAnswered,
    ExplainEdgeAsked,
    LinkAsked,
    LinksAnswered,
    NeighboursAnswered,
    NeighboursAsked,
    NodeValue,
    NodeValuesAnswered,
    NodeValuesAsked,
    NoValue,
    PartnersAsked,
    PredictedNode,
    Question,
    Refused,
    RejectedTry,
    ShownEdge,
    ShownEffect,
    ShownPart,
    Source,
    TopEdge,
    TopEdgesAnswered,
    TopEdgesAsked,
    ValueAnswered,
    WhatIfAnswered,
    WhatIfAsked,
)
from service.store.request_reader import AskedQuestion
from service.worker.metrics import WorkerMetrics

log = structlog.get_logger(__name__)
_question = msgspec.msgpack.Decoder(Question)
_READ_PER_ROW = 4
"""Nodes and edges that are read in the time in which a row of a layer is computed."""


_STAGES: Mapping[type[Any], str] = {
    WhatIfAsked: "what-if",
    ExplainAsked: "explain",
    ExplainEdgeAsked: "explain",
    EdgeAsked: "edge",
    EdgesAsked: "edge",
    TopEdgesAsked: "edge",
    NodeValuesAsked: "node-value",
    NeighboursAsked: "neighbours",
    LinkAsked: "link",
    PartnersAsked: "link",
    EmbeddingsAsked: "embeddings",
}


class Replied(NamedTuple):
    """A reply, and the work that it was, in rows of layers."""

    reply: Reply
    work: int


def reply_to(engine: Engine, asked: AskedQuestion, metrics: WorkerMetrics) -> Replied:
    """Answer a question. The engine's state stays as it is, so a question that fails harms nothing but its answer."""
    try:
        question = _question.decode(asked.content)
        with metrics.stage(_STAGES[type(question)]):
            answer, work = _answer(engine, question)
    except Exception:
        log.exception("a question could not be answered", question=asked.name)
        answer, work = Refused("failed"), 1
    return Replied(Reply(asked.name, msgspec.msgpack.encode(answer)), max(1, work // _READ_PER_ROW))


def _answer(engine: Engine, question: Question) -> tuple[Answer, int]:
    """The answer, and how many nodes and edges were read."""
    if isinstance(question, EdgeAsked | EdgesAsked | TopEdgesAsked):
        return _edges(engine, question)
    if isinstance(question, ExplainEdgeAsked):
        return _explained_edge(engine, question)
    if isinstance(question, NodeValuesAsked | LinkAsked | PartnersAsked):
        return _node_values(engine, question) if isinstance(question, NodeValuesAsked) else _links(engine, question)
    served = engine.versions.served
    try:
        if isinstance(question, NeighboursAsked):
            return _neighbours(engine, question)
        return (Refused("no-model"), 1) if served is None else _of_version(engine, question, served)
    except PartTooLarge as error:
        return Refused("too-large", error.need, error.most), error.most


def _of_version(
    engine: Engine, question: WhatIfAsked | ExplainAsked | EmbeddingsAsked, served: HeldVersion
) -> tuple[Answer, int]:
    """The answer by the served version."""
    source = Source(engine.position, engine.applied_events, served.version.shown, served.version.student)
    if isinstance(question, ExplainAsked):
        return _explained(engine, question, source)
    if isinstance(question, EmbeddingsAsked):
        return _embedded(engine, question, source, served)
    return _tried(engine, question, source, served.version)


def _tried(engine: Engine, question: WhatIfAsked, source: Source, version: Version) -> tuple[Answer, int]:
    outcome = engine.what_if(decode_log(question.events), question.nodes)
    assert outcome is not None
    rejected = [RejectedTry(each.index, each.op, each.reason, each.detail) for each in outcome.rejected]
    return WhatIfAnswered(source, _predicted_nodes(outcome.predicted, version), rejected), outcome.work


def _edges(engine: Engine, question: EdgeAsked | EdgesAsked | TopEdgesAsked) -> tuple[Answer, int]:
    if isinstance(question, EdgeAsked):
        return _edge(engine, question), 1
    if isinstance(question, TopEdgesAsked):
        return _top_edges(engine, question)
    source = Source(engine.position, engine.applied_events, 0, "")
    return EdgesAnswered(source, [_edge(engine, each) for each in question.edges]), len(question.edges)


def _top_edges(engine: Engine, question: TopEdgesAsked) -> tuple[Answer, int]:
    found = engine.edge_tasks.likeliest(engine.graph, question.edge_type, question.of_class, question.shown)
    if isinstance(found, str):
        source = Source(engine.position, engine.applied_events, 0, "")
        return Refused("few-labels" if found == "no-model" else found, source=source), 1
    edges = [TopEdge(each.source, each.target, each.probabilities, each.edge) for each in found.edges]
    source = Source(engine.position, engine.applied_events, found.version, found.task)
    return TopEdgesAnswered(source, found.task, edges, found.compared, found.waiting), found.compared


def _edge(engine: Engine, question: EdgeAsked) -> EdgeAnswered | ValueAnswered | Refused:
    tasks = engine.value_tasks if engine.value_tasks.has(question.edge_type) else engine.edge_tasks
    found = tasks.answer(engine.graph, question.edge_type, question.ends, question.edge, question.weight, question.x)
    if isinstance(found, str):
        source = Source(engine.position, engine.applied_events, 0, "")
        few: Literal["few-values", "few-labels"] = "few-values" if tasks is engine.value_tasks else "few-labels"
        return Refused(few if found == "no-model" else found, source=source)
    source = Source(engine.position, engine.applied_events, found.version, found.task)
    if isinstance(found, ValueTaskAnswer):
        value = found.edge
        return ValueAnswered(
            source, found.task, found.coverage, value.now, value.at_arrival, value.truth, value.remembered
        )
    answer = found.edge
    return EdgeAnswered(source, found.task, answer.probabilities, answer.at_arrival, answer.truth, answer.remembered)


def _node_values(engine: Engine, question: NodeValuesAsked) -> tuple[Answer, int]:
    most = engine.config.most_read
    found = engine.node_values.answers(engine.graph, question.nodes, question.task, most)
    shown: list[NodeValue | NoValue] = [
        each
        if isinstance(each, str)
        else NodeValue(each.task, each.version, each.coverage, each.node.now, each.node.at_arrival, each.node.truth)
        for each in found.nodes
    ]
    source = Source(engine.position, engine.applied_events, 0, "")
    return NodeValuesAnswered(source, shown, found.need, most), found.work + len(question.nodes)


def _links(engine: Engine, question: LinkAsked | PartnersAsked) -> tuple[Answer, int]:
    tasks, graph, kind = engine.link_tasks, engine.graph, question.edge_type
    if isinstance(question, LinkAsked):
        found = tasks.score(graph, kind, question.source, [question.target])
    else:
        found = tasks.partners(graph, kind, question.node, question.most, linked=question.linked)
    if isinstance(found, str):
        return Refused(found, source=Source(engine.position, engine.applied_events, 0, "")), 1
    source = Source(engine.position, engine.applied_events, found.version, found.task)
    answer = LinksAnswered(source, found.task, found.nodes, found.scores, found.linked, found.scored, found.all)
    return answer, found.scored


def _neighbours(engine: Engine, question: NeighboursAsked) -> tuple[Answer, int]:
    graph, source = engine.graph, Source(engine.position, engine.applied_events, 0, "")
    try:
        row = graph.row(question.node)
    except KeyError:
        return Refused("unknown-node", source=source), 1
    found = edges_of_node(graph, row, question.shown, engine.config.most_read)
    return shown_edges(found, graph, source), found.counted


def shown_edges(found: NodeEdges, graph: DynamicGraph, source: Source) -> NeighboursAnswered:
    """The edges of a node as readers get them."""
    typed = bool(graph.edge_types)
    edges = [
        ShownEdge(each.node, each.direction, each.weight, each.relation if typed else None, each.label)
        for each in found.edges
    ]
    return NeighboursAnswered(source, found.label, edges, found.counted)


def _explained(engine: Engine, question: ExplainAsked, source: Source) -> tuple[Answer, int]:
    try:
        found = engine.explain(question.node, question.shown)
    except KeyError:
        return Refused("unknown-node", source=source), 1
    assert found is not None
    typed = bool(engine.graph.edge_types)
    effects = [
        ShownEffect(each.kind, each.node, each.change, each.relation if typed else None, each.label)
        for each in found.effects
    ]
    answer = ExplainAnswered(
        source, found.label, found.probability, effects, found.counted, found.total, found.interaction
    )
    return answer, found.work


def _explained_edge(engine: Engine, question: ExplainEdgeAsked) -> tuple[Answer, int]:
    asked, nothing = question.edge, Source(engine.position, engine.applied_events, 0, "")
    if engine.value_tasks.has(asked.edge_type):
        return Refused("value-task", source=nothing), 1
    found = engine.edge_tasks.explain(
        engine.graph, asked.edge_type, asked.ends, asked.edge, asked.weight, question.shown
    )
    if isinstance(found, str):
        return Refused("few-labels" if found == "no-model" else found, source=nothing), 1
    source, edge = Source(engine.position, engine.applied_events, found.version, found.task), found.edge
    answer = ExplainEdgeAnswered(
        source,
        found.task,
        edge.label,
        edge.probability,
        edge.remembered,
        [ShownPart(each.part.kind, each.change, each.part.end) for each in edge.effects],
        edge.total,
        edge.interaction,
        [EarlierLabel(each.source, each.target, each.label, each.change, each.id) for each in found.earlier],
        edge.counted,
    )
    return answer, len(edge.effects) + _READ_PER_ROW * edge.counted


def _embedded(engine: Engine, question: EmbeddingsAsked, source: Source, served: HeldVersion) -> tuple[Answer, int]:
    found = node_embeddings(engine.graph, served, question.nodes, engine.config.most_read)
    vectors = found.vectors.astype("<f4")
    source, table = msgspec.structs.replace(source, student=found.student), served.version.number
    answer = EmbeddingsAnswered(source, table, vectors.shape[1], found.there.tobytes(), vectors.tobytes())
    return answer, found.work


def _predicted_nodes(predicted: Predicted, version: Version) -> list[PredictedNode]:
    """Predictions as readers have them."""
    answers, classes, found = predicted.answers, version.classes, []
    for place, (node, label) in enumerate(zip(predicted.nodes, predicted.labels.tolist(), strict=True)):
        numbers = range(len(classes)) if answers.classes is None else answers.classes[place].tolist()
        shares = answers.probabilities[place].tolist()
        shown = {classes[number]: share for number, share in zip(numbers, shares, strict=True)}
        rest = None if answers.classes is None else max(0.0, 1.0 - math.fsum(shares))
        found.append(PredictedNode(node, classes[label], shown, float(answers.disagreement[place]), rest))
    return found
