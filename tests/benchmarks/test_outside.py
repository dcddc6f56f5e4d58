"""The benchmarks from outside: statistics, the order of turns, what wrk prints, the events, the table."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.inside import lines as inside_lines
from benchmarks.outside import events, wrk
from benchmarks.outside.classes import probability
from benchmarks.outside.freshness import flatness
from benchmarks.outside.render import lines, text
from benchmarks.outside.rows import QUICK, Measured, Plan
from benchmarks.outside.run import measure
from benchmarks.outside.scenes import scenes
from benchmarks.outside.traffic import paced
from benchmarks.outside.tree import HERE, this_tree, tree_of
from benchmarks.outside.turns import Figures, Spread, ratios, spread, spreads, turns

SMALL = arxiv_shaped(200, 800, features=3, classes=2)
WRK = """\
Running 2s test @ http://127.0.0.1:8000
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.11ms    1.02ms  12.60ms   71.34%
    Req/Sec     3.90k   210.11     4.20k    80.00%
  Latency Distribution
     50%  {p50}
     75%    4.50ms
     90%    5.21ms
     99%  {p99}
  7781 requests in 2.00s, 2.10MB read
{errors}Requests/sec:   3890.21
Transfer/sec:      1.05MB
"""


class TestTurns:
    @given(rounds=st.integers(0, 9), sides=st.lists(st.text(), unique=True, max_size=4))
    def test_every_side_is_measured_once_a_round(self, rounds: int, sides: list[str]) -> None:
        taken = list(turns(rounds, sides))
        assert Counter(taken) == {(number, side): 1 for number in range(rounds) for side in sides}
        assert [number for number, _ in taken] == sorted(number for number, _ in taken)

    def test_no_side_always_comes_first(self) -> None:
        first = [next(group)[1] for _, group in itertools.groupby(turns(4, ("a", "b")), key=lambda turn: turn[0])]
        assert first == ["a", "b", "a", "b"]


class TestStatistics:
    def test_ratios_are_of_one_round(self) -> None:
        these: list[Figures | None] = [{"ms": 1.0}, {"ms": 20.0}, {"ms": 3.0}]
        those: list[Figures | None] = [{"ms": 2.0}, {"ms": 10.0}, {"ms": 6.0}]
        assert ratios(these, those) == {"ms": Spread(0.5, 0.5, 2.0)}

    def test_a_round_that_failed_and_what_is_no_number_have_no_ratio(self) -> None:
        these: list[Figures | None] = [{"ms": 1.0, "student": "gcn"}, None, {"ms": 4.0, "mb": 1.0}]
        those: list[Figures | None] = [{"ms": 2.0, "student": "gat"}, {"ms": 9.0}, {"ms": 4.0, "mb": 0}]
        assert ratios(these, those) == {"ms": Spread(0.75, 0.5, 1.0)}

    def test_spreads(self) -> None:
        found = spreads([{"ms": 3.0, "student": "gcn"}, {"ms": 1.0, "student": "gat"}, {"ms": 2.0, "student": "gcn"}])
        assert found == {"ms": Spread(2.0, 1.0, 3.0), "student": "gcn, gat"}

    @given(st.lists(st.floats(-1e9, 1e9), min_size=1))
    def test_the_median_lies_in_the_spread(self, values: list[float]) -> None:
        found = spread(values)
        assert found.least <= found.median <= found.greatest
        assert {found.least, found.greatest} <= set(values)


class TestWrk:
    @pytest.mark.parametrize(
        ("p50", "p99", "milliseconds"),
        [("3.08ms", "12.60ms", (3.08, 12.6)), ("812.00us", "1.02s", (0.812, 1020)), ("1.00s", "1.10m", (1000, 66_000))],
    )
    def test_reads_rate_and_times(self, p50: str, p99: str, milliseconds: tuple[float, float]) -> None:
        read = wrk.parse(WRK.format(p50=p50, p99=p99, errors=""))
        assert (read.requests_per_s, read.errors) == (3890.21, 0)
        assert (read.p50_ms, read.p99_ms) == pytest.approx(milliseconds)

    def test_counts_errors(self) -> None:
        assert wrk.parse(WRK.format(p50="1ms", p99="2ms", errors="  Non-2xx or 3xx responses: 12\n")).errors == 12

    def test_refuses_other_output(self) -> None:
        with pytest.raises(ValueError, match="unable to connect"):
            wrk.parse("unable to connect to 127.0.0.1:8000 Connection refused\n")


class TestEvents:
    def test_changes_are_events_of_the_graph_and_keep_its_size(self) -> None:
        made = [json.loads(event) for event in itertools.islice(events.changes(SMALL), 20_000)]
        counted = Counter(event["op"] for event in made)
        assert counted.keys() == {"upsert_node", "upsert_edge", "remove_edge", "label"}
        assert 0 < counted["upsert_edge"] - counted["remove_edge"] < 1_000
        assert 0.45 < counted["upsert_node"] / len(made) < 0.51
        nodes = {event.get("id", event.get("src")) for event in made}
        assert nodes == {str(node) for node in range(len(SMALL))}

    def test_another_seed_makes_other_changes(self) -> None:
        first, same, other = (list(itertools.islice(events.changes(SMALL, seed=seed), 500)) for seed in (1, 1, 2))
        assert first == same
        assert len({event for event in first if '"x"' in event} & set(other)) == 0

    def test_changes_leave_the_first_nodes_alone(self) -> None:
        made = [json.loads(event) for event in itertools.islice(events.changes(SMALL, first=150), 2_000)]
        assert min(int(event.get("id", event.get("src"))) for event in made) >= 150
        assert min(int(event["dst"]) for event in made if "dst" in event) >= 150

    def test_a_graph_is_posted_whole_without_the_hidden_labels(self) -> None:
        made = [json.loads(event) for event in events.graph_events(SMALL, np.array([3, 5]))]
        nodes, edges = made[: len(SMALL)], made[len(SMALL) :]
        assert [event["id"] for event in nodes if "label" not in event] == ["3", "5"]
        assert [(int(event["src"]), int(event["dst"])) for event in edges] == list(
            zip(SMALL.src.tolist(), SMALL.dst.tolist(), strict=True)
        )

    def test_a_hub_has_its_neighbours_and_as_many_edges_removed_as_added(self) -> None:
        made = [json.loads(event) for event in events.hub_events(SMALL, 50)]
        assert [event.get("src") for event in made] == [None, *map(str, range(50))]
        changed = [json.loads(event) for event in itertools.islice(events.hub_edges(50, 200), 40)]
        assert Counter(event["op"] for event in changed) == {"upsert_edge": 20, "remove_edge": 20}
        assert all(event["dst"] == events.HUB and int(event["src"]) >= 50 for event in changed)


class _Accepting(BaseHTTPRequestHandler):
    """Answers POST /events; the first of them with 429."""

    protocol_version = "HTTP/1.1"
    received: ClassVar[list[tuple[float, bytes]]] = []

    def do_POST(self) -> None:
        self.received.append((time.monotonic(), self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(429 if len(self.received) == 1 else 202)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def accepting() -> Iterator[str]:
    _Accepting.received.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Accepting) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class TestTraffic:
    def test_each_body_is_sent_when_it_is_due_and_again_when_it_is_refused(self, accepting: str) -> None:
        made = [b"[%d]" % number for number in range(10)]
        began = time.monotonic()
        sent = paced(accepting, made, batch=1, every_s=0.02, ended=lambda: False)
        assert (sent.events, sent.refused) == (10, 1)
        assert Counter(body for _, body in _Accepting.received) == {body: 1 + (body == b"[0]") for body in made}
        arrived = {body: at - began for at, body in _Accepting.received}
        assert all(arrived[body] >= 0.02 * number for number, body in enumerate(made))

    def test_ends_when_it_is_asked_to(self, accepting: str) -> None:
        sent = paced(accepting, [b"[]"] * 1000, batch=7, every_s=0.001, ended=lambda: len(_Accepting.received) > 20)
        assert 0 < sent.events < 7 * 1000
        assert sent.events % 7 == 0


class TestTable:
    @staticmethod
    def measured(rounds: dict[str, list[Figures | None]]) -> Measured:
        return Measured("freshness", "undirected", rounds, at_least={"per_s": 10}, at_most={"p50_ms": 20})

    def test_a_figure_a_line_with_its_target(self) -> None:
        rounds: dict[str, list[Figures | None]] = {
            "this": [{"student": "gcn", "p50_ms": 10.0, "per_s": 9.0}, None, {"student": "gcn", "p50_ms": 30.0}]
        }
        assert list(lines([self.measured(rounds)]))[2:] == [
            "| freshness | undirected | p50_ms | 20 (10 to 30) | ≤ 20 | yes |",
            "| freshness |  | per_s | 9 | ≥ 10 | no |",
            "| freshness |  | student | gcn |  |  |",
        ]

    def test_beside_another_tree(self) -> None:
        rounds: dict[str, list[Figures | None]] = {
            "this": [{"p50_ms": 10.0}, {"p50_ms": 30.0}],
            "abc": [{"p50_ms": 20.0, "old": 1.0}, None],
        }
        table = list(lines([self.measured(rounds)], "abc"))
        assert table[2:] == [
            "| freshness | undirected | p50_ms | 20 (10 to 30) | 20 | 0.5 | ≤ 20 | yes |",
            "| freshness |  | old | failed | 1 |  |  |  |",
        ]
        assert {line.count("|") for line in table} == {9}

    def test_a_row_that_failed_stays_in_the_table(self) -> None:
        assert list(lines([self.measured({"this": [None]})], with_targets=False))[2:] == [
            "| freshness | undirected |  | failed |  |  |"
        ]

    def test_of_single_parts(self) -> None:
        line = {"results": {"ms": 5.0, "rows": 3}, "target": {"at_least": {}, "at_most": {"ms": 4}}}
        other = {"results": {"ms": 10.0}}
        assert list(inside_lines({"part": {"this": line}, "gone": {"this": None}}, None))[2:] == [
            "| part | ms | 5 | ≤ 4 | no |",
            "| part | rows | 3 |  |  |",
            "| gone | | it failed | | no |",
        ]
        table = list(inside_lines({"part": {"this": line, "abc": other}, "gone": {"this": None, "abc": None}}, "abc"))
        assert table[2] == "| part | ms | 5 | 10 | 0.5 | ≤ 4 | no |"
        assert {row.count("|") for row in table} == {8}

    def test_numbers(self) -> None:
        assert [text(value) for value in (1234.5, 12.345, 1234, math.inf, "gat")] == [
            "1,234",
            "12.3",
            "1,234",
            "never",
            "gat",
        ]


def test_classes_that_an_answer_leaves_out_share_the_rest() -> None:
    shown = {str(label): 0.9 / 32 for label in range(32)}
    total = sum(probability(shown, str(label), 5_000) for label in range(5_000))
    assert total == pytest.approx(1, abs=1e-3)


def test_flatness_is_of_the_least_and_the_greatest_size_in_one_round() -> None:
    rows = [
        Measured(f"freshness_{size}_nodes", "", {"this": [{"p50_ms": 10.0}, {"p50_ms": last}]})
        for size, last in ((10, 20.0), (1000, 60.0), (100, 5.0))
    ]
    (found,) = flatness(rows, (10, 100, 1000))
    assert found.rounds == {"this": [{"largest_to_smallest": 1.0}, {"largest_to_smallest": 3.0}]}
    assert not list(flatness(rows[:1], (10, 100, 1000)))


class TestScenes:
    @pytest.mark.parametrize("plan", [Plan(), QUICK])
    def test_names_are_unique(self, plan: Plan) -> None:
        names = [row.name for scene in scenes(plan) for row in scene.rows]
        assert len(names) == len(set(names))

    def test_the_headline_is_measured_on_the_defaults(self) -> None:
        headline = next(scene for scene in scenes(Plan()) if scene.rows[0].name == "freshness")
        assert (headline.directed, dict(headline.variables)) == (False, {})

    def test_quick_graphs_are_small(self) -> None:
        graphs: list[GraphArrays] = [scene.graph() for scene in scenes(QUICK)]
        assert max(len(graph.src) for graph in graphs) < 100_000


def test_another_revision_imports_its_own_code(tmp_path: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("this is no git checkout")
    tree = tree_of(head.stdout.strip(), tmp_path)
    try:
        code = "import numpy, service; print(service.__file__)"
        found = subprocess.run([tree.python, "-P", "-c", code], capture_output=True, text=True, check=True, cwd="/")
        assert Path(found.stdout.strip()).is_relative_to(tree.directory)
        assert tree.directory != this_tree().directory
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree.directory)], cwd=HERE, check=True)


def test_measures_a_running_service(capfd: pytest.CaptureFixture[str]) -> None:
    """The default scene at the least size, every row once."""
    idle = replace(QUICK, idle_after_s=(0.2,), idle_for_s=0.2, until_rest_s=0.5)
    plan = replace(idle, scale=0.003, seconds=0.5, posted_at_once=2_000)
    scene = scenes(plan)[0]
    found = measure(scene, [this_tree()], plan)
    assert [row.name for row in found] == [row.name for row in scene.rows], capfd.readouterr().out
    failed = [row.name for row in found if row.rounds["this"] == [None]]
    assert not failed, capfd.readouterr().out
