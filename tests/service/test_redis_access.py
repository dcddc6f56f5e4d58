"""Redis behind a password, an access control list and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from pydantic import ValidationError

from service.settings import Settings, environment
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.worker.assembly import connect as connect_worker
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.metric_values import shows
from tests.service.publications import publication

PASSWORD = "p@ss:w/rd %#?"
EVENTS = [{"op": "upsert_node", "id": "a"}]
# What docs/security.md grants.
RULES = ["resetchannels", "~olad:*", "&olad:*", "+@all", "-@dangerous", "+info"]


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "redis-password"
    file.write_text(PASSWORD + "\n")
    return file


@pytest.fixture
def locked_server(own_redis_server: RedisServer) -> RedisServer:
    """A server with a password for everybody and a user who may touch this service's keys only."""
    with own_redis_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "olad", "on", f">{PASSWORD}", *RULES)
        admin.config_set("requirepass", "another one")
    return own_redis_server


def worker_ping(settings: Settings) -> bool:
    with connect_worker(settings) as client:
        return bool(client.get("olad:{x}:schema") is None)


class TestPasswordAndUser:
    def test_api_and_worker_use_them(self, locked_server: RedisServer, graph: str, password_file: Path) -> None:
        given: dict[str, Any] = {"redis_user": "olad", "redis_password_file": password_file}
        settings = Settings(redis_url=locked_server.url, **given)
        assert worker_ping(settings)
        with serving(locked_server.url, graph, **given) as client:
            assert client.post("/events", json=EVENTS).status_code == 202
            assert client.get("/status").json()["log"]["entries"] == 1
            assert shows(client, "olad_redis_up", 1)

    def test_the_worker_may_do_all_it_does(self, locked_server: RedisServer, keys: Keys, password_file: Path) -> None:
        settings = Settings(redis_url=locked_server.url, redis_user="olad", redis_password_file=password_file)
        with connect_worker(settings) as client:
            writer, reader = PredictionWriter(client, keys), LogReader(client, keys)
            writer.start()
            writer.publish(publication("1-0", {"a": [0.25, 0.75]}))
            writer.publish(publication("2-0", {"a": [0.5, 0.5]}, version=2, dropped=(1,), removed=("b",)))
            client.xadd(keys.log, {"events": b"\x90", "n": 0})
            assert reader.read("0-0", max_events=1, block_ms=1)
            assert reader.trim_before(reader.last() or "") == 1

    def test_the_user_may_touch_nothing_else(self, locked_server: RedisServer, password_file: Path) -> None:
        settings = Settings(redis_url=locked_server.url, redis_user="olad", redis_password_file=password_file)
        with connect_worker(settings) as client:
            for command in (["GET", "other"], ["CONFIG", "GET", "*"], ["FLUSHALL"], ["SHUTDOWN", "NOSAVE"]):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command)

    def test_a_wrong_password_is_an_unavailable_redis_and_stays_secret(
        self, locked_server: RedisServer, graph: str, tmp_path: Path
    ) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text("wr0ng-secret")
        with serving(locked_server.url, graph, redis_password_file=wrong) as client:
            answer = client.post("/events", json=EVENTS)
            assert_problem(answer, 503, "redis-unavailable")
            assert "wr0ng" not in answer.text


class TestUrl:
    def test_parts_are_put_in_and_quoted(self, password_file: Path) -> None:
        settings = Settings(
            redis_url="rediss://someone:old@h:6390/2?db=2",
            redis_user="o:l@d",
            redis_password_file=password_file,
            redis_ca_file=Path("/etc/ca file.pem"),
        )
        options = redis.connection.parse_url(settings.redis_url or "")  # type: ignore[no-untyped-call]
        assert options["username"] == "o:l@d"
        assert options["password"] == PASSWORD
        assert (options["host"], options["port"], options["db"]) == ("h", 6390, 2)
        assert options["ssl_ca_certs"] == "/etc/ca file.pem"
        assert options["connection_class"] is redis.connection.SSLConnection

    def test_what_is_not_given_stays(self, tmp_path: Path) -> None:
        for url in ("redis://u:p@h/0", "redis://h", "unix:///run/redis.sock?db=1"):
            assert Settings(redis_url=url).redis_url == url
        assert Settings(redis_url="rediss://h", redis_ca_file=Path("/ca")).redis_url == "rediss://h?ssl_ca_certs=%2Fca"

    def test_it_is_the_same_for_child_processes(self, password_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = Settings(redis_url="redis://h/0", redis_user="u", redis_password_file=password_file)
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        assert Settings() == settings

    def test_the_password_is_not_shown(self, password_file: Path) -> None:
        settings = Settings(redis_url="redis://h/0", redis_password_file=password_file, api_key="k3y")
        assert "rd" not in repr(settings).replace("word", "")
        assert "k3y" not in repr(settings)
        assert "k3y" not in str(environment(settings))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"redis_user": "u"}, "must be set"),
            ({"redis_url": "redis://h", "redis_ca_file": Path("/ca")}, "rediss://"),
            ({"redis_url": "redis+sentinel://u:p@a,u:p2@b/main"}, "user and password once, before the first host"),
            ({"redis_url": "redis://h", "redis_password_file": Path("/nowhere/at/all")}, "cannot be read"),
        ],
    )
    def test_what_does_not_fit_is_named(self, given: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            Settings(**given)  # type: ignore[arg-type]


@contextlib.contextmanager
def tls_relay(server: RedisServer, authority: trustme.CA) -> Iterator[int]:
    """A TLS end in front of a server that is built without it; the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    loop = asyncio.new_event_loop()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(f"{server.directory}/redis.sock")
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    listener = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        listener.close()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


class TestTls:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp())
        yield folder
        shutil.rmtree(folder)

    def test_both_processes_check_the_certificate(self, redis_server: RedisServer, graph: str, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        stranger.cert_pem.write_to_path(str(folder / "stranger.pem"))
        with tls_relay(redis_server, authority) as port:
            url = f"rediss://localhost:{port}/0"
            assert worker_ping(Settings(redis_url=url, redis_ca_file=folder / "ca.pem"))
            with serving(url, graph, redis_ca_file=folder / "ca.pem") as client:
                assert client.post("/events", json=EVENTS).status_code == 202
            with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                worker_ping(Settings(redis_url=url, redis_ca_file=folder / "stranger.pem"))
            with serving(url, graph, redis_ca_file=folder / "stranger.pem") as client:
                assert_problem(client.post("/events", json=EVENTS), 503, "redis-unavailable")
            # Signed rightly, for another name.
            with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                worker_ping(Settings(redis_url=url.replace("localhost", "127.0.0.1"), redis_ca_file=folder / "ca.pem"))
