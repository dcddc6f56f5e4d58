"""When a version begins, from which student, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from olad_core.config import GROUP, EngineConfig
from olad_core.graph import DynamicGraph
from olad_core.judging.decisions import Decisions, explain_choice, explain_succession
from olad_core.serving.affordable import WITHHELD_FOR_NOW, Withheld, affordable, expected_gain, withheld_by
from olad_core.serving.answers import Origin
from olad_core.serving.choice import Candidates, choose_best, choose_successor, expecting_group, may_take_over
from olad_core.serving.kept_versions import KeptVersions
from olad_core.serving.naming import Made, Naming
from olad_core.serving.versions import HeldVersion, Versions
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
        self._refused_step = -1
        self.withheld: Withheld | None = None
        """Why the last decision was not for the group."""
        self.expected_gain: float | None = None
        """By how much the group was expected to be better than the best student, at the last decision."""
        # Whether the group was left for a student that labels show to be better.
        self._group_lost = False

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
            self._refused_step = steps
            served = self._versions.served
            refines = served is not None and served.version.shown == version.shown
            what = f"a refinement of version {version.shown}" if refines else f"version {version.shown}"
            reason = f"{what} has more predictions that are not finite than what is served"
            self._decisions.add("version-refused", reason, student=version.student, version=version.shown)
        return not outcome.refused

    def must_replace_group(self, fits: Callable[[], bool]) -> bool:
        """Whether the group is served, or on its way, and may not be any more: events come too fast for it.

        Args:
            fits: whether there is memory to serve it.
        """
        held = self._versions.candidate or self._versions.served
        return self._is_chosen_group(held) and (self._versions.load.exceeds(GROUP) or not fits())

    def may_return(self, fits: Callable[[], bool]) -> bool:
        """Whether the group was not served for want of time or memory, and may be now.

        Args:
            fits: whether there is memory to serve it.
        """
        if not self._chooses_group or self._versions.former or self.withheld not in WITHHELD_FOR_NOW:
            return False
        load = self._versions.load
        keeps = not load.measured or (not load.exceeds(GROUP) and bool(load.was_quiet([GROUP]).all()))
        return keeps and fits()

    @property
    def hurries(self) -> bool:
        """Whether the group is served and there is no time for it: the version that replaces it goes first."""
        return self._is_chosen_group(self._versions.served) and self._versions.load.exceeds(GROUP)

    def _is_chosen_group(self, held: HeldVersion | None) -> bool:
        """Whether a version is one of the group, and it depends on the load whether that is served."""
        return self._chooses_group and held is not None and not held.former and held.version.student == GROUP

    @property
    def _chooses_group(self) -> bool:
        """Whether it depends on the load whether the group is served."""
        return self._config.serve == "auto" and self._config.combines and self._kept.pinned is None

    def was_refused(self, steps: int) -> bool:
        """Whether the last version was not served, and its students have learned nothing since."""
        return self._refused_step == steps

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
        candidates = expecting_group(candidates, current, group_lost=self._group_lost)
        load, before = self._versions.load, None if current is None else names[current]
        allowed = affordable(candidates, load, before) if self._config.serve == "auto" else None
        penalty = load.penalty(names)
        standing = candidates.standing - penalty
        # Equals differ a little each time they are asked: a switch needs scores that came since the last decision,
        # or events since then that wait for what is served, or time for what they kept from being served. The group
        # needs none of these before it was left.
        waits = current is not None and penalty[current] > 0 and position != self._decided_at
        returns = (
            before != GROUP
            and (self.withheld in WITHHELD_FOR_NOW or not self._group_lost)
            and candidates.combination is not None
            and bool(allowed is None or allowed[-1])
        )
        news = waits or returns or list(candidates.evidence) != self._evidence
        self._evidence, self._decided_at = list(candidates.evidence), position
        self._step = steps
        group = len(names) - 1 if self._config.serve == "group" and candidates.combination else None
        if served and served.former:
            losses, gain = candidates.training_loss, candidates.gain
            assert gain is not None, "the assessment compares as long as a version of a former group is served"
            gain = gain if allowed is None else np.where(allowed, gain, -np.inf)
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
            reasons = may_take_over(candidates, current, penalty, group_lost=self._group_lost, margin=margin)
            best = choose_best(
                standing, losses, current, margin=margin, news=news, penalty=penalty, allowed=allowed, shown=reasons
            )
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
                loads=load.expected(names) if load.measured and allowed is not None else None,
                allowed=allowed,
                shown=reasons,
            )
            keeps_up = candidates.combination is not None and (allowed is None or bool(allowed[-1]))
            self._group_lost = names[best] != GROUP and (self._group_lost or (before == GROUP and keeps_up))
        if self._chooses_group:
            self.withheld = withheld_by(candidates, load, names[best], before)
        self.expected_gain = expected_gain(candidates)
        name, students = names[best], candidates.copies(best)
        if not any(is_finite(student) for student in students.values()):
            self._refused_step = steps
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
        self._versions.withdraw()
        self._versions.start(students, name, candidates.classes, position, combination, made, shown)

    def release(self) -> None:
        """No version is pinned any more: the next one begins at once, with a number of its own."""
        self._naming.pending = "unpinned"
        self._step = self._took = 0

    def begin_anew(self) -> None:
        """The training begins anew: the version on its way is given up."""
        self._versions.withdraw()
        self._naming.begin_anew()
        self._group_lost = False
        self._step = 0

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        # Only what the load decided: a run without measurements keeps its bytes.
        withheld = {"version_withheld": self.withheld} if self.withheld in WITHHELD_FOR_NOW else {}
        lost = {"version_group_lost": True} if self._group_lost else {}
        return (
            withheld
            | lost
            | {
                "version_step": self._step,
                "version_took": self._took,
                "version_evidence": self._evidence,
                "version_decided_at": self._decided_at,
                "version_naming": self._naming.state(),
            }
        )

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        self._step, self._took = values["version_step"], values["version_took"]
        self._evidence = list(values.get("version_evidence", self._evidence))
        self._decided_at = values.get("version_decided_at", "")
        self.withheld = values.get("version_withheld")
        self._group_lost = values.get("version_group_lost", False)
        if "version_naming" in values:  # earlier releases gave each version's weights a number of their own
            self._naming.restore(values["version_naming"])


def is_finite(student: Student) -> bool:
    """Whether all weights of a student are finite."""
    return all(bool(torch.isfinite(value).all()) for value in student.state_dict().values())
