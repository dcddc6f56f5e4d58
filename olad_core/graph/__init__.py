"""The live dynamic graph: nodes, edges, features and labels under a stream of events."""

from olad_core.graph.changes import Changes, Rejection
from olad_core.graph.neighbours import Neighbours
from olad_core.graph.store import DynamicGraph

__all__ = ["Changes", "DynamicGraph", "Neighbours", "Rejection"]
