"""Metrics that alarms can rely on: what is not known is absent, and every name and unit follows the conventions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.status import (
    ArchiveStatus,
    CheckpointStatus,
    LeadStatus,
    LinkStatus,
    RankStatus,
    VersionStatus,
)
from service.worker.metrics import WorkerMetrics
from service.worker.webhook_metrics import WebhookMetrics
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.entries import append, random_entries
from tests.service.metric_values import metric_value
from tests.service.publications import publication, worker_status

ROOT = Path(__file__).parents[3]
PROMTOOL = shutil.which("promtool")
NEEDS_PROMTOOL = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)")
STORE = {"olad_api_log_entries", "olad_api_log_appended_events", "olad_api_behind_events", "olad_worker_up"}
OF_THE_API = {"olad_api_requests", "olad_build_info", "process_cpu_seconds", "process_resident_memory_bytes"}


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What ``promtool check`` finds."""
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def families(text: str) -> dict[str, str]:
    """Type of every family, by its name without ``_total``."""
    return {family.name: family.type for family in text_string_to_metric_families(text)}


@pytest.fixture
def everything(api: httpx.Client, writer: PredictionWriter, keys: Keys) -> str:
    """The metrics of a service in which everything is known."""
    metrics = WorkerMetrics({"graph": keys.graph, "variant": "default"})
    WebhookMetrics(1, metrics.registry, time.monotonic)
    with metrics.stage("apply"):
        metrics.decisions.labels("drift").inc()
    served = VersionStatus(version=3, student="sage", progress=1.0, created_position="4-0")
    checkpoint = CheckpointStatus(position="4-0", written_at=time.time(), path="/data/4-0")
    lead = LeadStatus(
        metric="accuracy",
        declared=True,
        lower_is_better=False,
        value=0.5,
        recent=0.6,
        baseline=0.4,
        baseline_recent=0.4,
        baseline_of="the commonest class",
    )
    archive = ArchiveStatus(place="/archive", position="4-0", written_at=time.time(), failures=0, problem=None)
    ranks = RankStatus(mrr=0.5, hits_1=0.25, hits_3=0.5, hits_10=0.75)
    rules = {"popularity": ranks, "last_seen": ranks}
    link = LinkStatus(name="next", edge_type="e", arrived=4, scored=4, steps=1, score=ranks, recent=ranks, **rules)
    known = {
        "links": (link,),
        "served": served,
        "checkpoint": checkpoint,
        "disk_free": 10**12,
        "lead": lead,
        "archive": archive,
    }
    status = worker_status().model_copy(update=known)
    writer.publish(publication("1-0", {"1": [1.0, 0.0]}, applied=1))
    writer.write_status(status, metrics.text(status))
    writer.heartbeat(60_000)
    assert api.post("/events", json=[{"op": "upsert_node", "id": "a"}]).status_code == 202
    assert api.get("/predict/1").status_code == 200
    return api.get("/metrics").text


class TestConventions:
    @NEEDS_PROMTOOL
    def test_promtool_finds_nothing(self, everything: str) -> None:
        done = promtool("metrics", given=everything)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")

    def test_each_family_is_there_once_with_help_and_type(self, everything: str) -> None:
        helps = re.findall(r"^# HELP (\S+) \S", everything, re.MULTILINE)
        types = re.findall(r"^# TYPE (\S+) \S", everything, re.MULTILINE)
        assert sorted(helps) == sorted(set(helps))
        assert helps == types
        names = {sample.name for family in text_string_to_metric_families(everything) for sample in family.samples}
        ends = r"(_bucket|_sum|_count)$"
        assert {re.sub(ends, "", name) if re.sub(ends, "", name) in types else name for name in names} == set(types)

    def test_what_only_grows_is_a_counter_and_nothing_else_is_called_so(self, everything: str) -> None:
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", everything, re.MULTILINE))
        assert {name for name, kind in types.items() if kind == "counter"} == {
            name for name in types if name.endswith("_total")
        }
        for what in ("steps", "skipped_steps", "student_resets", "refused_versions", "checkpoint_failures"):
            assert types[f"olad_worker_{what}_total"] == "counter"
        assert "_created" not in everything

    def test_units_are_seconds_and_bytes(self, everything: str) -> None:
        for name in families(everything):
            assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|megabytes|percent)(_|$)", name), name

    def test_processes_and_versions_are_there(self, everything: str) -> None:
        types = families(everything)
        for name in ("cpu_seconds", "resident_memory_bytes", "open_fds", "start_time_seconds"):
            assert f"process_{name}" in types
            assert f"olad_worker_process_{name}" in types
        found = r'^olad_build_info\{graph="\S+",python="3\.\d+\.\S+",version="\d\S*"\} 1\.0$'
        assert re.search(found, everything, re.MULTILINE)

    def test_every_sample_names_its_graph_and_what_is_of_a_worker_its_variant(
        self, everything: str, keys: Keys
    ) -> None:
        for family in text_string_to_metric_families(everything):
            for sample in family.samples:
                assert sample.labels["graph"] == keys.graph, sample
                of_a_worker = sample.name.startswith("olad_worker_") or sample.name == "olad_api_behind_events"
                assert sample.labels.get("variant") == ("default" if of_a_worker else None), sample

    def test_labels_are_bounded(self, api: httpx.Client) -> None:
        for number in range(30):
            api.get(f"/predict/{number}")
            api.get(f"/nowhere/{number}")
            api.request(f"M{number}", "/status")
        labels = {
            (name, value)
            for family in text_string_to_metric_families(api.get("/metrics").text)
            for sample in family.samples
            for name, value in sample.labels.items()
            if name != "le"
        }
        assert {value for name, value in labels if name == "route"} <= {
            "/predict/{node}",
            "/status",
            "/metrics",
            "unmatched",
        }
        assert {value for name, value in labels if name == "method"} == {"GET", "other"}


