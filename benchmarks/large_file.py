"""Import of a large CSV file: memory and speed of ``olad import``, interrupted once and continued.

The service is a stand-in that takes every batch and discards it, so that only the sender is measured.

    python -m benchmarks.large_file --megabytes 1000
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil

from tests.service.replay.payments import COLUMNS, OPTIONS, payment_rows

_BLOCK_ROWS = 20_000


class _Discards(BaseHTTPRequestHandler):
    """Answers as the API does, and keeps nothing."""

    protocol_version = "HTTP/1.1"
    positions = itertools.count(1)

    def do_GET(self) -> None:
        log = {"position": "9999999999999-0", "entries": 0, "appended_events": 0, "behind_events": 0}
        parts = {"graph": "large", "heartbeat": True, "position": None, "log": log, "log_id": "large"}
        self._answer(parts | {"checkpoint_age_s": None, "worker": None})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer({"position": f"{next(self.positions)}-0", "accepted": 1})

    do_PUT = do_POST  # noqa: N815

    def _answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


def write_csv(path: Path, megabytes: int) -> int:
    """Payments a minute apart until the file has that size; the number of rows. Only ids and times are new."""
    kept = [row[2:] for row in payment_rows(rows=_BLOCK_ROWS)]
    begin = datetime(1990, 1, 1, tzinfo=UTC)
    rows = 0
    with path.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        while file.tell() < megabytes * 1_000_000:
            for values in kept:
                time = begin + timedelta(minutes=rows)
                file.write(f"P{rows},{time.isoformat()},{','.join(values)}\n")
                rows += 1
    return rows


def measured(command: list[str], folder: Path, stop_after_s: float | None = None) -> tuple[float, int, str]:
    """Seconds and greatest resident size in bytes of a command, and its output."""
    began = time.monotonic()
    with (folder / "out").open("w+") as out:
        process = psutil.Popen(command, cwd=folder, stdout=out, stderr=out, env=os.environ | {"NO_PROXY": "*"})
        largest = 0
        while process.poll() is None:
            try:
                largest = max(largest, process.memory_info().rss)
            except psutil.Error:
                break
            if stop_after_s is not None and time.monotonic() - began > stop_after_s:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        process.wait()
        out.seek(0)
        return time.monotonic() - began, largest, out.read()


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    megabytes = parser.parse_args().megabytes
    server = _Server(("127.0.0.1", 0), _Discards)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="olad-large-") as name:
        folder = Path(name)
        rows = write_csv(folder / "payments.csv", megabytes)
        url = f"http://127.0.0.1:{server.server_port}"
        olad = str(Path(sys.executable).parent / "olad")
        command = [olad, "import", "payments.csv", *OPTIONS, "--url", url]
        read = measured([*command, "--dry-run"], folder)
        interrupted = measured(command, folder, stop_after_s=2.5 * read[0])
        sent = measured(command, folder)
        small = rows // 50
        subprocess.run(f"head -n {small} payments.csv > small.csv", shell=True, cwd=folder, check=True)
        of_small = measured([olad, "import", "small.csv", *OPTIONS, "--url", url], folder)
        found = {"rows": rows, "bytes": (folder / "payments.csv").stat().st_size}
        for part, (seconds, largest, _) in {
            "read through": read,
            "interrupted": interrupted,
            "continued": sent,
            "a fiftieth of it": of_small,
        }.items():
            found |= {part: {"seconds": round(seconds, 1), "rss_mb": round(largest / 1e6)}}  # type: ignore[dict-item]
        print(json.dumps(found | {"last": sent[2].splitlines()[-1]}, indent=1))
    server.shutdown()


if __name__ == "__main__":
    main()
