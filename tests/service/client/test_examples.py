"""The programs of ``docs/examples`` as processes, against a real API, Redis and worker's lane."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.store.keys import Keys
from tests.docs.markdown import ROOT
from tests.olad_core.runs import PAIR, Run, learned
from tests.redis_server import RedisServer
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import serving
from tests.service.client.test_imports import NAMED


@pytest.fixture
def url(redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[str]:
    """Address of a service that has learned two classes and records changes."""
    worker = AnsweringWorker(learned(Run(PAIR)).engine, redis_client, keys, tmp_path, changes_kept=1_000)
    with worker.at_work(), serving(redis_server.url, keys.graph, changes=1_000) as api:
        yield str(api.base_url).rstrip("/")


def printed(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, str(ROOT / "docs/examples" / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=NAMED, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_the_programs_do_what_the_page_of_the_client_says(url: str, redis_client: redis.Redis, keys: Keys) -> None:
    (line,) = printed("read_own_writes.py", url)
    wrote, read = line.removeprefix("wrote ").split(": ")[0].split(", read ")
    assert wrote == read
    assert ": new-2 is " in line
    change, *effects = printed("explain_changes.py", url, wrote)
    assert change.startswith("new-")
    assert ": None became " in change
    assert change.endswith(f" at {wrote}")
    assert 1 <= len(effects) <= 3
    assert all(effect.split()[1] in {"edge", "label", "features"} for effect in effects)
