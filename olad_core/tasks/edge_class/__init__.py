"""The class of an edge, predicted when it arrives: inputs, head, targets and answer. See decision 0041."""

from olad_core.tasks.edge_class.explain import Arriving, EdgeExplanation, LabelEffect, explain_edge
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
    "Arriving",
    "Asked",
    "EdgeAnswer",
    "EdgeExplanation",
    "Guard",
    "Head",
    "History",
    "Inputs",
    "LabelEffect",
    "Learner",
    "LikeliestEdges",
    "ListedEdge",
    "Scored",
    "TooManyEdgeClasses",
    "explain_edge",
    "features_given",
    "joined_before",
    "likeliest_edges",
]
