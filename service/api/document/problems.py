"""The problems of each operation, with an example each, as entries of the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from service import problems
from service.api.document.examples import POSITION
from service.api.document.headers import headers_of_problem
from service.problems import Kind
from service.store.status import Position

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100
"""Errors that one answer lists at most."""

Example = tuple[Kind, str, Mapping[str, object]]
"""Kind, detail and further members of a problem."""

_URIS = sorted(kind.uri for kind in vars(problems).values() if isinstance(kind, Kind))


class InvalidItem(BaseModel):
    """One error of a request."""

    index: Annotated[int, Field(ge=-1)] | SkipJsonSchema[None] = Field(
        default=None,
        description="Place of the event in its batch, from 0; -1 for the batch itself. Only for events.",
    )
    field: str = Field(description="Where: a dotted path inside the event or body, or a parameter; may be empty.")
    message: str = Field(description="What is wrong there.")


class ProblemDocument(BaseModel):
    """An error as RFC 9457 describes it. Members that do not concern a kind of problem are left out."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The kind of problem, a URN.", json_schema_extra={"enum": [*_URIS]})
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What was wrong with this request, and what to do.")
    instance: str = Field(description="The path of the request.")
    errors: Annotated[list[InvalidItem], Field(max_length=MAX_ERRORS)] | SkipJsonSchema[None] = Field(
        default=None, description=f"What is wrong, {MAX_ERRORS} items at most."
    )
    total_errors: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        default=None, description="How many things are wrong in all."
    )
    position: Position | SkipJsonSchema[None] = Field(
        default=None, description="The position of the log that was reached, or in question."
    )
    behind: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = Field(
        default=None, description="Events in the log after that position."
    )
    missing: list[str] | SkipJsonSchema[None] = Field(default=None, description="What the service still waits for.")
    need: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = Field(
        default=None, description="Nodes and edges that the answer would read, at least."
    )
    most: Annotated[int, Field(ge=0)] | SkipJsonSchema[None] = Field(
        default=None, description="Nodes and edges that it may read."
    )


def problem_docs(*examples: Example) -> dict[str, dict[str, Any]]:
    """OpenAPI entries of a route's problems by status, each with an example of every kind."""
    by_status: dict[int, dict[str, Any]] = defaultdict(dict)
    for kind, detail, members in examples:
        value = {
            "type": kind.uri,
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "instance": "/",
            **members,
        }
        by_status[kind.status][kind.name] = {"summary": kind.title, "value": value}
    reference = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        str(status): {
            "description": " or ".join(example["summary"] for example in named.values()),
            "headers": headers_of_problem(status),
            "content": {MEDIA_TYPE: {"schema": reference, "examples": named}},
        }
        for status, named in sorted(by_status.items())
    }


def _invalid(field: str, message: str, **members: object) -> Example:
    errors = [{**members, "field": field, "message": message}]
    place = f"index {members['index']} field {field}" if members else f"field {field}"
    kind = problems.INVALID_EVENTS if members else problems.INVALID_REQUEST
    return (kind, f"{place}: {message}", {"errors": errors, "total_errors": 1})


_LATER = "Nothing was written; send the batch again later."

