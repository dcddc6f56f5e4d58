"""Records of how what was served has scored are those of the scores themselves, and name arrivals in every variant."""

from __future__ import annotations

import functools
import zlib
from dataclasses import replace

import numpy as np
import pytest

from olad_core.config import EngineConfig
from olad_core.events import Event, GraphSchema, UpsertNode
from olad_core.judging.served_outcomes import Records
from tests.olad_core.runs import CONFIG, PAIR, Run, learned
from tests.olad_core.streams import changes, take


@functools.cache
def played(config: EngineConfig, threshold: float | None = None) -> Run:
    """A run in which labels come at once, later, never, and twice, and nodes leave and come back."""
    run = Run(replace(config, arrivals_scored=100, arrivals_remembered=1_000))
    if threshold is not None:
        decisions = {"odd": {"threshold": threshold}}
        run.engine.declare("1-0", GraphSchema.model_validate({"decisions": decisions}))
    learned(run)
    events = changes(5, nodes=40)
    for turn in range(12):
        new: list[Event] = [
            UpsertNode(f"{turn} {n}", [2.0 * (n % 2), 0.5, 0.0], ["even", "odd"][n % 2]) for n in range(6)
        ]
        run.turn([*take(events, 12), *new], steps=1)
    return run


@pytest.mark.parametrize("threshold", [None, 0.9])
def test_records_are_what_the_scores_are_of(threshold: float | None) -> None:
    run = played(PAIR, threshold)
    found, scores = run.engine.outcomes.records(), run.engine.assessment.served_score()
    assert len(found) == scores.scored[0] > 50
    np.testing.assert_allclose((found["truth"] == found["predicted"]).mean(), scores.accuracy[0])
    np.testing.assert_allclose(found["loss"].mean(), scores.log_loss[0], rtol=1e-6)
    assert set(found["ranked_class"]) == {-1}
    assert np.isnan(found["ranked"]).all()


def test_the_probability_of_a_ranked_class_is_that_of_the_declared_metric() -> None:
    run = played(replace(PAIR, metric="average_precision:odd"))
    found = run.engine.outcomes.records()
    number = run.engine.graph.classes.index("odd")
    # Until a label has named the class there is nothing to rank.
    assert set(found["ranked_class"][-50:]) == {number}
    own = found[(found["ranked_class"] == number) & (found["truth"] == number)]
    np.testing.assert_allclose(-np.log(np.maximum(own["ranked"], 1e-6)), own["loss"], rtol=1e-4, atol=1e-5)


def keyed(found: Records) -> dict[int, tuple[int, float]]:
    return {int(one["arrival"]): (int(one["truth"]), float(one["time"])) for one in found}


def test_two_variants_name_the_same_arrivals_alike() -> None:
    one, other = played(CONFIG), played(PAIR)
    mine, its = keyed(one.engine.outcomes.records()), keyed(other.engine.outcomes.records())
    common = mine.keys() & its.keys()
    assert len(common) > 50
    assert {key: mine[key] for key in common} == {key: its[key] for key in common}
    graph = one.engine.graph
    for name in ("11 0", "11 5"):
        (row,) = graph.rows([name]).tolist()
        assert (int(graph.arrival[row]) << 32) + zlib.crc32(name.encode()) in common
