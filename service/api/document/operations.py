"""Examples, problems and headers of each operation, by its operation id: what the routes do not declare themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from olad_core.events import MAX_EVENTS
from service.api.body import JSON, NDJSON
from service.api.document import examples, problems
from service.api.document.headers import IDEMPOTENT_REPLAYED, Header
from service.api.document.problems import Example
from service.models import MAX_BODY_BYTES, MAX_TRIED_BYTES, MAX_TRIED_EVENTS, MAX_TRIED_NODES


@dataclass(frozen=True)
class Operation:
    """Documentation of one operation.

    Attributes:
        answer: example of its good answer.
        problems: that only this operation has, or only some.
        body: OpenAPI's request body; None where there is none.
        headers: of the good answer.
    """

    answer: Any
    problems: tuple[Example, ...] = ()
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)


def _json_body(model: str, example: object) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"required": True, "content": {JSON: {"schema": schema, "example": example}}}


_EVENTS_BODY = {
    "required": True,
    "description": f"One batch: 1 to {MAX_EVENTS:,} events, {MAX_BODY_BYTES // 2**20} MiB at most, not compressed.",
    "content": {
        JSON: {
            "schema": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Event"},
                "minItems": 1,
                "maxItems": MAX_EVENTS,
            },
            "examples": {
                "batch": {"summary": "A node, an edge and a late label", "value": examples.BATCH},
                "least": {"summary": "Only what each event needs", "value": examples.LEAST},
            },
        },
        NDJSON: {
            "schema": {
                "type": "string",
                "minLength": 1,
                "description": "One event a line, as in the array of `application/json`; empty lines are skipped.",
            },
            "examples": {"batch": {"summary": "The same batch as lines", "value": examples.BATCH_LINES}},
        },
    },
}

_TRIED_BODY = {
    "required": True,
    "description": f"{MAX_TRIED_BYTES // 2**20} MiB at most, not compressed.",
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "properties": {
                    "events": {
                        "type": "array",
                        "description": "As in `POST /events`.",
                        "items": {"$ref": "#/components/schemas/Event"},
                        "minItems": 1,
                        "maxItems": MAX_TRIED_EVENTS,
                    },
                    "nodes": {
                        "type": "array",
                        "description": "Ids of the nodes to predict, strings or integers.",
                        "items": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]},
                        "minItems": 1,
                        "maxItems": MAX_TRIED_NODES,
                    },
                },
                "required": ["events", "nodes"],
                "additionalProperties": False,
            },
            "example": examples.TRIED,
        }
    },
}

OPERATIONS: dict[str, Operation] = {
    "appendEvents": Operation(
        examples.ACCEPTED,
        problems.APPEND_EVENTS,
        _EVENTS_BODY,
        {"Idempotent-Replayed": IDEMPOTENT_REPLAYED},
    ),
    "getRejectedEvents": Operation(examples.REJECTED, problems.GET_REJECTED),
    "predictNode": Operation(examples.PREDICTION, problems.PREDICT_NODE),
    "predictEdge": Operation(examples.EDGE_PREDICTION, problems.PREDICT_EDGE),
    "predictEdges": Operation(
        examples.EDGE_PREDICTIONS, problems.PREDICT_EDGES, _json_body("EdgesAsked", examples.EDGES)
    ),
    "predictNodes": Operation(examples.PREDICTIONS, problems.PREDICT_NODES, _json_body("NodesAsked", examples.NODES)),
    "predictLink": Operation(examples.LINK, problems.PREDICT_LINK),
    "listPartners": Operation(examples.PARTNERS, problems.LIST_PARTNERS),
    "embedNode": Operation(examples.EMBEDDING, problems.EMBED_NODE),
    "embedNodes": Operation(examples.EMBEDDINGS, problems.EMBED_NODES, _json_body("EmbeddingsWanted", examples.NODES)),
    "whatIf": Operation(examples.WHAT_IF, problems.WHAT_IF, _TRIED_BODY),
    "explainNode": Operation(examples.EXPLAINED, problems.EXPLAIN),
    "explainEdge": Operation(examples.EXPLAINED_EDGE, problems.PREDICT_EDGE),
    "getNeighbours": Operation(examples.NEIGHBOURS, problems.NEIGHBOURS),
    "getTopEdges": Operation(examples.EDGE_LIST, problems.TOP_EDGES),
    "getTopNodes": Operation(examples.NODE_LIST, problems.TOP_NODES),
    "listNodes": Operation(examples.NODE_LIST, problems.LIST_NODES),
    "streamChanges": Operation(examples.STREAM, problems.STREAM),
    "getSchema": Operation(examples.SCHEMA, problems.REDIS),
    "declareSchema": Operation(
        examples.SCHEMA, problems.DECLARE_SCHEMA, _json_body("SchemaChange", examples.SCHEMA_CHANGE)
    ),
    "setClock": Operation(examples.CLOCK_SET, problems.SET_CLOCK, _json_body("ClockSetting", examples.CLOCK)),
    "getVersions": Operation(examples.VERSIONS, problems.ASKING_STATUS),
    "getVersion": Operation(examples.MODEL_CARD, problems.GET_VERSION),
    "pinVersion": Operation(
        examples.VERSION_PINNED,
        problems.PIN_VERSION,
        _json_body("PinAsked", examples.PIN),
        {"Idempotent-Replayed": IDEMPOTENT_REPLAYED},
    ),
    "unpinVersion": Operation(
        examples.VERSION_UNPINNED, problems.UNPIN_VERSION, headers={"Idempotent-Replayed": IDEMPOTENT_REPLAYED}
    ),
    "rollBack": Operation(
        examples.VERSION_PINNED, problems.ROLL_BACK, headers={"Idempotent-Replayed": IDEMPOTENT_REPLAYED}
    ),
    "getVariants": Operation(examples.VARIANTS, problems.REDIS),
    "removeVariant": Operation(examples.VARIANT_REMOVED, problems.REMOVE_VARIANT),
    "promoteVariant": Operation(examples.VARIANT_PROMOTED, problems.PROMOTE_VARIANT),
    "getStudents": Operation(examples.STUDENTS, problems.ASKING_STATUS),
    "getHistory": Operation(examples.TIMELINE, problems.GET_HISTORY),
    "getStatus": Operation(examples.STATUS, problems.ASKING_STATUS),
    "getKey": Operation(examples.KEY),
    "getLive": Operation(examples.LIVE),
    "getReady": Operation(examples.READY, problems.READY),
    "getPredicting": Operation(examples.PREDICTING, problems.PREDICTING),
    "getMetrics": Operation(examples.METRICS, problems.ASKING_METRICS),
}
