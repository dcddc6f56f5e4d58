"""wrk, an HTTP load generator in C: how it is run, and what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("predict.lua")
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_SHARE = re.compile(r"^\s*(50|75|90|99)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_ERRORS = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Read:
    """What a reading client found."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def installed() -> bool:
    """Whether wrk is on the PATH."""
    return shutil.which("wrk") is not None


def read_nodes(url: str, nodes: int, exponent: float, connections: int, seconds: float) -> Read:
    """Read predictions of nodes of some popularity over some connections, each asking again when it is answered."""
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--latency", "-s", str(_SCRIPT), url, "--"]
    command += [str(nodes), str(exponent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return parse(done.stdout)


def parse(text: str) -> Read:
    """Read the output of ``wrk --latency``.

    Raises:
        ValueError: it is not such an output.
    """
    times = {share: float(value) * _MS[unit] for share, value, unit in _SHARE.findall(text)}
    rate = _RATE.search(text)
    if rate is None or not {"50", "99"} <= times.keys():
        raise ValueError(f"this is not the output of wrk --latency:\n{text}")
    errors = _ERRORS.search(text)
    return Read(float(rate[1]), times["50"], times["99"], int(errors[1]) if errors else 0)
