"""The task of today: the class of a node, and the disagreement of the group about it.

A head has :func:`head_width` outputs for a node: the logit of the expected disagreement, then one logit a class. An
answer has the same columns: the disagreement, then class probabilities.
"""

from __future__ import annotations

from olad_core.tasks.class_counts import LEAST_SUPPORT, class_f1, count_classes, macro_f1, with_classes
from olad_core.tasks.node_class.answers import answers, probabilities
from olad_core.tasks.node_class.best import are_wide, best_classes, decided_classes
from olad_core.tasks.node_class.candidates import (
    MOST_EXACT,
    CandidateHeads,
    Candidates,
    are_many,
    candidate_heads,
    draw_candidates,
    nodes_to_predict,
    predicted_of_all,
)
from olad_core.tasks.node_class.head import (
    CLASSES,
    DISAGREEMENT,
    class_capacity,
    grow_head,
    head_width,
    logits_side_by_side,
    new_head,
)
from olad_core.tasks.node_class.losses import (
    disagreement,
    disagreement_losses,
    global_losses,
    losses,
    targets,
)
from olad_core.tasks.node_class.ranks import (
    RANK_BINS,
    RANKED_CLASSES,
    average_precision,
    count_one_class,
    count_ranks,
    rank_bins,
)
from olad_core.tasks.node_class.scores import (
    LEAST_PROBABILITY,
    NO_CLASS,
    NodeScores,
    group_classes,
    group_probabilities,
    labels_of_group,
    predicted_classes,
    score,
    taught_classes,
)

__all__ = [
    "CLASSES",
    "DISAGREEMENT",
    "LEAST_PROBABILITY",
    "LEAST_SUPPORT",
    "MOST_EXACT",
    "NO_CLASS",
    "RANKED_CLASSES",
    "RANK_BINS",
    "CandidateHeads",
    "Candidates",
    "NodeScores",
    "answers",
    "are_many",
    "are_wide",
    "average_precision",
    "best_classes",
    "candidate_heads",
    "class_capacity",
    "class_f1",
    "count_classes",
    "count_one_class",
    "count_ranks",
    "decided_classes",
    "disagreement",
    "disagreement_losses",
    "draw_candidates",
    "global_losses",
    "group_classes",
    "group_probabilities",
    "grow_head",
    "head_width",
    "labels_of_group",
    "logits_side_by_side",
    "losses",
    "macro_f1",
    "new_head",
    "nodes_to_predict",
    "predicted_classes",
    "predicted_of_all",
    "probabilities",
    "rank_bins",
    "score",
    "targets",
    "taught_classes",
    "with_classes",
]
