"""Making Redis's append-only files readable again after their end was damaged, as by a power cut."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from olad_core.errors import OladError
from service.local.redis_program import RedisProgram, check_aof_command, find_redis_programs


class RepairFailed(OladError, RuntimeError):
    """The files could not be repaired; the message names the reason and the copy."""


@dataclass(frozen=True)
class Repair:
    """What was done.

    Attributes:
        cut_bytes: how much was cut off; 0 where nothing was damaged, and then nothing was done.
        kept_bytes: how much is left.
        copy: folder with the files as they were; None where nothing was done.
    """

    cut_bytes: int
    kept_bytes: int
    copy: Path | None


def repair_log(data_dir: Path) -> Repair:
    """Cut off the end that Redis cannot read, after a copy of all was made.

    The checker of the server program that ``olad up`` would run decides what can be read of the newest file: every
    command before the first that is damaged. The files before it, which a power cut cannot damage, are not checked.
    No server may be running.

    Args:
        data_dir: the data directory, whose folder ``redis`` has the files.

    Raises:
        RepairFailed: there are no files, or the newest one cannot be read from the beginning on.
        RedisNotFound: no server program on this machine.
        OSError: the copy cannot be made.
    """
    folder = data_dir.absolute() / "redis"
    newest = _newest_file(folder)
    program = find_redis_programs()[0]
    before = newest.stat().st_size
    if before == 0 or _check(program, newest).returncode == 0:
        return Repair(0, before, None)
    copy = folder / datetime.now(UTC).strftime("damaged-%Y%m%dT%H%M%SZ")
    copy.mkdir(mode=0o700)
    for file in newest.parent.glob("appendonly.aof*"):
        if file.is_file():
            shutil.copy2(file, copy)
    cut = _check(program, newest, fix=True)
    again = _check(program, newest)
    after = newest.stat().st_size
    if again.returncode != 0 and after > 0:
        report = [line for line in (cut.stdout + again.stdout).splitlines() if line.strip()][-4:]
        raise RepairFailed(
            f"{newest} cannot be repaired by cutting off its end; restore a backup. A copy is in {copy}. "
            f"The checker's last lines: {' / '.join(report)}"
        )
    return Repair(before - after, after, copy)


def _newest_file(folder: Path) -> Path:
    """The file that Redis appended to last: the last that the manifest names, or the only one of Redis 6."""
    manifest, single = folder / "appendonlydir" / "appendonly.aof.manifest", folder / "appendonly.aof"
    if manifest.exists():
        # file appendonly.aof.1.incr.aof seq 1 type i
        lines = [line.split() for line in manifest.read_text(errors="replace").splitlines()]
        named = [line[1] for line in lines if len(line) >= 6 and line[0] == "file" and line[5] == "i"]
        if named and (newest := manifest.parent / Path(named[-1]).name).exists():
            return newest
    elif single.exists():
        return single
    raise RepairFailed(f"there is no log of a Redis in {folder} that could be repaired; restore a backup")


def _check(program: RedisProgram, file: Path, *, fix: bool = False) -> subprocess.CompletedProcess[str]:
    command = check_aof_command(program, *(["--fix"] if fix else []), str(file))
    return subprocess.run(  # noqa: S603
        command,
        executable=program.path,
        input="y\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