# Of every operation.
ANYWHERE: tuple[Example, ...] = (
    (problems.BAD_REQUEST, "Invalid HTTP request received.", {}),
    (problems.HOST_NOT_ALLOWED, "this API does not answer to the host graph.example.org", {}),
    (problems.ORIGIN_NOT_ALLOWED, "pages of https://example.org may not use this API", {}),
    (problems.RATE_LIMITED, "key limited to 100 requests in 60 s; try again in 7 s", {}),
    (problems.HEAD_TOO_LARGE, "it has more than 65,536 bytes", {}),
    (problems.INTERNAL, "the service has logged what happened", {}),
    (problems.NOT_IMPLEMENTED, "the transfer coding gzip is not supported", {}),
    (problems.TOO_MANY_CONNECTIONS, "15000 are open; try again soon", {}),
)
KEY_NEEDED: tuple[Example, ...] = (
    (problems.UNAUTHENTICATED, "this API needs a key; send one as `Authorization: Bearer KEY`", {}),
    (problems.FORBIDDEN, "this needs a key with the scope write; dashboard has read", {}),
)
# Of operations that read a body.
_FULL = "requests and answers in flight hold 268,000,000 bytes; all together may hold 268,435,456"
BODY: tuple[Example, ...] = (
    (problems.TOO_SLOW, "the body was not complete after 30 s: send smaller batches, or faster", {}),
    (problems.TOO_MUCH_AT_ONCE, f"this client's {_FULL}: send the request again when others are done", {}),
    (problems.NO_MEMORY_FREE, f"all {_FULL}: send the request again when others are done", {}),
)
# Of operations that use Redis.
REDIS: tuple[Example, ...] = ((problems.REDIS_UNAVAILABLE, "Redis does not answer; try again soon.", {}),)
# Of operations that write to the log.
WRITING: tuple[Example, ...] = (
    *REDIS,
    (problems.OVERLOADED, f"Redis uses 950,000,000 of 1,000,000,000 bytes. {_LATER}", {}),
)
_TOO_MANY_CLASSES: Example = (
    problems.TOO_MANY_CLASSES,
    (
        "'order-4711' would be a new class, and the graph has the 1,000 that it may have. Is this field a class? If "
        "so, raise OLAD_MAX_CLASSES for the API and the worker"
    ),
    {},
)
_ONLY_JSON: Example = (
    problems.UNSUPPORTED_MEDIA_TYPE,
    "Content-Type must be application/json, not text/plain",
    {},
)
_SMALL_BODY: tuple[Example, ...] = (
    (problems.TOO_LARGE, "the body has more than the 1,048,576 bytes that are allowed; send it in parts", {}),
    _ONLY_JSON,
)
_UNKNOWN_VARIANT: Example = (
    problems.UNKNOWN_VARIANT,
    "no worker has started as variant 'wide'; GET /variants lists them",
    {},
)
_SEVERAL_CHALLENGERS: Example = (
    problems.SEVERAL_CHALLENGERS,
    "2 workers beside that of the champion are there: name one of deep, wide",
    {},
)
_ANY_VARIANT = _UNKNOWN_VARIANT, _SEVERAL_CHALLENGERS
_NO_VARIANT_NAME = "String should match pattern '^[A-Za-z0-9_-]{1,32}$'"
_PREDICTING: tuple[Example, ...] = (
    (
        problems.INVALID_REQUEST,
        "field min_position: 'x' is no position: milliseconds, or milliseconds-sequence as POST /events answers",
        {"errors": [{"field": "min_position", "message": "'x' is no position"}], "total_errors": 1},
    ),
    (problems.TOO_MUCH_AT_ONCE, "1000 requests wait for a position already, 500 of them of this client", {}),
    (problems.NO_MEMORY_FREE, f"all {_FULL}: send the request again when others are done", {}),
    (
        problems.NO_MODEL,
        "No model has been published yet; missing: labels of at least two classes",
        {"missing": ["labels of at least two classes"]},
    ),
    (
        problems.CLASSES_UNAVAILABLE,
        (
            "the worker is away: rows hold the 32 most likely classes, and the others are computed when they are asked "
            "for; ?top=32 is answered without it"
        ),
        {},
    ),
    *REDIS,
    *_ANY_VARIANT,
    (
        problems.TOO_MANY_WAITING,
        "1000 requests wait for a position already; ask again, or without min_position",
        {},
    ),
    (
        problems.POSITION_NOT_REACHED,
        f"position 1763900000001-0 was not reached within 5000 ms; predictions show {POSITION}",
        {"position": POSITION, "behind": 3},
    ),
)

