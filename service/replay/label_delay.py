"""When labels follow: after a number of arrivals, or after a time."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from msgspec import structs
from pydantic import BeforeValidator

from olad_core.events import LabelNode
from service.replay.arrival_stream import Arrival, UnreadableDataset

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TIME = re.compile(r"(?a:(\d+(?:\.\d+)?) *([smhdw]))")
_COUNT = re.compile(r"(?a:\d{1,15})")
EPOCH_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds in one of each."""
_EARLIEST_SECONDS, _LATEST_SECONDS = 1e8, 1e11
"""Of times that are taken for dates: from 1973 to the year 5138, so that one number fits one unit at most."""


@dataclass(frozen=True)
class Duration:
    """A length of event time, in seconds."""

    seconds: float


def parse_delay(text: str | int) -> int | Duration:
    """A delay as it is written: a number of arrivals, or a number of seconds, minutes, hours, days or weeks.

    >>> parse_delay("100"), parse_delay("14d"), parse_delay("1.5h")
    (100, Duration(seconds=1209600.0), Duration(seconds=5400.0))

    Raises:
        ValueError: it is neither.
    """
    stripped = str(text).strip()
    if _COUNT.fullmatch(stripped):
        return int(stripped)
    match = _TIME.fullmatch(stripped)
    if match is None:
        raise ValueError(f"{text!r} is no delay: a number of arrivals (100), or a time (30s, 90m, 12h, 14d, 2w)")
    return Duration(float(match[1]) * _SECONDS[match[2]])


def _parsed(value: Any) -> Any:
    return parse_delay(value) if isinstance(value, str | int) else value


LabelDelay = Annotated[int | Duration, BeforeValidator(_parsed, json_schema_input_type=int | str)]
"""A delay in a file, as :func:`parse_delay` reads it."""


def epoch_unit(time: float) -> str | None:
    """The unit in which a number is a date since 1970 between 1973 and 5138; None where it is none.

    >>> epoch_unit(1_700_000_000), epoch_unit(1_700_000_000_000), epoch_unit(2010)
    ('s', 'ms', None)
    """
    for unit, seconds in EPOCH_UNITS.items():
        if _EARLIEST_SECONDS <= abs(time) * seconds < _LATEST_SECONDS:
            return unit
    return None


def delay_labels(arrivals: Iterable[Arrival], delay: int) -> Iterator[Arrival]:
    """Send what is known of a node's class as a label event, once ``delay`` further nodes have arrived.

    A class that becomes known only after that is sent at once. The labels of the last ``delay`` nodes are
    never sent: the arrivals they wait for do not come. A label has the greatest time of the events before it.

    >>> from olad_core.events import UpsertNode
    >>> nodes = [Arrival((UpsertNode(id=name),), name, (name, "red")) for name in ("a", "b", "c")]
    >>> [[type(event).__name__ for event in arrival.events] for arrival in delay_labels(nodes, 2)]
    [['UpsertNode'], ['UpsertNode'], ['UpsertNode', 'LabelNode']]
    """
    place: dict[str, int] = {}
    waiting: defaultdict[int, list[LabelNode]] = defaultdict(list)
    latest: float | None = None
    for arrival in arrivals:
        latest = _latest(arrival, latest)
        if arrival.node is not None:
            place[arrival.node] = len(place)
        now = len(place) - 1
        if arrival.truth is not None:
            node, label = arrival.truth
            waiting[max(place.get(node, now) + delay, now)].append(LabelNode(id=node, label=label))
        labels = tuple(structs.replace(label, ts=latest) for label in waiting.pop(now, ()))
        yield replace(arrival, events=arrival.events + labels)


def delay_own_labels(arrivals: Iterable[Arrival], delay: int) -> Iterator[Arrival]:
    """The same as :func:`delay_labels` where a class is known with its node's arrival, or after the delay.

    Labels of edges are sent after as many further arrivals. Memory does not depend on the number of arrivals.

    >>> from olad_core.events import UpsertNode
    >>> nodes = [Arrival((UpsertNode(id=name),), name, (name, "red")) for name in ("a", "b", "c")]
    >>> list(delay_own_labels(nodes, 2)) == list(delay_labels(nodes, 2))
    True
    """
    waiting: deque[tuple[int, LabelNode]] = deque()
    latest: float | None = None
    arrived = 0
    for arrival in arrivals:
        latest = _latest(arrival, latest)
        labels = []
        known = _label(arrival)
        if known is not None and arrival.counts:
            waiting.append((arrived + delay, known))
        elif known is not None:
            labels.append(structs.replace(known, ts=latest))
        arrived += arrival.counts
        while waiting and waiting[0][0] < arrived:
            labels.append(structs.replace(waiting.popleft()[1], ts=latest))
        yield replace(arrival, events=(*arrival.events, *labels))


def delay_labels_in_time(
    arrivals: Iterable[Arrival], delay: Duration, name: str, unit: str | None = None
) -> Iterator[Arrival]:
    """Send what is known of the class of a node or an edge as a label event, once event time is ``delay`` later.

    The clock is the greatest time of the events so far. A label comes before the events of the first arrival that
    is late enough, with the time at which it was due. Labels that are not due when the arrivals end are never sent.

    Args:
        arrivals: with times since 1970, in any one of the units of :data:`EPOCH_UNITS`.
        delay: from an arrival's time to its label.
        name: of the source, for messages.
        unit: of the times, where it is known; else it is recognised by the first one.

    Raises:
        UnreadableDataset: a class comes before any time, or times are no dates.

    >>> from olad_core.events import UpsertNode
    >>> nodes = [Arrival((UpsertNode(id=n, ts=t),), n, (n, "red")) for n, t in (("a", 1e9), ("b", 1e9 + 50))]
    >>> stream = delay_labels_in_time(nodes, Duration(50), "example")
    >>> [[type(event).__name__ for event in arrival.events] for arrival in stream]
    [['UpsertNode'], ['LabelNode', 'UpsertNode']]
    """
    waiting: list[tuple[float, int, LabelNode]] = []
    latest: float | None = None
    length: float | None = None
    for number, arrival in enumerate(arrivals):
        latest = _latest(arrival, latest)
        labels = []
        while waiting and latest is not None and waiting[0][0] <= latest:
            labels.append(heapq.heappop(waiting)[2])
        label = _label(arrival)
        if label is not None:
            time = _latest(arrival, None)
            time = latest if time is None else time
            if length is None:
                length = _in_unit_of(time, unit, delay, name)
            assert time is not None, "checked with the first label"
            heapq.heappush(waiting, (time + length, number, structs.replace(label, ts=time + length)))
        yield replace(arrival, events=(*labels, *arrival.events)) if labels else arrival


def _label(arrival: Arrival) -> LabelNode | None:
    """What is known of the class of the node or the edge."""
    return arrival.label if arrival.truth is None else LabelNode(*arrival.truth)


def _in_unit_of(time: float | None, unit: str | None, delay: Duration, name: str) -> float:
    """The delay in the unit of the times."""
    if time is None or unit is None:
        unit = None if time is None else epoch_unit(time)
    if unit is None:
        what = "no times" if time is None else f"times like {time:g}, which are no dates since 1970"
        raise UnreadableDataset(f"{name} has {what}: give --label-delay as a number of arrivals")
    return delay.seconds / EPOCH_UNITS[unit]


def _latest(arrival: Arrival, before: float | None) -> float | None:
    times = [ts for event in arrival.events if (ts := getattr(event, "ts", None)) is not None]
    if before is not None:
        times.append(before)
    return max(times, default=None)
