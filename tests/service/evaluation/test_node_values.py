"""Values of generated nodes: the task beside what a practitioner would use, on the same stream."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from benchmarks.learning.node_values import source
from service.commands.evaluate_view import print_report
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.evaluation.report import Report
from service.settings import Settings

BASELINES = ("vote", "majority", "gradient-boosting")
SEEDS, NODES = 5, 700
T_OF_4 = 2.776
"""Of Student's distribution with 4 degrees of freedom, for a 95 % interval."""


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    quick = configurations(Settings(), [])
    return [evaluate(source(seed, NODES), quick, BASELINES) for seed in range(SEEDS)]


@pytest.mark.parametrize("baseline", BASELINES)
def test_errors_are_below_those_of_each_baseline_over_seeds(reports: list[Report], baseline: str) -> None:
    above = []
    for report in reports:
        other = next(each for each in report.contestants if each.name == baseline)
        (task,) = other.node_values
        assert task.difference is not None
        above.append(task.difference.value)
    mean, spread = np.mean(above), np.std(above, ddof=1)
    assert mean - T_OF_4 * spread / np.sqrt(SEEDS) > 0, above


def test_the_interval_holds_its_share(reports: list[Report]) -> None:
    held = [report.contestants[0].node_values[0].coverage for report in reports]
    assert np.mean([each for each in held if each is not None]) == pytest.approx(0.9, abs=0.05)


def test_a_report_says_what_each_reached(reports: list[Report]) -> None:
    first, *others = reports[0].contestants
    assert [each.name for each in others] == [*BASELINES]
    (own,) = first.node_values
    assert (own.name, own.node_type, own.arrived, own.difference) == ("price", "node", NODES, None)
    assert own.scored > 0.8 * NODES
    (vote,) = others[0].node_values
    # The base of the task is the same rule, with the usual value where the baseline has the mean.
    assert vote.mae == pytest.approx(own.base_mae, rel=0.05)
    shown = io.StringIO()
    print_report(Console(file=shown, width=300), reports[0])
    assert "task price of default" in shown.getvalue()
    assert "less default on the same nodes, with 95 % interval: MAE" in shown.getvalue()
    assert "prequential scores at arrival" not in shown.getvalue()


def test_the_same_stream_gives_the_same_report() -> None:
    texts = {
        json.dumps(evaluate(source(1, 200), configurations(Settings(), []), BASELINES).as_dict()) for _ in range(2)
    }
    assert len(texts) == 1
