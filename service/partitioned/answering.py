"""What readers wait for, answered by all ranks: each has what it owns, and the first one brings it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import structlog

from olad_core.graph.edges_of_node import edges_of_node
from olad_core.graph.part import PartTooLarge
from olad_core.partition.node_embeddings import EmbeddedPart, embed_over_ranks
from olad_core.partition.node_lists import ListedNode, list_part, merged
from olad_core.serving.list_names import ListName
from olad_core.serving.publication import ListedNodes, Reply, TableUpdate, WholeAnswer
from service.partitioned.follower import Follower
from service.partitioned.ranks import Ranks
from service.store.questions import (
    Answer,
    EmbeddingsAnswered,
    EmbeddingsAsked,
    NeighboursAnswered,
    NeighboursAsked,
    Question,
    Refused,
    Source,
)
from service.store.request_reader import Request
from service.worker.questions import shown_edges

log = structlog.get_logger(__name__)
_question = msgspec.msgpack.Decoder(Question)


class Wanted(msgspec.Struct, frozen=True):
    """One request of a reader, as the first rank hands it to all.

    Attributes:
        number: of the request.
        list_name: of the list that is wanted; empty for none.
        whole: nodes of which all classes are wanted.
        question: name of the question; empty for none.
        content: what it asks, in MessagePack.
    """

    number: str
    list_name: str = ""
    whole: tuple[str, ...] = ()
    question: str = ""
    content: bytes = b""

    @classmethod
    def by(cls, request: Request) -> Wanted | None:
        """What a request wants of all ranks; None where nothing is: they mark no rows."""
        if request.question is not None:
            return cls(request.number, question=request.question.name, content=request.question.content)
        if request.list_name is not None:
            return cls(request.number, list_name=request.list_name)
        return cls(request.number, whole=request.nodes) if request.whole else None


class Answers(NamedTuple):
    """What is published for those who wait."""

    lists: tuple[ListedNodes, ...] = ()
    whole: tuple[WholeAnswer, ...] = ()
    replies: tuple[Reply, ...] = ()


class _Rows(msgspec.Struct, frozen=True):
    """Whole rows of a rank's nodes.

    Attributes:
        nodes: their ids.
        places: of the nodes, as a table names them.
        answers: float32 ``[n, 1 + C]``, the disagreement and then class probabilities.
    """

    nodes: list[str]
    places: list[int]
    answers: bytes


class _Vectors(msgspec.Struct, frozen=True):
    """A rank's part of embeddings (:class:`~olad_core.partition.node_embeddings.EmbeddedPart`)."""

    count: int
    places: list[int]
    vectors: bytes
    need: int = 0

    @classmethod
    def of(cls, part: EmbeddedPart) -> _Vectors:
        return cls(part.count, part.places.tolist(), part.vectors.astype("<f4").tobytes())


class _Part(msgspec.Struct, frozen=True):
    """What one rank has for a request; nothing where it owns nothing of it.

    Attributes:
        failed: whether it could not be computed.
    """

    listed: list[ListedNode] = []
    rows: _Rows | None = None
    edges: NeighboursAnswered | Refused | None = None
    vectors: _Vectors | None = None
    failed: bool = False


_parts = msgspec.msgpack.Decoder(list[_Part])


