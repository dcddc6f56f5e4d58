"""Public tools that read OpenAPI documents, in the versions that the tests are made for.

They are installed into the user's cache once. Where they cannot be, what needs them is skipped, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

LINTERS = ("@stoplight/spectral-cli@6.16.3", "@redocly/cli@2.77.0")
TYPESCRIPT = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
PYTHON = ("openapi-python-client==0.29.1",)

INSTALLED_WITHIN_S = 50
QUIET = {"SCARF_ANALYTICS": "false", "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}

_NPM = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--prefix")
_PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target")


def npm_packages(packages: Sequence[str]) -> Path:
    """Folder of installed packages of npm, with ``node_modules`` in it."""
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the PATH")
    return _installed(_NPM, packages)


def python_packages(packages: Sequence[str]) -> Path:
    """Folder of installed Python packages, apart from those of the tests."""
    return _installed(_PIP, packages)


def _installed(install: Sequence[str], packages: Sequence[str]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "olad-tests"
    # What one interpreter has installed may not fit another one.
    folder = cache / sha256(" ".join((sys.version, *packages)).encode()).hexdigest()[:16]
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as new:
        try:
            ran = subprocess.run(
                [*install, new, *packages],
                env=os.environ | QUIET,
                capture_output=True,
                text=True,
                check=False,
                timeout=INSTALLED_WITHIN_S,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"{' '.join(packages)} could not be installed within {INSTALLED_WITHIN_S} s")
        if ran.returncode != 0:
            pytest.skip(f"{' '.join(packages)} cannot be installed here: {' '.join(ran.stderr.split())[:300]}")
        # Of two at the same time, one is first.
        with contextlib.suppress(OSError):
            shutil.copytree(new, folder.with_suffix(f".{os.getpid()}"), symlinks=True).rename(folder)
    return folder
