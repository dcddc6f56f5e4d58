"""The lead figure for people: the score on the metric that decides which student is served."""

from __future__ import annotations

from olad_core.judging.metric import parse_metric
from service.commands.replay_view import percent
from service.store.status import LeadStatus


def lead_name(lead: LeadStatus) -> str:
    """Its name in words; that of a later release as it is."""
    try:
        return parse_metric(lead.metric).words
    except ValueError:
        return lead.metric


def lead_value(lead: LeadStatus, value: float | None) -> str:
    """A value of it: a share in percent, or a log-loss in nats."""
    if lead.metric != "log_loss":
        return percent(value)
    return "-" if value is None else f"{value:.3f}"
