from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core.events import LabelNode, UpsertNode
from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.label_delay import (
    Duration,
    delay_labels,
    delay_labels_in_time,
    delay_own_labels,
    epoch_unit,
    parse_delay,
)


@pytest.mark.parametrize("text", ["", "-1", "14", "14 d", "2w", "1.5h", "30s", "14d later", "d", "1e3", "٣d", "1.5"])
def test_a_delay_is_a_count_or_a_time(text: str) -> None:
    expected = {"14": 14, "14 d": Duration(14 * 86_400), "2w": Duration(14 * 86_400), "1.5h": Duration(5_400)}
    expected["30s"] = Duration(30)
    if text in expected:
        assert parse_delay(text) == expected[text]
    else:
        with pytest.raises(ValueError, match="is no delay"):
            parse_delay(text)


def _arrivals(times: list[int], known: list[bool]) -> Iterator[Arrival]:
    for number, (time, is_known) in enumerate(zip(times, known, strict=True)):
        name = str(number)
        yield Arrival((UpsertNode(id=name, ts=1e9 + time),), name, (name, "c") if is_known else None)


STREAMS = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40)


@given(STREAMS, st.integers(0, 30))
def test_a_label_comes_with_the_first_arrival_that_is_late_enough(stream: list[tuple[int, bool]], delay: int) -> None:
    times, known = [time for time, _ in stream], [is_known for _, is_known in stream]
    arrivals = list(delay_labels_in_time(_arrivals(times, known), Duration(delay), "x"))
    sent = {
        str(event.id): place
        for place, arrival in enumerate(arrivals)
        for event in arrival.events
        if isinstance(event, LabelNode)
    }
    clocks = [max(times[: place + 1]) for place in range(len(times))]
    expected = {}
    for number, (time, is_known) in enumerate(stream):
        late_enough = [place for place in range(number + 1, len(times)) if clocks[place] >= time + delay]
        if is_known and late_enough:
            expected[str(number)] = late_enough[0]
    assert sent == expected


@given(STREAMS, st.integers(0, 30))
def test_own_labels_are_delayed_as_others(stream: list[tuple[int, bool]], delay: int) -> None:
    times, known = [time for time, _ in stream], [is_known for _, is_known in stream]
    own = list(delay_own_labels(_arrivals(times, known), delay))
    assert own == list(delay_labels(_arrivals(times, known), delay))


@pytest.mark.parametrize(("time", "message"), [(None, "has no times"), (2010.0, "times like 2010, which are no dates")])
def test_a_time_needs_dates(time: float | None, message: str) -> None:
    arrivals = [Arrival((UpsertNode(id="a", ts=time),), "a", ("a", "c"))]
    with pytest.raises(UnreadableDataset, match=message):
        list(delay_labels_in_time(arrivals, Duration(1), "x"))
    known = list(delay_labels_in_time(arrivals * 2, Duration(1), "x", "s")) if time is not None else []
    assert len(known) in {0, 2}


def test_milliseconds_are_recognised() -> None:
    arrivals = [Arrival((UpsertNode(id=n, ts=t),), n, (n, "c")) for n, t in (("a", 1.7e12), ("b", 1.7e12 + 2_000))]
    *_, last = delay_labels_in_time(arrivals, Duration(2), "x")
    assert isinstance(last.events[0], LabelNode)
    assert epoch_unit(-1.7e9) == "s"
