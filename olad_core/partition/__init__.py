"""One graph over several ranks: who owns a node, what ranks exchange, and inference in supersteps.

See ``docs/decisions/0050-partitions.md``.
"""

from __future__ import annotations

from olad_core.partition.exchange import Superstep, Traffic, run_in_lockstep
from olad_core.partition.learner import LearnerState, PartitionedLearner, join_own
from olad_core.partition.partition import Followed, Partition
from olad_core.partition.placement import owners
from olad_core.partition.split import Source, part_state, whole_graph

__all__ = [
    "Followed",
    "LearnerState",
    "Partition",
    "PartitionedLearner",
    "Source",
    "Superstep",
    "Traffic",
    "join_own",
    "owners",
    "part_state",
    "run_in_lockstep",
    "whole_graph",
]
