"""The stream of changes: what a change is, and how a follower reads server-sent events. No connection is used here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from service.client import calls
from service.client.calls import Call, Node
from service.client.errors import ChangesGone, ProblemDetails, ServiceError
from service.problems import CHANGES_GONE

SILENCE_S = 45.0
"""A connection is given up after so many seconds without a byte; the service sends a comment every 15 seconds."""
_GONE = "gone"


class Change(BaseModel):
    """A CloudEvent of the stream. One of a type that this release does not know has this class.

    Attributes:
        id: pass it as ``after`` to continue right after this change.
        type: ``olad.`` and a name, such as ``olad.label-changed``.
        position: of the log, at which predictions show it.
        time: of that position.
        data: what has changed.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    type: str
    position: str
    time: AwareDatetime
    data: Any


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class LabelChange(_Data):
    """The label of one node; ``before`` is None for a new node, ``label`` for one that has left."""

    node: str
    before: str | None
    label: str | None
    probability: float | None = None
    student: str | None = None
    model_version: int | None = None


class LabelChanged(Change):
    """A node has another label."""

    data: LabelChange


class NotListed(_Data):
    """How many more nodes have another label."""

    count: int


class LabelsNotListed(Change):
    """More nodes have another label than are listed."""

    data: NotListed


class RuleChanged(Change):
    """The rule that makes labels of probabilities has changed. Labels may have changed with it."""


class DecisionMade(_Data):
    """A decision of the service, as ``GET /students`` lists it."""

    kind: str
    reason: str


class Decided(Change):
    """The service has decided something: ``drift``, ``student-switched``, ``version-refused`` and others."""

    data: DecisionMade


_CLASSES: dict[str, type[Change]] = {
    "label-changed": LabelChanged,
    "labels-not-listed": LabelsNotListed,
    "rule-changed": RuleChanged,
    "decision": Decided,
}


@dataclass
class _Block:
    """The fields of one server-sent event."""

    id: str | None = None
    event: str = ""
    data: list[str] = field(default_factory=list)


class Follower:
    """Reads changes from connection to connection.

    Args:
        after: id of a change or position to continue after; None begins with the next change.
        types: as the filters of ``GET /stream``, like all that follow.
        nodes: likewise.
        classes: likewise.
        kinds: likewise.
        variant: that is followed; None for the champion.
    """

    def __init__(
        self,
        after: str | None,
        types: Sequence[str],
        nodes: Sequence[Node],
        classes: Sequence[str],
        kinds: Sequence[str],
        variant: str | None = None,
    ) -> None:
        self._after = after
        self._filters = (types, nodes, classes, kinds, variant)
        self._rest = b""
        self._block = _Block()
        self._without_change = 0

    def call(self) -> Call[bytes]:
        """The request of the next connection."""
        self._rest, self._block = b"", _Block()
        return calls.stream(self._after, *self._filters)

    def pause_s(self) -> float:
        """Seconds before the next connection: more after each one that brought no change, 2 at most."""
        self._without_change += 1
        return min(2.0, 0.05 * 2.0 ** min(self._without_change, 10))

    def read(self, part: bytes) -> Iterator[Change]:
        """The changes that a part of the stream completes. Parts may end anywhere.

        Raises:
            ChangesGone: the service does not keep the changes that follow.
            ServiceError: the stream holds what this release does not read.
        """
        # Not str.splitlines: JSON may hold other separators, such as U+2028.
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode()
            if text:
                self._add(text)
            else:
                ended, self._block = self._block, _Block()
                if ended.data:
                    change = _change(ended)
                    self._after, self._without_change = ended.id or self._after, 0
                    yield change
                elif ended.id:
                    self._after = ended.id

    def _add(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._block.id = value
        elif name == "event":
            self._block.event = value
        elif name == "data":
            self._block.data.append(value)


def _change(block: _Block) -> Change:
    text = "\n".join(block.data)
    try:
        if block.event == _GONE:
            detail = str(msgspec.json.decode(text)["detail"])
            message = f"the stream has ended: {detail}"
            raise ChangesGone(message, ProblemDetails(CHANGES_GONE.name, CHANGES_GONE.status, detail))
        return _CLASSES.get(block.event, Change).model_validate_json(text)
    except (ValidationError, msgspec.DecodeError) as error:
        raise ServiceError(f"the stream holds what this client does not read ({error})") from None
