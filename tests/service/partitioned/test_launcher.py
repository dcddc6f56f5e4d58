"""The launcher of a worker with partitions: it forks ranks that need not import anything, and none outlives it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis

from service.store.keys import Keys
from tests.chaos.partitions import is_alive
from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.entries import append, random_entries
from tests.service.partitioned.groups import GroupOfRanks, group_of, trained

ENTRIES = 12


def ranks_of(group: GroupOfRanks) -> list[int]:
    """Processes of two ranks, once both are there."""
    until(lambda: None not in [group.rank_pid(rank) for rank in range(2)])
    return [pid for rank in range(2) if (pid := group.rank_pid(rank)) is not None]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.timeout(300)
def test_ranks_are_forked_again_after_a_loss_and_end_with_their_launcher(
    redis_server: RedisServer, redis_client: redis.Redis, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # numpy's BLAS would begin threads as it is imported, and end them before a fork.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    append(redis_client, keys, random_entries(ENTRIES, seed=4))
    trained(redis_client, keys, tmp_path, ENTRIES)
    with group_of(2, redis_server.url, keys, tmp_path) as group:
        group.wait_until_visible(redis_client, f"{ENTRIES}-0")
        launcher, first = group.process.pid, ranks_of(group)
        assert len(list(Path(f"/proc/{launcher}/task").iterdir())) == 1
        # A process that was forked keeps the command line; another program has its own.
        assert {command_line(pid) for pid in first} == {command_line(launcher)}
        group.strike(1, signal.SIGKILL)
        until(lambda: not any(is_alive(pid) for pid in first))
        append(redis_client, keys, random_entries(1, seed=5), first=ENTRIES + 1)
        group.wait_until_visible(redis_client, f"{ENTRIES + 1}-0")
        again = ranks_of(group)
        assert not {*first} & {*again}
        # The other rank gives the paused one up, and the launcher ends both.
        group.strike(1, signal.SIGSTOP)
        assert group.terminate() == 0, group.text()
        assert not any(is_alive(pid) for pid in again)

    with group_of(2, redis_server.url, keys, tmp_path) as killed:
        pids = ranks_of(killed)
        killed.strike(0, signal.SIGSTOP)
        killed.process.kill()
        until(lambda: not any(is_alive(pid) for pid in pids))