class RankAnswers:
    """Answers requests together with the other ranks. Nothing of the state changes.

    Args:
        ranks: all of them.
        follower: this rank's state.
        most_read: nodes and edges that one answer may read.
    """

    def __init__(self, ranks: Ranks, follower: Follower, most_read: int) -> None:
        self._ranks = ranks
        self._follower = follower
        self._most = most_read

    def answer(self, wanted: Sequence[Wanted]) -> Answers:
        """The answers at the present position, the same at all ranks."""
        asked = [_asked(each) for each in wanted]
        vectors = [self._embedded(question) for question in asked]
        pairs = list(zip(wanted, asked, vectors, strict=True))

        def own() -> bytes:
            # In MessagePack: JSON has no number for an answer that is none.
            return msgspec.msgpack.encode([self._part(*pair) for pair in pairs])

        parts = [_parts.decode(each) for each in self._ranks.together("answers", bytes, own)]
        labels = self._labels_of_ends(parts)
        lists: list[ListedNodes] = []
        whole: list[WholeAnswer] = []
        replies: list[Reply] = []
        for request, question, *each in zip(wanted, asked, *parts, strict=True):
            if request.question:
                replies.append(Reply(request.question, msgspec.msgpack.encode(self._reply(question, each, labels))))
            elif request.list_name:
                lists += self._list(request.list_name, each)
            else:
                whole += self._whole(request.number, each)
        return Answers(tuple(lists), tuple(whole), tuple(replies))

    def _embedded(self, question: Question | None) -> _Vectors | None:
        """This rank's part of embeddings, for which the ranks exchange rows."""
        leading = self._follower.serving.leading
        if not isinstance(question, EmbeddingsAsked) or leading is None or not question.nodes:
            return None
        _, student = leading
        work = embed_over_ranks(self._follower.partition.store, student, question.nodes, self._most)
        try:
            return _Vectors.of(self._ranks.run(work))
        except PartTooLarge as error:
            return _Vectors(0, [], b"", need=error.need)

    def _part(self, request: Wanted, question: Question | None, vectors: _Vectors | None) -> _Part:
        try:
            if request.list_name:
                return _Part(listed=self._listed(request.list_name))
            if request.whole:
                return _Part(rows=self._rows(request.whole))
            edges = self._edges(question) if isinstance(question, NeighboursAsked) else None
            return _Part(edges=edges, vectors=vectors)
        except Exception:
            log.exception("a request could not be answered", number=request.number)
            return _Part(failed=True)

    def _listed(self, text: str) -> list[ListedNode]:
        follower, name = self._follower, _name(text)
        serving, version = follower.serving, follower.serving.version
        if name is None or version is None:
            return []
        return list_part(
            name, follower.partition.store, serving.answers, version, follower.rule, serving.lately_changed
        )

    def _rows(self, nodes: Sequence[str]) -> _Rows | None:
        serving, store = self._follower.serving, self._follower.partition.store
        if serving.version is None:
            return None
        rows = store.graph.rows(nodes)
        rows = np.unique(store.those_owned(rows[rows >= 0]))
        places = self._follower.places(rows).tolist()
        return _Rows(list(store.graph.ids(rows)), places, serving.answers(rows).astype("<f4").tobytes())

    def _edges(self, question: NeighboursAsked) -> NeighboursAnswered | Refused | None:
        store = self._follower.partition.store
        [row] = store.graph.rows([question.node]).tolist()
        if row < 0 or store.owner[row] != store.rank:
            return None
        try:
            return shown_edges(edges_of_node(store.graph, row, question.shown, self._most), store.graph, self._source())
        except PartTooLarge as error:
            return Refused("too-large", error.need, error.most)

    def _labels_of_ends(self, parts: Sequence[Sequence[_Part]]) -> Mapping[str, str]:
        """Labels of the nodes at the other ends of listed edges, which their owners know."""
        found = [each.edges for part in parts for each in part if isinstance(each.edges, NeighboursAnswered)]
        ends = sorted({edge.node for each in found for edge in each.edges})
        if not ends:
            return {}
        store = self._follower.partition.store
        graph = store.graph

        def own() -> dict[str, str]:
            rows = graph.rows(ends)
            known = (rows >= 0) & (graph.label[rows] >= 0) & (store.owner[rows] == store.rank)
            return {ends[at]: graph.classes[graph.label[rows[at]]] for at in np.flatnonzero(known).tolist()}

        return {
            node: label for each in self._ranks.together("labels", dict[str, str], own) for node, label in each.items()
        }

    def _list(self, text: str, parts: Sequence[_Part]) -> list[ListedNodes]:
        name, version = _name(text), self._follower.serving.version
        if name is None or version is None or any(part.failed for part in parts):
            return []
        made = merged(name, [part.listed for part in parts], version)
        return [made] if made is not None else []

    def _whole(self, number: str, parts: Sequence[_Part]) -> list[WholeAnswer]:
        version = self._follower.serving.version
        if version is None or any(part.failed for part in parts):
            return []
        rows = [part.rows for part in parts if part.rows is not None]
        nodes = tuple(node for each in rows for node in each.nodes)
        answers = np.frombuffer(b"".join(each.answers for each in rows), "<f4")
        answers = answers.reshape(-1, 1 + len(version.classes))
        probabilities, disagreement = np.ascontiguousarray(answers[:, 1:]), np.ascontiguousarray(answers[:, 0])
        places = np.array([place for each in rows for place in each.places], np.int64)
        update = TableUpdate(version.number, nodes, probabilities, disagreement, rows=places)
        return [WholeAnswer(number, update)]

    def _reply(self, question: Question | None, parts: Sequence[_Part], labels: Mapping[str, str]) -> Answer:
        if question is None or any(part.failed for part in parts):
            return Refused("failed")
        if isinstance(question, NeighboursAsked):
            found = next((part.edges for part in parts if part.edges is not None), None)
            if isinstance(found, NeighboursAnswered):
                edges = [msgspec.structs.replace(edge, label=labels.get(edge.node)) for edge in found.edges]
                return msgspec.structs.replace(found, edges=edges)
            return found or Refused("unknown-node", source=self._source())
        if isinstance(question, EmbeddingsAsked):
            return self._embeddings([part.vectors for part in parts if part.vectors is not None])
        return Refused("partitioned")

    def _embeddings(self, parts: Sequence[_Vectors]) -> Answer:
        version, leading = self._follower.serving.version, self._follower.serving.leading
        if version is None or leading is None or not parts:
            return Refused("no-model")
        if parts[0].need:
            return Refused("too-large", parts[0].need, self._most)
        name, student = leading
        vectors = np.zeros((parts[0].count, student.width), "<f4")
        there = np.zeros(parts[0].count, np.bool_)
        for part in parts:
            there[part.places] = True
            vectors[part.places] = np.frombuffer(part.vectors, "<f4").reshape(-1, student.width)
        source = msgspec.structs.replace(self._source(), version=version.shown, student=name)
        return EmbeddingsAnswered(source, version.number, student.width, there.tobytes(), vectors.tobytes())

    def _source(self) -> Source:
        counts = self._follower.counts
        return Source(counts.position, counts.applied, 0, "")


def _asked(request: Wanted) -> Question | None:
    """The question of a request; None where it has none, or one that cannot be read."""
    try:
        return _question.decode(request.content) if request.question else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _name(text: str) -> ListName | None:
    """The name of a list; None where it is none."""
    try:
        return ListName.parsed(text)
    except ValueError:
        return None
