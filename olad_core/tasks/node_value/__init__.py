"""The value of a node, predicted with an interval from what is around it now: inputs and answer. See decision 0057."""

from olad_core.tasks.node_value.inputs import Inputs
from olad_core.tasks.node_value.learner import Learner, NodeAnswer, are_of_type
from olad_core.tasks.node_value.surroundings import edges_of, shape_of, surroundings

__all__ = ["Inputs", "Learner", "NodeAnswer", "are_of_type", "edges_of", "shape_of", "surroundings"]
