"""What public linters and generators of clients make of the OpenAPI document, and a real call by each client."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.api.app import create_app
from service.api_keys import create_key
from service.settings import Settings
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.generators import LINTERS, PYTHON, QUIET, TYPESCRIPT, npm_packages, python_packages
from tests.service.api.serving import serving
from tests.service.publications import publication

pytestmark = pytest.mark.timeout(120)

Called = tuple[httpx.Client, str]
"""A client of a running API, and the key that it shows."""

CALL_TS = """
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: [string, string, string, string] };
type Event = components["schemas"]["Event"];

const [, , baseUrl, key] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const batch: Event[] = [
  { op: "upsert_node", id: "a" },
  { op: "upsert_edge", src: "a", dst: 7 },
  { op: "label", id: "a", label: "x" },
  { op: "remove_edge", src: "a", dst: 7 },
  { op: "remove_node", id: 7 },
];
// @ts-expect-error: an edge needs its ends
const without: Event = { op: "upsert_edge", src: "a" };
// @ts-expect-error: there is no such event
const unknown: Event = { op: "upsert_egde", src: "a", dst: 7 };

const declared = await client.PUT("/schema", { body: { directed: true } });
if (declared.error) throw new Error(declared.error.detail);
const width: number | null = declared.data.feature_width;

const sent = await client.POST("/events", { body: batch, params: { header: { "Idempotency-Key": "one" } } });
if (sent.error) throw new Error(sent.error.detail);

const read = await client.GET("/predict/{node}", { params: { path: { node: "a" }, query: { top: 1 } } });
if (read.error) throw new Error(read.error.detail);
if (!("probabilities" in read.data)) throw new Error("a value, where a class is predicted");
const { label } = read.data;
const probability: number | undefined = read.data.probabilities["b"];

const many = await client.POST("/predict", { body: { nodes: ["a", 99] } });
if (many.error) throw new Error(many.error.detail);

const refused = await client.POST("/predict", { body: { nodes: [""] } });
const kind: "urn:olad:problem:invalid-request" | string | undefined = refused.error?.type;

const status = await client.GET("/status");
if (status.error) throw new Error(status.error.detail);
const nodes: number | undefined = status.data.worker?.graph.nodes;

console.log(JSON.stringify({
  accepted: sent.data.accepted, position: sent.data.position, label, probability, kind,
  errors: many.data.predictions.map((one) => one.error ?? null), entries: status.data.log.entries,
  width, nodes: nodes ?? null, without: without.op, unknown: unknown.op,
}));
"""

CALL_PY = """
import json
import sys

from olad_api import AuthenticatedClient
from olad_api.api.events import append_events
from olad_api.api.predictions import predict_node, predict_nodes
from olad_api.api.schema import declare_schema
from olad_api.api.status import get_status
from olad_api.models import (
    AcceptedBatch, HeldSchema, LabelNode, NodesAsked, Prediction, PredictionList, ProblemDocument, RemoveEdge,
    RemoveNode, SchemaChange, ServiceStatus, UpsertEdge, UpsertNode,
)
from olad_api.types import Unset

with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2]) as client:
    declared = declare_schema.sync(client=client, body=SchemaChange(directed=True))
    assert isinstance(declared, HeldSchema)
    sent = append_events.sync(
        client=client,
        idempotency_key="one",
        body=[
            UpsertNode(op="upsert_node", id="a"),
            UpsertEdge(op="upsert_edge", src="a", dst=7),
            LabelNode(op="label", id="a", label="x"),
            RemoveEdge(op="remove_edge", src="a", dst=7),
            RemoveNode(op="remove_node", id=7),
        ],
    )
    assert isinstance(sent, AcceptedBatch)
    read = predict_node.sync("a", client=client, top=1)
    assert isinstance(read, Prediction)
    many = predict_nodes.sync(client=client, body=NodesAsked(nodes=["a", 99]))
    assert isinstance(many, PredictionList)
    refused = predict_nodes.sync(client=client, body=NodesAsked(nodes=[""]))
    assert isinstance(refused, ProblemDocument)
    status = get_status.sync(client=client)
    assert isinstance(status, ServiceStatus)
    print(json.dumps({
        "accepted": sent.accepted, "position": sent.position, "label": read.label,
        "probability": read.probabilities["b"], "kind": refused.type_,
        "errors": [None if isinstance(one.error, Unset) else one.error for one in many.predictions],
        "entries": status.log.entries, "width": declared.feature_width,
        "nodes": status.worker.graph.nodes if status.worker is not None else None,
    }))
