"""Reading predictions: single nodes beside events, and ten thousand at once."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import time
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from benchmarks.outside import events, wrk
from benchmarks.outside.popularity import ZIPF, nodes_asked
from benchmarks.outside.rows import Row, Site
from benchmarks.outside.traffic import Traffic, beside
from benchmarks.outside.turns import Figures
from benchmarks.wire import Connection, closed_loop, get_request

CONNECTIONS = 16
ASKED_AT_ONCE = 10_000
ARROW = "application/vnd.apache.arrow.stream"
_TIMES = 5
_SETTLE_S, _SPARE_S = 0.5, 5.0


def single() -> Row:
    """`GET /predict` of random nodes, beside events."""
    client = "wrk, one thread" if wrk.installed() else "a raw-socket client"
    conditions = f"{CONNECTIONS} connections of {client}, random nodes, 2,000 events/s beside in batches of 20"
    return Row("get_predict", conditions, lambda site: _single(site, 0))


def popular() -> Row:
    """`GET /predict` of nodes of which some are popular; the share that is marked when it is read is measured."""
    client = "wrk, one thread" if wrk.installed() else "a raw-socket client"
    conditions = (
        f"{CONNECTIONS} connections of {client}, nodes by popularity (Zipf, exponent {ZIPF}), "
        "2,000 events/s beside in batches of 20"
    )
    targets = {"requests_per_s": 3_500.0}, {"p99_ms": 15.0}
    return Row("get_predict_popular", conditions, lambda site: _single(site, ZIPF), *targets)


def many() -> Row:
    """`POST /predict` of many nodes, as JSON and as an Arrow stream."""
    conditions = f"{ASKED_AT_ONCE:,} nodes or all, one request at a time, until the last byte, no events beside"
    return Row("post_predict", conditions, _many, at_most={"json_ms": 120, "arrow_ms": 40})


def _single(site: Site, exponent: float) -> Figures:
    student, graph = site.service.student(), site.graph
    stream = Traffic(events.changes(graph, 0, next(site.seeds)), 2_000, 20)
    with beside(site.service.url, stream, seconds=1.5 * site.plan.seconds + _SPARE_S) as sent:
        time.sleep(_SETTLE_S)
        read_nodes = wrk.read_nodes if wrk.installed() else _read_nodes
        before = _counted(site.service.url)
        with site.service.metered() as cores:
            read = read_nodes(site.service.url, len(graph), exponent, CONNECTIONS, site.plan.seconds)
        answered, requested = (now - then for now, then in zip(_counted(site.service.url), before, strict=True))
    return {
        "requests_per_s": read.requests_per_s,
        "p50_ms": read.p50_ms,
        "p99_ms": read.p99_ms,
        "errors": read.errors,
        "marked_share": requested / max(answered, 1),
        "accepted_of_2000_per_s": sent[0].per_s,
        "served_student": student,
        **cores,
    }


def _counted(url: str) -> tuple[float, float]:
    """Predictions that the API has answered, and marked ones that it has requested of the worker."""
    with Connection(url) as connection:
        text = connection.get("/metrics").decode()
    return _counter(text, "olad_api_predictions_total"), _counter(text, "olad_api_rows_requested_total")


def _counter(text: str, name: str) -> float:
    r"""A counter's value in Prometheus' text format; 0 where a release has none.

    >>> _counter('# TYPE a_total counter\na_total{graph="default"} 3.0\n', "a_total")
    3.0
    """
    lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return next((float(line.rpartition(" ")[2]) for line in lines), 0.0)


def _read_nodes(url: str, nodes: int, exponent: float, connections: int, seconds: float) -> wrk.Read:
    """What wrk does, where it is not installed."""
    paths = itertools.cycle([f"/predict/{node}" for node in nodes_asked(10_000, nodes, exponent)])
    times = closed_loop(url, connections, seconds, lambda host: get_request(host, next(paths)))
    p50, p99 = (1e3 * float(np.percentile(times, share)) for share in (50, 99))
    return wrk.Read(len(times) / seconds, p50, p99, 0)


def _many(site: Site) -> Figures:
    nodes = random.Random(1).sample(range(len(site.graph)), min(ASKED_AT_ONCE, len(site.graph)))
    asked = json.dumps({"nodes": [str(node) for node in nodes]}).encode()
    times, size = zip(*(_asked(site.service.url, asked, "application/json")[:2] for _ in range(_TIMES)), strict=True)
    found: Figures = {"nodes": len(nodes), "json_ms": median(times), "json_mb": size[-1] / 1e6}
    answers = [_asked(site.service.url, asked, ARROW) for _ in range(_TIMES)]
    if all(kind.startswith(ARROW) for *_, kind in answers):
        found |= {"arrow_ms": median(answer[0] for answer in answers), "arrow_mb": answers[-1][1] / 1e6}
    return found


def _asked(url: str, body: bytes, accept: str) -> tuple[float, int, str]:
    """Milliseconds, bytes, and the media type of an answer to ``POST /predict``."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    began = time.perf_counter()
    connection.request("POST", "/predict", body, {"content-type": "application/json", "accept": accept})
    answer = connection.getresponse()
    size = len(answer.read())
    spent = 1e3 * (time.perf_counter() - began)
    connection.close()
    # A service that does not know the type may refuse it.
    if answer.status != 200 and accept != ARROW:
        raise RuntimeError(f"POST /predict was answered {answer.status}")
    return spent, size, answer.getheader("content-type", "") if answer.status == 200 else ""
