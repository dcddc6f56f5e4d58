"""What a worker with partitions does not answer."""

from __future__ import annotations

from service.api.context import Context
from service.problems import PARTITIONED, Problem


def not_with_partitions() -> Problem:
    """The answer to what needs the whole graph at one place."""
    return Problem(
        PARTITIONED,
        "the graph is spread over several partitions, whose worker serves predictions of nodes alone; a worker without "
        "partitions answers this",
    )


async def require_whole_graph(context: Context) -> None:
    """See that the worker has the whole graph at one place.

    Raises:
        Problem: 501 where it has partitions.
    """
    report = await context.worker.report()
    if report is not None and report.partitions > 1:
        raise not_with_partitions()
