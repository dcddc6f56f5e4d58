"""What is served over all ranks, and when another version of it begins."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from olad_core.config import GROUP, EngineConfig
from olad_core.judging.assessment import Assessment
from olad_core.judging.decisions import Decisions, explain_choice
from olad_core.learning.trainer import Trainer
from olad_core.named_state import join_parts, take_part
from olad_core.partition.exchange import Superstep
from olad_core.partition.held import HeldPart
from olad_core.partition.partition import Partition
from olad_core.serving.choice import choose_best
from olad_core.serving.combination import Combination
from olad_core.serving.naming import Made, Naming
from olad_core.serving.publication import Version
from olad_core.serving.version_schedule import is_finite


class PartVersions:
    """The served version and the one on its way, at one rank. All ranks decide the same from the same.

    Where the settings ask for the group, it is served, else the student that stands highest.

    Args:
        config: of the engine.
        partition: this rank.
        decisions: takes in every version that begins or is refused.
    """

    def __init__(self, config: EngineConfig, partition: Partition, decisions: Decisions) -> None:
        self._config, self._partition, self._decisions = config, partition, decisions
        self.served: HeldPart | None = None
        self.candidate: HeldPart | None = None
        self.refused = 0
        """Versions that were refused."""
        self._naming = Naming()
        self._next_number = self._next_shown = 1
        # The training step at which the last version began, and the steps that embedding the last one took.
        self._step = self._took = 0
        # Nodes that had been scored at the last decision, and resets until then.
        self._evidence = [0, 0]

    def is_due(self, steps: int) -> bool:
        """Whether to begin a version after so many steps: none is on its way, and the last began long enough ago."""
        # At most half of the time is spent on following two versions.
        return self.candidate is None and steps >= self._step + max(self._config.publish_steps, 2 * self._took)

    def is_done(self, steps: int) -> bool:
        """Whether a version of the students after so many steps has begun, and none is on its way."""
        return self.candidate is None and self._step == steps

    def start(self, trainer: Trainer, assessment: Assessment, classes: Sequence[str], position: str) -> None:
        """Begin a version of what is to be served, where its weights are finite.

        Args:
            trainer: of the students.
            assessment: of them.
            classes: that their heads can name.
            position: of the log.
        """
        names, standing, margin = trainer.group.names, assessment.standing(), self._config.switch_margin
        together = assessment.combined
        if together:
            names = (*names, GROUP)
        served = self.served.version if self.served else None
        current = names.index(served.student) if served and served.student in names else None
        evidence = [assessment.scored(), trainer.health.resets]
        news, self._evidence, self._step = evidence != self._evidence, evidence, trainer.steps
        best = choose_best(standing, assessment.training_loss(), current, margin=margin, news=news)
        if together:
            best = len(names) - 1
        kind, reason, numbers = explain_choice(
            names,
            standing,
            current,
            best,
            margin=margin,
            news=news,
            metric=assessment.metric,
            asked_for=together is not None,
            before=served.student if served else None,
        )
        name, group = names[best], trainer.group.by_name
        students = {each: copy.deepcopy(group[each]) for each in (group if together else [name])}
        if not any(map(is_finite, students.values())):
            self.refused += 1
            self._decisions.add("version-refused", f"no version of {name}: its weights are not finite", student=name)
            return
        if not together:
            students[name].temperature.fill_(float(assessment.temperatures()[best]))
        drifted = any(each.kind == "drift" for each in self._decisions.since(self._naming.decided))
        own = self._naming.reason(
            served, name, classes, former=False, drifted=drifted, steps=trainer.steps, position=position
        )
        shown = served.shown if served and own is None else self._next_shown
        self._decisions.add(kind, reason, student=name, version=shown, numbers=numbers)
        if own is not None:
            self._naming.begin(trainer.steps, position, self._decisions.total)
            self._next_shown += 1
        made = Made(own or (self.served.made.reason if self.served else "first"), trainer.steps)
        version = Version(self._next_number, name, tuple(classes), shown)
        self._next_number += 1
        combination = Combination(together.weights()) if together else None
        self.candidate = HeldPart.begun(version, made, position, students, combination, self._partition.store)
        self._follow()

    @property
    def embedded(self) -> bool:
        """Whether the version on its way is computed of all nodes here: it can be served (:meth:`switch`)."""
        return self.candidate is not None and self.candidate.filling.done

    def advance(self, rows: int) -> Superstep[None]:
        """Embed one slice of the version on its way.

        Args:
            rows: of this rank, at most.
        """
        if self.candidate and not self.candidate.filling.done:
            yield from self.candidate.filling.advance(self._partition.store, rows)

    def switch(self, steps: int) -> Version:
        """Serve the version on its way, which is embedded. Until then what is served before follows every batch.

        Args:
            steps: training steps that have been taken.
        """
        held = self.candidate
        assert held is not None, "no version is on its way"
        self.served, self.candidate = held, None
        self._took = max(0, steps - self._step)
        self._follow()
        return held.version

    def begin_anew(self) -> None:
        """All students begin again: the version on its way is given up."""
        self.candidate, self._step = None, 0
        self._naming.begin_anew()
        self._follow()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any], list[int]]:
        """Tensors and plain values that are the same at all ranks; and where this rank's pass is, or nothing."""
        held = {"served": self.served, "candidate": self.candidate}
        tensors = join_parts({role: each.weights.tensors() for role, each in held.items() if each})
        values: dict[str, Any] = {
            "next": [self._next_number, self._next_shown],
            "step": self._step,
            "took": self._took,
            "evidence": self._evidence,
            "refused": self.refused,
            "naming": self._naming.state(),
            **{role: each.values() for role, each in held.items() if each},
        }
        filling = self.candidate.filling if self.candidate else None
        return tensors, values, [filling.layer, filling.row] if filling else []

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`, but for what is computed: see :meth:`resume`."""
        self._next_number, self._next_shown = values["next"]
        self._step, self._took, self._evidence = values["step"], values["took"], list(values["evidence"])
        self.refused = values["refused"]
        self._naming.restore(values["naming"])
        self.served, self.candidate = (self._restored(role, tensors, values) for role in ("served", "candidate"))

    def resume(self, rows: int, place: Sequence[int] = ()) -> Superstep[None]:
        """Compute all layers of what was restored.

        Args:
            rows: of a slice.
            place: where the pass over the version on its way was; it begins again where that is not known.
        """
        for held in (self.served, self.candidate):
            if held:
                yield from held.filling.finish(self._partition.store, rows)
        if self.candidate:
            filling = self.candidate.filling
            filling.layer, filling.row = place if len(place) else (0, 0)
        self._follow()

    def _restored(self, role: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> HeldPart | None:
        if role not in values:
            return None
        return HeldPart.restored(values[role], take_part(tensors, role), self._partition.store)

    def _follow(self) -> None:
        every = [held for held in (self.served, self.candidate) if held]
        self._partition.follow_layers([layers for held in every for layers in held.filling.members])
