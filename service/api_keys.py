"""API keys: made once, shown once, kept as hashes in one JSON file. See ``docs/decisions/0009-api-keys.md``."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from olad_core.errors import OladError
from service.settings import Settings

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
_KEY = re.compile(r"olad_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_LOOK_EVERY_S = 1.0
_NO_KEY = "0" * 64
_log = structlog.get_logger(__name__)


class KeysUnusable(OladError, RuntimeError):
    """The file of keys, or a name in it, is invalid; the message names the reason and the remedy."""


class ApiKey(BaseModel):
    """The stored record of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: datetime

    def allows(self, scope: Scope) -> bool:
        """Whether the key may do what needs that scope; admin may do everything."""
        return scope in self.scopes or "admin" in self.scopes


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()

    @field_validator("keys")
    @classmethod
    def _distinct(cls, keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        if len({key.id for key in keys}) != len(keys) or len({key.name for key in keys}) != len(keys):
            raise ValueError("ids and names must be distinct")
        return keys


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file.

    Raises:
        KeysUnusable: it is missing, unreadable or no such file.
    """
    try:
        return _KeyFile.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise KeysUnusable(
            f"the API keys in {path} cannot be read ({error.strerror}): `olad keys create --file {path}` makes the file"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise KeysUnusable(f"the API keys in {path} are not usable: {where}: {first['msg']}") from None


def create_key(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """Add a key to a file, which is made where it is missing.

    Returns:
        The key. Only its hash is kept, so this is the only time it can be seen.

    Raises:
        KeysUnusable: the name is taken or no name, or the file cannot be used.
    """
    key_id = secrets.token_hex(6)
    key = f"olad_{key_id}_{secrets.token_urlsafe(32)}"
    try:
        entry = ApiKey(
            id=key_id,
            name=name,
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            sha256=_digest(key),
            created_at=datetime.now(UTC).replace(microsecond=0),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise KeysUnusable(f"{first['loc'][0]}: {first['msg']}") from None
    with _changing(path):
        kept = read_keys(path) if path.exists() else ()
        if any(other.name == name for other in kept):
            raise KeysUnusable(f"there is a key named {name} already: revoke it or choose another name")
        _write(path, (*kept, entry))
    return key


def revoke_key(path: Path, name_or_id: str) -> ApiKey:
    """Take a key out of a file, by its name or id; it is refused within a second.

    Raises:
        KeysUnusable: there is no such key, or the file cannot be used.
    """
    with _changing(path):
        kept = read_keys(path)
        found = [key for key in kept if name_or_id in {key.name, key.id}]
        if not found:
            raise KeysUnusable(f"there is no key with the name or id {name_or_id} in {path}")
        _write(path, tuple(key for key in kept if key is not found[0]))
    return found[0]


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """One change of the file at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysUnusable(f"{path.parent} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Replace the file at once: a reader finds the old one or the new one."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".api-keys-", delete=False) as file:
            file.write(_KeyFile(keys=keys).model_dump_json(indent=2).encode() + b"\n")
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be written: {error.strerror}") from None


def _digest(key: str) -> str:
    """A key has 256 random bits, so it cannot be guessed from an unsalted hash."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The current keys of a file.

    A request with a key has the file checked for changes, once a second at most. Where the file can no longer be read,
    the last keys stay valid and the log has a line about it.

    Raises:
        KeysUnusable: the file cannot be used at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._checked_at = time.monotonic()
        self._keys = {key.id: key for key in read_keys(path)}

    def find(self, shown: str) -> ApiKey | None:
        """The key with this secret, if there is one. Takes the same time for every wrong secret."""
        self._reload()
        match = _KEY.fullmatch(shown)
        key = self._keys.get(match["id"]) if match is not None else None
        same = hmac.compare_digest(_digest(shown), key.sha256 if key is not None else _NO_KEY)
        return key if same else None

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < _LOOK_EVERY_S:
            return
        self._checked_at = now
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
        except KeysUnusable as error:
            _log.error("the API keys stay as they were", reason=str(error))
        else:
            _log.info("read the API keys again", keys=len(self._keys))

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


def key_ring(settings: Settings) -> KeyRing | None:
    """The keys that an API with these settings requires; None where it needs none.

    Raises:
        KeysUnusable: the file cannot be used, or there is none and the API can be reached from other machines.
    """
    if settings.api_keys_file is not None:
        return KeyRing(settings.api_keys_file)
    if settings.allow_anonymous or is_loopback(settings.host):
        return None
    raise KeysUnusable(
        f"the API would listen on {settings.host} and serve everybody who can reach it. Make a key with "
        "`olad keys create --file FILE --scope admin --name NAME` and set OLAD_API_KEYS_FILE=FILE, listen on "
        "127.0.0.1 only, or, where something else keeps strangers out, set OLAD_ALLOW_ANONYMOUS=true"
    )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
