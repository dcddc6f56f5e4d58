"""Questions to the worker that need more than what is published, their answers, and the API's side of both.

A question stands under a key of its own that expires, and an entry of the requests names it. The worker writes the
answer in the transaction that publishes the position it is exact for. See ``docs/decisions/0042-what-if.md``.
"""

from __future__ import annotations

import secrets
from typing import Literal, NamedTuple, TypeAlias, cast

import msgspec
from redis.asyncio import Redis

from olad_core.events import SparseFeatures
from service.store.champion import require_champion
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.store.presence import ask, is_there
from service.store.request_writer import ENTRIES_KEPT

ANSWER_KEPT_MS = 5_000
"""For so long an answer waits for the reader who asked."""


class WhatIfAsked(msgspec.Struct, frozen=True, tag="what-if"):
    """What events would lead to.

    Attributes:
        events: as they stand in the log.
        nodes: ids of the nodes to predict.
    """

    events: bytes
    nodes: list[str]


class ExplainAsked(msgspec.Struct, frozen=True, tag="explain"):
    """Why a node is predicted as it is.

    Attributes:
        node: its id.
        shown: how many effects are wanted at most.
    """

    node: str
    shown: int


class EdgeAsked(msgspec.Struct, frozen=True, tag="edge", omit_defaults=True):
    """What the class or the value of an edge is.

    Attributes:
        edge_type: of the edge.
        ends: ids of source and target; None for an edge that is named by its id.
        edge: its id.
        weight: of an edge that has not arrived.
        x: its features; zeros where they are left out.
    """

    edge_type: str
    ends: tuple[str, str] | None = None
    edge: str | None = None
    weight: float = 1.0
    x: list[float] | SparseFeatures | None = None


class ExplainEdgeAsked(msgspec.Struct, frozen=True, tag="explain-edge"):
    """Why an edge is predicted as it is.

    Attributes:
        edge: which one.
        shown: how many labels of earlier edges are wanted at most.
    """

    edge: EdgeAsked
    shown: int


class EdgesAsked(msgspec.Struct, frozen=True, tag="edges"):
    """What the classes of several edges are."""

    edges: list[EdgeAsked]


class NodeValuesAsked(msgspec.Struct, frozen=True, tag="node-values"):
    """What the values of nodes are.

    Attributes:
        nodes: their ids.
        task: that predicts; None for that of each node's type.
    """

    nodes: list[str]
    task: str | None = None


class TopEdgesAsked(msgspec.Struct, frozen=True, tag="top-edges"):
    """Which edges without a label are likeliest to be of a class.

    Attributes:
        edge_type: of the edges.
        of_class: the class.
        shown: how many edges are wanted at most.
    """

    edge_type: str
    of_class: str
    shown: int


class NeighboursAsked(msgspec.Struct, frozen=True, tag="neighbours"):
    """What edges a node has.

    Attributes:
        node: its id.
        shown: how many edges are wanted at most.
    """

    node: str
    shown: int


class EmbeddingsAsked(msgspec.Struct, frozen=True, tag="embeddings"):
    """What the embeddings of nodes are.

    Attributes:
        nodes: their ids, one at least.
    """

    nodes: list[str]


class LinkAsked(msgspec.Struct, frozen=True, tag="link"):
    """How likely an edge is.

    Attributes:
        edge_type: of the edge.
        source: id of the node where it begins.
        target: id of the node where it ends.
    """

    edge_type: str
    source: str
    target: str


class PartnersAsked(msgspec.Struct, frozen=True, tag="partners"):
    """To which nodes an edge from a node is likeliest.

    Attributes:
        edge_type: of the edges.
        node: its id.
        most: partners that are wanted.
        linked: whether those to which it has an edge of the type are listed, too.
    """

    edge_type: str
    node: str
    most: int
    linked: bool


Question: TypeAlias = (
    WhatIfAsked
    | ExplainAsked
    | EdgeAsked
    | ExplainEdgeAsked
    | EdgesAsked
    | NodeValuesAsked
    | TopEdgesAsked
    | NeighboursAsked
    | EmbeddingsAsked
    | LinkAsked
    | PartnersAsked
)


class PredictedNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prediction of a node.

    Attributes:
        node: its id.
        label: the class that labels it.
        probabilities: by class; of many classes the likeliest.
        disagreement: how far the members of the group differ.
        rest: probability of the classes that are not there; None where all are.
    """

    node: str
    label: str
    probabilities: dict[str, float]
    disagreement: float
    rest: float | None = None


class RejectedTry(msgspec.Struct, frozen=True):
    """An event that would be rejected: its place among the events, its kind and why."""

    index: int
    op: str
    reason: str
    detail: str


class Source(msgspec.Struct, frozen=True):
    """What an answer is exact for.

    Attributes:
        position: of the log.
        applied_events: number of events up to there.
        version: that predicts.
        student: of the version.
    """

    position: str
    applied_events: int
    version: int
    student: str


class WhatIfAnswered(msgspec.Struct, frozen=True, tag="what-if"):
    """What events would lead to: predictions of nodes that would be there, and the events that would be rejected."""

    source: Source
    nodes: list[PredictedNode]
    rejected: list[RejectedTry]


class ShownEffect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What taking away one thing does (:class:`olad_core.serving.explain.Effect`)."""

    kind: str
    node: str
    change: float
    type: str | None = None
    label: str | None = None


