"""The client for programs of ``asyncio``: the same methods as :class:`~service.client.http.Client`, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
import tenacity

from olad_core.events import Event, GraphSchema
from olad_core.graph_types import RELATION
from olad_core.schema import HeldSchema
from service.client import calls
from service.client.calls import Call, Node, Order, Top
from service.client.changes import SILENCE_S, Change, Follower
from service.client.session import Session
from service.models import (
    AcceptedBatch,
    ClockSet,
    EdgeList,
    EdgePrediction,
    EdgePredictions,
    EdgeValuePrediction,
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

if TYPE_CHECKING:
    from service.client.frames import SentFrame
    from service.replay.tables.mapping import RowMapping

_T = TypeVar("_T")


class AsyncClient:
    """A client of one service for ``asyncio``; see :class:`~service.client.http.Client`.

    Args:
        url: address of the service.
        key: API key, where the service needs one.
        patience_s: seconds for which one request is tried again; no attempt begins later.
        timeout_s: seconds that one attempt may take.
        read_own_writes: whether a read waits for what this client wrote before it.

    Raises:
        NoService: the URL cannot be that of a service.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        patience_s: float = 60.0,
        timeout_s: float = 30.0,
        read_own_writes: bool = True,
    ) -> None:
        self._session = Session(
            url, key=key, patience_s=patience_s, timeout_s=timeout_s, read_own_writes=read_own_writes
        )
        self._http = httpx.AsyncClient(**self._session.connection())
        self._retrying = tenacity.AsyncRetrying(**self._session.retries())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._session.url

    @property
    def position(self) -> str | None:
        """The greatest position that this client wrote; None before the first."""
        return self._session.position

    async def append(self, events: Sequence[Event], *, key: str | None = None) -> AcceptedBatch:
        """See :meth:`Client.append <service.client.http.Client.append>`."""
        return await self._send(calls.append(events, key))

    async def send(self, body: bytes, media_type: str = calls.JSON, *, key: str | None = None) -> AcceptedBatch:
        """See :meth:`Client.send <service.client.http.Client.send>`."""
        return await self._send(calls.send(body, media_type, key))

    async def rejected(self, *, limit: int = 100, after: str | None = None) -> RejectedPage:
        """See :meth:`Client.rejected <service.client.http.Client.rejected>`."""
        return await self._send(calls.rejected(limit, after))

    async def predict_one(
        self,
        node: Node,
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
        at: str | None = None,
    ) -> Prediction:
        """See :meth:`Client.predict_one <service.client.http.Client.predict_one>`."""
        return await self._send(calls.predict_one(node, self._session.wait(min_position, variant), top, at))

    async def predict_edge(
        self,
        src: Node | None = None,
        dst: Node | None = None,
        *,
        edge_id: Node | None = None,
        edge_type: str = RELATION,
        weight: float = 1.0,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> EdgePrediction:
        """See :meth:`Client.predict_edge <service.client.http.Client.predict_edge>`."""
        wait = self._session.wait(min_position, variant)
        return await self._send(calls.predict_edge(src, dst, edge_id, edge_type, weight, wait))

    async def top_edges(
        self,
        class_name: str,
        *,
        edge_type: str = RELATION,
        limit: int = 100,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> EdgeList:
        """See :meth:`Client.top_edges <service.client.http.Client.top_edges>`."""
        return await self._send(
            calls.top_edges(class_name, edge_type, limit, self._session.wait(min_position, variant))
        )

    async def predict_edges(
        self, edges: Sequence[Mapping[str, Any]], *, min_position: str | None = None, variant: str | None = None
    ) -> EdgePredictions:
        """See :meth:`Client.predict_edges <service.client.http.Client.predict_edges>`."""
        return await self._send(calls.predict_edges(edges, self._session.wait(min_position, variant)))

    async def predict_edge_value(
        self,
        src: Node | None = None,
        dst: Node | None = None,
        *,
        edge_id: Node | None = None,
        edge_type: str = RELATION,
        weight: float = 1.0,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> EdgeValuePrediction:
        """See :meth:`Client.predict_edge_value <service.client.http.Client.predict_edge_value>`."""
        wait = self._session.wait(min_position, variant)
        return await self._send(calls.predict_edge_value(src, dst, edge_id, edge_type, weight, wait))

    async def predict_value(
        self, node: Node, *, task: str | None = None, min_position: str | None = None
    ) -> NodeValuePrediction:
        """See :meth:`Client.predict_value <service.client.http.Client.predict_value>`."""
        return await self._send(calls.predict_value(node, task, self._session.wait(min_position)))

    async def predict_values(
        self, nodes: Sequence[Node], *, task: str | None = None, min_position: str | None = None
    ) -> NodeValues:
        """See :meth:`Client.predict_values <service.client.http.Client.predict_values>`."""
        return await self._send(calls.predict_values(nodes, task, self._session.wait(min_position)))

    async def predict(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> list[PredictionAnswer]:
        """See :meth:`Client.predict <service.client.http.Client.predict>`."""
        return await self._send(calls.predict(nodes, self._session.wait(min_position, variant), top))

    async def predict_arrow(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> bytes:
        """See :meth:`Client.predict_arrow <service.client.http.Client.predict_arrow>`."""
        return await self._send(calls.predict_arrow(nodes, self._session.wait(min_position, variant), top))

    async def predict_link(
        self,
        src: Node,
        dst: Node,
        *,
        edge_type: str = RELATION,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> LinkPrediction:
        """See :meth:`Client.predict_link <service.client.http.Client.predict_link>`."""
        return await self._send(calls.predict_link(src, dst, edge_type, self._session.wait(min_position, variant)))

    async def links(
        self,
        node: Node,
        *,
        most: int = 10,
        edge_type: str = RELATION,
        linked: bool = False,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> PartnerList:
        """See :meth:`Client.links <service.client.http.Client.links>`."""
        return await self._send(calls.links(node, most, edge_type, linked, self._session.wait(min_position, variant)))

    async def embedding(
        self, node: Node, *, min_position: str | None = None, variant: str | None = None
    ) -> NodeEmbedding:
        """See :meth:`Client.embedding <service.client.http.Client.embedding>`."""
        return await self._send(calls.embedding(node, self._session.wait(min_position, variant)))

    async def embeddings(
        self, nodes: Sequence[Node], *, min_position: str | None = None, variant: str | None = None
    ) -> list[NodeEmbedding]:
        """See :meth:`Client.embeddings <service.client.http.Client.embeddings>`."""
        return await self._send(calls.embeddings(nodes, self._session.wait(min_position, variant)))

    async def embeddings_arrow(
        self, nodes: Sequence[Node], *, min_position: str | None = None, variant: str | None = None
    ) -> bytes:
        """See :meth:`Client.embeddings_arrow <service.client.http.Client.embeddings_arrow>`."""
        return await self._send(calls.embeddings_arrow(nodes, self._session.wait(min_position, variant)))

    async def append_frame(
        self, frame: Any, mapping: RowMapping | Mapping[str, Any], *, key: str | None = None, declare: bool = False
    ) -> SentFrame:
        """See :meth:`Client.append_frame <service.client.http.Client.append_frame>`."""
        from service.client.frames import frame_events  # noqa: PLC0415

        found = frame_events(frame, mapping)
        if declare:
            await self.declare(found.schema)
        return found.sent([await self._send(call) for call in found.calls(key)])

    async def predict_table(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> Any:
        """See :meth:`Client.predict_table <service.client.http.Client.predict_table>`."""
        from service.client.frames import joined, parts_of  # noqa: PLC0415

        return joined(
            [
                await self.predict_arrow(part, min_position=min_position, variant=variant, top=top)
                for part in parts_of(nodes)
            ]
        )

    async def predict_frame(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> Any:
        """See :meth:`Client.predict_frame <service.client.http.Client.predict_frame>`."""
        return (await self.predict_table(nodes, min_position=min_position, variant=variant, top=top)).to_pandas()

    async def top(
        self,
        class_name: str,
        *,
        limit: int = 100,
        labelled: bool = False,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> NodeList:
        """See :meth:`Client.top <service.client.http.Client.top>`."""
        return await self._send(calls.top(class_name, limit, labelled, self._session.wait(min_position, variant)))

    async def nodes(
        self,
        order: Order,
        *,
        limit: int = 100,
        labelled: bool = False,
        prefix: str = "",
        min_position: str | None = None,
        variant: str | None = None,
    ) -> NodeList:
        """See :meth:`Client.nodes <service.client.http.Client.nodes>`."""
        return await self._send(calls.nodes(order, limit, labelled, self._session.wait(min_position, variant), prefix))

    async def what_if(
        self,
        events: Sequence[Event] | bytes,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> WhatIfAnswer:
        """See :meth:`Client.what_if <service.client.http.Client.what_if>`."""
        return await self._send(calls.what_if(events, nodes, self._session.wait(min_position, variant)))

    async def neighbours(
        self, node: Node, *, limit: int = 100, min_position: str | None = None, variant: str | None = None
    ) -> NeighbourList:
        """See :meth:`Client.neighbours <service.client.http.Client.neighbours>`."""
        return await self._send(calls.neighbours(node, limit, self._session.wait(min_position, variant)))

    async def key(self) -> KeyAnswer:
        """See :meth:`Client.key <service.client.http.Client.key>`."""
        return await self._send(calls.key())

    async def explain(
        self, node: Node, *, most: int = 10, min_position: str | None = None, variant: str | None = None
    ) -> ExplainAnswer:
        """See :meth:`Client.explain <service.client.http.Client.explain>`."""
        return await self._send(calls.explain(node, most, self._session.wait(min_position, variant)))

    async def explain_edge(
        self,
        src: Node | None = None,
        dst: Node | None = None,
        *,
        edge_id: Node | None = None,
        edge_type: str = RELATION,
        weight: float = 1.0,
        most: int = 10,
        min_position: str | None = None,
    ) -> ExplainEdgeAnswer:
        """See :meth:`Client.explain_edge <service.client.http.Client.explain_edge>`."""
        wait = self._session.wait(min_position)
        return await self._send(calls.explain_edge(src, dst, edge_id, edge_type, weight, most, wait))

    async def stream(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] = (),
        nodes: Sequence[Node] = (),
        classes: Sequence[str] = (),
        kinds: Sequence[str] = (),
        variant: str | None = None,
    ) -> AsyncGenerator[Change, None]:
        """See :meth:`Client.stream <service.client.http.Client.stream>`; ``aclose()`` ends the connection."""
        follower = Follower(after, types, nodes, classes, kinds, variant)
        while True:
            answer: httpx.Response = await self._retrying(self._open, follower.call())
            async with contextlib.aclosing(answer):
                with contextlib.suppress(httpx.TransportError):
                    async for part in answer.aiter_bytes():
                        for change in follower.read(part):
                            yield change
            await asyncio.sleep(follower.pause_s())

    async def schema(self) -> HeldSchema:
        """See :meth:`Client.schema <service.client.http.Client.schema>`."""
        return await self._send(calls.schema())

    async def declare(self, schema: GraphSchema) -> HeldSchema:
        """See :meth:`Client.declare <service.client.http.Client.declare>`."""
        return await self._send(calls.declare(schema))

    async def set_clock(self, time: float | None) -> ClockSet:
        """See :meth:`Client.set_clock <service.client.http.Client.set_clock>`."""
        return await self._send(calls.set_clock(time))

    async def students(self, *, variant: str | None = None) -> Group:
        """See :meth:`Client.students <service.client.http.Client.students>`."""
        return await self._send(calls.students(variant))

    async def versions(self, *, variant: str | None = None) -> VersionsStatus:
        """See :meth:`Client.versions <service.client.http.Client.versions>`."""
        return await self._send(calls.versions(variant))

    async def variants(self) -> VariantList:
        """See :meth:`Client.variants <service.client.http.Client.variants>`."""
        return await self._send(calls.variants())

    async def promote(self, name: str, *, timeout_ms: int | None = None) -> VariantPromoted:
        """See :meth:`Client.promote <service.client.http.Client.promote>`."""
        return await self._send(calls.promote(name, timeout_ms))

    async def remove_variant(self, name: str) -> VariantRemoved:
        """See :meth:`Client.remove_variant <service.client.http.Client.remove_variant>`."""
        return await self._send(calls.remove_variant(name))

    async def model_card(self, version: int, *, variant: str | None = None) -> ModelCard:
        """See :meth:`Client.model_card <service.client.http.Client.model_card>`."""
        return await self._send(calls.model_card(version, variant))

    async def pin(self, version: int, *, variant: str | None = None) -> VersionChangeAccepted:
        """See :meth:`Client.pin <service.client.http.Client.pin>`."""
        return await self._send(calls.pin(version, variant))

    async def unpin(self, *, variant: str | None = None) -> VersionChangeAccepted:
        """See :meth:`Client.unpin <service.client.http.Client.unpin>`."""
        return await self._send(calls.unpin(variant))

    async def roll_back(self, *, variant: str | None = None) -> VersionChangeAccepted:
        """See :meth:`Client.roll_back <service.client.http.Client.roll_back>`."""
        return await self._send(calls.roll_back(variant))

    async def status(self, *, variant: str | None = None) -> ServiceStatus:
        """See :meth:`Client.status <service.client.http.Client.status>`."""
        return await self._send(calls.status(variant))

    async def history(self, *, since: float = 0.0, points: int = 300, variant: str | None = None) -> Timeline:
        """See :meth:`Client.history <service.client.http.Client.history>`."""
        return await self._send(calls.history(since, points, variant))

    async def live(self) -> LiveAnswer:
        """See :meth:`Client.live <service.client.http.Client.live>`."""
        return await self._send(calls.live())

    async def ready(self) -> ReadyAnswer:
        """See :meth:`Client.ready <service.client.http.Client.ready>`."""
        return await self._send(calls.ready())

    async def predicting(self) -> PredictingAnswer:
        """See :meth:`Client.predicting <service.client.http.Client.predicting>`."""
        return await self._send(calls.predicting())

    async def metrics(self) -> str:
        """See :meth:`Client.metrics <service.client.http.Client.metrics>`."""
        return await self._send(calls.metrics())

    async def _send(self, call: Call[_T]) -> _T:
        return await self._retrying(self._once, call)

    async def _open(self, call: Call[bytes]) -> httpx.Response:
        request = self._http.build_request(**call.request(), timeout=self._session.following(SILENCE_S))
        try:
            answer = await self._http.send(request, stream=True)
            if not answer.is_success:
                async with contextlib.aclosing(answer):
                    await answer.aread()
        except httpx.TransportError as error:
            raise self._session.unreachable(error) from None
        return self._session.opened(call, answer)

    async def _once(self, call: Call[_T]) -> _T:
        try:
            answer = await self._http.request(**call.request())
        except httpx.TransportError as error:
            raise self._session.unreachable(error) from None
        return self._session.read(call, answer)
