"""The programs of ``docs/examples`` as processes, against a real API, Redis and worker's lane."""

from __future__ import annotations

import json
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


def test_the_cells_of_the_notebook_run_one_after_the_other(url: str) -> None:
    """Without Jupyter: the cells are one program."""
    notebook = json.loads((ROOT / "docs/examples/first_steps.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    program = "\n\n".join(cells)
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, env=NAMED | {"OLAD_URL": url}, check=False)
    assert ended.returncode == 0, ended.stderr
    first, *effects, last = ended.stdout.splitlines()
    assert ": new-2 is " in first
    assert effects[-1].endswith(" without all of it")
    assert sum(" without edge new-1" in line for line in effects) == 1
    assert " would become " in last