class ExplainAnswered(msgspec.Struct, frozen=True, tag="explain"):
    """Why a node has its label (:class:`olad_core.serving.explain.Explanation`)."""

    source: Source
    label: str
    probability: float
    effects: list[ShownEffect]
    count: int
    total: float
    interaction: float


class EdgeAnswered(msgspec.Struct, frozen=True, tag="edge"):
    """The prediction of an edge.

    Attributes:
        source: what it is exact for; the version is that of the task, the number of steps that its head had taken.
        task: that predicts.
        probabilities: by class.
        at_arrival: the same when the edge arrived; None where it has not, or nothing was answered.
        truth: its label; None where it is not known.
        remembered: whether the edge has arrived.
    """

    source: Source
    task: str
    probabilities: dict[str, float]
    at_arrival: dict[str, float] | None
    truth: str | None
    remembered: bool


class ShownPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What taking away a part does (:class:`olad_core.tasks.edge_class.input_parts.Part`)."""

    kind: str
    change: float
    end: str | None = None


class EarlierLabel(msgspec.Struct, frozen=True, omit_defaults=True):
    """What taking away the label of an earlier edge does: both ends, the label, and the edge's id where it has one."""

    src: str
    dst: str
    label: str
    change: float
    id: str | None = None


class ExplainEdgeAnswered(msgspec.Struct, frozen=True, tag="explain-edge"):
    """Why an edge has its class (:class:`olad_core.tasks.edge_class.EdgeExplanation`).

    Attributes:
        source: what it is exact for; the version is that of the task.
        task: that predicts.
        label, probability: what is explained.
        arrived: whether the edge has arrived.
        effects: of all parts that are known.
        total, interaction: of everything together.
        labels: of earlier edges.
        count: how many were taken away.
    """

    source: Source
    task: str
    label: str
    probability: float
    arrived: bool
    effects: list[ShownPart]
    total: float
    interaction: float
    labels: list[EarlierLabel]
    count: int


class EmbeddingsAnswered(msgspec.Struct, frozen=True, tag="embeddings"):
    """Embeddings of the first ones of the nodes that were asked for: as many as one answer may read.

    Attributes:
        source: what they are exact for; the student is the one whose embeddings they are.
        table: number of the weights that they are of: those of one version may be renewed.
        width: numbers of each.
        there: a byte for each of these nodes, 1 where it is in the graph.
        vectors: float32, little-endian, those of all of these nodes one after the other; zeros where there is no node.
    """

    source: Source
    table: int
    width: int
    there: bytes
    vectors: bytes


class LinksAnswered(msgspec.Struct, frozen=True, tag="links"):
    """Scores of edges from a node (:class:`olad_core.link_tasks.LinkAnswer`).

    Attributes:
        source: what they are exact for; the version is that of the task, the number of steps that it had taken.
        task: that predicts.
        nodes: the other ends.
        scores: of these.
        linked: whether there is an edge of the type now, for each.
        scored: candidates that were scored.
        all: whether all candidates were.
    """

    source: Source
    task: str
    nodes: list[str]
    scores: list[float]
    linked: list[bool]
    scored: int
    all: bool


