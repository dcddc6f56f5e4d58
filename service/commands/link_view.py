"""How tasks on links are shown."""

from __future__ import annotations

from typing import Protocol


class Ranked(Protocol):
    """Scores of ranks."""

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank."""

    @property
    def hits_10(self) -> float:
        """Share of the first ten places."""


def links_line(
    name: str, edge_type: str, counts: tuple[int, int], learned: Ranked | None, rules: dict[str, Ranked | None]
) -> str:
    """How a task on links stands, beside rules on the same negatives.

    >>> from olad_core.tasks.link import RankScore
    >>> score = RankScore(0.5, 0.25, 0.5, 0.75)
    >>> links_line("next", "buys", (3, 4), score, {"popularity": None})
    'task next, links of the type buys: 3 of 4 edges ranked, MRR 0.500 (popularity: none), hits@10 75.0%'

    Args:
        name: of the task.
        edge_type: of its edges.
        counts: edges that were ranked, and that have arrived.
        learned: scores of what is learned; None before the first edge.
        rules: scores of rules by name.
    """
    beside = ", ".join(f"{rule}: {_mrr(score)}" for rule, score in rules.items())
    hits = "" if learned is None else f", hits@10 {learned.hits_10:.1%}"
    ranked = f"{counts[0]:,} of {counts[1]:,} edges ranked"
    return f"task {name}, links of the type {edge_type}: {ranked}, MRR {_mrr(learned)} ({beside}){hits}"


def _mrr(score: Ranked | None) -> str:
    return "none" if score is None else f"{score.mrr:.3f}"
