"""Answers about many nodes as a stream of Arrow record batches: binary, and without work for each number."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import StreamWriter
from starlette.requests import Request

from service.api.answers import All, shown_classes
from service.api.arrow_columns import lists, numbers, spread, taken, texts
from service.api.body import JSON
from service.shares import Share
from service.store.prediction_reader import Model, Moment, Snapshot

ARROW = "application/vnd.apache.arrow.stream"
_ROWS_PER_BATCH = 2_000
_CELLS_PER_BATCH = 100_000
_NOT_FOUND = "not-found"
_NOT_NAMED: Mapping[str, str] = {}


def wants_arrow(request: Request) -> bool:
    """Whether a client accepts Arrow, and not JSON rather than that; it must name Arrow itself."""
    wishes = dict(_wish(part) for part in request.headers.get("accept", "").lower().split(","))
    return wishes.get(ARROW, 0.0) > 0 and wishes[ARROW] >= wishes.get(JSON, 0.0)


def _wish(part: str) -> tuple[str, float]:
    """A media type of the header Accept, and its quality.

    >>> _wish(" application/json ; q=0.5")
    ('application/json', 0.5)
    """
    kind, *parameters = (text.strip() for text in part.split(";"))
    weights = [text.partition("=")[2] for text in parameters if text.startswith("q=")]
    try:
        return kind, float(weights[0]) if weights else 1.0
    except ValueError:
        return kind, 0.0


def arrow_parts(
    asked: Sequence[str | int],
    snapshot: Snapshot,
    model: Model,
    top: int | All | None,
    share: Share,
    named: Mapping[str, str] = _NOT_NAMED,
) -> Generator[None, None, list[bytes]]:
    """The stream in parts, one a record batch, with ``yield`` between two; the share grows with it.

    Columns are ``node``, ``label``, ``probabilities``, where these are not of all classes in their order also
    ``classes``, where there are many classes and not all are shown also ``rest``, then ``disagreement``, ``position``,
    ``behind`` and ``error``. The metadata of the schema names the student, the version, all classes, and the variant
    where ``named`` does.

    Raises:
        NoShare: the process holds too much already.
    """
    most = shown_classes(model, top)
    width = min(most or len(model.classes), len(model.classes))
    rows = max(1, min(_ROWS_PER_BATCH, _CELLS_PER_BATCH // model.rows.held))
    schema = _schema(model, width, named, ranked=most is not None)
    parts = []
    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        # An empty batch is a stream too, with its schema.
        for first in range(0, max(1, len(asked)), rows):
            part = slice(first, first + rows)
            columns = _columns(asked[part], snapshot.rows[part], snapshot.moments[part], model, most)
            batch = na.c_array_from_buffers(schema, len(asked[part]), [None], children=columns, null_count=0)
            writer.write_array(batch)
            parts.append(taken(out))
            share.grow(len(parts[-1]))
            yield
    parts.append(taken(out))
    return parts


def _schema(model: Model, width: int, named: Mapping[str, str], *, ranked: bool) -> Any:
    fields = {
        "node": na.string(nullable=False),
        "label": na.string(),
        "probabilities": na.fixed_size_list(na.float32(), width),
        **({"classes": na.fixed_size_list(na.int32(), width)} if ranked else {}),
        **({"rest": na.float32()} if _leaves_out(model, width) else {}),
        "disagreement": na.float32(),
        "position": na.string(nullable=False),
        "behind": na.int64(nullable=False),
        "error": na.string(),
    }
    about = {
        "student": model.student,
        "model_version": str(model.version),
        "classes": json.dumps(model.classes, ensure_ascii=False),
        **named,
    }
    return na.c_schema(na.struct(fields, nullable=False)).modify(metadata=about)


def _columns(
    asked: Sequence[str | int],
    rows: Sequence[bytes | None],
    moments: Sequence[Moment],
    model: Model,
    most: int | None,
) -> list[Any]:
    there = np.array([row is not None for row in rows], np.bool_)
    known_rows = [row for row in rows if row is not None]
    best = model.rows.ranked(known_rows, most or 1)
    shown = model.rows.all_of(known_rows) if most is None else best.probabilities
    decided = model.decided(known_rows)
    labels = iter([model.classes[place] for place in (best.classes[:, 0] if decided is None else decided).tolist()])
    ranked = [] if most is None else [lists(na.int32(), best.classes, there)]
    rest = []
    if _leaves_out(model, shown.shape[1]):
        left = np.maximum(0, 1 - shown.sum(axis=1, dtype=np.float64)).astype(np.float32)
        rest = [numbers(na.float32(), spread(left, there), there)]
    return [
        texts([str(node) for node in asked]),
        texts([next(labels) if known else None for known in there.tolist()]),
        lists(na.float32(), shown, there),
        *ranked,
        *rest,
        numbers(na.float32(), spread(best.disagreement, there), there),
        texts([moment.position for moment in moments]),
        numbers(na.int64(), np.array([moment.behind for moment in moments], np.int64)),
        texts([None if known else _NOT_FOUND for known in there.tolist()]),
    ]


def _leaves_out(model: Model, width: int) -> bool:
    """Whether an answer with so many classes has a column for the rest."""
    return model.has_many_classes and width < len(model.classes)