class TopEdge(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edge of a list: both ends, what is predicted of it by class, and its id where it has one."""

    src: str
    dst: str
    probabilities: dict[str, float]
    id: str | None = None


class TopEdgesAnswered(msgspec.Struct, frozen=True, tag="top-edges"):
    """The edges without a label that are likeliest to be of a class, the likeliest first.

    Attributes:
        source: what they are exact for; the version is that of the task.
        task: that predicts.
        edges: the list.
        compared: edges among which they were found.
        waiting: edges that are remembered and have no label.
    """

    source: Source
    task: str
    edges: list[TopEdge]
    compared: int
    waiting: int


class ValueAnswered(msgspec.Struct, frozen=True, tag="value"):
    """The predicted value of an edge.

    Attributes:
        source: what it is exact for; the version is that of the task, the number of steps that its head had taken.
        task: that predicts.
        coverage: share of the values that shall lie in the interval.
        now: value, then low and high of its interval.
        at_arrival: the same when the edge arrived; None where it has not, or nothing was answered.
        truth: its value; None where it is not known.
        remembered: whether the edge has arrived.
    """

    source: Source
    task: str
    coverage: float
    now: tuple[float, float, float]
    at_arrival: tuple[float, float, float] | None
    truth: float | None
    remembered: bool


NoValue: TypeAlias = Literal["no-task", "no-model", "unknown-node", "too-large"]
"""Why a node has no predicted value."""


class NodeValue(msgspec.Struct, frozen=True):
    """The predicted value of a node.

    Attributes:
        task: that predicts.
        version: steps that its head had taken.
        coverage: share of the values that shall lie in the interval.
        now: value, then low and high of its interval.
        at_arrival: the same when the node arrived; None where nothing was answered, or it is not remembered.
        truth: its value; None where it is not known.
    """

    task: str
    version: int
    coverage: float
    now: tuple[float, float, float]
    at_arrival: tuple[float, float, float] | None
    truth: float | None


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why there is no answer.

    Attributes:
        reason: in a word.
        need: nodes and edges that the answer would read, at least; 0 where that is not the reason.
        most: how many it may read.
        source: at what position a node is not there; None where that is not the reason.
    """

    reason: Literal[
        "no-model",
        "too-large",
        "unknown-node",
        "no-task",
        "few-labels",
        "few-values",
        "few-edges",
        "unknown-edge",
        "value-task",
        "unknown-class",
        "partitioned",
        "failed",
    ]
    need: int = 0
    most: int = 0
    source: Source | None = None


class ShownEdge(msgspec.Struct, frozen=True, omit_defaults=True):
    """An edge of a node (:class:`olad_core.graph.edges_of_node.NodeEdge`)."""

    node: str
    direction: str
    weight: float
    type: str | None = None
    label: str | None = None


class NeighboursAnswered(msgspec.Struct, frozen=True, tag="neighbours"):
    """The edges of a node (:class:`olad_core.graph.edges_of_node.NodeEdges`); the source has no version."""

    source: Source
    label: str | None
    edges: list[ShownEdge]
    count: int


class EdgesAnswered(msgspec.Struct, frozen=True, tag="edges"):
    """The predictions of several edges, or why one has none, in the order of the question.

    Attributes:
        source: what they are exact for; each has the version of its own task.
        edges: one for each edge.
    """

    source: Source
    edges: list[EdgeAnswered | ValueAnswered | Refused]


class NodeValuesAnswered(msgspec.Struct, frozen=True, tag="node-values"):
    """The predicted values of nodes, or in a word why one has none, in the order of the question.

    Attributes:
        source: what they are exact for; each has the version of its own task.
        nodes: one for each node.
        need: edges that would be read for all of them.
        most: how many may be read.
    """

    source: Source
    nodes: list[NodeValue | NoValue]
    need: int = 0
    most: int = 0


Answer: TypeAlias = (
    WhatIfAnswered
    | ExplainAnswered
    | EdgeAnswered
    | ExplainEdgeAnswered
    | ValueAnswered
    | EdgesAnswered
    | NodeValuesAnswered
    | TopEdgesAnswered
    | NeighboursAnswered
    | EmbeddingsAnswered
    | LinksAnswered
    | Refused
)
_answer = msgspec.msgpack.Decoder(Answer)


class Asked(NamedTuple):
    """A question that is on its way: its name, and the id of its entry in the requests."""

    name: str
    request: PositionPair


class QuestionStore:
    """Asks questions and takes the answers.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        as_champion: whether the variant must be the champion when it is asked, and when it has answered.
    """

    def __init__(self, redis: Redis, keys: Keys, *, as_champion: bool = False) -> None:
        self._redis = redis
        self._keys = keys
        self._as_champion = as_champion

    async def ask(self, question: Question, timeout_ms: int) -> Asked | None:
        """Ask; None where the worker is away.

        Args:
            question: what is asked.
            timeout_ms: how long somebody waits for the answer, 1 at least.

        Raises:
            RedisError: where Redis refuses, or cannot be reached.
            OSError: where it cannot be reached.
            ChampionMoved: another variant is the champion.
        """
        presence = self._redis.pipeline(transaction=False)
        presence.get(self._keys.champion)
        ask(presence, self._keys)
        champion, *there = await presence.execute()
        self._require(champion)
        if not is_there(*there):
            return None
        name = secrets.token_hex(16)
        pipe = self._redis.pipeline(transaction=True)
        pipe.set(self._keys.question(name), msgspec.msgpack.encode(question), px=timeout_ms)
        pipe.xadd(self._keys.requests, {"question": name}, maxlen=ENTRIES_KEPT, approximate=True)
        _, number = await pipe.execute()
        return Asked(name, parse_position(cast("bytes", number).decode()))

    async def take(self, asked: Asked) -> tuple[Answer | None, int]:
        """The answer, which is then gone like the question, and the number of events in the log.

        The answer is None where there is none.

        Raises:
            ChampionMoved: another variant is the champion.
        """
        pipe = self._redis.pipeline(transaction=True)
        pipe.get(self._keys.appended)
        pipe.get(self._keys.champion)
        pipe.get(self._keys.reply(asked.name))
        pipe.unlink(self._keys.reply(asked.name), self._keys.question(asked.name))
        appended, champion, found, _ = await pipe.execute()
        self._require(champion)
        return (_answer.decode(found) if found is not None else None), int(appended or 0)

    def _require(self, champion: bytes | None) -> None:
        if self._as_champion:
            require_champion(champion, self._keys.variant)

    async def withdraw(self, asked: Asked) -> None:
        """Let the worker pass a question over that nobody waits for any more."""
        await self._redis.unlink(self._keys.question(asked.name))
