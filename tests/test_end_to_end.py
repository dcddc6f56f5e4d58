"""The whole service as real processes, driven as its users drive it: the README's commands, crashes, stops."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import networkx
import psutil
import pytest

from service.replay.digits import digits_graph
from service.store.status import WorkerStatus

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
NODES = 300
pytestmark = pytest.mark.timeout(600)


def _command(process: psutil.Process) -> list[str]:
    """Its command line; none where it has just ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


class Up:
    """A running ``olad up`` and what it started."""

    def __init__(self, process: psutil.Popen, url: str) -> None:
        self.process = process
        self.url = url
        self.children = process.children(recursive=True)
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def child(self, name: str) -> psutil.Process:
        return next(child for child in self.process.children() if name in _command(child))

    def worker(self) -> WorkerStatus:
        """Its report; the first one comes a moment after its first heartbeat."""
        _wait_for(lambda: self.http.get("/status").json()["worker"])
        return WorkerStatus.model_validate(self.http.get("/status").json()["worker"])

    def end(self, how: signal.Signals) -> None:
        self.children += [child for child in self.process.children(recursive=True) if child not in self.children]
        self.process.send_signal(how)
        self.process.wait()
        psutil.wait_procs(self.children, timeout=60)

    def left_over(self) -> list[psutil.Process]:
        return [child for child in self.children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def _environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
    # Small steps, so that a first model is there soon.
    quick = {"OLAD_WARMUP_STEPS": "5", "OLAD_PUBLISH_STEPS": "10", "OLAD_CHECKPOINT_INTERVAL_S": "1"}
    return clean | quick | {"PYTHONUNBUFFERED": "1", "NO_PROXY": "*", "COLUMNS": "120"} | more


@contextlib.contextmanager
def _up(data_dir: Path, **settings: str) -> Iterator[Up]:
    log = data_dir.with_suffix(".log")
    with log.open("wb") as output:
        process = psutil.Popen(
            [BIN / "olad", "up", "--port", "0", "--data-dir", str(data_dir)],
            env=_environment(**settings),
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(lambda: process.poll() is not None or "Ctrl-C" in log.read_text())
        found = re.search(r"Dashboard +(\S+)/\n", log.read_text())
        assert found is not None, log.read_text()
        up = Up(process, found[1])
        with up.http:
            yield up
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_for(condition: Callable[[], object]) -> None:
    """Until it holds; the test's own time limit ends a wait for what never comes."""
    while not condition():
        time.sleep(0.05)


def _replay(up: Up, folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIN / "olad", "replay", "digits", "--limit", str(NODES), "--json", *options],
        env=_environment(OLAD_PORT=up.url.rsplit(":", 1)[1], OLAD_DATA_DIR=str(folder)),
        stdout=subprocess.PIPE,
        text=True,
    )


def _booked(payment: dict[str, str]) -> datetime:
    return datetime.fromisoformat(payment["booked_at"])


def _expected_edges() -> int:
    arrivals = itertools.islice(digits_graph().arrivals(), NODES)
    return sum(len(arrival.events) - 1 for arrival in arrivals)


def test_the_readme_s_payments_become_a_ranked_list(tmp_path: Path) -> None:
    """From the CSV file to classes, a ranked list and exports, by the four commands as they stand there."""
    readme = (ROOT / "README.md").read_text()
    commands = [block for block in re.findall(r"```bash\n(.*?)```", readme, re.DOTALL) if "payments" in block]
    assert [block.count("bin/olad ") for block in commands] == [1, 3]
    few = {"OLAD_STEPS_PER_ENTRY": "1", "OLAD_STUDENTS": "sage", "OLAD_WIDTH": "16"}
    few |= {"OLAD_PUBLISH_STEPS": "25", "OLAD_CHECKPOINT_INTERVAL_S": "30"}
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    with _up(tmp_path / "olad-data", **few) as up:
        printed = [
            subprocess.run(
                ["bash", "-euc", block.replace(".venv/bin/", f"{BIN}/")],
                env=_environment(OLAD_PORT=up.url.rsplit(":", 1)[1], **few),
                cwd=tmp_path,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for block in commands
        ]
        up.end(signal.SIGINT)
    with (tmp_path / "docs/examples/payments.csv").open() as file:
        payments = {row["payment"]: row for row in csv.DictReader(file)}
    outcome = {payment: row["outcome"] for payment, row in payments.items()}
    assert len(outcome) == 3_000
    assert 0.06 < sum(each == "fraud" for each in outcome.values()) / 3_000 < 0.08
    two_weeks_before_the_end = max(_booked(row) for row in payments.values()) - timedelta(days=14)
    known = {payment for payment, row in payments.items() if _booked(row) <= two_weeks_before_the_end}
    assert re.search(r"│ fraud +│ +\d+ │ +\d+ │ +[\d.]+ %", printed[0]), printed[0]
    ranked = re.search(r"likeliest to be 'fraud' at arrival \((\d+) nodes\), (\d+) are: precision", printed[0])
    assert ranked is not None, printed[0]
    # By chance 7 % of them would be.
    assert int(ranked[2]) > 0.3 * int(ranked[1]) > 5
    listed = re.findall(r"(?m)^│ (\S+) +│ +([\d.]+) %", printed[1].partition("likeliest to be fraud")[2])
    ranks = [float(share) for _, share in listed]
    assert len(listed) == 20, printed[1]
    assert ranks == sorted(ranks, reverse=True)
    assert not known & {node for node, _ in listed}
    with (tmp_path / "riskiest.csv").open() as file:
        rows = list(csv.DictReader(file))
    shares = [float(row["p(fraud)"]) for row in rows]
    assert len(rows) == 30
    assert shares == sorted(shares, reverse=True)
    assert sum(outcome.get(row["node"]) == "fraud" for row in rows) > 10
    assert all(row["known_label"] == (outcome[row["node"]] if row["node"] in known else "") for row in rows)
    (position,) = {row["position"] for row in rows}
    graph = networkx.read_graphml(tmp_path / "payments.graphml")
    assert graph.graph["position"] == position
    assert {*outcome} < {*graph.nodes}
    # Where payer and payee are the same account, both edges are one.
    assert graph.number_of_edges() > 5_900


def test_the_readme_s_commands_and_examples_work(tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert sum("curl" in block for block in blocks) >= 3
    answers = []
    with _up(tmp_path / "data") as up:
        port = up.url.rsplit(":", 1)[1]
        with _replay(up, tmp_path / "replay", "--label-delay", "20") as replay:
            replay.communicate()
        assert replay.returncode == 0
        _wait_for(lambda: up.http.get("/health/predicting").is_success)
        for block in blocks:
            if "payments" in block:
                continue  # They are of another graph, and have a test of their own.
            if block.startswith("make "):
                subprocess.run(["make", "-n", *block.split()[1:]], check=True, cwd=ROOT, capture_output=True)
                continue
            # A stack is running here already.
            lines = "\n".join(line for line in block.splitlines() if not line.endswith(".venv/bin/olad up"))
            if not lines:
                continue
            script = lines.replace("localhost:8000", f"127.0.0.1:{port}").replace(".venv/bin/", f"{BIN}/")
            ran = subprocess.run(
                ["bash", "-euc", 'curl() { command curl --fail-with-body "$@"; }\n' + script],
                check=False,
                env=_environment(OLAD_PORT=port),
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert ran.returncode == 0, (block, ran.stdout, ran.stderr)
            answers.append(ran.stdout)
        up.end(signal.SIGTERM)
        assert up.left_over() == []
    one, accepted, several, _, key = answers
    assert key.strip()
    assert json.loads(one)["label"] in set("0123456789")
    assert json.loads(accepted)["accepted"] == 3
    assert [answer["label"] is None for answer in json.loads(several)["predictions"]] == [False, False, True]


def test_nothing_is_lost_or_applied_twice_when_processes_are_killed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with _up(data_dir) as up:
        with _replay(up, tmp_path / "replay", "--rate", "150", "--label-delay", "20") as replay:
            _wait_for(lambda: up.worker().graph.nodes > NODES // 4)
            first = up.child("worker")
            first.kill()
            _wait_for(lambda: up.child("api").is_running() and up.http.get("/health/live").is_success)
            report = json.loads(replay.communicate()[0])
        assert replay.returncode == 0
        assert report["complete"]
        assert report["arrivals"] == NODES
        assert not first.is_running()
        _wait_for(lambda: up.worker().position == report["position"])
        before = up.worker()
        assert (before.graph.nodes, before.graph.edges) == (NODES, _expected_edges())
        assert before.graph.labelled == NODES - 20
        assert before.applied_events == report["events"] == up.http.get("/status").json()["log"]["appended_events"]
        assert before.rejected_events == 0
        up.end(signal.SIGINT)
        assert up.process.returncode == 0
        assert up.left_over() == []

    with _up(data_dir) as up:
        _wait_for(lambda: up.http.get("/health/predicting").is_success)
        after = up.worker()
        assert (after.position, after.applied_events, after.graph) == (
            before.position,
            before.applied_events,
            before.graph,
        )
        if sys.platform == "linux":
            up.end(signal.SIGKILL)
            assert up.left_over() == []


def test_a_backup_by_the_documented_commands_goes_on_elsewhere(tmp_path: Path) -> None:
    commands = re.findall(r"^    ((?:tar|mkdir) .*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    back_up, restore = (command.removesuffix(" && olad up") for command in commands)
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    path = _environment(PATH=f"{BIN}:{os.environ['PATH']}")
    events = [{"op": "upsert_edge", "src": node, "dst": node + 1} for node in range(50)]
    with _up(here / "olad-data") as up:
        assert up.http.post("/events", json=events).is_success
        _wait_for(lambda: up.worker().checkpoint)
        last = up.http.post("/events", json=events[:1]).json()["position"]
        _wait_for(lambda: up.worker().position == last)
        subprocess.run(["bash", "-c", back_up], cwd=here, env=path, check=True)
        before = up.worker()
    (here / "olad-backup.tar").rename(there / "olad-backup.tar")
    subprocess.run(["bash", "-c", restore], cwd=there, env=path, check=True)
    with _up(there / "olad-data") as up:
        _wait_for(lambda: up.worker().position == last)
        after = up.worker()
        assert (after.applied_events, after.graph) == (before.applied_events, before.graph)
        assert up.http.get("/status").json()["log"]["appended_events"] == 51


def test_make_demo_runs_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    venv = BIN.parent
    arguments = f"--exit --limit {NODES} --rate 300 --port 0 --data-dir {tmp_path / 'demo'}"
    ran = subprocess.run(
        ["make", "--old-file", f"{venv}/.ready", "demo", f"VENV={venv}", f"ARGS={arguments}"],
        check=False,
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "curl -s http://127.0.0.1:" in ran.stdout
    assert f"{NODES} nodes arrived" in ran.stdout
    assert "prequential accuracy of what was served" in ran.stdout
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if str(tmp_path) in " ".join(line)] == []
