"""The kinds of problem the API answers with, as RFC 9457 wants them: one word, one status, one title each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from olad_core.errors import OladError


@dataclass(frozen=True)
class Kind:
    """A kind of problem; ``type`` in the answer is a URN made of its name."""

    name: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The problem type of an answer.

        >>> NOT_FOUND.uri
        'urn:olad:problem:not-found'
        """
        return f"urn:olad:problem:{self.name}"


BAD_REQUEST = Kind("bad-request", 400, "The request cannot be understood")
HOST_NOT_ALLOWED = Kind("host-not-allowed", 400, "The API does not answer to this host")
UNAUTHENTICATED = Kind("unauthenticated", 401, "The request needs an API key")
FORBIDDEN = Kind("forbidden", 403, "The API key does not allow this")
ORIGIN_NOT_ALLOWED = Kind("origin-not-allowed", 403, "Pages of this origin may not use the API")
NOT_FOUND = Kind("not-found", 404, "There is nothing under this address")
UNKNOWN_NODE = Kind("unknown-node", 404, "The node is not in the graph")
CHANGES_OFF = Kind("changes-off", 404, "Changes are not recorded")
UNKNOWN_EDGE = Kind("unknown-edge", 404, "The edge is not remembered")
NO_TASK = Kind("no-task", 404, "There is no such task")
UNKNOWN_CLASS = Kind("unknown-class", 404, "The served version does not predict the class")
UNKNOWN_VERSION = Kind("unknown-version", 404, "The version is not kept")
UNKNOWN_VARIANT = Kind("unknown-variant", 404, "There is no such variant")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This address does not answer to this method")
NOT_KEPT = Kind("not-kept", 410, "Answers of this position are not kept")
TOO_SLOW = Kind("too-slow", 408, "The request did not arrive in time")
NOT_PROMOTED = Kind("not-promoted", 409, "The variant cannot be the champion now")
SEVERAL_CHALLENGERS = Kind("several-challengers", 409, "More than one variant challenges the champion")
VARIANT_IN_USE = Kind("variant-in-use", 409, "The variant is in use")
SCHEMA_CONFLICT = Kind("schema-conflict", 409, "The schema contradicts what the graph already holds")
CHANGES_GONE = Kind("changes-gone", 410, "The changes that follow are not kept any more")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body's format is not supported")
INVALID_EVENTS = Kind("invalid-events", 422, "The batch holds invalid events; nothing was written")
INVALID_REQUEST = Kind("invalid-request", 422, "The request holds invalid values")
TOO_MANY_CLASSES = Kind("too-many-classes", 422, "The graph would have more classes than it may; nothing was written")
TOO_MUCH_MEMORY = Kind("too-much-memory", 422, "The batch needs more memory than the worker has; nothing was written")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The Idempotency-Key was used for another body")
OVERLOADED = Kind("overloaded", 429, "The log accepts no more events at the moment")
RATE_LIMITED = Kind("rate-limited", 429, "Too many requests")
QUEUE_FULL = Kind("queue-full", 429, "As many questions as may wait for the worker")
TOO_MUCH_AT_ONCE = Kind("too-much-at-once", 429, "This client has too much in flight")
HEAD_TOO_LARGE = Kind("head-too-large", 431, "The request's head is too large")
INTERNAL = Kind("internal", 500, "Something went wrong in the service")
PARTITIONED = Kind("partitioned", 501, "A worker with partitions does not answer this")
NOT_IMPLEMENTED = Kind("not-implemented", 501, "The service does not know this transfer coding or method")
REDIS_UNAVAILABLE = Kind("redis-unavailable", 503, "Redis cannot be used")
NO_MODEL = Kind("no-model", 503, "No model has been published yet")
CLASSES_UNAVAILABLE = Kind("classes-unavailable", 503, "Not all classes that were asked for are at hand")
WORKER_AWAY = Kind("worker-away", 503, "The worker is away")
NOT_READY = Kind("not-ready", 503, "The service is not ready")
NO_MEMORY_FREE = Kind("no-memory-free", 503, "The service holds as many requests and answers as it may")
TOO_MANY_CONNECTIONS = Kind("too-many-connections", 503, "The service has no free connection")
TOO_MANY_WAITING = Kind("too-many-waiting", 503, "Too many requests wait for a position")
NOT_ANSWERED = Kind("not-answered", 504, "The worker has not answered in time")
TOO_MANY_STREAMS = Kind("too-many-streams", 503, "As many streams are open as may be")
POSITION_NOT_REACHED = Kind("position-not-reached", 504, "The position was not reached in time")


class Problem(OladError):
    """A request that ends with a problem document.

    Attributes:
        kind: what kind of problem.
        detail: what was wrong with this request and what to do.
        headers: headers of the answer.
        extensions: further members of the document.
    """

    def __init__(
        self, kind: Kind, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: object
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions
