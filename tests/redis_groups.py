"""Real Redis servers that belong together: a primary with replicas under Sentinels, and a cluster."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from service.local.redis_program import find_redis_programs
from tests.chaos.workers import until

SLOTS = 16_384
NAME = "main"
"""Of the primary, with the Sentinels."""


@dataclass
class Server:
    """One server on a port of its own."""

    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=30)

    def info(self) -> dict[str, object]:
        """What it reports of its replication; nothing while it does not answer."""
        with contextlib.suppress(redis.RedisError), self.client() as client:
            found: dict[str, object] = client.info("replication")
            return found
        return {}

    @property
    def is_primary(self) -> bool:
        return self.info().get("role") == "master"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Group:
    """Servers that end together. Each keeps an append-only file in a folder of its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="olad-group-"))
        self.servers: list[Server] = []

    def start(self, *options: str, sentinel: bool = False) -> Server:
        """One more server, which answers."""
        port = free_port()
        folder = self._folder / str(port)
        folder.mkdir()
        config = folder / "server.conf"
        common = ["port " + str(port), f"dir {folder}", "logfile server.log", "bind 127.0.0.1", "daemonize no"]
        kept = [] if sentinel else ["appendonly yes", 'save ""', "repl-diskless-sync-delay 0"]
        config.write_text("\n".join([*common, *kept, *options]) + "\n")
        program = find_redis_programs()[0].path
        process = subprocess.Popen([program, str(config), *(["--sentinel"] if sentinel else [])], cwd=folder)
        server = Server(port, process, folder)
        self.servers.append(server)
        with server.client() as client:
            until(lambda: answers(client, process), 20)
        return server

    def close(self) -> None:
        for server in self.servers:
            server.process.kill()
        for server in self.servers:
            server.process.wait()
        shutil.rmtree(self._folder)


def answers(client: redis.Redis, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def free_port() -> int:
    """A port that is free, and so is the one of the cluster's bus, which is 10,000 higher."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port > 55_000:
                continue
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port + 10_000))
                return port


@contextlib.contextmanager
def group() -> Iterator[Group]:
    running = Group()
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def watched(replicas: int) -> Iterator[tuple[str, Server, list[Server]]]:
    """A primary with replicas, three Sentinels, and the URL that names them."""
    with group() as running:
        primary = running.start("min-replicas-max-lag 2")
        others = [
            running.start(f"replicaof 127.0.0.1 {primary.port}", "min-replicas-max-lag 2") for _ in range(replicas)
        ]
        until(lambda: primary.info().get("connected_slaves") == replicas, 30)
        until(lambda: all(other.info().get("master_link_status") == "up" for other in others), 30)
        sentinels = [
            running.start(
                f"sentinel monitor {NAME} 127.0.0.1 {primary.port} 2",
                f"sentinel down-after-milliseconds {NAME} 1000",
                f"sentinel failover-timeout {NAME} 5000",
                sentinel=True,
            )
            for _ in range(3)
        ]
        for sentinel in sentinels:
            with sentinel.client() as client:
                until(functools.partial(all_known, client, replicas), 30)
        yield f"redis+sentinel://{','.join(one.address for one in sentinels)}/{NAME}", primary, others


def all_known(sentinel: Any, replicas: int) -> bool:
    found: Any = sentinel.execute_command("SENTINEL MASTER", NAME)
    state = {text(name): text(value) for name, value in (found.items() if isinstance(found, dict) else pairs(found))}
    return state["num-other-sentinels"] == "2" and state["num-slaves"] == str(replicas)


def pairs(found: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(found[::2], found[1::2], strict=True))


@contextlib.contextmanager
def cluster(key: str) -> Iterator[tuple[str, Server, list[Server], Server]]:
    """A cluster of three primaries: its URL, the primary of a key, two replicas of that one, and another primary."""
    with group() as running:
        # A replica that went over to a primary without one would take its copy of the graph away.
        staying = "cluster-allow-replica-migration no"
        options = ("cluster-enabled yes", "cluster-node-timeout 1500", "cluster-require-full-coverage no", staying)
        primaries = [running.start(*options) for _ in range(3)]
        replicas = [running.start(*options, "cluster-replica-validity-factor 0") for _ in range(2)]
        servers = [*primaries, *replicas]
        share = SLOTS // 3 + 1
        for number, server in enumerate(primaries):
            with server.client() as client:
                last = min(SLOTS, (number + 1) * share) - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last)
                for other in servers:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", other.port)
        owner = primaries[key_slot(key.encode()) // share]
        until(lambda: all(knows(server, len(servers)) for server in servers), 30)
        with owner.client() as client:
            name = text(client.execute_command("CLUSTER MYID"))
        for replica in replicas:
            with replica.client() as client:
                client.execute_command("CLUSTER REPLICATE", name)
        until(lambda: all(replica.info().get("master_link_status") == "up" for replica in replicas), 30)
        until(lambda: all(healthy(server) for server in servers), 30)
        other = next(server for server in primaries if server is not owner)
        # One address is enough, and it need not be that of the graph's primary.
        yield f"redis+cluster://{other.address}", owner, replicas, other


def knows(server: Server, count: int) -> bool:
    with server.client() as client:
        lines = text(client.execute_command("CLUSTER NODES")).splitlines()
        # Until the handshake is over a node has a name that is not its own.
        return len(lines) == count and not any("handshake" in line for line in lines)


def healthy(server: Server) -> bool:
    with server.client() as client:
        info = text(client.execute_command("CLUSTER INFO"))
        return "cluster_state:ok" in info and "cluster_slots_ok:16384" in info


def text(answer: object) -> str:
    """An answer as text, however the client has parsed it."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, dict):
        return "\n".join(f"{name}:{value}" for name, value in answer.items())
    return str(answer)
