"""The Kubernetes manifests: names, ports, volumes, settings and commands agree with each other and with the service."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.routing import APIRoute
from typer.main import get_command

from service.api.routes import health
from service.cli import app
from service.settings import Settings
from tests.docker.test_compose import COMPOSE, DOCKERFILES, ROOT, instructions, load

FOLDER = ROOT / "docker" / "kubernetes"
"""Is applied by hand, before the others."""
OURS = {"olad-worker": "worker", "olad-api": "api"}
PAGE = (ROOT / "docs" / "scaling.md").read_text()


def documents(*paths: Path) -> list[dict[str, Any]]:
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


LISTED = [FOLDER / name for name in load(FOLDER / "kustomization.yaml")["resources"]]
EVERY = documents(*LISTED)
WORKLOADS = [document for document in EVERY if "template" in document.get("spec", {})]
NAMES = [document["metadata"]["name"] for document in WORKLOADS]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in EVERY if document["kind"] == kind}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    found = workload["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container(workload: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(workload)["containers"]
    assert isinstance(found, dict)
    return found


def environment(workload: dict[str, Any]) -> dict[str, str]:
    """What the container is started with, the settings included."""
    own = container(workload)
    maps = [of_kind("ConfigMap")[source["configMapRef"]["name"]]["data"] for source in own.get("envFrom", [])]
    return {name: value for data in maps for name, value in data.items()} | {
        entry["name"]: entry["value"] for entry in own.get("env", [])
    }


def test_every_file_is_used_and_every_name_there_once() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        "kustomization.yaml",
        *(path.name for path in LISTED),
    }
    names = [(document["kind"], document["metadata"]["name"]) for document in EVERY]
    assert len(names) == len(set(names))
    assert NAMES == ["olad-redis", "olad-ranks", "olad-api"]
    for document in EVERY:
        assert document["apiVersion"] in {"v1", "apps/v1", "networking.k8s.io/v1"}
        assert document["metadata"]["labels"] == {"app.kubernetes.io/part-of": "olad"}


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_pods_are_selected_by_their_labels_and_contained(workload: dict[str, Any]) -> None:
    name, spec = workload["metadata"]["name"], workload["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "olad"}
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["securityContext"]["runAsNonRoot"] is True
    own = container(workload)
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(own["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in own["resources"]["limits"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_volumes_and_what_is_mounted_agree(workload: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod(workload).get("volumes", [])}
    claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    mounted = [mount["name"] for mount in container(workload)["volumeMounts"]]
    assert sorted(mounted) == sorted([*volumes, *claimed])
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
        if "secret" in volume:
            assert f"create secret generic {volume['secret']['secretName']} " in PAGE


@pytest.mark.parametrize("workload", [each for each in WORKLOADS if container(each)["image"] in OURS], ids=NAMES[1:])
def test_ours_are_started_with_settings_and_commands_that_exist(workload: dict[str, Any]) -> None:
    own, given = container(workload), environment(workload)
    settings = {name.removeprefix("OLAD_").lower(): value for name, value in given.items() if name.startswith("OLAD_")}
    assert settings.keys() <= set(Settings.model_fields)
    paths = [mount["mountPath"] for mount in own["volumeMounts"]]
    for name, value in settings.items():
        if name.endswith("_file"):
            assert str(Path(value).parent) in paths, name
    others: dict[str, Any] = {name: value for name, value in settings.items() if name != "redis_password_file"}
    Settings(**others)
    image = DOCKERFILES[OURS[own["image"]]]
    (user,) = [rest for instruction, rest in instructions(image) if instruction == "USER"]
    context = pod(workload)["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    if own["command"] == ["olad"]:
        commands: Any = get_command(app)
        assert set(own["args"]) <= set(commands.commands)
    else:
        assert own["command"] == ["torchrun"]
        assert own["args"][-2] == "-m"
        assert callable(importlib.import_module(own["args"][-1]).main)
    if OURS[own["image"]] == "worker":
        assert settings["data_dir"] in paths


def test_ranks_find_each_other_and_their_number_is_the_same_everywhere() -> None:
    ranks, service = of_kind("StatefulSet")["olad-ranks"], of_kind("Service")["olad-ranks"]
    given = environment(ranks)
    assert given["RANKS"] == str(ranks["spec"]["replicas"])
    assert "OLAD_PARTITIONS" not in given, "torchrun starts the ranks"
    options = dict(argument.removeprefix("--").split("=") for argument in container(ranks)["args"][:-2])
    assert options["nnodes"] == "$(RANKS)"
    host, port = options["rdzv-endpoint"].split(":")
    assert host == f"{ranks['metadata']['name']}-0.{ranks['spec']['serviceName']}"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert int(port) == service["spec"]["ports"][0]["port"]
    (claim,) = of_kind("PersistentVolumeClaim").values()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    (policy,) = [each for name, each in of_kind("NetworkPolicy").items() if name == "olad-ranks"]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": ranks["spec"]["selector"]}]}]


def test_services_lead_to_ports_of_pods() -> None:
    ports = {each["metadata"]["name"]: container(each).get("ports", []) for each in WORKLOADS}
    for name, service in of_kind("Service").items():
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] in {each["name"] for each in ports[name]}
        assert service["spec"]["selector"] == {"app.kubernetes.io/name": name}
    (redis,) = of_kind("Service")["olad-redis"]["spec"]["ports"]
    settings = of_kind("ConfigMap")["olad-settings"]["data"]
    assert settings["OLAD_REDIS_URL"] == f"redis://olad-redis:{redis['port']}/0"
    api = of_kind("Deployment")["olad-api"]
    assert environment(api)["OLAD_PORT"] == str(ports["olad-api"][0]["containerPort"])
    routes = {route.path for route in health.router.routes if isinstance(route, APIRoute)}
    probes = [container(api)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert {probe["path"] for probe in probes} <= routes
    assert {probe["port"] for probe in probes} == {"http"}
    assert not Settings(api_keys_file=Path(environment(api)["OLAD_API_KEYS_FILE"])).allow_anonymous


def test_redis_is_the_one_of_the_compose_file() -> None:
    compose, own = load(COMPOSE)["services"]["redis"], container(of_kind("StatefulSet")["olad-redis"])
    assert own["image"] == compose["image"]
    script = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", compose["command"][0]).replace("$$", "$")
    assert own["args"] == [script]
    assert own["command"] == compose["entrypoint"]


def test_the_page_explains_every_file() -> None:
    for path in FOLDER.iterdir():
        if path.name not in {"settings.yaml", "network.yaml", "checkpoints.yaml", "api.yaml", "kustomization.yaml"}:
            assert path.name in PAGE, path.name
    assert "kubectl apply -k docker/kubernetes" in PAGE
