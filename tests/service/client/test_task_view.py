"""What `olad demo payments` ends with, from a real worker's answers."""

from __future__ import annotations

import io
import re
from pathlib import Path

import redis
import torch
from rich.console import Console

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from service.commands.task_view import print_tasks
from service.replay.sources import StreamOptions, open_source
from service.store.keys import Keys
from service.worker.reporting import task_status
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
