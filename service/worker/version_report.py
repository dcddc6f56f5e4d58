"""The last versions in the worker's report."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from olad_core.engine import Engine
from olad_core.judging.class_report import LISTED_CLASSES
from olad_core.judging.decisions import Decision
from olad_core.judging.tally import Tally
from olad_core.serving import kept_versions
from service.store.positions import parse_position
from service.store.status import Configuration, KeptVersion, Member, VersionClass, VersionScore, VersionsStatus
from service.worker.serving_report import serving_status

_RELEASE = metadata.version("olad")


def versions_status(engine: Engine) -> VersionsStatus:
    """What is kept, served and pinned."""
    kept, served = engine.kept, engine.versions.served
    shown = served.version.shown if served else None
    now = engine.assessment.served_tally()
    target = kept.rollback_to(shown or 0)
    drifts = [each for each in engine.decisions.newest_first() if each.kind == "drift"]
    return VersionsStatus(
        served=shown,
        pinned=kept.pinned,
        rolled_back=kept.rolled_back,
        rollback_to=target.number if target else None,
        versions=tuple(
            _status(each, kept.scores(each, now), engine.graph.classes, drifts) for each in kept.newest_first()
        ),
        configuration=_configuration(engine),
        serving=serving_status(engine),
    )


def _status(
    kept: kept_versions.KeptVersion, scores: Tally, classes: tuple[str, ...] | list[str], drifts: list[Decision]
) -> KeptVersion:
    weights = kept.weights
    first, *others = weights.students
    return KeptVersion(
        version=kept.number,
        student=kept.student,
        members=tuple(Member(name=name, architecture=kind) for name, kind in weights.members.items()),
        reason=kept.reason,
        created_position=kept.position,
        step=kept.step,
        refined=kept.refined,
        served_from=kept.served_from,
        served_until=kept.served_until,
        parameters=weights.parameters,
        bytes=weights.bytes,
        temperature=None if others or weights.combination else float(first.temperature),
        feature_width=first.feature_width,
        width=first.width,
        edge_types=first.relations,
        classes=len(kept.classes),
        nodes=kept.nodes,
        edges=kept.edges,
        labelled=kept.labelled,
        applied_events=kept.applied_events,
        former=kept.former,
        drifts=sum(_is_within(drift.position, kept) for drift in drifts),
        score=VersionScore(
            scored=scores.scored,
            accuracy=scores.accuracy,
            macro_f1=scores.macro_f1,
            log_loss=scores.log_loss,
            calibration_error=kept.calibration,
        ),
        by_class=_by_class(scores, classes),
    )


def _by_class(scores: Tally, names: tuple[str, ...] | list[str]) -> tuple[VersionClass, ...]:
    """The greatest classes, those with most nodes first."""
    hits, predicted, support = np.rint(scores.classes).astype(np.int64)
    order = np.lexsort((np.arange(len(support)), -predicted, -support))
    order = order[(support + predicted)[order] > 0][:LISTED_CLASSES]
    return tuple(
        VersionClass(
            name=names[number],
            support=int(support[number]),
            predicted=int(predicted[number]),
            precision=_share(int(hits[number]), int(predicted[number])),
            recall=_share(int(hits[number]), int(support[number])),
            f1=_share(2 * int(hits[number]), int(predicted[number] + support[number])),
        )
        for number in order.tolist()
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _is_within(position: str, kept: kept_versions.KeptVersion) -> bool:
    at = parse_position(position)
    begun = parse_position(kept.served_from) <= at
    return begun and (kept.served_until is None or at < parse_position(kept.served_until))


def _configuration(engine: Engine) -> Configuration:
    config = engine.config
    return Configuration(
        release=_RELEASE,
        students=config.trainer.students,
        width=config.trainer.width,
        serve=config.serve,
        metric=str(engine.assessment.metric),
        publish_steps=config.publish_steps,
        seed=config.trainer.seed,
    )