APPEND_EVENTS: tuple[Example, ...] = (
    (problems.TOO_LARGE, "the batch has more than 10,000 events; send it in parts", {}),
    (
        problems.UNSUPPORTED_MEDIA_TYPE,
        "Content-Type must be application/json or application/x-ndjson, not text/plain",
        {},
    ),
    _invalid("dst", "Object missing required field `dst`", index=2),
    _TOO_MANY_CLASSES,
    (
        problems.TOO_MUCH_MEMORY,
        (
            "alone in a graph, the batch (10,000 nodes) may need 9,800,000,000 bytes, and the worker may need "
            "6,000,000,000; give it more memory (OLAD_MEMORY_BUDGET_MB)"
        ),
        {},
    ),
    (problems.KEY_REUSED, "the key belongs to another body; use a new key for a new batch", {"position": POSITION}),
    _invalid("Idempotency-Key", "String should have at most 255 characters"),
    *WRITING,
)
GET_REJECTED: tuple[Example, ...] = (_invalid("limit", "Input should be less than or equal to 1000"), *REDIS)
_PARTITIONED: Example = (
    problems.PARTITIONED,
    (
        "the graph is spread over several partitions, whose worker does not answer this; a worker without partitions "
        "does"
    ),
    {},
)
_ASKING: tuple[Example, ...] = (
    _PARTITIONED,
    (
        problems.TOO_LARGE,
        (
            "the answer would read 61,204 nodes and edges or more, and may read 50,000: ask for fewer nodes, for what "
            "fewer events lead to, or about a node with fewer neighbours"
        ),
        {"need": 61_204, "most": 50_000},
    ),
    (
        problems.QUEUE_FULL,
        (
            "17 of 32 questions that may wait for the worker do so, 16 of them of this client; ask again when others "
            "are answered"
        ),
        {},
    ),
    *(example for example in _PREDICTING if example[0] is not problems.CLASSES_UNAVAILABLE),
    (problems.WORKER_AWAY, "the worker, which would answer, is away or has just begun; ask again", {}),
    (problems.NOT_ANSWERED, "the worker has not answered within 5000 ms", {}),
)
# Of values of nodes, which the worker computes.
_OF_VALUES: tuple[Example, ...] = (
    (problems.NO_TASK, "nodes of this type have no such task on values: PUT /schema with tasks declares one", {}),
    *(example for example in _ASKING if example not in _PREDICTING),
)
PREDICT_NODE: tuple[Example, ...] = (
    _PARTITIONED,
    (problems.NOT_KEPT, f"answers are kept from position {POSITION} on", {"position": POSITION}),
    (
        problems.UNKNOWN_NODE,
        "node 'p1' is not in the graph at this position",
        {"position": POSITION, "behind": 0},
    ),
    *_PREDICTING,
    *_OF_VALUES,
)
PREDICT_NODES: tuple[Example, ...] = (
    _PARTITIONED,
    (
        problems.TOO_LARGE,
        (
            "5,000 nodes with 500 probabilities each are 2,500,000, 1,000,000 are allowed: ask for at most 2,000 nodes "
            "at once, or for fewer classes of each with ?top="
        ),
        {},
    ),
    _ONLY_JSON,
    _invalid("nodes", "Expected `array` of length <= 10000"),
    *_PREDICTING[1:],
    *(example for example in _OF_VALUES if example[0] is not problems.TOO_LARGE),
)
WHAT_IF: tuple[Example, ...] = (
    _ONLY_JSON,
    _invalid("nodes", "Expected `array` of length >= 1"),
    _invalid("dst", "Object missing required field `dst`", index=2),
    *(example for example in _ASKING if example[0] is not problems.INVALID_REQUEST),
)
PREDICT_EDGE: tuple[Example, ...] = (
    _invalid("dst", "name the edge by src and dst, or by id"),
    (problems.NO_TASK, "edges of this type have no task: PUT /schema with tasks declares one", {}),
    (
        problems.UNKNOWN_EDGE,
        "no edge of this type and id is remembered at this position",
        {"position": POSITION, "behind": 0},
    ),
    *(example for example in _ASKING if example[0] not in {problems.INVALID_REQUEST, problems.TOO_LARGE}),
)
TOP_EDGES: tuple[Example, ...] = (
    (problems.NO_TASK, "edges of this type have no task: PUT /schema with tasks declares one", {}),
    (problems.UNKNOWN_CLASS, "the task for edges of this type has no such class", {}),
    _invalid("limit", "Input should be less than or equal to 1000"),
    *(example for example in _ASKING if example[0] not in {problems.INVALID_REQUEST, problems.TOO_LARGE}),
)
PREDICT_EDGES: tuple[Example, ...] = (
    *_SMALL_BODY,
    _invalid("edges[2].x", "has 2 features, and edges of the type 'paid' have 8"),
    *(example for example in _ASKING if example[0] not in {problems.INVALID_REQUEST, problems.TOO_LARGE}),
)
EXPLAIN: tuple[Example, ...] = (
    (problems.UNKNOWN_NODE, "the node is not in the graph at this position", {"position": POSITION, "behind": 0}),
    *_ASKING,
)
# The edges of a node are answered before there is a model.
NEIGHBOURS: tuple[Example, ...] = (
    _invalid("limit", "Input should be less than or equal to 1000"),
    *(
        example
        for example in EXPLAIN
        if example[0] not in {problems.NO_MODEL, problems.INVALID_REQUEST, problems.PARTITIONED}
    ),
)
PREDICT_LINK: tuple[Example, ...] = (
    (problems.NO_TASK, "edges of this type have no task: PUT /schema with tasks declares one", {}),
    *(example for example in _ASKING if example[0] is not problems.TOO_LARGE),
)
LIST_PARTNERS: tuple[Example, ...] = (
    (problems.UNKNOWN_NODE, "the node is not in the graph at this position", {"position": POSITION, "behind": 0}),
    *PREDICT_LINK,
)
EMBED_NODE: tuple[Example, ...] = (
    (problems.UNKNOWN_NODE, "node 'p9' is not in the graph at this position", {"position": POSITION, "behind": 0}),
    *(example for example in _ASKING if example[0] is not problems.PARTITIONED),
)
EMBED_NODES: tuple[Example, ...] = (
    _ONLY_JSON,
    _invalid("nodes", "List should have at least 1 item after validation, not 0"),
    *(example for example in _ASKING if example[0] not in {problems.INVALID_REQUEST, problems.PARTITIONED}),
)
LIST_NODES: tuple[Example, ...] = (
    _invalid("limit", "Input should be less than or equal to 1000"),
    *_PREDICTING,
)
STREAM: tuple[Example, ...] = (
    *_ANY_VARIANT,
    _invalid("Last-Event-ID", "'x' is no position: milliseconds, or milliseconds-sequence as POST /events answers"),
    (problems.CHANGES_OFF, "set OLAD_CHANGES=on for the worker and the API, and start both again", {}),
    (problems.CHANGES_GONE, f"changes before {POSITION}.1 are not kept any more: read the predictions again", {}),
    (problems.TOO_MUCH_AT_ONCE, "600 of 1000 streams are open, 500 of them of this client", {}),
    (problems.TOO_MANY_STREAMS, "1000 of 1000 streams are open, 0 of them of this client", {}),
    *REDIS,
)
TOP_NODES: tuple[Example, ...] = (
    (problems.UNKNOWN_CLASS, "the served version predicts no class 'fraud'", {}),
    _PARTITIONED,
    *LIST_NODES,
)
GET_HISTORY: tuple[Example, ...] = (
    *_ANY_VARIANT,
    _invalid("points", "Input should be less than or equal to 1000"),
    *REDIS,
)
ASKING_METRICS: tuple[Example, ...] = (*_ANY_VARIANT, _invalid("variant", _NO_VARIANT_NAME))
ASKING_STATUS: tuple[Example, ...] = (*ASKING_METRICS, *REDIS)
REMOVE_VARIANT: tuple[Example, ...] = (
    _UNKNOWN_VARIANT,
    (problems.VARIANT_IN_USE, "variant wide is the champion: promote another one first", {}),
    _invalid("name", _NO_VARIANT_NAME),
    *REDIS,
)
PROMOTE_VARIANT: tuple[Example, ...] = (
    *_ANY_VARIANT,
    (
        problems.NOT_PROMOTED,
        (
            f"variant wide cannot be the champion now: it shows position 1763900000000-0, and readers have seen "
            f"{POSITION}: answers would go back"
        ),
        {"position": "1763900000000-0"},
    ),
    _invalid("timeout_ms", "Input should be less than or equal to 60000"),
    (problems.TOO_MUCH_AT_ONCE, "1000 requests wait for a position already, 500 of them of this client", {}),
    (problems.TOO_MANY_WAITING, "1000 requests wait for a position already; ask again", {}),
    *WRITING[:1],
)
DECLARE_SCHEMA: tuple[Example, ...] = (
    (problems.SCHEMA_CONFLICT, "feature_width is 3, but features of width 500 have arrived", {}),
    *_SMALL_BODY,
    _TOO_MANY_CLASSES,
    _invalid("feature_width", "Input should be greater than or equal to 1"),
    *WRITING,
)
SET_CLOCK: tuple[Example, ...] = (*_SMALL_BODY, _invalid("time", "Field required"), *WRITING)
_UNKNOWN_VERSION: Example = (problems.UNKNOWN_VERSION, "version 7 is not kept: 3, 4, 5 are", {})
_KEY_REUSED: Example = (
    problems.KEY_REUSED,
    "the key belongs to another change; use a new key for a new one",
    {"position": POSITION},
)
GET_VERSION: tuple[Example, ...] = (
    *_ANY_VARIANT,
    _UNKNOWN_VERSION,
    _invalid("number", "Input should be a valid integer"),
    *REDIS,
)
UNPIN_VERSION: tuple[Example, ...] = (*_ANY_VARIANT, _KEY_REUSED, *WRITING)
ROLL_BACK: tuple[Example, ...] = (
    (problems.UNKNOWN_VERSION, "no version of another student is kept from before version 5", {}),
    *UNPIN_VERSION,
)
PIN_VERSION: tuple[Example, ...] = (
    _UNKNOWN_VERSION,
    *_SMALL_BODY,
    _invalid("version", "Input should be a valid integer"),
    *UNPIN_VERSION,
)
READY: tuple[Example, ...] = (
    (problems.NOT_READY, "missing: a Redis that accepts writes", {"missing": ["a Redis that accepts writes"]}),
)
PREDICTING: tuple[Example, ...] = (
    (problems.NOT_READY, "missing: a published model", {"missing": ["a published model"]}),
)
