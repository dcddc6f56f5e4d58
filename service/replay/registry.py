"""The datasets that have a name, with what their streams need to make sense."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetSpec:
    """How a dataset is streamed where the user does not say otherwise.

    Attributes:
        name: name on the command line.
        file: name of its archive; None where it comes with a dependency.
        about: one line for people.
        label_delay: arrivals between a node and its label.
        score_from: arrivals before this one are left out of the second accuracy.
        demo_rate: events per second in the demo.
        edge_lifetime: time after which an edge leaves, in the unit of the dataset's times.
    """

    name: str
    file: str | None
    about: str
    label_delay: int = 100
    score_from: int = 500
    demo_rate: float = 200.0
    edge_lifetime: float | None = None


DATASETS = {
    spec.name: spec
    for spec in (
        DatasetSpec("digits", None, "handwritten digits as a nearest-neighbour graph, 1,797 nodes, 10 classes"),
        DatasetSpec(
            "pubmed",
            "pubmed_temporal.npz",
            "diabetes papers and citations by year, 19,717 nodes, 3 classes",
            label_delay=1000,
            score_from=2000,
        ),
        DatasetSpec("cora", "cora.npz", "papers and citations, 2,708 nodes, 7 classes"),
        DatasetSpec("citeseer", "citeseer.npz", "papers and citations, 3,327 nodes, 6 classes"),
        DatasetSpec(
            "elliptic",
            "elliptic_topology.npz",
            "Bitcoin transactions in 49 steps, 203,769 nodes, no features, most without a label",
            label_delay=1000,
            score_from=2000,
            demo_rate=2000.0,
        ),
        DatasetSpec(
            "highschool",
            "highschool_contacts.npz",
            "face-to-face contacts of five days, 329 nodes, no features, edges leave after a day",
            label_delay=20,
            score_from=100,
            demo_rate=1000.0,
            edge_lifetime=86_400.0,
        ),
        DatasetSpec(
            "payments",
            None,
            "generated payments as edges with ids and features, 2 % fraud by rings that change, 10,000 payments",
            label_delay=500,
            score_from=1000,
            demo_rate=1000.0,
        ),
    )
}
"""Every named dataset."""


def spec_of_file(file: str) -> DatasetSpec | None:
    """The named dataset whose archive has this file name."""
    return next((spec for spec in DATASETS.values() if spec.file == file), None)
