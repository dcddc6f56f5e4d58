"""Which hosts the API answers to, and which web pages may use it.

A page of another site can have a browser on this machine or network send requests. Without API keys nothing else would
stop them: by DNS rebinding the page's own name leads to this API, so its requests count as same-origin.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.types import Scope

from service.problems import HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, Problem
from service.settings import Settings

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class OriginGuard:
    """Refuses requests for other hosts, and without API keys those that pages of other origins have sent.

    Attributes:
        hosts: names beside those of this machine, ``*.example.org`` for all below one; ``*`` for any.
        origins: origins whose pages may use the API.
        keys_needed: whether every request needs a key, which a browser does not send by itself.
    """

    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    keys_needed: bool

    @classmethod
    def of(cls, settings: Settings, *, keys_needed: bool) -> OriginGuard:
        """The guard of an API with these settings.

        With keys and without a list, any host is answered to: rebinding gains nothing where a request needs a key.
        """
        if keys_needed and not settings.allowed_hosts:
            return cls(("*",), settings.cors_origins, keys_needed)
        own = () if settings.host in _EVERY_ADDRESS else (settings.host.lower(),)
        return cls((*settings.allowed_hosts, *own), settings.cors_origins, keys_needed)

    def check(self, scope: Scope) -> None:
        """Let a request pass.

        Raises:
            Problem: 400 where it is for another host, 403 where a page of another origin has sent it.
        """
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _LOOKED_AT}
        host = headers.get(b"host")
        # HTTP/1.0 need not name a host. No browser speaks it.
        if host is not None and not self._answers_to(_name(host), scope):
            detail = (
                f"this API does not answer to the host {_name(host)[:255]}: it answers to localhost and to its own "
                "address; set OLAD_ALLOWED_HOSTS for other names"
            )
            raise Problem(HOST_NOT_ALLOWED, detail)
        if not self.keys_needed:
            self._check_origin(headers, host or "", scope["method"])

    def _answers_to(self, name: str, scope: Scope) -> bool:
        if "*" in self.hosts or name == "localhost" or name in self.hosts:
            return True
        if any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in self.hosts):
            return True
        address = _address(name)
        if address is None:
            return False
        # The address that the connection came to cannot be another's: a probe by a pod's address needs no setting.
        return address.is_loopback or address == _address((scope.get("server") or ("",))[0])

    def _check_origin(self, headers: dict[bytes, str], host: str, method: str) -> None:
        origin = headers.get(b"origin")
        if origin is not None:
            if "*" in self.origins or origin.lower() in self.origins or _same(origin.lower(), host.lower()):
                return
            detail = f"pages of {origin[:255]} may not use this API; set OLAD_CORS_ORIGINS to let them"
            raise Problem(ORIGIN_NOT_ALLOWED, detail)
        if headers.get(b"sec-fetch-site") in {"cross-site", "same-site"}:
            # A link to the dashboard on another site also makes a cross-site request.
            link = headers.get(b"sec-fetch-mode") == "navigate" and headers.get(b"sec-fetch-dest") == "document"
            if not (link and method in _READS):
                raise Problem(ORIGIN_NOT_ALLOWED, "pages of other sites may not load anything from this API")


_LOOKED_AT = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})


def _name(host: str) -> str:
    """The name in a Host header, without its port.

    >>> _name("LocalHost.:8000"), _name("[::1]:8000"), _name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().removesuffix(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _same(origin: str, host: str) -> bool:
    """Whether an origin is that of the host a request is for.

    The scheme is not compared: behind a proxy with TLS this API does not know it.

    >>> _same("http://localhost:8000", "localhost:8000"), _same("https://example.org", "example.org:443")
    (True, True)
    >>> _same("null", "localhost"), _same("http://localhost:3000", "localhost:8000")
    (False, False)
    """
    scheme, found, authority = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if not found or port is None:
        return False
    return authority.removesuffix(port) == host.removesuffix(port)
