"""Answers with embeddings of nodes: asked of the worker in parts, as JSON or as an Arrow stream."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import msgspec
import nanoarrow as na
import numpy as np
import numpy.typing as npt
from nanoarrow.ipc import StreamWriter

from service.api.arrow_columns import lists, numbers, taken, texts
from service.api.context import Context
from service.api.questions import answer_to
from service.api.waiting import Patience
from service.shares import Share
from service.store.questions import EmbeddingsAnswered, EmbeddingsAsked

Node = str | int

_NODES_AT_ONCE = 256
"""Nodes of one question: those of others go between."""
_CELLS_PER_STEP = 8_000
_NOT_FOUND = "not-found"


class EmbeddedNodes(NamedTuple):
    """Embeddings of some nodes, all exact at one position.

    Attributes:
        nodes: as they were asked for.
        there: bool ``[n]``, which of them are in the graph.
        vectors: float32 ``[n, width]``.
        made_by: student, version, position and events after that, as an answer names them.
    """

    nodes: Sequence[Node]
    there: npt.NDArray[np.bool_]
    vectors: npt.NDArray[np.float32]
    made_by: dict[str, Any]


async def embedded(context: Context, patience: Patience, nodes: Sequence[Node]) -> list[EmbeddedNodes]:
    """The embeddings of nodes by the same weights of one student, in parts, each at a position of its own.

    Where other weights are served meanwhile, it begins again.

    Raises:
        Problem: as :func:`answer_to`.
    """
    parts: list[EmbeddedNodes] = []
    left, weights = nodes, None
    while left:
        asked = EmbeddingsAsked([str(node) for node in left[:_NODES_AT_ONCE]])
        answered = await answer_to(context, patience, asked)
        found = answered.answer
        assert isinstance(found, EmbeddingsAnswered)
        if weights not in {None, (found.table, found.source.student)}:
            parts, left, weights = [], nodes, None
            continue
        weights = found.table, found.source.student
        count = len(found.there)
        made_by = {
            "student": found.source.student,
            "model_version": found.source.version,
            "position": found.source.position,
            "behind": answered.behind(found.source),
            **answered.named,
        }
        vectors = np.frombuffer(found.vectors, "<f4").reshape(count, found.width)
        parts.append(EmbeddedNodes(left[:count], np.frombuffer(found.there, np.bool_), vectors, made_by))
        left = left[count:]
    return parts


def embedding(part: EmbeddedNodes, place: int) -> dict[str, Any]:
    """The answer for one of the nodes."""
    there = bool(part.there[place])
    return {
        "node": part.nodes[place],
        "embedding": part.vectors[place].tolist() if there else None,
        **({} if there else {"error": _NOT_FOUND}),
        **part.made_by,
    }


def json_parts(found: Sequence[EmbeddedNodes], share: Share) -> Generator[None, None, list[bytes]]:
    """``{"embeddings": [...]}`` in parts, a few rows between two ``yield``; the share grows with it.

    Raises:
        NoShare: the process holds too much already.
    """
    parts = [b'{"embeddings":[']
    for part in found:
        rows = max(1, _CELLS_PER_STEP // (part.vectors.shape[1] + 8))
        for first in range(0, len(part.nodes), rows):
            places = range(first, min(first + rows, len(part.nodes)))
            text = msgspec.json.encode([embedding(part, place) for place in places])[1:-1]
            parts.append(b"," + text if len(parts) > 1 else text)
            share.grow(len(text))
            yield
    parts.append(b"]}")
    return parts


def arrow_parts(found: Sequence[EmbeddedNodes], share: Share) -> Generator[None, None, list[bytes]]:
    """An Arrow stream in parts, one a record batch, with ``yield`` between two; the share grows with it.

    Columns are ``node``, ``embedding``, ``position``, ``behind`` and ``error``. The metadata of the schema names the
    student and the version.

    Raises:
        NoShare: the process holds too much already.
    """
    first = found[0]
    fields = {
        "node": na.string(nullable=False),
        "embedding": na.fixed_size_list(na.float32(), first.vectors.shape[1]),
        "position": na.string(nullable=False),
        "behind": na.int64(nullable=False),
        "error": na.string(),
    }
    names = ("student", "model_version", "variant")
    about = {name: str(first.made_by[name]) for name in names if name in first.made_by}
    schema = na.c_schema(na.struct(fields, nullable=False)).modify(metadata=about)
    parts = []
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        for part in found:
            count = len(part.nodes)
            columns = [
                texts([str(node) for node in part.nodes]),
                lists(na.float32(), part.vectors[part.there], part.there),
                texts([part.made_by["position"]] * count),
                numbers(na.int64(), np.full(count, part.made_by["behind"], np.int64)),
                texts([None if there else _NOT_FOUND for there in part.there.tolist()]),
            ]
            writer.write_array(na.c_array_from_buffers(schema, count, [None], children=columns, null_count=0))
            parts.append(taken(out))
            share.grow(len(parts[-1]))
            yield
    parts.append(taken(out))
    return parts
