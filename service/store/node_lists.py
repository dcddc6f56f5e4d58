"""Lists of nodes as Redis holds them, and the API's side of them."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from olad_core.serving.publication import ListedNodes, Publication
from service.store.champion import require_champion
from service.store.keys import Keys
from service.store.positions import START, PositionPair, parse_position
from service.store.presence import ask, is_there


class StoredList(msgspec.Struct, frozen=True):
    """A list, exact at a position.

    Attributes:
        position: at which it was made.
        applied_events: number of events up to there.
        version: that made it.
        student: of the version.
        nodes: ids, in the order of the list.
        labels: classes that label them.
        probabilities: of the class that is listed, else of their label.
        disagreement: how far the members of the group differ.
        marked: nodes of the graph whose answer is of an earlier position.
    """

    position: str
    applied_events: int
    version: int
    student: str
    nodes: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    disagreement: tuple[float, ...]
    marked: int


@dataclass(frozen=True)
class FoundList:
    """What stood in Redis at one moment.

    Attributes:
        stored: the list; None where nobody has asked for it yet.
        visible: position that readers see.
        appended: events in the log.
        behind: those of them that readers do not see yet.
        version: that is served; None before the first.
        classes: of that version.
        answered: id of the last request that is answered.
        heartbeat: whether the worker is there (:mod:`service.store.presence`).
    """

    stored: StoredList | None
    visible: PositionPair
    appended: int
    behind: int
    version: int | None
    classes: tuple[str, ...]
    answered: PositionPair
    heartbeat: bool

    @property
    def marked(self) -> int:
        """Nodes of the graph whose answer was of an earlier position when the list was made."""
        return self.stored.marked if self.stored is not None else 0

    def holds(self, wanted: PositionPair) -> bool:
        """Whether the list is of the served version and of no earlier position than wanted."""
        stored = self.stored
        return stored is not None and stored.version == self.version and parse_position(stored.position) >= wanted


def encode_list(found: ListedNodes, publication: Publication) -> bytes:
    """A list of a publication that serves a version, as it is stored."""
    served = publication.served
    assert served is not None
    return msgspec.msgpack.encode(
        StoredList(
            position=publication.position,
            applied_events=publication.applied_events,
            version=served.shown,
            student=served.student,
            nodes=found.nodes,
            labels=found.labels,
            probabilities=tuple(found.probabilities.tolist()),
            disagreement=tuple(found.disagreement.tolist()),
            marked=found.marked,
        )
    )


class ListReader:
    """Reads lists together with what is served.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        as_champion: whether the variant must be the champion; each read checks it, in the same step.
    """

    def __init__(self, redis: Redis, keys: Keys, *, as_champion: bool = False) -> None:
        self._redis = redis
        self._keys = keys
        self._as_champion = as_champion
        self._classes: tuple[bytes, tuple[str, ...]] = (b"[]", ())

    async def read(self, name: str) -> FoundList:
        """A list, and what is served, of one moment.

        Raises:
            ChampionMoved: another variant is the champion.
        """
        keys = self._keys
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(keys.served, ["position", "answered", "version", "classes", "applied"])
        pipe.get(keys.appended)
        pipe.hget(keys.lists, name)
        pipe.get(keys.champion)
        ask(pipe, keys)
        served, appended, stored, champion, heartbeat, subscribers = await cast("Awaitable[list[Any]]", pipe.execute())
        if self._as_champion:
            require_champion(champion, keys.variant)
        position, answered, version, classes, applied = served
        return FoundList(
            stored=msgspec.msgpack.decode(stored, type=StoredList) if stored is not None else None,
            visible=_pair(position),
            appended=int(appended or 0),
            behind=max(0, int(appended or 0) - int(applied or 0)),
            version=int(version) if version is not None else None,
            classes=self._parsed(classes) if classes is not None else (),
            answered=_pair(answered),
            heartbeat=is_there(heartbeat, subscribers),
        )

    def _parsed(self, classes: bytes) -> tuple[str, ...]:
        if self._classes[0] != classes:
            self._classes = classes, msgspec.json.decode(classes, type=tuple[str, ...])
        return self._classes[1]


def _pair(position: bytes | None) -> PositionPair:
    return parse_position(position.decode() if position is not None else START)
