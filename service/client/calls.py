"""Every request of the API as a value: what is sent, and how its answer is read. No connection is used here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, TypeAdapter

from olad_core.events import ClockSetting, Event, GraphSchema
from olad_core.schema import HeldSchema
from service import problems
from service.client.errors import ProblemDetails, UnknownClass
from service.models import (
    AcceptedBatch,
    ClockSet,
    EdgeList,
    EdgePrediction,
    EdgePredictions,
    EdgeValuePrediction,
    EmbeddingList,
    ExplainAnswer,
    ExplainEdgeAnswer,
    Group,
    KeyAnswer,
    LinkPrediction,
    LiveAnswer,
    ModelCard,
    NeighbourList,
    NodeEmbedding,
    NodeList,
    NodeValuePrediction,
    NodeValues,
    PartnerList,
    PredictingAnswer,
    Prediction,
    PredictionAnswer,
    PredictionList,
    ReadyAnswer,
    RejectedPage,
    ServiceStatus,
    VariantList,
    VariantPromoted,
    VariantRemoved,
    VersionChangeAccepted,
    WhatIfAnswer,
)
from service.store.samples import Timeline
from service.store.status import VersionsStatus

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)

Node: TypeAlias = str | int
"""A node's id. ``5`` and ``"5"`` are the same node."""
Order: TypeAlias = Literal["disagreement", "changed", "arrived", "id"]
"""By what a list of nodes is ordered."""
Top: TypeAlias = int | Literal["all"]
"""How many of the likeliest classes an answer shows."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Call(Generic[_T]):
    """One request.

    Attributes:
        method: of HTTP.
        path: percent-encoded.
        read: makes the answer of the body of a response.
        params: of the query.
        headers: beside those of the client.
        content: the body.
        position_of: the position of what was written; None for a request that writes no event.
    """

    method: str
    path: str
    read: Callable[[bytes], _T]
    params: Mapping[str, str | int | list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    position_of: Callable[[_T], str] | None = None

    def request(self) -> dict[str, Any]:
        """Arguments of a request of ``httpx``."""
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "headers": self.headers,
            "content": self.content,
        }


@dataclass(frozen=True)
class Wait:
    """What a read waits for, and whom it asks.

    Attributes:
        position: that predictions must show; None for the present ones.
        timeout_ms: how long one request waits for it.
        variant: that is asked; None for the champion.
    """

    position: str | None = None
    timeout_ms: int | None = None
    variant: str | None = None

    def params(self, **others: str | int | bool | None) -> dict[str, str | int]:
        """Parameters of the query: these, and others that are not None."""
        given = {"min_position": self.position, "timeout_ms": self.timeout_ms, "variant": self.variant, **others}
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in given.items()
            if value is not None
        }


def append(events: Sequence[Event], key: str | None) -> Call[AcceptedBatch]:
    """``POST /events`` with a batch."""
    return send(msgspec.json.encode(events), JSON, key)


def send(body: bytes, media_type: str, key: str | None) -> Call[AcceptedBatch]:
    """``POST /events`` with a batch as it is written. Without a key it gets a random one."""
    headers = {"content-type": media_type, "idempotency-key": key or f"client-{secrets.token_hex(16)}"}
    read = _reader(AcceptedBatch)
    return Call("POST", "/events", read, headers=headers, content=body, position_of=lambda done: done.position)


def rejected(limit: int, after: str | None) -> Call[RejectedPage]:
    """``GET /events/rejected``."""
    params: dict[str, str | int] = {"limit": limit} | ({} if after is None else {"after": after})
    return Call("GET", "/events/rejected", _reader(RejectedPage), params)


def predict_one(node: Node, wait: Wait, top: Top | None, at: str | None) -> Call[Prediction]:
    """``GET /predict/{node}``."""
    path = f"/predict/{quote(str(node), safe='')}"
    # What was served at a position is there, or not kept: it is not waited for.
    params = wait.params(top=top) if at is None else Wait(variant=wait.variant).params(top=top, at=at)
    return Call("GET", path, _reader(Prediction), params)


def predict_edge(
    src: Node | None, dst: Node | None, edge_id: Node | None, edge_type: str, weight: float, wait: Wait
) -> Call[EdgePrediction]:
    """``GET /predict/edge``.

    Raises:
        TypeError: no edge is named; the service would predict the node ``edge``.
    """
    return Call("GET", "/predict/edge", _reader(EdgePrediction), _edge(src, dst, edge_id, edge_type, weight, wait))


def predict_edge_value(
    src: Node | None, dst: Node | None, edge_id: Node | None, edge_type: str, weight: float, wait: Wait
) -> Call[EdgeValuePrediction]:
    """``GET /predict/edge`` of a type whose task predicts values.

    Raises:
        TypeError: no edge is named; the service would predict the node ``edge``.
    """
    return Call("GET", "/predict/edge", _reader(EdgeValuePrediction), _edge(src, dst, edge_id, edge_type, weight, wait))


def predict_value(node: Node, task: str | None, wait: Wait) -> Call[NodeValuePrediction]:
    """``GET /predict/{node}`` of a node whose value a task predicts."""
    path = f"/predict/{quote(str(node), safe='')}"
    return Call("GET", path, _reader(NodeValuePrediction), wait.params(task=task))


def predict_values(nodes: Sequence[Node], task: str | None, wait: Wait) -> Call[NodeValues]:
    """``POST /predict`` of nodes whose values a task predicts."""
    params, headers = wait.params(task=task), {"content-type": JSON}
    return Call("POST", "/predict", _reader(NodeValues), params, headers, _nodes_asked(nodes))


def predict_edges(edges: Sequence[Mapping[str, Any]], wait: Wait) -> Call[EdgePredictions]:
    """``POST /predict/edge``."""
    body = msgspec.json.encode({"edges": edges})
    return Call("POST", "/predict/edge", _reader(EdgePredictions), wait.params(), {"content-type": JSON}, body)


def top_edges(class_name: str, edge_type: str, limit: int, wait: Wait) -> Call[EdgeList]:
    """``GET /edges/top/{class}``."""
    path = f"/edges/top/{quote(class_name, safe='')}"
    return Call("GET", path, _reader(EdgeList), wait.params(type=edge_type, limit=limit))


def stream(
    after: str | None,
    types: Sequence[str],
    nodes: Sequence[Node],
    classes: Sequence[str],
    kinds: Sequence[str],
    variant: str | None,
) -> Call[bytes]:
    """``GET /stream``, whose answer does not end."""
    filters = {
        "type": [*types],
        "node": [str(node) for node in _several(nodes)],
        "class": [*classes],
        "kind": [*kinds],
        "variant": [] if variant is None else [variant],
    }
    headers = {"accept": "text/event-stream"} | ({} if after is None else {"last-event-id": after})
    return Call("GET", "/stream", bytes, {name: values for name, values in filters.items() if values}, headers)


def predict(nodes: Sequence[Node], wait: Wait, top: Top | None) -> Call[list[PredictionAnswer]]:
    """``POST /predict``."""
    asked, read = _nodes_asked(nodes), _reader(PredictionList)
    return Call(
        "POST",
        "/predict",
        lambda body: read(body).predictions,
        wait.params(top=top),
        {"content-type": JSON},
        asked,
    )


def predict_arrow(nodes: Sequence[Node], wait: Wait, top: Top | None) -> Call[bytes]:
    """``POST /predict``, answered as an Arrow stream."""
    headers = {"content-type": JSON, "accept": ARROW}
    return Call("POST", "/predict", bytes, wait.params(top=top), headers, _nodes_asked(nodes))


def predict_link(src: Node, dst: Node, edge_type: str, wait: Wait) -> Call[LinkPrediction]:
    """``GET /predict/link``."""
    params = wait.params(src=str(src), dst=str(dst), type=edge_type)
    return Call("GET", "/predict/link", _reader(LinkPrediction), params)


def links(node: Node, most: int, edge_type: str, linked: bool, wait: Wait) -> Call[PartnerList]:
    """``GET /links/{node}``."""
    path = f"/links/{quote(str(node), safe='')}"
    return Call("GET", path, _reader(PartnerList), wait.params(k=most, type=edge_type, linked=linked))


def embedding(node: Node, wait: Wait) -> Call[NodeEmbedding]:
    """``GET /embeddings/{node}``."""
    return Call("GET", f"/embeddings/{quote(str(node), safe='')}", _reader(NodeEmbedding), wait.params())


def embeddings(nodes: Sequence[Node], wait: Wait) -> Call[list[NodeEmbedding]]:
    """``POST /embeddings``."""
    asked, read = _nodes_asked(nodes), _reader(EmbeddingList)
    headers = {"content-type": JSON}
    return Call("POST", "/embeddings", lambda body: read(body).embeddings, wait.params(), headers, asked)


def embeddings_arrow(nodes: Sequence[Node], wait: Wait) -> Call[bytes]:
    """``POST /embeddings``, answered as an Arrow stream."""
    headers = {"content-type": JSON, "accept": ARROW}
    return Call("POST", "/embeddings", bytes, wait.params(), headers, _nodes_asked(nodes))


def top(class_name: str, limit: int, labelled: bool, wait: Wait) -> Call[NodeList]:
    """``GET /top/{class}``."""
    path = f"/top/{quote(class_name, safe='')}"
    return Call("GET", path, _nodes_of_class, wait.params(limit=limit, labelled=labelled))


def nodes(order: Order, limit: int, labelled: bool, wait: Wait, prefix: str) -> Call[NodeList]:
    """``GET /nodes``."""
    params = wait.params(order=order, limit=limit, labelled=labelled, prefix=prefix or None)
    return Call("GET", "/nodes", _reader(NodeList), params)


def what_if(events: Sequence[Event] | bytes, nodes: Sequence[Node], wait: Wait) -> Call[WhatIfAnswer]:
    """``POST /what-if``."""
    tried = msgspec.Raw(events) if isinstance(events, bytes) else events
    body = msgspec.json.encode({"events": tried, "nodes": _several(nodes)})
    return Call("POST", "/what-if", _reader(WhatIfAnswer), wait.params(), {"content-type": JSON}, body)


def explain(node: Node, most: int, wait: Wait) -> Call[ExplainAnswer]:
    """``GET /explain/{node}``."""
    path = f"/explain/{quote(str(node), safe='')}"
    return Call("GET", path, _reader(ExplainAnswer), wait.params(k=most))


def explain_edge(
    src: Node | None, dst: Node | None, edge_id: Node | None, edge_type: str, weight: float, most: int, wait: Wait
) -> Call[ExplainEdgeAnswer]:
    """``GET /explain/edge``.

    Raises:
        TypeError: no edge is named; the service would explain the node ``edge``.
    """
    params = {**_edge(src, dst, edge_id, edge_type, weight, wait), "k": most}
    return Call("GET", "/explain/edge", _reader(ExplainEdgeAnswer), params)


def neighbours(node: Node, limit: int, wait: Wait) -> Call[NeighbourList]:
    """``GET /neighbours/{node}``."""
    path = f"/neighbours/{quote(str(node), safe='')}"
    return Call("GET", path, _reader(NeighbourList), wait.params(limit=limit))


def key() -> Call[KeyAnswer]:
    """``GET /key``."""
    return Call("GET", "/key", _reader(KeyAnswer))


def schema() -> Call[HeldSchema]:
    """``GET /schema``."""
    return Call("GET", "/schema", _reader(HeldSchema))


def declare(change: GraphSchema) -> Call[HeldSchema]:
    """``PUT /schema`` with the fields that are not at their default."""
    body = change.model_dump_json(exclude_defaults=True).encode()
    return Call("PUT", "/schema", _reader(HeldSchema), headers={"content-type": JSON}, content=body)


def set_clock(time: float | None) -> Call[ClockSet]:
    """``PUT /clock``."""
    body = ClockSetting(time=time).model_dump_json().encode()
    read = _reader(ClockSet)
    headers = {"content-type": JSON}
    return Call("PUT", "/clock", read, headers=headers, content=body, position_of=lambda done: done.position)


def students(variant: str | None) -> Call[Group]:
    """``GET /students``."""
    return Call("GET", "/students", _reader(Group), _of(variant))


def versions(variant: str | None) -> Call[VersionsStatus]:
    """``GET /versions``."""
    return Call("GET", "/versions", _reader(VersionsStatus), _of(variant))


def variants() -> Call[VariantList]:
    """``GET /variants``."""
    return Call("GET", "/variants", _reader(VariantList))


def promote(name: str, timeout_ms: int | None) -> Call[VariantPromoted]:
    """``POST /variants/{name}/promote``."""
    path = f"/variants/{quote(name, safe='')}/promote"
    return Call("POST", path, _reader(VariantPromoted), Wait(timeout_ms=timeout_ms).params())


def remove_variant(name: str) -> Call[VariantRemoved]:
    """``DELETE /variants/{name}``."""
    return Call("DELETE", f"/variants/{quote(name, safe='')}", _reader(VariantRemoved))


def model_card(version: int, variant: str | None) -> Call[ModelCard]:
    """``GET /versions/{number}``."""
    return Call("GET", f"/versions/{version}", _reader(ModelCard), _of(variant))


def pin(version: int, variant: str | None) -> Call[VersionChangeAccepted]:
    """``PUT /versions/pinned``."""
    body = msgspec.json.encode({"version": version})
    return _change("PUT", "/versions/pinned", variant, {"content-type": JSON}, body)


def unpin(variant: str | None) -> Call[VersionChangeAccepted]:
    """``DELETE /versions/pinned``."""
    return _change("DELETE", "/versions/pinned", variant)


def roll_back(variant: str | None) -> Call[VersionChangeAccepted]:
    """``POST /versions/rollback``."""
    return _change("POST", "/versions/rollback", variant)


def _change(
    method: str, path: str, variant: str | None, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> Call[VersionChangeAccepted]:
    headers = {**(headers or {}), "idempotency-key": secrets.token_hex(16)}
    read = _reader(VersionChangeAccepted)
    return Call(method, path, read, _of(variant), headers, content, position_of=lambda done: done.position)


def status(variant: str | None) -> Call[ServiceStatus]:
    """``GET /status``."""
    return Call("GET", "/status", _reader(ServiceStatus), _of(variant))


def history(since: float, points: int, variant: str | None) -> Call[Timeline]:
    """``GET /history``."""
    return Call("GET", "/history", _reader(Timeline), {"since": str(since), "points": points, **_of(variant)})


def live() -> Call[LiveAnswer]:
    """``GET /health/live``."""
    return Call("GET", "/health/live", _reader(LiveAnswer))


def ready() -> Call[ReadyAnswer]:
    """``GET /health/ready``."""
    return Call("GET", "/health/ready", _reader(ReadyAnswer))


def predicting() -> Call[PredictingAnswer]:
    """``GET /health/predicting``."""
    return Call("GET", "/health/predicting", _reader(PredictingAnswer))


def metrics() -> Call[str]:
    """``GET /metrics``, in the text format of Prometheus."""
    return Call("GET", "/metrics", bytes.decode)


def _of(variant: str | None) -> dict[str, str | int]:
    return Wait(variant=variant).params()


def _reader(model: type[_Model]) -> Callable[[bytes], _Model]:
    return model.model_validate_json


_nodes_or_edges: TypeAdapter[NodeList | EdgeList] = TypeAdapter(NodeList | EdgeList)


def _nodes_of_class(body: bytes) -> NodeList:
    """The list of nodes.

    Raises:
        UnknownClass: the service lists edges, because no nodes are of the class.
    """
    found = _nodes_or_edges.validate_json(body)
    if isinstance(found, EdgeList):
        advice = f"it is a class of edges: list them by top_edges, or olad top --edges, of the type {found.type!r}"
        kind = problems.UNKNOWN_CLASS
        raise UnknownClass(advice, ProblemDetails(kind.name, kind.status, advice))
    return found


def _nodes_asked(asked: Sequence[Node]) -> bytes:
    return msgspec.json.encode({"nodes": _several(asked)})


def _several(asked: Sequence[Node]) -> list[Any]:
    """Several ids.

    Raises:
        TypeError: it is one id, whose letters would be ids.
    """
    if isinstance(asked, str):
        raise TypeError(f"nodes are a list of ids, and {asked!r} is one: write [{asked!r}], or use predict_one")
    return [*asked]


def _edge(
    src: Node | None, dst: Node | None, edge_id: Node | None, edge_type: str, weight: float, wait: Wait
) -> dict[str, str | int]:
    """Parameters that name an edge.

    Raises:
        TypeError: none is named; the service would predict the node ``edge``.
    """
    if src is None and dst is None and edge_id is None:
        raise TypeError("name the edge by src and dst, or by edge_id")
    named = {"src": src, "dst": dst, "id": edge_id, "type": edge_type, "weight": str(weight)}
    return wait.params(**named)
