"""The loss terms of a step where the graph has many classes: of candidates instead of all.

What a step costs depends on its labels, not on how many classes there are. With few classes nothing of this is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from olad_core.learning.group import Group
from olad_core.learning.step import Computed, Knowledge, StepNodes, sure_rows
from olad_core.parts import Parts
from olad_core.tasks import node_class
from olad_core.tasks.node_class import CandidateHeads, Candidates


@dataclass(frozen=True)
class Narrowed:
    """What the students computed of a step's seeds, and the classes that it is about.

    Attributes:
        embeddings: with dropout ``[G, n, width]``.
        sure: without dropout of hidden rows, and without gradients, where the step needs them; else as ``embeddings``.
        predicted: places among the seeds ``[m]`` whose predicted classes are candidates.
        candidates: the classes.
        heads: what the heads hold of them.
    """

    embeddings: Tensor
    sure: Tensor
    predicted: Tensor
    candidates: Candidates
    heads: CandidateHeads


def narrow(nodes: StepNodes, group: Group, computed: Computed, knowledge: Knowledge) -> Parts[Narrowed]:
    """The candidates: the step's labels, what the students predict, and a sample."""
    classes, heads = nodes.classes, [student.head for student in group.students]
    embeddings = computed.embeddings
    sure = embeddings.detach()
    if knowledge.from_predictions and group.config.hidden_dropout:
        sure = torch.cat((yield from sure_rows(group, nodes.sample, computed)))
    yield
    predicted = node_class.nodes_to_predict(nodes.sample.num_seeds, len(heads), classes).to(group.device)
    certain = torch.cat([nodes.targets, node_class.predicted_of_all(heads, sure[:, predicted], classes).flatten()])
    yield
    candidates = node_class.draw_candidates(certain, classes, group.random)
    return Narrowed(embeddings, sure, predicted, candidates, node_class.candidate_heads(heads, candidates))


def candidate_terms(
    nodes: StepNodes, group: Group, computed: Computed, knowledge: Knowledge, weights: Tensor
) -> Parts[dict[str, Tensor]]:
    """What the students lose by labels, by teachers and by the expected disagreement: ``[G]`` by the term's name.

    Args:
        nodes: of the step.
        group: the students.
        computed: by them.
        knowledge: what the step transfers.
        weights: ``[G, G]``, how much student ``j`` teaches student ``i``.
    """
    narrowed = yield from narrow(nodes, group, computed, knowledge)
    yield
    targets = nodes.targets
    logits = narrowed.heads.logits(narrowed.embeddings[:, : len(targets)])
    terms = {"supervised": node_class.losses(logits, narrowed.candidates.places(targets))}
    if knowledge.from_predictions:
        yield
        terms["global"] = group.config.global_weight * _global_losses(group, narrowed, weights)
    yield
    terms["disagreement"] = _disagreement_losses(nodes, narrowed)
    return terms


def _global_losses(group: Group, narrowed: Narrowed, weights: Tensor) -> Tensor:
    """Divergence ``[G]`` from the teachers, of nodes whose predicted classes are candidates.

    A sampled class is not taught: standing for many, it would seem more likely than it is.
    """
    config, heads, at = group.config, narrowed.heads, narrowed.predicted
    with torch.no_grad():
        teachers = heads.logits(narrowed.sure[:, at], config.temperature)
    logits = heads.logits(narrowed.embeddings[:, at], config.temperature)
    taught = slice(narrowed.candidates.certain)
    return node_class.global_losses(logits, teachers, weights, config.temperature, config.min_confidence, taught)


def _disagreement_losses(nodes: StepNodes, narrowed: Narrowed) -> Tensor:
    """Losses ``[G]`` of the disagreement that each student expects; see :func:`~.step.disagreement_terms`."""
    at = narrowed.predicted
    unlearned = at[at >= (nodes.unlearned.start or 0)]
    own = unlearned if len(unlearned) else at
    with torch.no_grad():
        found = node_class.disagreement(narrowed.heads.logits(narrowed.sure[:, own]))
    doubts = narrowed.heads.disagreement_logits(narrowed.embeddings[:, own].detach())
    return node_class.disagreement_losses(doubts, found)
