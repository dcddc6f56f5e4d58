"""What both clients share: address and headers, reading an answer, trying again, and the position of own writes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
import tenacity
from pydantic import HttpUrl, TypeAdapter, ValidationError

from service.client.calls import Call, Wait
from service.client.errors import KeyRefused, NoService, ProblemDetails, Refused, ServiceError, Unreachable, class_of
from service.store.positions import START, parse_position

_T = TypeVar("_T")
_WAIT_FOR_POSITION_MS = 5_000
_CONNECT_S = 5.0
_HTTP_URL = TypeAdapter(HttpUrl)
_TYPE = "urn:olad:problem:"


class Session:
    """The state of a client beside its connections.

    Args:
        url: address of the service.
        key: API key, where the service needs one.
        patience_s: seconds for which one request is tried again; no attempt begins later.
        timeout_s: seconds that one attempt may take.
        read_own_writes: whether reads wait for what this client wrote before.

    Raises:
        NoService: the URL cannot be that of a service.
    """

    def __init__(
        self, url: str, *, key: str | None, patience_s: float, timeout_s: float, read_own_writes: bool
    ) -> None:
        self.url = _address(url)
        self._key = key
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._read_own_writes = read_own_writes
        self._position: str | None = None
        self._lock = threading.Lock()

    @property
    def position(self) -> str | None:
        """The greatest position that was written; None before the first."""
        return self._position

    def connection(self) -> dict[str, Any]:
        """Arguments of an ``httpx`` client."""
        return {
            "base_url": self.url,
            "headers": {"authorization": f"Bearer {self._key}"} if self._key is not None else None,
            "timeout": self._timeouts(),
            # A proxy of the environment cannot reach this machine's own loopback.
            "trust_env": httpx.URL(self.url).host not in {"127.0.0.1", "::1", "localhost"},
        }

    def retries(self) -> dict[str, Any]:
        """Arguments of ``tenacity``: after which errors, how long, and with which waits a request is tried again."""
        return {
            "retry": tenacity.retry_if_exception(lambda error: isinstance(error, ServiceError) and error.temporary),
            "stop": tenacity.stop_before_delay(self._patience_s),
            "wait": _pause,
            "reraise": True,
        }

    def wait(self, position: str | None, variant: str | None = None) -> Wait:
        """What a read waits for: the position that it names, else that of the writes before it; and whom it asks."""
        if position is None and self._read_own_writes:
            position = self._position
        timeout_ms = min(_WAIT_FOR_POSITION_MS, int(1000 * min(self._patience_s, self._timeout_s)))
        return Wait(position, timeout_ms, variant)

    def unreachable(self, error: httpx.TransportError) -> Unreachable:
        """The error of a request without an answer."""
        return Unreachable(f"no answer from {self.url} ({error}): is the service running? Start it with `olad up`")

    def read(self, call: Call[_T], answer: httpx.Response) -> _T:
        """What an answer holds.

        Raises:
            Refused: it is a problem.
            ServiceError: it is not what this release reads.
        """
        if not answer.is_success:
            raise self._refused(call, answer)
        try:
            found = call.read(answer.content)
        except ValueError as error:
            raise ServiceError(
                f"{call.method} {self.url}{call.path} answered {answer.status_code} with what this client does not "
                f"read ({error}): is it the service, and of the same release?"
            ) from None
        if call.position_of is not None:
            self._remember(call.position_of(found))
        return found

    def following(self, silence_s: float) -> httpx.Timeout:
        """The timeouts of a connection that does not end: that of each read is the silence that is allowed."""
        return self._timeouts(read=silence_s)

    def opened(self, call: Call[Any], answer: httpx.Response) -> httpx.Response:
        """An answer whose body is read later.

        Raises:
            Refused: it is a problem, whose body was read.
        """
        if not answer.is_success:
            raise self._refused(call, answer)
        return answer

    def _timeouts(self, **others: float) -> httpx.Timeout:
        return httpx.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s), **others)

    def _remember(self, position: str) -> None:
        with self._lock:
            self._position = max(self._position or START, position, key=parse_position)

    def _refused(self, call: Call[Any], answer: httpx.Response) -> Refused:
        problem = _problem(answer)
        kind = class_of(problem)
        if kind is KeyRefused:
            what = "the key in OLAD_API_KEY" if self._key is not None else "a request without a key (OLAD_API_KEY)"
            return KeyRefused(f"{self.url} refused {what}: {problem.detail}", problem)
        text = f"{call.method} {self.url}{call.path} answered {problem.status}: {problem.detail}"
        if problem.errors:
            text += f" (first: {problem.errors[0]})"
        return kind(text, problem, _retry_after(answer))


def _address(url: str) -> str:
    try:
        _HTTP_URL.validate_python(url)
    except ValidationError as error:
        (problem,) = error.errors()
        raise NoService(
            f"{url} is no address of a service ({problem['msg']}): give one like http://127.0.0.1:8000"
        ) from None
    return url.rstrip("/")


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        return error.retry_after_s
    return float(min(2.0, 0.1 * 2**state.attempt_number))


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _problem(answer: httpx.Response) -> ProblemDetails:
    members: Mapping[str, Any] = {}
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        with contextlib.suppress(ValueError):
            members = answer.json()
    detail = members.get("detail") or members.get("title") or answer.text[:200] or answer.reason_phrase
    return ProblemDetails(
        kind=str(members.get("type", "")).removeprefix(_TYPE),
        status=answer.status_code,
        detail=str(detail),
        errors=tuple(members.get("errors", ())),
        members=members,
    )
