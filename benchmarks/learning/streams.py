"""The streams by name, with what a run takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from benchmarks.learning.actors import actor
from benchmarks.learning.citations import pubmed
from benchmarks.learning.configuration import Override
from benchmarks.learning.contacts import highschool
from benchmarks.learning.evolving import EPOCHS, Change, evolving, split
from benchmarks.learning.fraud import fraud
from benchmarks.learning.generated import generated
from benchmarks.learning.heterophilous import heterophilous
from benchmarks.learning.many_classes import many_classes
from benchmarks.learning.stream import Stream
from benchmarks.learning.transactions import elliptic
from benchmarks.learning.useless_features import useless_features
from benchmarks.learning.useless_graph import useless_graph
from benchmarks.learning.wrong_labels import wrong_labels

CHANGES: tuple[Change, ...] = ("removed", "rewired", "added")


class Build(Protocol):
    """Builds a stream from a seed and, where it is to be another than usual, a size in nodes."""

    def __call__(self, seed: int, size: int | None = None) -> Stream:
        """The stream."""


@dataclass(frozen=True)
class StreamSpec:
    """A stream and its usual run.

    Attributes:
        build: makes it.
        about: one line for people.
        steps: training steps a turn.
        metric: the score that stands in the table, and that the engine chooses what is served by; as ``OLAD_METRIC``.
        seconds: what a run of a group takes on one slow core, for the first estimate.
        overrides: fields of the configuration that belong to the setting, like the paper's group.
        is_split: whether student and time are chosen on validation nodes of a graph that stays.
    """

    build: Build
    about: str
    steps: int = 4
    metric: str = "accuracy"
    seconds: float = 30.0
    overrides: tuple[tuple[str, Override], ...] = ()
    is_split: bool = False

    @property
    def score(self) -> str:
        """Name of that score in a line of results."""
        return self.metric.partition(":")[0]


PAPER_GROUP: tuple[tuple[str, Override], ...] = (
    ("students", ("gcn",) * 4),
    ("width", 16),
    # More than there are: every step is about the whole graph.
    ("fanouts", (500, 500)),
    ("labelled", 10_000),
    ("touched", 20_000),
    ("recent_touched", 20_000),
)
"""Four GCNs of the paper's size, full batch."""


STREAMS: dict[str, StreamSpec] = {
    **{
        f"pubmed-{percent}": StreamSpec(
            partial(pubmed, share=percent / 100), f"PubMed by year, {percent} % ever labelled", steps=8, seconds=60
        )
        for percent in (100, 20, 5, 2)
    },
    **{
        f"pubmed-1990-{percent}": StreamSpec(
            partial(pubmed, share=percent / 100, until_year=1990),
            f"papers up to 1990, {percent} %",
            steps=8,
            seconds=10,
        )
        for percent in (100, 20, 5, 2)
    },
    "sudden": StreamSpec(generated, "generated, class means jump twice", steps=2),
    "gradual": StreamSpec(partial(generated, drift="gradual"), "generated, class means rotate", steps=2),
    "featureless": StreamSpec(
        partial(generated, drift="links", features=False), "generated, no features, links change", steps=2
    ),
    "skewed": StreamSpec(
        partial(generated, priors=(0.8, 0.12, 0.08)), "generated, skewed classes", steps=2, metric="macro_f1"
    ),
    "heterophilous": StreamSpec(heterophilous, "generated, neighbours are of two other classes", steps=2),
    "many-classes": StreamSpec(many_classes, "generated, 30 classes", steps=2),
    "wrong-labels": StreamSpec(wrong_labels, "generated, 30 % of the labels are wrong", steps=2),
    "useless-graph": StreamSpec(useless_graph, "generated, a table with random edges", steps=2),
    "useless-features": StreamSpec(useless_features, "generated, features of noise", steps=2),
    "fraud": StreamSpec(
        fraud,
        "generated, 2 % fraud, shown by the degree of the neighbours",
        steps=2,
        metric="average_precision:fraud",
    ),
    "actor": StreamSpec(actor, "actors that stand on one page, in any order", steps=4, seconds=60),
    "elliptic": StreamSpec(elliptic, "Elliptic, topology only, steps 29 to 38", metric="macro_f1"),
    "elliptic-whole": StreamSpec(
        partial(elliptic, first=0, usual=203_769), "Elliptic, topology only, all steps", metric="macro_f1", seconds=180
    ),
    "highschool": StreamSpec(highschool, "high-school contacts that expire after a day"),
    **{
        f"{name}-{change}": StreamSpec(
            partial(evolving, name=name, change=change), f"{name.title()}, 10 to 50 % of its edges {change}"
        )
        for name in ("cora", "citeseer")
        for change in CHANGES
    },
    **{
        f"{name}-split": StreamSpec(
            partial(split, name=name),
            f"{name.title()}, public split: student and epoch chosen on validation nodes, scored on test nodes",
            steps=EPOCHS,
            overrides=PAPER_GROUP,
            is_split=True,
        )
        for name in ("cora", "citeseer")
    },
}
"""Every stream by its name."""
USUAL_STREAMS = (
    *(f"pubmed-{percent}" for percent in (100, 20, 5, 2)),
    *("elliptic", "highschool", "sudden", "gradual", "featureless", "actor", "heterophilous", "fraud"),
    *("many-classes", "wrong-labels", "useless-graph", "useless-features"),
    *("cora-removed", "citeseer-rewired", "cora-split", "citeseer-split"),
)
"""Those of the usual table."""
DRIFTING = tuple(
    name
    for name in STREAMS
    if name.startswith("pubmed-") or name in {"sudden", "gradual", "featureless"} or name.split("-")[-1] in CHANGES
)
"""Those in which what was true does not stay so."""
