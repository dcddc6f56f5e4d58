"""Samples and decisions over time, as the worker writes them and the API answers them."""

from __future__ import annotations

from pydantic import Field

from service.store.status import Answer, DecisionStatus


class PastScore(Answer):
    """Prequential score at one time: as in `Score`, without what the charts leave out."""

    scored: int = Field(description="Nodes scored.")
    accuracy: float | None = Field(description="Share of right predictions over all scored nodes.")
    macro_f1: float | None = Field(description="Macro-F1 over all scored nodes.")
    accuracy_recent: float | None = Field(description="Accuracy with forgetting.")
    macro_f1_recent: float | None = Field(description="Macro-F1 with forgetting.")
    log_loss_recent: float | None = Field(description="Log-loss with forgetting.")


class Sample(Answer):
    """What the worker reported at one time."""

    time: float = Field(description="Unix time in seconds.")
    applied_events: int = Field(description="Events applied up to then.")
    behind_events: int = Field(description="Events that predictions did not show yet.")
    events_per_s: float = Field(description="Events applied a second.")
    steps_per_s: float = Field(description="Training steps a second.")
    version: int | None = Field(description="The served version; null before the first.")
    student: str | None = Field(description="The student it is of, or `group`.")
    served: PastScore = Field(description="Score of what was served.")
    students: dict[str, PastScore] = Field(description="Score of each member of the group.")
    losses: dict[str, float] = Field(description="Mean of each loss term over the last steps.")


class PastDecision(DecisionStatus):
    """A decision, and when it was reported."""

    time: float = Field(description="Unix time in seconds.")


class Timeline(Answer):
    """What was reported over time."""

    samples: list[Sample] = Field(description="The oldest first; the older, the further apart.")
    decisions: list[PastDecision] = Field(
        description="The oldest first, without further versions of the same student (`student-kept`)."
    )
