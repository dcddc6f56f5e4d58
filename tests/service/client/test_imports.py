"""The client is installed where neither the service nor the worker is."""

from __future__ import annotations

import json
import subprocess
import sys

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


def test_a_fresh_interpreter_imports_the_client_without_api_redis_and_torch() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stdout))
    assert "service.client.http" in loaded
    assert loaded.isdisjoint(FORBIDDEN)