class TestWhatIsNotKnown:
    def test_before_there_is_a_worker(self, api: httpx.Client) -> None:
        text = api.get("/metrics").text
        assert metric_value(text, "olad_redis_up") == 1
        assert metric_value(text, "olad_worker_up") == 0
        assert {name for name in families(text) if name.startswith("olad_worker_")} == {"olad_worker_up"}

    def test_each_variant_is_shown_beside_the_others(
        self, api: httpx.Client, redis_client: redis.Redis, keys: Keys, writer: PredictionWriter
    ) -> None:
        wide = PredictionWriter(redis_client, keys.of("wide"))
        for name, its in (("default", writer), ("wide", wide), ("gone", None)):
            redis_client.hset(keys.needed, name, "0-0")
            if its is not None:
                its.start()
                metrics = WorkerMetrics({"graph": keys.graph, "variant": name})
                its.write_status(worker_status(), metrics.text(worker_status()))
                its.heartbeat(60_000)
        assert api.post("/events", json=[{"op": "upsert_node", "id": "a"}]).status_code == 202
        text = api.get("/metrics").text
        for name in ("default", "wide"):
            assert metric_value(text, "olad_worker_up", variant=name) == 1
            assert metric_value(text, "olad_worker_accuracy", variant=name, student="sage") > 0
        assert metric_value(text, "olad_worker_up", variant="gone") == 0
        assert metric_value(text, "olad_api_behind_events", variant="wide") == 1
        assert len(re.findall("^# TYPE olad_worker_accuracy ", text, re.MULTILINE)) == 1
        assert 'variant="gone"' not in "".join(re.findall("^olad_worker_accuracy.*$", text, re.MULTILINE))

    def test_a_report_leaves_out_what_it_does_not_know(self) -> None:
        text = WorkerMetrics().text(worker_status()).decode()
        for name in ("served_version", "disk_free_bytes", "checkpoint_timestamp_seconds"):
            assert f"olad_worker_{name}" not in families(text)
        metrics = WorkerMetrics()
        status = worker_status()
        assert 'olad_worker_accuracy{student="sage"}' in metrics.text(status).decode()
        gone = status.model_copy(update={"students": ()})
        assert 'student="sage"' not in metrics.text(gone).decode(), "no value stays of a student that is gone"

    def test_a_new_start_does_not_show_what_an_earlier_worker_had(
        self, api: httpx.Client, writer: PredictionWriter
    ) -> None:
        writer.write_status(worker_status(), WorkerMetrics().text(worker_status()))
        writer.heartbeat(60_000)
        assert "olad_worker_steps" in families(api.get("/metrics").text)
        writer.start()
        assert "olad_worker_steps" not in families(api.get("/metrics").text)

    def test_a_killed_worker_and_a_stopped_redis_are_visible(
        self, own_redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path
    ) -> None:
        worker = ForkedWorker(nursery, own_redis_server.url, keys, tmp_path)
        with serving(own_redis_server.url, keys.graph) as api:

            def now() -> str:
                return api.get("/metrics").text

            try:
                worker.start()
                with own_redis_server.client() as client:
                    append(client, keys, random_entries(3, seed=1))
                    worker.wait_until_visible(client, "3-0")
                until(lambda: "olad_worker_steps" in families(now()))
                text = now()
                assert metric_value(text, "olad_worker_up") == 1
                assert metric_value(text, "olad_worker_heartbeat_age_seconds") < 15
                assert metric_value(text, "olad_worker_nodes") > 0
                worker.kill()
                until(lambda: metric_value(now(), "olad_worker_up") == 0)
                text = now()
                assert metric_value(text, "olad_worker_heartbeat_age_seconds") > 0
                of_the_worker = {name for name in families(text) if name.startswith("olad_worker_")}
                assert of_the_worker == {"olad_worker_up", "olad_worker_heartbeat_age_seconds"}
                assert families(text).keys() >= STORE | OF_THE_API
                own_redis_server.stop()
                text = now()
                assert metric_value(text, "olad_redis_up") == 0
                assert not {name for name in families(text) if name in STORE or name.startswith("olad_worker_")}
                assert families(text).keys() >= OF_THE_API
                own_redis_server.start()
                assert metric_value(now(), "olad_redis_up") == 1
            finally:
                worker.close()


