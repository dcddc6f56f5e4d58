"""What follows from a training step: for convergence, for what is known of the students, and as decisions."""

from __future__ import annotations

from olad_core.judging.assessment import Assessment
from olad_core.judging.decisions import Decisions
from olad_core.learning.convergence import Convergence
from olad_core.learning.health import PATIENCE
from olad_core.learning.trainer import StepOutcome, Trainer
from olad_core.step_size import StepSize


def take_in(
    outcome: StepOutcome,
    size: StepSize,
    trainer: Trainer,
    convergence: Convergence,
    assessment: Assessment,
    decisions: Decisions,
) -> None:
    """Take in what a step did.

    Args:
        outcome: of the step, which was taken.
        size: of the step.
        trainer: that took it.
        convergence: of the losses.
        assessment: of the students.
        decisions: takes in new weights.
    """
    convergence.follow(float(outcome.losses["supervised"].mean()), size)
    assessment.add_losses(outcome.losses)
    if outcome.renewed:
        convergence.restart()
    for name in outcome.renewed:
        reason = f"{name} got new weights: its losses or gradients were not finite for {PATIENCE} steps in a row"
        student = name if name in trainer.group.names else None
        decisions.add("student-reset", reason, student=student, numbers={"resets": trainer.health.resets})
        if student:
            assessment.renew(trainer.group.names.index(student))
