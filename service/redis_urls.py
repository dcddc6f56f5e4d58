"""URLs of Redis: one server, a primary that Sentinels watch, or a cluster.

The forms of one server are redis-py's. The others are those of the library ``limits``: ``redis+sentinel://`` with the
Sentinels' addresses and the name of the primary, ``redis+cluster://`` with the addresses of some nodes; ``rediss+...``
with TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from redis.connection import parse_url

Address: TypeAlias = tuple[str, int]
"""Host and port."""
Kind: TypeAlias = Literal["sentinel", "cluster"]

_KINDS: Mapping[str, tuple[str, Kind, int]] = {
    "redis+sentinel": ("redis", "sentinel", 26379),
    "rediss+sentinel": ("rediss", "sentinel", 26379),
    "redis+cluster": ("redis", "cluster", 6379),
    "rediss+cluster": ("rediss", "cluster", 6379),
}
"""By scheme: that of the servers themselves, what is asked for them, and the default port of those who are asked."""
_NO_ADDRESS = "must name hosts as HOST or HOST:PORT, and have /, ?, # and @ of a password as %2F, %3F, %23 and %40"
_OF_SENTINELS = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True)
class LocatedUrl:
    """A Redis whose address must be asked for.

    Attributes:
        kind: who is asked: Sentinels, or nodes of a cluster.
        nodes: their addresses.
        service: name of the primary with the Sentinels; empty for a cluster.
        options: of a connection to a server: user, password, database, certificates and others of redis-py.
        secure: whether connections use TLS.
        sentinel_options: user and password of the Sentinels.
    """

    kind: Kind
    nodes: tuple[Address, ...]
    service: str
    options: Mapping[str, Any] = field(repr=False)
    secure: bool
    sentinel_options: Mapping[str, str] = field(repr=False)


def parse_located(url: str) -> LocatedUrl | None:
    """What a URL of Sentinels or of a cluster names; None for the URL of one server.

    >>> found = parse_located("redis+sentinel://user:pw@a,b:5000/main/2?sentinel_password=x")
    >>> found.kind, found.nodes, found.service, found.options["db"], dict(found.sentinel_options)
    ('sentinel', (('a', 26379), ('b', 5000)), 'main', 2, {'password': 'x'})
    >>> parse_located("rediss+cluster://[::1]:7000,c").nodes
    (('::1', 7000), ('c', 6379))
    >>> parse_located("redis://localhost:6379/0") is None
    True

    Raises:
        ValueError: it names nobody, no primary, or a database that there is not, or an address cannot be read.
    """
    parts = urlsplit(url)
    account, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in _KINDS:
        if parts.scheme in {"redis", "rediss"} and hosts:
            _address(hosts, 6379)
        return None
    scheme, kind, port = _KINDS[parts.scheme]
    if "@" in account:  # What stands there may be a part of a password.
        raise ValueError("must name user and password once, before the first host, and have @ in them as %40")
    nodes = tuple(_address(host, port) for host in hosts.split(",") if host)
    service, _, database = parts.path.strip("/").partition("/") if kind == "sentinel" else ("", "", parts.path[1:])
    if not nodes:
        raise ValueError(f"must name at least one host after {parts.scheme}://")
    if kind == "sentinel" and not service:
        raise ValueError("must name the primary as the Sentinels do: redis+sentinel://HOST:PORT,.../NAME")
    if database and not database.isdigit():
        raise ValueError("must end with the number of a database")  # What stands there may be a part of a password.
    if kind == "cluster" and int(database or 0) > 0:
        raise ValueError("must name no database but 0: a cluster has no other")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    sentinel_options = {name.removeprefix("sentinel_"): query.pop(name) for name in _OF_SENTINELS if name in query}
    single = (scheme, f"{account}@h" if account else "h", f"/{database or 0}", urlencode(query), "")
    options: dict[str, Any] = dict(parse_url(urlunsplit(single)))  # type: ignore[no-untyped-call]
    del options["host"]
    options.pop("connection_class", None)
    return LocatedUrl(kind, nodes, unquote(service), options, scheme == "rediss", sentinel_options)


def with_access(url: str, user: str | None, password_file: Path | None, ca_file: Path | None) -> str:
    """The URL with what is given in place of its own user, password and certificates.

    >>> with_access("rediss://someone:old@h/2", "me", None, Path("/ca"))
    'rediss://me:old@h/2?ssl_ca_certs=%2Fca'

    Raises:
        ValueError: it cannot be used, has no TLS for the certificates, or the file cannot be read.
    """
    parse_located(url)
    if user is None and password_file is None and ca_file is None:
        return url
    parts = urlsplit(url)
    if ca_file is not None and parts.scheme.partition("+")[0] != "rediss":
        raise ValueError("must begin with rediss:// or rediss+ where OLAD_REDIS_CA_FILE is set")
    known, _, address = parts.netloc.rpartition("@")
    known_user, _, known_password = known.partition(":")
    name = quote(user, safe="") if user is not None else known_user
    password = quote(_password(password_file), safe="") if password_file is not None else known_password
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if ca_file is not None:
        query["ssl_ca_certs"] = str(ca_file)
    account = f"{name}:{password}@" if name or password else ""
    return urlunsplit(parts._replace(netloc=account + address, query=urlencode(query)))


def _password(file: Path) -> str:
    try:
        return file.read_text().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the password in {file} cannot be read: {error.strerror}") from None


def _address(text: str, port: int) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, own_port = parts.hostname, parts.port
    except ValueError:
        host, own_port = None, None
    if host is None:  # The text may be a part of a password, and urllib quotes it: neither is named.
        raise ValueError(_NO_ADDRESS)
    return host, own_port or port