MONITORING = ROOT / "docker" / "monitoring"


def expressions(part: object) -> list[str]:
    """Every ``expr`` within rules or a board."""
    if isinstance(part, dict):
        own = [part["expr"]] if isinstance(part.get("expr"), str) else []
        return own + [found for value in part.values() for found in expressions(value)]
    return [found for item in part for found in expressions(item)] if isinstance(part, list) else []


class TestMonitoring:
    @pytest.mark.parametrize(("name", "least"), [("olad.rules.yml", 10), ("board.json", 20)])
    def test_they_use_names_and_labels_that_exist(self, name: str, least: int, everything: str) -> None:
        samples = [sample for family in text_string_to_metric_families(everything) for sample in family.samples]
        names = {sample.name for sample in samples}
        found = expressions(yaml.safe_load((MONITORING / name).read_text()))
        assert len(found) >= least
        for expression in found:
            used = set(re.findall(r"\b(?:olad|process)_\w+|\bup\b", expression)) - {"up"}
            assert used or "up{" in expression
            assert used <= names, expression
            for metric, label in re.findall(r"(olad_\w+)\{(\w+)", expression):
                assert all(label in sample.labels for sample in samples if sample.name == metric), expression

    def test_legends_and_sums_use_labels_that_exist(self, everything: str) -> None:
        labels: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(everything):
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
        for panel in json.loads((MONITORING / "board.json").read_text())["panels"]:
            for target in panel["targets"]:
                (metric,) = set(re.findall(r"\b(?:olad|process)_\w+", target["expr"]))
                by = {
                    name.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in group.split(",")
                }
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                assert by | named <= labels[metric], target
                assert not by or named <= by, target

    def test_panels_have_places_of_their_own(self) -> None:
        panels = json.loads((MONITORING / "board.json").read_text())["panels"]
        places = [
            (x, y)
            for panel in panels
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(places) == len(set(places))
        assert max(x for x, _ in places) < 24
        assert len({panel["id"] for panel in panels}) == len(panels)

    def test_every_metric_that_the_documentation_names_exists(self, everything: str) -> None:
        names = set(re.findall(r"^# TYPE (\S+)", everything, re.MULTILINE))
        # These appear with their first failure or decision, or are parts of names.
        names |= {f"olad_worker_{what}" for what in ("process_", "")}
        for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
            for name in re.findall(r"`(olad_(?:api|worker|redis|build)_\w+)", page.read_text()):
                assert name in names, f"{page.name}: {name}"

    @NEEDS_PROMTOOL
    def test_promtool_takes_rules_and_configuration(self) -> None:
        rules = promtool("rules", str(MONITORING / "olad.rules.yml"))
        assert rules.returncode == 0, rules.stdout + rules.stderr
        scraping = promtool("config", "--syntax-only", str(MONITORING / "prometheus.yml"))
        assert scraping.returncode == 0, scraping.stdout + scraping.stderr


def test_the_classes_of_what_was_served_are_exported() -> None:
    text = WorkerMetrics().text(worker_status()).decode()
    assert 'olad_worker_class_precision{class="b"} 0.5' in text
    assert 'olad_worker_class_recall{class="b"} 0.25' in text
    assert 'olad_worker_class_average_precision{class="b"} 0.6' in text
