"""The class of an edge, predicted when it arrives: inputs, head, targets and answer. See decision 0041."""

from olad_core.tasks.edge_class.given import features_given
from olad_core.tasks.edge_class.guard import Guard
from olad_core.tasks.edge_class.head import Head
from olad_core.tasks.edge_class.history import UNKNOWN, Asked, History, Inputs
from olad_core.tasks.edge_class.learner import EdgeAnswer, Learner, Scored, TooManyEdgeClasses
from olad_core.tasks.edge_class.likeliest import LikeliestEdges, ListedEdge, likeliest_edges
from olad_core.tasks.edge_class.links import joined_before
from olad_core.tasks.edge_class.remembered import Answered

__all__ = [
    "UNKNOWN",
    "Answered",
    "Asked",
    "EdgeAnswer",
    "Guard",
    "Head",
    "History",
    "Inputs",
    "Learner",
    "LikeliestEdges",
    "ListedEdge",
    "Scored",
    "TooManyEdgeClasses",
    "features_given",
    "joined_before",
    "likeliest_edges",
]
