"""The class of an edge, predicted when it arrives: inputs, head, targets and answer. See decision 0041."""

from olad_core.tasks.edge_class.given import features_given
from olad_core.tasks.edge_class.head import Head
from olad_core.tasks.edge_class.history import UNKNOWN, Asked, History, Inputs
from olad_core.tasks.edge_class.learner import EdgeAnswer, Learner, Scored, TooManyEdgeClasses

__all__ = [
    "UNKNOWN",
    "Asked",
    "EdgeAnswer",
    "Head",
    "History",
    "Inputs",
    "Learner",
    "Scored",
    "TooManyEdgeClasses",
    "features_given",
]
