"""What a request may end with: one exception class for each thing that a caller can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from olad_core.errors import OladError
from service import problems
from service.problems import Kind

_TEMPORARY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class ProblemDetails:
    """A problem document of RFC 9457, as the service answered it.

    Attributes:
        kind: the last part of its type, ``invalid-events``; empty where the answer is no problem document.
        status: of the answer.
        detail: what was wrong with this request and what to do.
        errors: everything that is wrong with the body, where the service lists it.
        members: the whole document.
    """

    kind: str
    status: int
    detail: str
    errors: tuple[Mapping[str, Any], ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)


class ServiceError(OladError, RuntimeError):
    """The service refused, or could not be reached. The message is for the user.

    Attributes:
        temporary: whether the same request may succeed later.
        retry_after_s: seconds after which to try again, where the service names them.
    """

    temporary = False
    retry_after_s: float | None = None


class NoService(ServiceError):
    """The address cannot be that of a service."""


class Unreachable(ServiceError):
    """No answer came."""

    temporary = True


class Refused(ServiceError):
    """The service answered with a problem.

    Attributes:
        problem: the document.
    """

    advice = ""
    """What to do, where the document does not name it."""

    def __init__(self, message: str, problem: ProblemDetails, retry_after_s: float | None = None) -> None:
        super().__init__(f"{message}; {self.advice}" if self.advice else message)
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.temporary = self._is_temporary()

    def _is_temporary(self) -> bool:
        return self.problem.status in _TEMPORARY


class KeyRefused(Refused):
    """The API key is missing or wrong, or its scopes do not allow the request."""


class InvalidRequest(Refused):
    """The request holds values that are not allowed. ``problem.errors`` lists them."""


class InvalidBatch(InvalidRequest):
    """Events of the batch are invalid, and nothing was written. ``problem.errors`` has index, field and message."""


class TooLarge(Refused):
    """The request is larger than the service takes."""

    advice = "send it in smaller parts"


class IdempotencyKeyReused(Refused):
    """The Idempotency-Key was used for another batch."""


class SchemaConflict(Refused):
    """The declaration contradicts what the graph holds."""


class UnknownNode(Refused):
    """The node is not in the graph at the position that was read."""


class ChangesGone(Refused):
    """The changes that follow are not kept any more: read the predictions again, then follow from their position."""


class ChangesOff(Refused):
    """The service does not record changes."""


class UnknownEdge(Refused):
    """The edge is not remembered."""


class NoTask(Refused):
    """Edges of the type have no task."""


class UnknownVariant(Refused):
    """No worker has started as the variant."""


class NotPromoted(Refused):
    """The variant cannot be the champion now. The message names what is missing."""


class SeveralChallengers(Refused):
    """The alias ``challenger`` stands for more than one variant: name one."""


class VariantInUse(Refused):
    """The variant cannot be removed: it is the champion, or its worker is there."""


class UnknownVersion(Refused):
    """The version is not kept, or there is none to roll back to."""


class UnknownClass(Refused):
    """The served version does not predict the class."""

    advice = "status().worker.graph.classes has those that there are"


class NotKept(Refused):
    """What was served at the position that was asked for is not kept."""


class Busy(Refused):
    """The service has more to do than it takes, or a part of it is away, for longer than the client had patience."""


class NoModel(Refused):
    """No model is published yet. The message names what is missing."""

    def _is_temporary(self) -> bool:
        return False


class NotReady(Refused):
    """A probe of the service's health failed. The message names what is missing."""

    def _is_temporary(self) -> bool:
        return False


class PositionNotReached(Refused):
    """Predictions did not show the position in time: the worker is behind, or away."""

    advice = "wait longer with patience_s, or read without min_position"


_CLASSES: Mapping[Kind, type[Refused]] = {
    problems.UNAUTHENTICATED: KeyRefused,
    problems.FORBIDDEN: KeyRefused,
    problems.UNKNOWN_NODE: UnknownNode,
    problems.CHANGES_GONE: ChangesGone,
    problems.CHANGES_OFF: ChangesOff,
    problems.UNKNOWN_EDGE: UnknownEdge,
    problems.NO_TASK: NoTask,
    problems.UNKNOWN_VARIANT: UnknownVariant,
    problems.UNKNOWN_VERSION: UnknownVersion,
    problems.NOT_PROMOTED: NotPromoted,
    problems.SEVERAL_CHALLENGERS: SeveralChallengers,
    problems.VARIANT_IN_USE: VariantInUse,
    problems.UNKNOWN_CLASS: UnknownClass,
    problems.NOT_KEPT: NotKept,
    problems.SCHEMA_CONFLICT: SchemaConflict,
    problems.TOO_LARGE: TooLarge,
    problems.HEAD_TOO_LARGE: TooLarge,
    problems.INVALID_EVENTS: InvalidBatch,
    problems.TOO_MANY_CLASSES: InvalidBatch,
    problems.TOO_MUCH_MEMORY: InvalidBatch,
    problems.INVALID_REQUEST: InvalidRequest,
    problems.KEY_REUSED: IdempotencyKeyReused,
    problems.NO_MODEL: NoModel,
    problems.NOT_READY: NotReady,
    problems.POSITION_NOT_REACHED: PositionNotReached,
}
_BY_NAME = {kind.name: found for kind, found in _CLASSES.items()}


def class_of(problem: ProblemDetails) -> type[Refused]:
    """The exception class of a problem.

    >>> class_of(ProblemDetails("unknown-node", 404, "node 'p1' is not in the graph")).__name__
    'UnknownNode'
    >>> class_of(ProblemDetails("of-a-later-release", 429, "later")).__name__
    'Busy'
    """
    return _BY_NAME.get(problem.kind, Busy if problem.status in _TEMPORARY else Refused)
