from __future__ import annotations

import httpx
import pytest

from tests.service.api.raw import LIVE, answers, connected, everything
from tests.service.api.test_app import ROUTES

PAGES = ["/", "/docs", "/openapi.json", "/assets/main.js", "/docs/swagger-ui.css"]
GETS = [path.replace("{node}", "a") for method, path in sorted(ROUTES) if method == "get"]


@pytest.mark.parametrize("path", [*GETS, *PAGES, "/nowhere", "/events"])
def test_is_answered_as_get_is_without_the_body(api: httpx.Client, path: str) -> None:
    got, headed = api.get(path), api.head(path)
    assert headed.status_code == got.status_code
    assert headed.content == b""
    assert headed.headers["content-type"] == got.headers["content-type"]
    # What is measured at the moment may have another length each time.
    if path not in {"/metrics", "/status"}:
        assert headed.headers["content-length"] == got.headers["content-length"]
    assert set(headed.headers) == set(got.headers)


def test_nothing_of_a_body_is_sent_and_one_that_comes_is_no_request(api: httpx.Client) -> None:
    with connected(api) as connection:
        connection.sendall(b"HEAD /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(LIVE) + LIVE)
        connection.sendall(LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        head, _, rest = everything(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert [answer.body for answer in answers(rest)] == [b'{"live":true}']


def test_is_named_where_another_method_is_refused(api: httpx.Client) -> None:
    answer = api.delete("/status")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
