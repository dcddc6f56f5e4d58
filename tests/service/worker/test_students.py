"""Students from outside the package, found on a real path and run by a real worker."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from olad_core.students import ARCHITECTURES, GCN, registry
from service.exit_codes import REFUSES
from service.local.tether import PYTHON
from service.settings import Settings
from service.store.keys import Keys
from service.worker.students import StudentUnusable, register_students
from tests.chaos.workers import ForkedWorker, Nursery, is_visible, until
from tests.docs.markdown import ROOT
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries

PAGE = (ROOT / "docs" / "students.md").read_text()
EXAMPLE = PAGE.split("```python\n")[1].split("```")[0]
"""The student of the documentation."""
MORE = """
from olad_core.students import GCN

class ThreeLayers(GCN):
    num_layers = 3

class Undeclared(GCN):
    uses_degree = None

class Careless(GCN):
    uses_degree = False

NotAClass = 5
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with packages, one of them installed with entry points."""
    (tmp_path / "lazy.py").write_text(EXAMPLE)
    package = tmp_path / "outside"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "students.py").write_text(MORE)
    (package / "broken.py").write_text("raise SystemExit('no licence')\n")
    installed = tmp_path / "outside-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[olad.students]\nlazy-mean = lazy:LazyMean\ngcn = lazy:LazyMean\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "ARCHITECTURES", known := dict(ARCHITECTURES))
    monkeypatch.setattr("service.worker.students.ARCHITECTURES", known)
    for name in [name for name in sys.modules if name.split(".")[0] in {"lazy", "outside"}]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize("name", ["lazy:LazyMean", "lazy-mean"])
def test_a_student_is_registered_under_the_name_of_the_setting(path: Path, name: str) -> None:
    register_students(Settings.model_validate({"students": f"gcn,{name},{name}"}).students)
    assert registry.architecture(name).__qualname__ == "LazyMean"
    assert registry.architecture("gcn") is GCN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "appnp",
            "there is no student appnp: give one of gcn, sage, gat, evolvegcn, tgcn, mlp, sign, lazy-mean, or package.",
        ),
        (
            "nowhere.students:Mine",
            r"cannot be imported \(ModuleNotFoundError: No module named 'nowhere'\): install its",
        ),
        ("outside.students:Mine", "cannot be imported \\(AttributeError: .*Mine"),
        ("outside.broken:Mine", r"cannot be imported \(SystemExit: no licence\)"),
        ("outside.students:NotAClass", "is_a_student: 5 is not a subclass of Student"),
        ("pathlib:Path", "is_a_student: .* is not a subclass of Student"),
        ("outside.students:Undeclared", "is_a_student: uses_degree must be a class variable of type bool, and is None"),
        ("outside.students:ThreeLayers", "num_layers is 3, the worker needs 2"),
    ],
)
def test_what_is_no_student_is_refused_by_name(path: Path, name: str, message: str) -> None:
    with pytest.raises(StudentUnusable, match=message) as refused:
        register_students(["sage", name])
    assert name in str(refused.value)
    assert "sage" in registry.ARCHITECTURES
    assert name not in registry.ARCHITECTURES


@pytest.mark.parametrize(
    "students", ["", "gcn,", "a b", "pkg:", ":Mine", "a.b", "a:b:c", "../x:Mine", "a/b", "g" * 201]
)
def test_a_setting_that_can_be_no_name_is_refused(students: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a student: give names like gcn, or package\.module:Class"):
        Settings.model_validate({"students": students})


def test_a_worker_learns_with_a_student_from_outside_and_restores_it(
    path: Path, redis_server: RedisServer, redis_client: redis.Redis, keys: Keys
) -> None:
    own = {
        "OLAD_REDIS_URL": redis_server.url,
        "OLAD_GRAPH": keys.graph,
        "OLAD_DATA_DIR": str(path),
        "OLAD_STUDENTS": "lazy:LazyMean",
        "OLAD_WIDTH": "8",
        "OLAD_STEPS_PER_ENTRY": "3",
        "PYTHONPATH": str(path),
    }
    entries = random_entries(20, seed=5)
    for first in (1, 11):
        append(redis_client, keys, entries[first - 1 : first + 9], first=first)
        log, status = _run_worker(redis_client, keys, f"{first + 9}-0", own)
        assert ("restored" in log) == (first > 1)
        (student,) = status["students"]
        assert (student["name"], student["architecture"]) == ("lazy:LazyMean", "lazy:LazyMean")
        assert status["served"]["student"] == "lazy:LazyMean"
    environment = {"PYTHONPATH": str(path), "OLAD_STUDENTS": "lazy:LazyMean"}
    ended = _olad("verify", str(path), **environment)
    assert ended.returncode == 0, ended.stdout
    without = _olad("verify", "--json", str(path), PYTHONPATH=str(path))
    assert without.returncode == 1
    assert "of the student lazy:LazyMean, which is not known here" in without.stdout


def _status(client: redis.Redis, keys: Keys) -> Any:
    """The newest report of the worker."""
    found: Any = client.get(keys.status)
    return msgspec.json.decode(found) if found else {"served": None}


def _run_worker(client: redis.Redis, keys: Keys, position: str, environment: dict[str, str]) -> tuple[str, Any]:
    """Let a worker of its own run until it reports that it serves a position; its log and this report."""
    with subprocess.Popen(
        [*PYTHON, "service.entry", "worker"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            until(
                lambda: (
                    process.poll() is not None
                    or (is_visible(client, keys, position) and _status(client, keys)["served"] is not None)
                ),
                120,
            )
            status = _status(client, keys)
        finally:
            process.send_signal(signal.SIGTERM)
            log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    return log, status


def test_a_worker_refuses_a_student_that_is_not_there(
    redis_server: RedisServer, nursery: Nursery, keys: Keys, tmp_path: Path
) -> None:
    worker = ForkedWorker(nursery, redis_server.url, keys, tmp_path, students="gcn,appnp")
    worker.start()
    try:
        assert worker.wait() == REFUSES
    finally:
        worker.close()
    assert worker.logged("there is no student appnp: give one of gcn, sage, gat, evolvegcn, tgcn, mlp, sign")
    assert "Traceback" not in worker.log.read_text()


class TestCheckStudent:
    def test_a_sound_student_passes(self, path: Path) -> None:
        ended = _olad("check-student", "lazy:LazyMean", PYTHONPATH=str(path))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        *lines, last = ended.stdout.splitlines()
        assert last == f"lazy:LazyMean: {len(lines)} of {len(lines)} checks passed"
        assert all(line.startswith("ok ") for line in lines)

    def test_what_is_wrong_is_marked(self, path: Path) -> None:
        ended = _olad("check-student", "outside.students:Careless", PYTHONPATH=str(path))
        assert ended.returncode == 1
        broken = [line for line in ended.stdout.splitlines() if line.startswith("broken")]
        names = [line.split(":")[0].split()[1] for line in broken]
        assert names == ["degree_is_declared", "inference_is_exact", "inference_is_exact_for_types"]

    def test_what_is_no_student_is_not_checked_further(self, path: Path) -> None:
        ended = _olad("check-student", "outside.students:NotAClass", PYTHONPATH=str(path))
        assert ended.returncode == 1
        assert re.search(r": 0 of \d+ checks passed; \d+ were not run$", ended.stdout.strip())

    def test_a_name_that_leads_nowhere_is_one_line(self, path: Path) -> None:
        ended = _olad("check-student", "nowhere:Mine", PYTHONPATH=str(path))
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith("error: student nowhere:Mine: nowhere:Mine cannot be imported")


def _olad(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, "service.entry", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"} | environment,
    )