"""


def ran(command: list[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Output of a command that ended well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | QUIET | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def called(redis_server: RedisServer, graph: str, writer: PredictionWriter, tmp_path: Path) -> Iterator[Called]:
    """An API that can predict and needs a key, and a key for everything."""
    key = create_key(tmp_path / "keys.json", "test", ["admin"])
    writer.publish(publication("1-0", {"a": [0.25, 0.75]}))
    with serving(redis_server.url, graph, api_keys_file=tmp_path / "keys.json") as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client, key


@pytest.fixture
def document(called: Called, tmp_path: Path) -> Path:
    """The document as the running API serves it."""
    path = tmp_path / "openapi.json"
    path.write_bytes(called[0].get("/openapi.json").content)
    return path


def assert_calls(client: httpx.Client, output: str) -> None:
    """Both clients report the same answers, and had the same effects."""
    answers = json.loads(output)
    log = client.get("/status").json()["log"]
    assert log["appended_events"] == 5
    assert answers["position"] == log["position"]
    assert (answers["accepted"], answers["label"], answers["probability"]) == (5, "b", 0.75)
    assert answers["kind"] == "urn:olad:problem:invalid-request"
    assert answers["errors"] == [None, "not-found"]
    assert answers["entries"] == log["entries"]
    assert (answers["width"], answers["nodes"]) == (None, None)


@pytest.mark.parametrize("keys_needed", [False, True], ids=["without keys", "with keys"])
def test_linters_find_nothing(tmp_path: Path, keys_needed: bool) -> None:
    keys = tmp_path / "keys.json" if keys_needed else None
    if keys is not None:
        create_key(keys, "test", ["read"])
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(create_app(Settings(api_keys_file=keys)).openapi()))
    programs = npm_packages(LINTERS) / "node_modules" / ".bin"
    (tmp_path / "spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    ran([programs / "spectral", "lint", "--fail-severity=hint", "--ruleset=spectral.yaml", document], tmp_path)
    # The strict form of the recommended rules: warnings are errors.
    ran([programs / "redocly", "lint", "--extends=recommended-strict", document], tmp_path)


def test_a_client_of_typescript_compiles_and_calls(called: Called, document: Path, tmp_path: Path) -> None:
    modules = npm_packages(TYPESCRIPT) / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "call.ts").write_text(CALL_TS)
    ran([modules / ".bin" / "openapi-typescript", document, "--output", "schema.d.ts"], tmp_path)
    options = ["--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext"]
    ran([modules / ".bin" / "tsc", *options, "call.ts"], tmp_path)
    client, key = called
    answers = ran(["node", "call.js", str(client.base_url), key], tmp_path, NODE_USE_ENV_PROXY="0").stdout
    assert_calls(client, answers)


def test_a_client_of_python_compiles_and_calls(called: Called, document: Path, tmp_path: Path) -> None:
    generator = str(python_packages(PYTHON))
    generate = [sys.executable, "-m", "openapi_python_client", "generate", f"--path={document}"]
    warnings = ran([*generate, "--meta=none", "--output-path=olad_api"], tmp_path, PYTHONPATH=generator).stderr
    # It knows no lines of JSON; everything else it takes.
    assert warnings.count("WARNING") == warnings.count("Unsupported content type application/x-ndjson") == 1, warnings
    assert compileall.compile_dir(tmp_path / "olad_api", quiet=1)
    (tmp_path / "call.py").write_text(CALL_PY)
    # What the generator writes once, whatever the document, is its own affair.
    checked = ["--strict", "--follow-imports=silent", "call.py", "olad_api/models", "olad_api/api"]
    ran([sys.executable, "-m", "mypy", f"--cache-dir={tmp_path / 'mypy'}", *checked], tmp_path)
    client, key = called
    answers = ran([sys.executable, "call.py", str(client.base_url), key], tmp_path, NO_PROXY="*").stdout
    assert_calls(client, answers)
