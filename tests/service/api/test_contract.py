"""The OpenAPI document against the real server: schemathesis sends what it allows and what it does not.

A short form runs with the other tests; ``make contract`` runs it longer (OLAD_TEST_CONTRACT_EXAMPLES=200).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.api.test_app import ROUTES
from tests.service.publications import publication, worker_status

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("OLAD_TEST_CONTRACT_EXAMPLES", "5")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.mark.timeout(1200)
def test_nothing_in_the_document_breaks_the_server(
    redis_server: RedisServer, redis_client: redis.Redis, graph: str, keys: Keys, writer: PredictionWriter
) -> None:
    writer.publish(publication("1-0", {"a": [0.25, 0.75], "p1": [0.5, 0.5]}))
    redis_client.set(keys.status, worker_status().model_dump_json())
    writer.heartbeat(3_600_000)
    with serving(redis_server.url, graph) as client:
        ran = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                f"--config-file={HERE / 'schemathesis.toml'}",
                "run",
                str(client.base_url.join("/openapi.json")),
                f"--max-examples={EXAMPLES}",
                f"--checks={','.join(CHECKS)}",
                "--no-color",
            ],
            env=os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "schemathesis_hooks.py")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = re.search(r"Tested: (\d+)", ran.stdout)
    assert tested is not None
    assert int(tested[1]) == len(ROUTES)
