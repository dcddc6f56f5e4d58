"""What `olad demo payments` ends with, from a real worker's answers."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import httpx
import redis
import torch
from rich.console import Console

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import GraphSchema, UpsertEdge
from olad_core.task_types import EdgeValueTask
from service.commands.task_view import print_tasks, print_values, values_for_machines
from service.replay.sources import StreamOptions, open_source
from service.store.keys import Keys
from service.worker.reporting import task_status, value_task_status
from tests.service.api.answering import AnsweringWorker
from tests.service.client.conftest import Connect
from tests.service.publications import worker_status


def test_the_classes_and_the_payments_to_examine_first_are_printed(
    url: str, connect: Connect, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    client = connect(url, patience_s=120)
    source = open_source("payments", StreamOptions(limit=500, label_delay=100))
    assert source.schema is not None
    client.declare(source.schema)
    worker = AnsweringWorker(Engine(EngineConfig(), torch.device("cpu")), redis_client, keys, tmp_path)
    with worker.at_work():
        for batch in source.batches:
            client.append(batch.events)
        client.top_edges("fraud", edge_type="paid", limit=1)
        tasks = tuple(task_status(report) for report in worker.lane.engine.edge_tasks.reports())
        report = worker_status().model_copy(update={"position": client.position, "tasks": tasks})
        worker.predictions.write_status(report, b"")
        printed = io.StringIO()
        print_tasks(Console(file=printed, width=100), client, client.position)
    text = printed.getvalue()
    assert "task fraud: 400 of 500 paid edges have a label" in text
    assert "likeliest to be fraud, of 100 paid edges without a label" in text
    assert len(re.findall(r"payment-\d+ .* account-\d+ .* merchant-\d+ .* %", text)) == 10
    assert f"exact at position {client.position}" in text


def test_scores_of_values_are_printed_where_there_are_such_tasks(
    url: str, connect: Connect, redis_client: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    client = connect(url, patience_s=120)
    client.declare(GraphSchema(tasks={"rating": EdgeValueTask(kind="edge_value")}))
    worker = AnsweringWorker(Engine(EngineConfig(), torch.device("cpu")), redis_client, keys, tmp_path)
    printed = io.StringIO()
    with worker.at_work():
        position = client.append([UpsertEdge(f"a{at}", f"b{at % 3}", value=float(at % 3)) for at in range(60)]).position
        client.predict_edge_value("a1", "b1", min_position=position)
        worker.predictions.write_status(worker_status().model_copy(update={"position": position}), b"")
        print_values(Console(file=printed, width=200), client, position)
        assert printed.getvalue() == ""
        assert values_for_machines(client, position) == {"value_tasks": [], "node_value_tasks": []}
        values = tuple(value_task_status(report) for report in worker.lane.engine.value_tasks.reports())
        report = worker_status().model_copy(update={"position": position, "value_tasks": values})
        worker.predictions.write_status(report, b"")
        print_values(Console(file=printed, width=200), client, position)
        found = json.loads(json.dumps(values_for_machines(client, position)))
    assert found == {
        "value_tasks": httpx.get(f"{url}/status", trust_env=False).json()["worker"]["value_tasks"],
        "node_value_tasks": [],
    }
    assert (found["value_tasks"][0]["name"], found["value_tasks"][0]["labels"]) == ("rating", 60)
    assert "task rating, value of edges of the type edge: 60 edges arrived, 60 values, MAE" in printed.getvalue()
