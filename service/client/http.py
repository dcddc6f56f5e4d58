"""The client for programs that wait for each answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping, Sequence
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


class Client:
    """A client of one service. Threads may share it, and it keeps its connections open.

    Connection errors, waits that ran out and the answers 429, 502, 503 and 504 are tried again, after the time in
    ``Retry-After`` where the service names one. Every request may be repeated: a batch carries an Idempotency-Key.

    Args:
        url: address of the service.
        key: API key, where the service needs one.
        patience_s: seconds for which one request is tried again; no attempt begins later.
        timeout_s: seconds that one attempt may take.
        read_own_writes: whether a read waits for what this client wrote before it.
        stop: ends the waiting early.

    Raises:
        NoService: the URL cannot be that of a service.

    Every method raises a :class:`~service.client.errors.ServiceError`, of the class that fits the problem. Those that
    read take ``variant``: the one that is asked instead of the champion, by its name or an alias.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        patience_s: float = 60.0,
        timeout_s: float = 30.0,
        read_own_writes: bool = True,
        stop: threading.Event | None = None,
    ) -> None:
        self._session = Session(
            url, key=key, patience_s=patience_s, timeout_s=timeout_s, read_own_writes=read_own_writes
        )
        self._http = httpx.Client(**self._session.connection())
        self._stop = stop = stop or threading.Event()
        retries = self._session.retries()
        retries["stop"] |= tenacity.stop_when_event_set(stop)
        self._retrying = tenacity.Retrying(**retries, sleep=tenacity.sleep_using_event(stop))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._session.url

    @property
    def position(self) -> str | None:
        """The greatest position that this client wrote; None before the first."""
        return self._session.position

    def append(self, events: Sequence[Event], *, key: str | None = None) -> AcceptedBatch:
        """``POST /events``: append one batch, whole or not at all.

        Args:
            events: 10,000 at most.
            key: Idempotency-Key: the same key with the same batch again appends nothing, and answers the same
                position. Left out: a random one, so that a retry of this call appends nothing twice.
        """
        return self._send(calls.append(events, key))

    def send(self, body: bytes, media_type: str = calls.JSON, *, key: str | None = None) -> AcceptedBatch:
        """``POST /events`` with a batch as it is written.

        Args:
            body: the events.
            media_type: ``application/json`` or ``application/x-ndjson``.
            key: as for :meth:`append`.
        """
        return self._send(calls.send(body, media_type, key))

    def rejected(self, *, limit: int = 100, after: str | None = None) -> RejectedPage:
        """``GET /events/rejected``: events that could not be applied, newest first.

        Args:
            limit: events in one page, 1,000 at most.
            after: ``next`` of the page before.
        """
        return self._send(calls.rejected(limit, after))

    def predict_one(
        self,
        node: Node,
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
        at: str | None = None,
    ) -> Prediction:
        """``GET /predict/{node}``.

        Args:
            node: its id.
            min_position: as for :meth:`predict`.
            variant: likewise.
            top: likewise.
            at: a position that predictions have shown: the answer is what was served then.

        Raises:
            UnknownNode: it is not in the graph.
            NotKept: answers of the position ``at`` are not kept.
            NoModel: none is published yet.
        """
        return self._send(calls.predict_one(node, self._session.wait(min_position, variant), top, at))

    def predict_edge(
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
        """``GET /predict/edge``: the class of an edge of a type that has a task, whether it is there or not.

        Args:
            src: where it begins.
            dst: where it ends.
            edge_id: its id, instead of both ends.
            edge_type: its type.
            weight: of an edge that has not arrived.
            min_position: as for :meth:`predict_one`.
            variant: likewise.

        Raises:
            NoTask: edges of the type have no task.
            UnknownEdge: no edge of that id is remembered.
            TypeError: no edge is named.
        """
        wait = self._session.wait(min_position, variant)
        return self._send(calls.predict_edge(src, dst, edge_id, edge_type, weight, wait))

    def top_edges(
        self,
        class_name: str,
        *,
        edge_type: str = RELATION,
        limit: int = 100,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> EdgeList:
        """``GET /edges/top/{class}``: the edges without a label most likely to be of a class.

        Args:
            class_name: of the class.
            edge_type: of the edges.
            limit: edges in the list, 1,000 at most.
            min_position: as for :meth:`predict_one`.
            variant: likewise.

        Raises:
            NoTask: edges of the type have no task.
            UnknownClass: the task has no such class.
        """
        return self._send(calls.top_edges(class_name, edge_type, limit, self._session.wait(min_position, variant)))

    def predict_edges(
        self, edges: Sequence[Mapping[str, Any]], *, min_position: str | None = None, variant: str | None = None
    ) -> EdgePredictions:
        """``POST /predict/edge``: the classes of edges, all of one position.

        Args:
            edges: 1 to 100, each with ``src`` and ``dst``, or ``id``; optional ``type``, and ``weight`` and ``x``
                (features) of an edge that has not arrived.
            min_position: as for :meth:`predict_one`.
            variant: likewise.
        """
        return self._send(calls.predict_edges(edges, self._session.wait(min_position, variant)))

    def predict_edge_value(
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
        """``GET /predict/edge``: the value of an edge of a type whose task is ``edge_value``, with its interval.

        Arguments and errors are those of :meth:`predict_edge`.
        """
        wait = self._session.wait(min_position, variant)
        return self._send(calls.predict_edge_value(src, dst, edge_id, edge_type, weight, wait))

    def predict_value(
        self, node: Node, *, task: str | None = None, min_position: str | None = None
    ) -> NodeValuePrediction:
        """``GET /predict/{node}``: the value of a node that a task predicts, with its interval.

        Args:
            node: its id.
            task: name of a ``node_value`` task. Left out: that of the node's type, in a graph without classes.
            min_position: as for :meth:`predict_one`.

        Raises:
            NoTask: nodes of the type have no such task.
            UnknownNode: it is not in the graph.
            NoModel: too few values have come.
        """
        return self._send(calls.predict_value(node, task, self._session.wait(min_position)))

    def predict_values(
        self, nodes: Sequence[Node], *, task: str | None = None, min_position: str | None = None
    ) -> NodeValues:
        """``POST /predict``: the values of up to 1,000 nodes, all of one position. Arguments: :meth:`predict_value`.

        A node without a value has an ``error``.
        """
        return self._send(calls.predict_values(nodes, task, self._session.wait(min_position)))

    def predict(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> list[PredictionAnswer]:
        """``POST /predict``: the predictions of up to 10,000 nodes, in their order.

        A node that is not in the graph has no label.

        Args:
            nodes: their ids.
            min_position: waits until predictions show this position. Left out: that of the writes of this client.
            variant: that is asked (``variants()``), or ``challenger``. Left out: the champion.
            top: so many of the likeliest classes of each, or ``all``. Left out: all, or 32 where the graph has more
                than 64 classes.

        Raises:
            NoModel: none is published yet.
            PositionNotReached: the worker is behind.
        """
        return self._send(calls.predict(nodes, self._session.wait(min_position, variant), top))

    def predict_arrow(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> bytes:
        """The same as :meth:`predict` as an Arrow stream, for large answers several times smaller and faster."""
        return self._send(calls.predict_arrow(nodes, self._session.wait(min_position, variant), top))

    def predict_link(
        self,
        src: Node,
        dst: Node,
        *,
        edge_type: str = RELATION,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> LinkPrediction:
        """``GET /predict/link``: how likely an edge of a type with a ``link`` task is. The ends may be unknown.

        Args:
            src: where it would begin.
            dst: where it would end.
            edge_type: its type.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            NoTask: edges of the type have no such task.
            NoModel: too few edges have arrived.
        """
        return self._send(calls.predict_link(src, dst, edge_type, self._session.wait(min_position, variant)))

    def links(
        self,
        node: Node,
        *,
        most: int = 10,
        edge_type: str = RELATION,
        linked: bool = False,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> PartnerList:
        """``GET /links/{node}``: the nodes to which an edge from a node is likeliest.

        Args:
            node: its id.
            most: how many are listed, 1,000 at most.
            edge_type: of the edges.
            linked: whether nodes to which there is such an edge are listed, too.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            UnknownNode: it is not in the graph.
            NoTask: edges of the type have no such task.
            NoModel: too few edges have arrived.
        """
        return self._send(calls.links(node, most, edge_type, linked, self._session.wait(min_position, variant)))

    def embedding(self, node: Node, *, min_position: str | None = None, variant: str | None = None) -> NodeEmbedding:
        """``GET /embeddings/{node}``: the embedding of a node by a student of the served version.

        Args:
            node: its id.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            UnknownNode: it is not in the graph.
            TooLarge: its neighbourhood is larger than an answer may read.
            NoModel: none is published yet.
        """
        return self._send(calls.embedding(node, self._session.wait(min_position, variant)))

    def embeddings(
        self, nodes: Sequence[Node], *, min_position: str | None = None, variant: str | None = None
    ) -> list[NodeEmbedding]:
        """``POST /embeddings``: the embeddings of up to 1,000 nodes, in their order, all of one version and student.

        A node that is not in the graph has none.

        Args:
            nodes: their ids, one at least.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            NoModel: none is published yet.
        """
        return self._send(calls.embeddings(nodes, self._session.wait(min_position, variant)))

    def embeddings_arrow(
        self, nodes: Sequence[Node], *, min_position: str | None = None, variant: str | None = None
    ) -> bytes:
        """The same as :meth:`embeddings` as an Arrow stream."""
        return self._send(calls.embeddings_arrow(nodes, self._session.wait(min_position, variant)))

    def append_frame(
        self, frame: Any, mapping: RowMapping | Mapping[str, Any], *, key: str | None = None, declare: bool = False
    ) -> SentFrame:
        """Append the rows of a data frame as events; nothing is sent of a frame with a value that does not fit.

        Args:
            frame: a pandas ``DataFrame``, a ``pyarrow.Table``, or what else has ``__arrow_c_stream__``.
            mapping: what its columns are, as in a mapping file (``docs/files.md``).
            key: begins the Idempotency-Key of each batch: the same frame again with it appends nothing.
            declare: whether to declare the width of features and the classes that were found, before all else.

        Raises:
            UnreadableDataset: naming row, column and value that do not fit.
        """
        from service.client.frames import frame_events  # noqa: PLC0415

        found = frame_events(frame, mapping)
        if declare:
            self.declare(found.schema)
        return found.sent([self._send(call) for call in found.calls(key)])

    def predict_table(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> Any:
        """The predictions of any number of nodes as a ``pyarrow.Table``; columns as in :func:`.prediction_table`.

        Args:
            nodes: their ids, asked for by 10,000.
            min_position: as for :meth:`predict`.
            variant: likewise.
            top: likewise.
        """
        from service.client.frames import joined, parts_of  # noqa: PLC0415

        return joined(
            [self.predict_arrow(part, min_position=min_position, variant=variant, top=top) for part in parts_of(nodes)]
        )

    def predict_frame(
        self,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
        top: Top | None = None,
    ) -> Any:
        """The same as :meth:`predict_table` as a pandas ``DataFrame``. Needs pandas and pyarrow."""
        return (self.predict_table(nodes, min_position=min_position, variant=variant, top=top)).to_pandas()

    def top(
        self,
        class_name: str,
        *,
        limit: int = 100,
        labelled: bool = False,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> NodeList:
        """``GET /top/{class}``: the nodes most likely to be of a class.

        Args:
            class_name: of the class.
            limit: nodes in the list, 1,000 at most.
            labelled: whether nodes whose label is known are listed, too.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            UnknownClass: the served version does not predict it.
        """
        return self._send(calls.top(class_name, limit, labelled, self._session.wait(min_position, variant)))

    def nodes(
        self,
        order: Order,
        *,
        limit: int = 100,
        labelled: bool = False,
        prefix: str = "",
        min_position: str | None = None,
        variant: str | None = None,
    ) -> NodeList:
        """``GET /nodes``: the nodes in doubt, those that changed or arrived last, or those with some ids.

        Args:
            order: ``disagreement``, ``changed``, ``arrived`` or ``id``.
            limit: as for :meth:`top`.
            labelled: likewise.
            prefix: what the ids begin with, with the order ``id``.
            min_position: likewise.
            variant: likewise.
        """
        return self._send(calls.nodes(order, limit, labelled, self._session.wait(min_position, variant), prefix))

    def what_if(
        self,
        events: Sequence[Event] | bytes,
        nodes: Sequence[Node],
        *,
        min_position: str | None = None,
        variant: str | None = None,
    ) -> WhatIfAnswer:
        """``POST /what-if``: predictions as they would be after events, which are not applied.

        Args:
            events: up to 1,000, or a JSON array of them.
            nodes: ids of up to 1,000 nodes.
            min_position: as for :meth:`predict`.
            variant: likewise.
        """
        return self._send(calls.what_if(events, nodes, self._session.wait(min_position, variant)))

    def neighbours(
        self, node: Node, *, limit: int = 100, min_position: str | None = None, variant: str | None = None
    ) -> NeighbourList:
        """``GET /neighbours/{node}``: its edges, those of the greatest weight first.

        Args:
            node: its id.
            limit: edges that are listed at most.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            UnknownNode: the node is not in the graph at the position that was reached.
            TooLarge: the node has more edges than an answer may read.
        """
        return self._send(calls.neighbours(node, limit, self._session.wait(min_position, variant)))

    def key(self) -> KeyAnswer:
        """``GET /key``: name and scopes of the key that this client sends."""
        return self._send(calls.key())

    def explain(
        self, node: Node, *, most: int = 10, min_position: str | None = None, variant: str | None = None
    ) -> ExplainAnswer:
        """``GET /explain/{node}``: what the probability of its label becomes without each thing it is made of.

        Args:
            node: its id.
            most: effects that are listed, those of the largest change.
            min_position: as for :meth:`predict`.
            variant: likewise.

        Raises:
            UnknownNode: it is not in the graph.
            TooLarge: it has more neighbours than an answer reads.
        """
        return self._send(calls.explain(node, most, self._session.wait(min_position, variant)))

    def explain_edge(
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
        """``GET /explain/edge``: what the probability of its class becomes without each part of what is known of it.

        Args:
            src: as for :meth:`predict_edge`, like ``dst``, ``edge_id``, ``edge_type`` and ``weight``.
            dst: where it ends.
            edge_id: its id, instead of both ends.
            edge_type: its type, with a task ``edge_class``.
            weight: of an edge that has not arrived.
            most: labels of earlier edges that are listed, those of the largest change.
            min_position: as for :meth:`predict`.

        Raises:
            NoTask: edges of the type have no such task.
            UnknownEdge: no edge of that id is remembered.
            TypeError: no edge is named.
        """
        wait = self._session.wait(min_position)
        return self._send(calls.explain_edge(src, dst, edge_id, edge_type, weight, most, wait))

    def stream(
        self,
        *,
        after: str | None = None,
        types: Sequence[str] = (),
        nodes: Sequence[Node] = (),
        classes: Sequence[str] = (),
        kinds: Sequence[str] = (),
        variant: str | None = None,
    ) -> Generator[Change, None, None]:
        """``GET /stream``: changes of labels, and decisions, as predictions begin to show them. It does not end.

        After a connection that broke it connects again and continues after the last change, so that none is missing
        and none comes twice. ``close()`` of what is returned ends the connection.

        Args:
            after: ``id`` of the last change that was read, or the position of a prediction. Without it, the stream
                begins with the next change.
            types: only changes of these types, such as ``label-changed``.
            nodes: only changes of the labels of these nodes.
            classes: only where a label becomes one of these classes, or was.
            kinds: only decisions of these kinds.
            variant: that is followed; None for the champion.

        Raises:
            ChangesGone: the changes that follow are not kept any more, or another variant is the champion now.
            ChangesOff: the service does not record changes.
        """
        follower = Follower(after, types, nodes, classes, kinds, variant)
        while not self._stop.is_set():
            answer: httpx.Response = self._retrying(self._open, follower.call())
            with contextlib.closing(answer), contextlib.suppress(httpx.TransportError):
                for part in answer.iter_bytes():
                    yield from follower.read(part)
            self._stop.wait(follower.pause_s())

    def schema(self) -> HeldSchema:
        """``GET /schema``: what is declared of the graph or held by it."""
        return self._send(calls.schema())

    def declare(self, schema: GraphSchema) -> HeldSchema:
        """``PUT /schema``: declare what is known of the graph; fields at their default are left as they are.

        Raises:
            SchemaConflict: the graph holds something else already.
        """
        return self._send(calls.declare(schema))

    def set_clock(self, time: float | None) -> ClockSet:
        """``PUT /clock``: set the graph's latest time; None for the time of arrival."""
        return self._send(calls.set_clock(time))

    def students(self, *, variant: str | None = None) -> Group:
        """``GET /students``: the members of the group, their scores, and the last decisions."""
        return self._send(calls.students(variant))

    def status(self, *, variant: str | None = None) -> ServiceStatus:
        """``GET /status``: positions, lag, rates and sizes."""
        return self._send(calls.status(variant))

    def versions(self, *, variant: str | None = None) -> VersionsStatus:
        """``GET /versions``: the last versions, and which one is served."""
        return self._send(calls.versions(variant))

    def variants(self) -> VariantList:
        """``GET /variants``: the workers on the graph, side by side."""
        return self._send(calls.variants())

    def promote(self, name: str, *, timeout_ms: int | None = None) -> VariantPromoted:
        """``POST /variants/{name}/promote``: make a variant the champion, in one step for all readers.

        Args:
            name: of the variant; ``default`` goes back, ``challenger`` is the only other one.
            timeout_ms: how long it may take to show what readers have seen. Left out: 5 seconds.

        Raises:
            UnknownVariant: no worker has started as it.
            NotPromoted: its worker is away, serves no version, or is behind the champion.
        """
        return self._send(calls.promote(name, timeout_ms))

    def remove_variant(self, name: str) -> VariantRemoved:
        """``DELETE /variants/{name}``: delete all that Redis has of a variant whose worker has ended.

        Raises:
            UnknownVariant: no worker has started as it.
            VariantInUse: it is the champion or the default one, or its worker is there.
        """
        return self._send(calls.remove_variant(name))

    def model_card(self, version: int, *, variant: str | None = None) -> ModelCard:
        """``GET /versions/{number}``: what there is to know about a version.

        Raises:
            UnknownVersion: it is not kept.
        """
        return self._send(calls.model_card(version, variant))

    def pin(self, version: int, *, variant: str | None = None) -> VersionChangeAccepted:
        """``PUT /versions/pinned``: serve this version whatever is learned.

        Raises:
            UnknownVersion: it is not kept.
        """
        return self._send(calls.pin(version, variant))

    def unpin(self, *, variant: str | None = None) -> VersionChangeAccepted:
        """``DELETE /versions/pinned``: serve the best student again."""
        return self._send(calls.unpin(variant))

    def roll_back(self, *, variant: str | None = None) -> VersionChangeAccepted:
        """``POST /versions/rollback``: serve the version before the last switch of student.

        Raises:
            UnknownVersion: none is kept.
        """
        return self._send(calls.roll_back(variant))

    def history(self, *, since: float = 0.0, points: int = 300, variant: str | None = None) -> Timeline:
        """``GET /history``: scores, lag and decisions over time, the oldest first.

        Args:
            since: Unix time in seconds; what is older is left out.
            points: samples at most, 1,000 at most.
            variant: whose worker has reported them. Left out: the champion's.
        """
        return self._send(calls.history(since, points, variant))

    def live(self) -> LiveAnswer:
        """``GET /health/live``: whether the process answers."""
        return self._send(calls.live())

    def ready(self) -> ReadyAnswer:
        """``GET /health/ready``: whether events are accepted.

        Raises:
            NotReady: they are not, at once.
        """
        return self._send(calls.ready())

    def predicting(self) -> PredictingAnswer:
        """``GET /health/predicting``: whether predictions are served.

        Raises:
            NotReady: they are not, at once.
        """
        return self._send(calls.predicting())

    def metrics(self) -> str:
        """``GET /metrics``, in the text format of Prometheus."""
        return self._send(calls.metrics())

    def _send(self, call: Call[_T]) -> _T:
        found: _T = self._retrying(self._once, call)
        return found

    def _open(self, call: Call[bytes]) -> httpx.Response:
        request = self._http.build_request(**call.request(), timeout=self._session.following(SILENCE_S))
        try:
            answer = self._http.send(request, stream=True)
            if not answer.is_success:
                with contextlib.closing(answer):
                    answer.read()
        except httpx.TransportError as error:
            raise self._session.unreachable(error) from None
        return self._session.opened(call, answer)

    def _once(self, call: Call[_T]) -> _T:
        try:
            answer = self._http.request(**call.request())
        except httpx.TransportError as error:
            raise self._session.unreachable(error) from None
        return self._session.read(call, answer)
