"""What an operator decides about versions: one is pinned, released, or the student before the last switch returns."""

from __future__ import annotations

import copy

from olad_core.errors import OladError
from olad_core.events import VersionChange
from olad_core.judging.decision_kinds import Kind
from olad_core.judging.decisions import Decisions
from olad_core.serving.kept_versions import KeptVersion, KeptVersions, names_of
from olad_core.serving.naming import Made
from olad_core.serving.version_schedule import Schedule
from olad_core.serving.versions import Versions


class VersionNotKept(OladError, ValueError):
    """A change names a version that is not kept, or there is none to go back to."""


class Pinning:
    """Carries out changes of the served version that stand in the log.

    A rollback pins the version that it goes back to: else the student that was left would be chosen again. Training
    goes on meanwhile.

    Args:
        kept: versions that can be served again.
        versions: served and on their way.
        schedule: of the versions that begin while none is pinned.
        decisions: takes in what was changed.
    """

    def __init__(self, kept: KeptVersions, versions: Versions, schedule: Schedule, decisions: Decisions) -> None:
        self._kept = kept
        self._versions = versions
        self._schedule = schedule
        self._decisions = decisions

    def change(self, change: VersionChange) -> None:
        """Carry out a change; the version that it asks for begins to be embedded on the graph as it is now.

        Raises:
            VersionNotKept: it cannot be; nothing has changed.
        """
        if change.action == "unpin":
            self._unpin()
            return
        rolled_back = change.action == "rollback"
        kept = self._before_switch() if rolled_back else self._known(change.version)
        self._kept.pinned, self._kept.rolled_back = kept.number, rolled_back
        what = "rolled back to" if rolled_back else "pinned"
        reason = f"{what} version {kept.number} of {kept.student}: it is served until it is unpinned"
        kind: Kind = "version-rolled-back" if rolled_back else "version-pinned"
        self._decisions.add(kind, reason, student=kept.student, version=kept.number)
        self.keep()

    def keep(self) -> None:
        """See that the pinned version is served or on its way, and no other one is."""
        pinned = self._kept.pinned
        if pinned is None:
            return
        served, candidate = self._versions.served, self._versions.candidate
        kept = self._kept.get(pinned)
        if served is not None and served.version.shown == pinned:
            self._versions.withdraw()
        elif kept is not None and (candidate is None or candidate.version.shown != pinned):
            self._versions.withdraw()
            self._start(kept)

    def _start(self, kept: KeptVersion) -> None:
        # A state holds each tensor once: those that are kept, and those that are embedded.
        weights = copy.deepcopy(kept.weights)
        students = dict(zip(weights.members, weights.students, strict=True))
        self._versions.start(
            students,
            kept.student,
            kept.classes,
            kept.position,
            weights.combination,
            Made(kept.reason, kept.step),
            kept.number,
        )

    def _unpin(self) -> None:
        number = self._kept.pinned
        if number is None:
            return
        self._kept.pinned, self._kept.rolled_back = None, False
        candidate = self._versions.candidate
        if candidate is not None and candidate.version.shown == number:
            self._versions.withdraw()
        self._schedule.release()
        reason = f"version {number} is not pinned any more: the best student is served again"
        self._decisions.add("version-unpinned", reason, version=number)

    def _known(self, number: int | None) -> KeptVersion:
        kept = self._kept.get(number) if number is not None else None
        if kept is None:
            raise VersionNotKept(f"version {number} is not kept: {names_of(self._kept.newest_first())} are")
        return kept

    def _before_switch(self) -> KeptVersion:
        served = self._versions.served
        shown = served.version.shown if served else 0
        kept = self._kept.rollback_to(shown)
        if kept is None:
            before = self._kept.pinned or shown
            raise VersionNotKept(f"no version of another student is kept from before version {before}")
        return kept
