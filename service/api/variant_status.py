"""A variant as it is answered: how far it is, what it costs, and how it compares with the champion."""

from __future__ import annotations

from typing import Literal

from olad_core.judging.comparison import Comparison, Window
from olad_core.judging.metric import ACCURACY, Metric, parse_metric
from olad_core.judging.paired import Difference
from service.models import PairedDifference, VariantComparison, VariantCost, VariantDifferences, VariantStatus
from service.store.status import WorkerStatus
from service.store.variants import VariantState


def variant_status(state: VariantState, compared: Comparison | None, metric: Metric) -> VariantStatus:
    """The answer about one variant.

    Args:
        state: of the variant.
        compared: with the champion; None for the champion itself.
        metric: the champion's, which decides.
    """
    found, report = state.overview, state.overview.report
    served = report.served if report is not None else None
    memory = report.memory.used if report is not None and report.memory is not None else None
    return VariantStatus(
        name=state.name,
        alive=found.alive,
        position=found.position,
        behind_events=found.behind,
        needs_log_after=state.needs,
        version=served.version if served is not None else None,
        student=served.student if served is not None else None,
        students=[student.name for student in report.students] if report is not None else [],
        score=report.served_score if report is not None else None,
        memory_used=memory,
        cost=_cost(report),
        comparison=_comparison(compared, metric) if compared is not None else None,
    )


def deciding_metric(report: WorkerStatus | None) -> Metric:
    """The metric by which a worker decides; accuracy where it has not reported one."""
    return parse_metric(report.lead.metric) if report is not None and report.lead is not None else ACCURACY


def _cost(report: WorkerStatus | None) -> VariantCost | None:
    if report is None or report.cost is None:
        return None
    cost = report.cost
    per_event = round(1000 * cost.cpu_s / cost.events, 4) if cost.events else None
    return VariantCost(cpu_ms_per_event=per_event, cpu_share=cost.cpu_share)


def _comparison(compared: Comparison, metric: Metric) -> VariantComparison | None:
    if compared.whole is None:
        return None
    whole = _differences(compared.whole)
    on_metric: PairedDifference | None = getattr(whole, metric.kind)
    return VariantComparison(
        metric=str(metric),
        lower_is_better=metric.lower_is_better,
        outcome=_outcome(on_metric, metric),
        difference=on_metric,
        whole=whole,
        windows=[_differences(window) for window in compared.windows],
    )


def _outcome(difference: PairedDifference | None, metric: Metric) -> Literal["ahead", "behind", "unclear"]:
    if difference is None or difference.low is None or difference.high is None:
        return "unclear"
    if difference.low <= 0 <= difference.high:
        return "unclear"
    return "ahead" if (difference.value > 0) != metric.lower_is_better else "behind"


def _differences(window: Window) -> VariantDifferences:
    found = window.found
    return VariantDifferences(
        pairs=found.arrivals,
        since=window.since,
        until=window.until,
        accuracy=_difference(found.accuracy),
        log_loss=_difference(found.log_loss),
        macro_f1=_difference(found.macro_f1),
        average_precision=_difference(found.average_precision),
    )


def _difference(found: Difference | None) -> PairedDifference | None:
    return PairedDifference(value=found.value, low=found.low, high=found.high) if found is not None else None
