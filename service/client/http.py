"""A client of the service's HTTP API. It waits and retries where an answer asks for that."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx
import msgspec
import tenacity
from pydantic import HttpUrl, TypeAdapter, ValidationError

from olad_core.errors import OladError
from olad_core.events import Event, GraphSchema
from service import problems
from service.models import (
    AcceptedBatch,
    ExplainAnswer,
    Group,
    NodeList,
    PredictionAnswer,
    PredictionList,
    ServiceStatus,
    WhatIfAnswer,
)

_JSON = {"content-type": "application/json"}
_WAIT_FOR_POSITION_MS = 5_000
_HTTP_URL = TypeAdapter(HttpUrl)


class ServiceError(OladError, RuntimeError):
    """The service refused, or could not be reached; the message is for the user."""


class NoModel(ServiceError):
    """No model has been published yet; the message names what is missing."""


class _TryAgain(OladError):
    """An answer after which the request is tried again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Client:
    """Sends events and asks for predictions.

    Connection errors, waits that ran out and the answers 429, 502, 503 and 504 are tried again, after the time in
    ``Retry-After`` where the service names one. Every request may be repeated: those that write carry an
    Idempotency-Key.

    Args:
        url: address of the service.
        key: API key, where the service needs one.
        patience_s: seconds for which one request is tried again; no attempt begins later.
        stop: ends the waiting early.

    Raises:
        ServiceError: the URL cannot be that of a service.
    """

    def __init__(
        self, url: str, *, key: str | None = None, patience_s: float = 60.0, stop: threading.Event | None = None
    ) -> None:
        self.url = _address(url)
        stop = stop or threading.Event()
        self._wait_ms = min(_WAIT_FOR_POSITION_MS, int(1000 * patience_s))
        self._http = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {key}"} if key is not None else None,
            timeout=httpx.Timeout(30.0, connect=5.0),
            # A proxy of the environment cannot reach this machine's own loopback.
            trust_env=httpx.URL(self.url).host not in {"127.0.0.1", "::1", "localhost"},
        )
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            stop=tenacity.stop_before_delay(patience_s) | tenacity.stop_when_event_set(stop),
            wait=_wait,
            sleep=tenacity.sleep_using_event(stop),
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def declare(self, schema: GraphSchema) -> None:
        """Declare what is known of the graph; fields at their default are left as the service has them."""
        self._request("PUT", "/schema", content=schema.model_dump_json(exclude_defaults=True), headers=_JSON)

    def append(self, events: Sequence[Event], key: str) -> str:
        """Send one batch and return its position; the same key again returns it again and appends nothing."""
        answer = self._request(
            "POST", "/events", content=msgspec.json.encode(events), headers=_JSON | {"idempotency-key": key}
        )
        return str(answer.json()["position"])

    def send(self, body: bytes, media_type: str, key: str) -> AcceptedBatch:
        """Send one batch as it is written.

        Args:
            body: the events.
            media_type: ``application/json`` or ``application/x-ndjson``.
            key: Idempotency-Key of the batch.
        """
        headers = {"content-type": media_type, "idempotency-key": key}
        return AcceptedBatch.model_validate_json(
            self._request("POST", "/events", content=body, headers=headers).content
        )

    def predict(
        self, nodes: Sequence[str], *, min_position: str | None = None, top: int | None = None
    ) -> list[PredictionAnswer]:
        """The predictions of up to 10,000 nodes, in their order; a node that is not in the graph has no label.

        Args:
            nodes: their ids.
            min_position: waits until predictions show this position.
            top: only so many of the most likely classes of each; None for all of them, but of more than 64 the
                32 most likely ones.

        Raises:
            NoModel: none is published yet.
            ServiceError: there is no answer for another reason.
        """
        return PredictionList.model_validate_json(self._predicted(nodes, min_position, top, _JSON)).predictions

    def predict_arrow(
        self, nodes: Sequence[str], *, min_position: str | None = None, top: int | Literal["all"] | None = None
    ) -> bytes:
        """The same as :meth:`predict` as an Arrow stream.

        Args:
            nodes: their ids.
            min_position: waits until predictions show this position.
            top: as for :meth:`predict`, or all classes however many there are.

        Raises:
            NoModel: none is published yet.
            ServiceError: there is no answer for another reason.
        """
        return self._predicted(nodes, min_position, top, _JSON | {"accept": "application/vnd.apache.arrow.stream"})

    def served(
        self, nodes: Sequence[str], min_position: str, class_name: str | None = None
    ) -> list[tuple[str | None, float | None]]:
        """The label served for each node once ``min_position`` is visible, and the probability of a class.

        Both are None where no prediction was there. A class that is not among the probabilities has 0.
        """
        try:
            answers = self.predict(nodes, min_position=min_position)
        except NoModel:
            return [(None, None)] * len(nodes)
        shown = [answer.probabilities if class_name else None for answer in answers]
        shares = [None if each is None else each.get(class_name or "", 0.0) for each in shown]
        return [(answer.label, share) for answer, share in zip(answers, shares, strict=True)]

    def _predicted(
        self,
        nodes: Sequence[str],
        min_position: str | None,
        top: int | Literal["all"] | None,
        headers: dict[str, str],
    ) -> bytes:
        parameters = {"timeout_ms": self._wait_ms, "min_position": min_position, "top": top}
        answer = self._request(
            "POST",
            "/predict",
            params={name: value for name, value in parameters.items() if value is not None},
            content=msgspec.json.encode({"nodes": nodes}),
            headers=headers,
            expected=problems.NO_MODEL,
        )
        if answer.is_error:
            raise NoModel(_describe(_problem(answer), answer))
        return answer.content

    def what_if(self, events: bytes, nodes: Sequence[str], *, min_position: str | None = None) -> WhatIfAnswer:
        """Predictions as they would be after events, which are not applied.

        Args:
            events: a JSON array of up to 1,000.
            nodes: ids of up to 1,000 nodes.
            min_position: waits until predictions show this position, and asks then.

        Raises:
            ServiceError: there is no answer.
        """
        answer = self._request(
            "POST",
            "/what-if",
            params={"min_position": min_position} if min_position is not None else None,
            content=msgspec.json.encode({"events": msgspec.Raw(events), "nodes": nodes}),
            headers=_JSON,
        )
        return WhatIfAnswer.model_validate_json(answer.content)

    def explain(self, node: str, *, most: int, min_position: str | None = None) -> ExplainAnswer:
        """What the probability of a node's label becomes without each thing that its prediction is made of.

        Args:
            node: its id.
            most: effects that are listed, those of the largest change.
            min_position: waits until predictions show this position, and asks then.

        Raises:
            ServiceError: there is no answer.
        """
        params = {"k": most} | ({"min_position": min_position} if min_position is not None else {})
        answer = self._request("GET", f"/explain/{quote(node, safe='')}", params=params)
        return ExplainAnswer.model_validate_json(answer.content)

    def status(self) -> ServiceStatus:
        """``GET /status``."""
        return ServiceStatus.model_validate_json(self._request("GET", "/status").content)

    def students(self) -> Group:
        """``GET /students``."""
        return Group.model_validate_json(self._request("GET", "/students").content)

    def top(self, class_name: str, *, limit: int, labelled: bool = False) -> NodeList:
        """``GET /top/{class}``: the nodes most likely to be of a class."""
        path = f"/top/{quote(class_name, safe='')}"
        return NodeList.model_validate_json(
            self._request("GET", path, params={"limit": limit, "labelled": labelled}).content
        )

    def _request(
        self, method: str, path: str, *, expected: problems.Kind | None = None, **request: Any
    ) -> httpx.Response:
        try:
            return self._retrying(self._once, method, path, expected, request)
        except _TryAgain as error:
            raise ServiceError(str(error)) from None

    def _once(self, method: str, path: str, expected: problems.Kind | None, request: dict[str, Any]) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise _TryAgain(
                f"no answer from {self.url} ({error}): is the service running? Start it with `olad up`"
            ) from None
        problem = _problem(answer)
        if answer.is_success or (expected is not None and problem.get("type") == expected.uri):
            return answer
        if problem.get("type") in {problems.UNAUTHENTICATED.uri, problems.FORBIDDEN.uri}:
            raise ServiceError(f"{self.url} refused the key in OLAD_API_KEY: {problem['detail']}")
        message = f"{method} {self.url}{path} answered {answer.status_code}: {_describe(problem, answer)}"
        waited = problem.get("type") == problems.POSITION_NOT_REACHED.uri
        if waited or answer.status_code in {429, 502, 503, 504}:
            raise _TryAgain(message, _retry_after(answer))
        raise ServiceError(message)


def _address(url: str) -> str:
    try:
        _HTTP_URL.validate_python(url)
    except ValidationError as error:
        (problem,) = error.errors()
        raise ServiceError(
            f"{url} is no address of a service ({problem['msg']}): give one like http://127.0.0.1:8000"
        ) from None
    return url.rstrip("/")


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _TryAgain) and error.retry_after_s is not None:
        return error.retry_after_s
    return float(min(2.0, 0.1 * 2**state.attempt_number))


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _problem(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    problem: dict[str, Any] = answer.json()
    return problem


def _describe(problem: dict[str, Any], answer: httpx.Response) -> str:
    text = str(problem.get("detail") or problem.get("title") or answer.text[:200] or answer.reason_phrase)
    first = next(iter(problem.get("errors", ())), None)
    return f"{text} (first: {first})" if first else text
