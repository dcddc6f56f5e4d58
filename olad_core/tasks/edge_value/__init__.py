"""The value of an edge, predicted with an interval when it arrives: inputs, head and answer. See decision 0054."""

from olad_core.tasks.edge_value.history import Inputs
from olad_core.tasks.edge_value.learner import Learner, ValueAnswer
from olad_core.tasks.values.model import Interval, Predicted, Scored

__all__ = ["Inputs", "Interval", "Learner", "Predicted", "Scored", "ValueAnswer"]
