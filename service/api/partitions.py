"""What a worker with partitions does not answer."""

from __future__ import annotations

from service.problems import PARTITIONED, Problem


def not_with_partitions() -> Problem:
    """The answer to what needs the whole graph at one place."""
    return Problem(
        PARTITIONED,
        "the graph is spread over several partitions, whose worker does not answer this; a worker without partitions "
        "does",
    )
