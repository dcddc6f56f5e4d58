"""Whether there will be an edge: inputs of pairs, scorer, ranks at arrival, partners. See decision 0049."""

from olad_core.tasks.link.learner import LEAST_TARGETS, MOST_SCORED, NEGATIVES, Learner, Partners, Ranked
from olad_core.tasks.link.scores import PREDICTORS, RankScore, RankScores, ranks_of_first

__all__ = [
    "LEAST_TARGETS",
    "MOST_SCORED",
    "NEGATIVES",
    "PREDICTORS",
    "Learner",
    "Partners",
    "RankScore",
    "RankScores",
    "Ranked",
    "ranks_of_first",
]
