"""When a version begins, from which student, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from olad_core.config import GROUP, EngineConfig
from olad_core.graph import DynamicGraph
from olad_core.judging.decisions import Decisions, explain_choice, explain_succession
from olad_core.serving.answers import Origin
from olad_core.serving.choice import Candidates, choose_best, choose_successor
from olad_core.serving.kept_versions import KeptVersions
from olad_core.serving.naming import Made, Naming
from olad_core.serving.versions import Versions
from olad_core.step_size import StepSize
from olad_core.students import Student


class Schedule:
    """Begins versions, some training steps apart, each from the student that is the best at that moment.

    Args:
        config: of the engine.
        versions: served and on their way.
        kept: among them the one that is pinned: meanwhile no other one begins.
        decisions: takes in every version that begins or is refused.
    """

    def __init__(self, config: EngineConfig, versions: Versions, kept: KeptVersions, decisions: Decisions) -> None:
        self._config = config
        self._versions = versions
        self._kept = kept
        self._decisions = decisions
        # The training step at which the last version began, and the steps that embedding the last one took.
        self._step = 0
        self._took = 0
        # Nodes that had been scored at the last decision, resets until then, and its position.
        self._evidence = [0, 0]
        self._decided_at = ""
        self._naming = Naming()

    def advance(self, graph: DynamicGraph, origin: Origin, steps: int, size: StepSize) -> bool:
        """Embed one slice of the version on its way; whether another one is served now.

        Args:
            graph: the live graph.
            origin: where in the log it is.
            steps: training steps that have been taken.
            size: of the slice.
        """
        outcome = self._versions.advance(graph, origin, size)
        version = outcome.finished
        if version is None:
            return False
        self._took = max(0, steps - self._step)
        if outcome.refused:
            served = self._versions.served
            refines = served is not None and served.version.shown == version.shown
            what = f"a refinement of version {version.shown}" if refines else f"version {version.shown}"
            reason = f"{what} has more predictions that are not finite than what is served"
            self._decisions.add("version-refused", reason, student=version.student, version=version.shown)
        return not outcome.refused

    def is_due(self, steps: int) -> bool:
        """Whether to begin a version after so many steps: none is on its way, and the last began long enough ago."""
        # At most half of the time is spent on following two versions.
        due = self._step + max(self._config.publish_steps, 2 * self._took)
        return self._kept.pinned is None and not self._versions.candidate and steps >= due

    def is_done(self, steps: int) -> bool:
        """Whether a version of the students after so many steps has begun, and none is on its way."""
        if self._kept.pinned is not None:
            return self._versions.candidate is None
        return self._step == steps and self._versions.candidate is None

    def start(self, candidates: Candidates, steps: int, position: str) -> None:
        """Begin a version of the chosen student, where its weights are finite.

        Args:
            candidates: the students to choose from.
            steps: training steps that have been taken.
            position: of the log.
        """
        names, margin = candidates.choices, self._config.switch_margin
        served = self._versions.served
        current = names.index(served.version.student) if served and served.version.student in names else None
        penalty = self._versions.cost.penalty(candidates.costs, None if current is None else candidates.costs[current])
        standing = candidates.standing - penalty
        # Equals differ a little each time they are asked: a switch needs scores that came since the last decision,
        # or events since then that wait for what is served.
        waits = current is not None and penalty[current] > 0 and position != self._decided_at
        news = waits or list(candidates.evidence) != self._evidence
        self._evidence, self._decided_at = list(candidates.evidence), position
        self._step = steps
        group = len(names) - 1 if self._config.serve == "group" and candidates.combination else None
        if served and served.former:
            losses, gain = candidates.training_loss, candidates.gain
            assert gain is not None, "the assessment compares as long as a version of a former group is served"
            best, taken = choose_successor(standing, losses, gain, margin=margin, news=news, asked_for=group)
            former = served.version
            kind, reason, numbers = explain_succession(
                names, gain, former.student, best, taken=taken, margin=margin, metric=candidates.metric
            )
            if not taken:
                self._decisions.add(kind, reason, student=former.student, version=former.shown, numbers=numbers)
                return
        else:
            losses = candidates.training_loss
            best = choose_best(standing, losses, current, margin=margin, news=news, penalty=penalty)
            best = best if group is None else group
            kind, reason, numbers = explain_choice(
                names,
                standing,
                current,
                best,
                margin=margin,
                news=news,
                penalty=penalty,
                metric=candidates.metric,
                asked_for=group is not None,
                before=served.version.student if served else None,
            )
        name, students = names[best], candidates.copies(best)
        if not any(_is_finite(student) for student in students.values()):
            self._decisions.add("version-refused", f"no version of {name}: its weights are not finite", student=name)
            return
        own = self._naming.reason(
            served.version if served else None,
            name,
            candidates.classes,
            former=bool(served and served.former),
            drifted=any(each.kind == "drift" for each in self._decisions.since(self._naming.decided)),
            steps=steps,
            position=position,
        )
        shown = served.version.shown if served and own is None else None
        self._decisions.add(kind, reason, student=name, version=shown or self._versions.next_shown, numbers=numbers)
        if own is not None:
            self._naming.begin(steps, position, self._decisions.total)
        combination = candidates.combination if name == GROUP else None
        made = Made(own or (served.made.reason if served else "first"), steps)
        self._versions.start(students, name, candidates.classes, position, combination, made, shown)

    def release(self) -> None:
        """No version is pinned any more: the next one begins at once, with a number of its own."""
        self._naming.pending = "unpinned"
        self._step = self._took = 0

    def begin_anew(self) -> None:
        """The training begins anew: the version on its way is given up."""
        self._versions.withdraw()
        self._naming.begin_anew()
        self._step = 0

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {
            "version_step": self._step,
            "version_took": self._took,
            "version_evidence": self._evidence,
            "version_decided_at": self._decided_at,
            "version_naming": self._naming.state(),
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        self._step, self._took = values["version_step"], values["version_took"]
        self._evidence = list(values.get("version_evidence", self._evidence))
        self._decided_at = values.get("version_decided_at", "")
        if "version_naming" in values:  # earlier releases gave each version's weights a number of their own
            self._naming.restore(values["version_naming"])


def _is_finite(student: Student) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in student.state_dict().values())
