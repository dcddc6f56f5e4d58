"""The streams by name, with what a run takes unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

from benchmarks.learning.citations import pubmed
from benchmarks.learning.generated import generated
from benchmarks.learning.stream import Stream


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
        metric: the score that stands in the table.
        seconds: what a run of a group takes on one slow core, for the first estimate.
    """

    build: Build
    about: str
    steps: int = 4
    metric: str = "accuracy"
    seconds: float = 60.0


STREAMS: dict[str, StreamSpec] = {
    **{
        f"pubmed-{percent}": StreamSpec(
            partial(pubmed, share=percent / 100), f"PubMed by year, {percent} % ever labelled", seconds=150
        )
        for percent in (100, 20, 5, 2)
    },
    **{
        f"pubmed-1990-{percent}": StreamSpec(
            partial(pubmed, share=percent / 100, until_year=1990), f"papers up to 1990, {percent} %", seconds=40
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
}
"""Every stream by its name."""
