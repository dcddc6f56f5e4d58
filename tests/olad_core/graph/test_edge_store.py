"""Long random runs on the arrays themselves: growth, moving, memory."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.graph.arrays import Int64s
from olad_core.graph.columns import REMOVE_EDGE, REMOVE_NODE, UPSERT_EDGE
from olad_core.graph.edge_arrays import Operations
from olad_core.graph.edge_store import EdgeStore
from olad_core.graph.neighbours import all_neighbours


def operations(kind: int, source: Int64s, target: Int64s, weight: float = np.nan, time: float = 0.0) -> Operations:
    size = source.size
    return Operations(
        np.full(size, kind, np.uint8),
        source.astype(np.int32),
        target.astype(np.int32),
        np.full(size, weight, np.float32),
        np.full(size, time),
    )


def edges_of(store: EdgeStore, rows: int) -> set[tuple[int, int]]:
    everything = np.arange(rows)
    found = all_neighbours(store.incoming, everything)
    return set(zip(found.index.tolist(), np.repeat(everything, np.diff(found.indptr)).tolist(), strict=True))


@pytest.mark.parametrize("directed", [False, True])
def test_a_long_life_of_changes_loses_no_edge_and_stays_small(directed: bool) -> None:
    rows, random = 300, np.random.default_rng(3)
    store = EdgeStore(directed=directed, rows=rows)
    store.track_ages(True)
    expected: set[tuple[int, int]] = set()
    sizes = []
    for turn in range(60):
        source, target = random.integers(0, rows, (2, 3000))
        pairs = list(zip(source.tolist(), target.tolist(), strict=True))
        pairs += [] if directed else [(b, a) for a, b in pairs]
        if turn % 3 == 0:
            store.run(operations(UPSERT_EDGE, source, target, time=float(turn)))
            expected |= set(pairs)
        elif turn % 3 == 1:
            absent = store.run(operations(REMOVE_EDGE, source, target))
            unknown = []
            for at, (a, b) in enumerate(pairs[:3000]):
                unknown += [] if (a, b) in expected else [at]
                expected -= {(a, b)} if directed else {(a, b), (b, a)}
            assert absent.tolist() == unknown
        else:
            gone = source[:100]
            store.run(operations(REMOVE_NODE, gone, gone))
            expected = {pair for pair in expected if not set(pair) & set(gone.tolist())}
        assert edges_of(store, rows) == expected
        store.take_changes()
        sizes.append(store.nbytes)
    assert max(sizes[30:]) < 1.1 * max(sizes[:30]), "memory grows although the number of edges does not"


def test_an_undirected_edge_takes_at_most_100_bytes() -> None:
    rows, random = 50_000, np.random.default_rng(4)
    store = EdgeStore(directed=False, rows=rows)
    for _ in range(30):
        # Squared, so that low rows become hubs.
        source, target = (random.random((2, 10_000)) ** 2 * rows).astype(np.int64)
        store.run(operations(UPSERT_EDGE, source, target))
        store.take_changes()
    assert store.nbytes / store.count < 100


def test_expiry_goes_by_time_and_takes_more_edges_than_one_log_holds() -> None:
    rows, random = 200, np.random.default_rng(5)
    store = EdgeStore(directed=True, rows=rows)
    store.track_ages(True)
    times: dict[tuple[int, int], float] = {}
    for time in random.permutation(40).astype(float):
        source, target = random.integers(0, rows, (2, 500))
        store.run(operations(UPSERT_EDGE, source, target, time=time))
        times |= dict.fromkeys(zip(source.tolist(), target.tolist(), strict=True), time)
    store.take_changes()
    for before in (0.0, 10.0, 10.5, 39.0, 100.0):
        kept = {pair: time for pair, time in times.items() if time >= before}
        assert store.expire(before) == len(times) - len(kept)
        assert store.take_changes().source.size == len(times) - len(kept)
        assert edges_of(store, rows) == kept.keys()
        times = kept
