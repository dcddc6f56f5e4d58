"""The container files: valid by the Compose specification's schema, and with the properties users rely on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from fastapi.routing import APIRoute

from service.api import readiness
from service.api.routes import health
from service.local.redis_program import find_redis_programs
from service.settings import Settings
from service.store.redis_versions import ServerVersion

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
PARTITIONS = ROOT / "docker" / "partitions.compose.yml"
GPU = ROOT / "docker" / "gpu.compose.yml"
KEYS = ROOT / "docker" / "keys.compose.yml"
MONITORING = ROOT / "docker" / "monitoring.compose.yml"
DOCKERFILES = {"api": ROOT / "docker" / "api.Dockerfile", "worker": ROOT / "docker" / "worker.Dockerfile"}
OURS = ("worker", "api")
EVERY = ("redis", *OURS)
ONCE = "password"
"""Runs once, before the others."""


def load(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load(COMPOSE)


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found = compose["services"]
    assert set(found) == {ONCE, *EVERY}
    return dict(found)


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile's last stage: name and the rest, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    parsed = [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]
    last = max(index for index, (name, _) in enumerate(parsed) if name == "FROM")
    return parsed[last:]


def check_schema(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_follow_the_compose_specification() -> None:
    result = check_schema(COMPOSE, GPU, KEYS, MONITORING, PARTITIONS)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schema_check_refuses_a_misspelt_key(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(COMPOSE.read_text().replace("healthcheck:", "health_check:", 1))
    result = check_schema(broken)
    assert result.returncode != 0
    assert "health_check" in result.stdout + result.stderr


def test_one_port_is_published_and_only_on_loopback_unless_asked(services: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published == {ONCE: [], "redis": [], "worker": [], "api": ["${OLAD_PUBLISH:-127.0.0.1:8000}:8000"]}


def test_only_the_api_can_be_reached_from_outside(compose: dict[str, Any], services: dict[str, Any]) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    assert services[ONCE]["network_mode"] == "none"
    assert {name: set(services[name]["networks"]) for name in EVERY} == {
        "redis": {"inside"},
        "worker": {"inside"},
        "api": {"inside", "outside"},
    }


@pytest.mark.parametrize("name", EVERY)
def test_every_service_is_restarted_checked_and_contained(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert "stop_grace_period" in service


@pytest.mark.parametrize("name", [ONCE, *EVERY])
def test_every_service_is_contained_and_has_limits(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["init"] is True
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"(\$\{OLAD_\w+_MEMORY:-)?\d+[mg]\}?", service["mem_limit"])
    assert 0 < service["pids_limit"] <= 256


@pytest.mark.parametrize("name", OURS)
def test_worker_and_api_start_when_redis_is_healthy(services: dict[str, Any], name: str) -> None:
    assert services[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def script(service: dict[str, Any], **variables: str) -> str:
    """The shell script of a service, as Compose hands it over: variables with their defaults or these values."""
    (text,) = service["command"]
    filled = re.sub(r"(?<!\$)\$\{(\w+):-(\w+)\}", lambda found: variables.get(found[1], found[2]), text)
    return filled.replace("$$", "$")


def test_the_server_is_open_source_and_pinned_by_its_digest(services: dict[str, Any]) -> None:
    image = services["redis"]["image"]
    number = re.fullmatch(r"valkey/valkey:(\d+)\.(\d+)\.(\d+)@sha256:[0-9a-f]{64}", image)
    assert number is not None
    assert not ServerVersion("valkey", (int(number[1]), int(number[2]), int(number[3]))).has_known_holes
    assert services[ONCE]["image"] == image


def test_redis_keeps_everything_evicts_nothing_and_needs_the_password(services: dict[str, Any], tmp_path: Path) -> None:
    """The script of the service, run as it is but for the paths."""
    (tmp_path / "redis-password").write_text("0123456789abcdef")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(find_redis_programs()[0].path)
    folder = Path(tempfile.mkdtemp(prefix="olad-"))
    text = script(services["redis"], OLAD_REDIS_MAXMEMORY="100mb").replace("/run/olad", str(tmp_path))
    text = text.replace("--appendonly yes", f"--port 0 --unixsocket {folder}/redis.sock --appendonly yes")
    assert services["redis"]["entrypoint"] == ["sh", "-euc"]
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    with subprocess.Popen(["sh", "-euc", text], cwd=tmp_path, env=environment) as server:
        try:
            with redis.Redis(unix_socket_path=f"{folder}/redis.sock", password="0123456789abcdef") as client:
                wait_until(client.ping)
                settings = client.config_get()
                assert client.info()["process_id"] == server.pid
            with (
                redis.Redis(unix_socket_path=f"{folder}/redis.sock") as stranger,
                pytest.raises(redis.AuthenticationError),
            ):
                stranger.ping()
        finally:
            server.terminate()
    shutil.rmtree(folder)
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["maxmemory"] == str(100 * 2**20)
    assert (tmp_path / "appendonlydir").stat().st_mode & 0o077 == 0


def wait_until(answers: Callable[[], object]) -> None:
    for _ in range(1000):
        try:
            answers()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the server did not start")


def test_the_password_is_made_once_and_given_to_those_who_need_it(services: dict[str, Any], tmp_path: Path) -> None:
    text = script(services[ONCE]).replace("/secret", str(tmp_path))
    made = []
    for _ in range(2):
        subprocess.run(["sh", "-euc", text], check=True)
        made.append((tmp_path / "redis-password").read_text())
    assert made[0] == made[1]
    assert re.fullmatch(r"[A-Za-z0-9]{40}", made[0])
    assert [path.name for path in tmp_path.iterdir()] == ["redis-password"]
    assert services[ONCE]["volumes"] == ["redis-secret:/secret"]
    assert services["redis"]["depends_on"] == {ONCE: {"condition": "service_completed_successfully"}}
    for name in EVERY:
        assert "redis-secret:/run/olad:ro" in services[name]["volumes"]
    for name in OURS:
        assert services[name]["environment"]["OLAD_REDIS_PASSWORD_FILE"] == "/run/olad/redis-password"


def test_log_and_checkpoints_live_in_named_volumes(compose: dict[str, Any], services: dict[str, Any]) -> None:
    assert "redis-data:/data" in services["redis"]["volumes"]
    assert services["redis"]["working_dir"] == "/data"
    assert "worker-data:/var/lib/olad" in services["worker"]["volumes"]
    assert services["worker"]["environment"]["OLAD_DATA_DIR"] == "/var/lib/olad"
    assert set(compose["volumes"]) == {"redis-data", "redis-secret", "worker-data"}


@pytest.mark.parametrize("name", OURS)
def test_the_environment_is_made_of_settings_that_exist(services: dict[str, Any], name: str, tmp_path: Path) -> None:
    given = services[name]["environment"] | dict(re.findall(r"(OLAD_\w+)=(\S+)", DOCKERFILES[name].read_text()))
    assert {variable.removeprefix("OLAD_").lower() for variable in given} <= set(Settings.model_fields)
    (tmp_path / "redis-password").write_text("secret")
    given["OLAD_REDIS_PASSWORD_FILE"] = str(tmp_path / "redis-password")
    Settings(**{variable.removeprefix("OLAD_").lower(): value for variable, value in given.items()})


def test_everybody_is_let_in_only_where_it_is_said_and_not_with_keys(services: dict[str, Any]) -> None:
    assert services["api"]["environment"]["OLAD_ALLOW_ANONYMOUS"] == "true"
    api = load(KEYS)["services"]["api"]
    settings = {name.removeprefix("OLAD_").lower(): value for name, value in api["environment"].items()}
    assert not Settings(**settings).allow_anonymous
    assert str(Settings(**settings).api_keys_file).startswith("/etc/olad/")
    assert api["volumes"] == ["${OLAD_KEYS_DIR:-./keys}:/etc/olad:ro"]


def test_redis_runs_as_its_own_user(services: dict[str, Any]) -> None:
    assert services["redis"]["user"] == "valkey"


@pytest.mark.parametrize("name", OURS)
def test_images_run_as_a_numbered_user_other_than_root(services: dict[str, Any], name: str) -> None:
    users = [rest for instruction, rest in instructions(DOCKERFILES[name]) if instruction == "USER"]
    assert users
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)
    assert "user" not in services[name]


@pytest.mark.parametrize("name", OURS)
def test_services_are_built_from_files_that_exist_and_run_the_command_line(services: dict[str, Any], name: str) -> None:
    build = services[name]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).resolve() == DOCKERFILES[name]
    assert instructions(DOCKERFILES[name])[-1] == ("CMD", f'["olad", "{name}"]')


@pytest.mark.parametrize("name", OURS)
def test_what_a_dockerfile_copies_exists_and_is_not_ignored(name: str) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILES[name].read_text(), flags=re.MULTILINE)
    copied = {source for line in copies for source in line.split()}
    assert copied
    assert copied <= allowed
    assert all((ROOT / source).exists() for source in copied)


def test_torch_is_for_the_cpu_by_default_and_only_in_the_worker(services: dict[str, Any]) -> None:
    assert "ARG TORCH_VARIANT=cpu\n" in DOCKERFILES["worker"].read_text()
    assert services["worker"]["build"]["args"] == {"TORCH_VARIANT": "${TORCH_VARIANT-cpu}"}
    installs = re.findall(r"pip install .*", DOCKERFILES["api"].read_text())
    assert installs
    assert not any("torch" in line or "[" in line or "no-deps.txt" in line for line in installs)


@pytest.mark.parametrize("name", OURS)
def test_everything_but_torch_is_installed_by_its_hash(name: str) -> None:
    text = DOCKERFILES[name].read_text()
    installs = [install.split("&&")[0].split(";")[0] for install in re.findall(r"pip (install .*)", text)]
    assert len(installs) >= 2
    for install in installs:
        assert "--require-hashes" in install or "torch" in install or install.endswith("--no-build-isolation .")


def test_the_lock_pins_torch_and_leaves_its_variant_to_the_image() -> None:
    lock = (ROOT / "requirements" / "torch.txt").read_text()
    (pinned,) = re.findall(r"^torch==(.*)$", lock, flags=re.MULTILINE)
    assert re.fullmatch(r"[\d.]+", pinned)


def test_the_override_with_partitions_changes_the_worker_alone() -> None:
    ((name, worker),) = load(PARTITIONS)["services"].items()
    assert name == "worker"
    fields = {f"OLAD_{field.upper()}" for field in Settings.model_fields}
    assert worker["environment"].keys() <= fields
    assert "OLAD_PARTITIONS" in worker["environment"]


def test_the_gpu_file_gives_the_worker_one_gpu_and_another_torch() -> None:
    override = load(GPU)
    assert set(override) == {"services"}
    assert set(override["services"]) == {"worker"}
    worker = override["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert worker["environment"] == {"OLAD_DEVICE": "cuda"}
    assert worker["build"]["args"] == {"TORCH_VARIANT": "${TORCH_VARIANT-}"}


def test_the_api_s_health_is_that_events_are_accepted(services: dict[str, Any]) -> None:
    command = " ".join(services["api"]["healthcheck"]["test"])
    assert "/health/ready" in command
    assert "worker" not in services["api"]["depends_on"]


def test_the_kubernetes_probes_of_the_documentation_are_routes_and_leave_time_to_answer() -> None:
    block = re.search(r"```yaml\n(startupProbe.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert block is not None
    probes = yaml.safe_load(block[1])
    assert set(probes) == {"startupProbe", "livenessProbe", "readinessProbe"}
    routes = {route.path for route in health.router.routes if isinstance(route, APIRoute)}
    assert {probe["httpGet"]["path"] for probe in probes.values()} <= routes
    assert probes["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert probes["readinessProbe"]["timeoutSeconds"] > readiness.ANSWERS_WITHIN_S


def test_monitoring_is_asked_for_and_mounts_files_that_exist() -> None:
    found = load(MONITORING)["services"]
    assert set(found) == {"prometheus", "grafana"}
    for service in found.values():
        assert service["profiles"] == ["monitoring"]
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source
    (job,) = load(ROOT / "docker" / "monitoring" / "prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["api:8000"]}]
