"""What a rank forgets of a replay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from service.partitioned.follower import Counts, Follower
from service.store.log_reader import Entry


def test_a_replay_forgets_only_what_readers_have_seen() -> None:
    partition: Any = SimpleNamespace(pass_over=lambda _events: None)
    serving: Any = SimpleNamespace()
    follower = Follower(partition, serving, Counts("0-0", 0, 0))
    for position in ("1-0", "2-0", "10-0"):
        assert list(follower.apply(Entry(position, [], problem="no batch"), {})) == []
    follower.forget_news("2-0")
    assert [each.position for each in follower.take_rejected()] == ["10-0"]
