"""What every error of Redis asks for: to wait and try again, or a person who changes something.

One table for the API, the worker and the commands. The words are those that Redis documents as error codes; an error
inside a script has its code somewhere in a longer message.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from redis.exceptions import AuthenticationError, AuthorizationError, ResponseError
from redis.exceptions import RedisError as RedisError  # noqa: PLC0414  # the API catches it without importing a client

from olad_core.errors import OladError
from service.store.replication import NotReplicated

RedisRefused = ResponseError
"""An error that Redis has answered."""
REDIS_ERRORS = (RedisError, OSError)
"""What any use of Redis may raise: it refuses, or cannot be reached."""


@dataclass(frozen=True)
class Refusal:
    """What an error asks for.

    Attributes:
        code: the error code; empty where Redis did not answer.
        passes: whether the same command may succeed later; else a person must act first.
        advice: what is the matter and what to do, without a full stop.
        answered: whether Redis has answered, so that it is known that nothing was written.
    """

    code: str
    passes: bool
    advice: str
    answered: bool = True


_UNREACHABLE = Refusal("", True, "Redis does not answer; try again soon", answered=False)
_NO_TRUST = Refusal(
    "TLS",
    False,
    "TLS to Redis fails: check its certificate, OLAD_REDIS_CA_FILE, and that the port speaks TLS",
    answered=False,
)
_NOT_REPLICATED = Refusal(
    "",
    True,
    "The primary has what was written, but fewer replicas than OLAD_REDIS_WAIT_REPLICAS have it",
    answered=False,
)
_UNKNOWN = Refusal(
    "ERR", False, "Redis refuses a command of this service: check its version, its configuration and who else writes"
)
_PASSES = {
    "OOM": "Redis has no memory left",
    "MISCONF": "Redis cannot write to its disk, which is full or broken: free space where Redis keeps its files",
    "READONLY": "this Redis is a read-only replica: wait for the failover, or set OLAD_REDIS_URL to the primary",
    "NOREPLICAS": "Redis has fewer replicas than its min-replicas-to-write asks for",
    "MASTERDOWN": "this Redis is a replica that has lost its primary",
    "NOMASTERLINK": "this Redis is a replica that has lost its primary",
    "LOADING": "Redis is loading its data",
    "BUSY": "Redis is busy running a script",
    "UNKILLABLE": "Redis is busy running a script that has written",
    "UNBLOCKED": "Redis has ended a blocking command, as it does when it becomes a replica",
    "EXECABORT": "Redis has discarded a transaction",
    "NOSCRIPT": "Redis has forgotten its scripts",
    "CLUSTERDOWN": "the Redis cluster is down",
    "TRYAGAIN": "the Redis cluster is moving keys",
    "ASK": "the Redis cluster is moving keys",
    "INPROG": "Redis is in a failover",
    "IOERR": "Redis had an error of input or output",
    "MAXCLIENTS": "Redis has no free connection: raise its maxclients, or end other clients",
}
_NEEDS_A_PERSON = {
    "MOVED": "this Redis is one node of a cluster: set OLAD_REDIS_URL to redis+cluster://HOST:PORT,...",
    "CROSSSLOT": "this Redis is a proxy or a cluster that keeps the graph's keys apart: set OLAD_REDIS_URL to another",
    "NOAUTH": "Redis needs a password: set OLAD_REDIS_PASSWORD_FILE",
    "WRONGPASS": "Redis refuses user or password: check OLAD_REDIS_USER and OLAD_REDIS_PASSWORD_FILE",
    "NOPERM": "the Redis user lacks a permission: docs/security.md lists the rules that it needs",
    "DENIED": "Redis runs in protected mode: give it a password",
    "WRONGTYPE": "a key of this graph holds what this service has not written: another program uses the same name",
    "NOPROTO": "this Redis does not speak the protocol of this service: use version 6.2 or later",
}
TABLE = {code: Refusal(code, True, advice) for code, advice in _PASSES.items()} | {
    code: Refusal(code, False, advice) for code, advice in _NEEDS_A_PERSON.items()
}
"""By error code."""
_CODE = re.compile(rf"\b({'|'.join(TABLE)})\b")
_PIPELINE = "of pipeline caused error: "
_SIGNS = (
    ("max number of clients", "MAXCLIENTS"),
    ("OOM command not allowed", "OOM"),
    ("against a read only replica", "READONLY"),
    ("user executing the script can't", "NOPERM"),
    ("access a non local key in a cluster", "TRYAGAIN"),
)
"""Where an error has no code, or has lost it in the client or in a script."""


def refusal(error: BaseException) -> Refusal:
    """What an error of Redis, or of the connection to it, asks for.

    >>> refusal(ResponseError("MISCONF Errors writing to the AOF file: No space left on device")).passes
    True
    >>> refusal(ResponseError("Error running script (call to f_04): @user_script:17: -NOREPLICAS Not enough")).code
    'NOREPLICAS'
    >>> refusal(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")).passes
    False
    """
    if isinstance(error, NotReplicated):
        return _NOT_REPLICATED
    text = str(error).rpartition(_PIPELINE)[2]
    code = getattr(error, "status_code", None)
    if code not in TABLE:
        code = next((word for sign, word in _SIGNS if sign in text), None)
    if code is None and isinstance(error, AuthenticationError | AuthorizationError):
        code = "WRONGPASS"
    if code is None and isinstance(error, ResponseError):
        found = _CODE.search(text)
        code = found[1] if found is not None else None
        return TABLE[code] if code is not None else _UNKNOWN
    if code is not None:
        return TABLE[code]
    return _NO_TRUST if _untrusted(error) else _UNREACHABLE


def _untrusted(error: BaseException) -> bool:
    """Whether certificates, or a port without TLS, keep the connection from being made."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or "WRONG_VERSION_NUMBER" in str(error)


class RedisUnusable(OladError, RuntimeError):
    """Redis refuses, and will go on to refuse until a person has changed something."""


def wait_out(error: RedisError | OSError) -> Refusal:
    """The refusal, if waiting may help.

    Raises:
        RedisUnusable: a person must act; the message has what to do.
    """
    found = refusal(error)
    if not found.passes:
        raise RedisUnusable(f"{found.advice} (Redis: {error})") from error
    return found
