"""The client is installed where neither the service nor the worker is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.docs.markdown import ROOT

LOADED = """
import importlib, json, pkgutil, sys
import service.client
for module in pkgutil.walk_packages(service.client.__path__, "service.client."):
    importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""
FORBIDDEN = (
    "fastapi",
    "hiredis",
    "numba",
    "redis",
    "service.api",
    "service.worker",
    "starlette",
    "torch",
    "torch_geometric",
    "uvicorn",
)
NAMED = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'service/client/install'}"}
"""Where the name `olad` is found without an installation."""


def test_a_fresh_interpreter_imports_the_client_without_api_redis_and_torch() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stdout))
    assert {"service.client.http", "service.client.async_http"} <= loaded
    assert loaded.isdisjoint(FORBIDDEN)


def test_the_installed_name_has_the_classes_of_the_client() -> None:
    program = (
        "import json, sys, olad, service.client as client\n"
        "assert all(getattr(olad, name) is getattr(client, name) for name in client.__all__)\n"
        "assert {'Client', 'AsyncClient', 'UpsertNode', 'Event', 'ServiceError'} <= set(olad.__all__)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=NAMED)
    assert set(json.loads(ended.stdout)).isdisjoint({*FORBIDDEN, "numpy"})
