"""Where the primary of a graph is, or a replica of it: asked of Sentinels, or of the nodes of a cluster.

All keys of a graph have one hash slot, so in a cluster a graph has one primary as well. Nothing else differs from
one server: connections find out where to go, and what is sent over them is the same.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from redis import Redis
from redis.connection import ConnectionPool, SSLConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from service.redis_urls import Address, LocatedUrl

Role: TypeAlias = Literal["primary", "replica"]
_ASK_S = 1.0
"""How long one of those who are asked may take."""


@dataclass(frozen=True)
class Greeting:
    """A command after connecting, and what its answer must contain for the server to be the right one."""

    command: tuple[str, ...]
    answer: bytes

    def accepts(self, answer: object) -> bool:
        """Whether the server is the right one."""
        return isinstance(answer, bytes) and self.answer in answer


class Locator:
    """Finds the address for a connection. A primary's is kept until it proves wrong; replicas take turns.

    Args:
        ask: the addresses that there are now, one at least.
        greeting: checks a server after connecting; None does not.
        role: of the servers.
    """

    def __init__(self, ask: Callable[[], Sequence[Address]], greeting: Greeting | None, role: Role) -> None:
        self._ask = ask
        self._role = role
        self._lock = threading.Lock()
        self._turn = itertools.count()
        self.greeting = greeting
        self.address: Address | None = None
        """Of the primary, as far as is known; None while it is not, and for replicas."""
        self.moves = 0
        """How often an address has proved wrong: connections from before are not used any more."""

    def find(self) -> Address:
        """Where to connect to. Blocks while others are asked.

        Raises:
            NotConnected: nobody knows.
        """
        with self._lock:
            if self.address is not None:
                return self.address
            found = self._ask()
            if self._role == "replica":
                return found[next(self._turn) % len(found)]
            self.address = found[0]
            return self.address

    def forget(self, address: Address) -> None:
        """An address that was found is wrong, or nobody answers there."""
        with self._lock:
            if self._role == "replica" or self.address == address:
                self.address = None
                self.moves += 1


def locator_for(url: LocatedUrl, key: str, role: Role) -> Locator:
    """A locator.

    Args:
        url: who is asked.
        key: any key of the graph, which decides the slot in a cluster.
        role: of the servers that are looked for.
    """
    if url.kind == "sentinel":
        word = b"role:master" if role == "primary" else b"role:slave"
        return Locator(_asking_sentinels(url, role), Greeting(("INFO", "replication"), word), role)
    # A primary of a cluster refuses keys that are another's. A replica answers reads after READONLY only.
    greeting = Greeting(("READONLY",), b"OK") if role == "replica" else None
    return Locator(_asking_cluster(url, key, role), greeting, role)


def _asking_sentinels(url: LocatedUrl, role: Role) -> Callable[[], Sequence[Address]]:
    options: dict[str, Any] = dict(url.sentinel_options) | _tls(url) | {"socket_timeout": _ASK_S}
    sentinel: Any = Sentinel(url.nodes, sentinel_kwargs=options)  # type: ignore[no-untyped-call]

    def ask() -> Sequence[Address]:
        if role == "primary":
            return [sentinel.discover_master(url.service)]
        found: Sequence[Address] = sentinel.discover_slaves(url.service)
        if not found:
            raise NotConnected(f"the Sentinels know no replica of {url.service}")
        return found

    return ask


def _asking_cluster(url: LocatedUrl, key: str, role: Role) -> Callable[[], Sequence[Address]]:
    slot = key_slot(key.encode())
    known = list(url.nodes)
    options = {name: value for name, value in url.options.items() if name != "db"} | {"socket_timeout": _ASK_S}

    def ask() -> Sequence[Address]:
        problem: Exception | None = None
        for node in known:
            try:
                shards = list(_shards(_cluster_slots(node, options, secure=url.secure), node))
            except (RedisError, OSError) as error:
                problem = error
                continue
            # Nodes that are met are asked later, when those of the URL may be gone.
            known.extend(met for shard in shards for met in shard.nodes if met not in known)
            holders = next((shard.nodes for shard in shards if shard.first <= slot <= shard.last), [])
            found = holders[:1] if role == "primary" else holders[1:]
            if found:
                return found
            problem = NotConnected(f"the cluster has no {role} for slot {slot}")
        raise NotConnected(f"no node of the Redis cluster can be asked: {problem}") from problem

    return ask


@dataclass(frozen=True)
class _Shard:
    """Slots of a cluster and who holds them, the primary first."""

    first: int
    last: int
    nodes: list[Address]


def _shards(answer: Sequence[Any], asked: Address) -> Iterator[_Shard]:
    """The answer to ``CLUSTER SLOTS``; a node that does not know its own name has the address it was asked at."""
    for first, last, *nodes in answer:
        yield _Shard(first, last, [(node[0].decode() if node[0] else asked[0], node[1]) for node in nodes])


def _cluster_slots(node: Address, options: dict[str, Any], *, secure: bool) -> Sequence[Any]:
    kind: dict[str, Any] = {"connection_class": SSLConnection} if secure else {}
    pool = ConnectionPool(host=node[0], port=node[1], **options, **kind)
    with Redis.from_pool(pool) as asked:
        answer: Sequence[Any] = asked.execute_command("CLUSTER SLOTS")
    return answer


def _tls(url: LocatedUrl) -> dict[str, Any]:
    """Options of a secure connection to a Sentinel: the same certificates as to a server."""
    certificates = {name: value for name, value in url.options.items() if name.startswith("ssl_")}
    return {"ssl": True, **certificates} if url.secure else {}
