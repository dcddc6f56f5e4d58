"""Scores as text for people: shares, and the lead figure."""

from __future__ import annotations

from olad_core.judging.lead import LeadFigure
from olad_core.judging.metric import parse_metric
from service.store.status import LeadStatus


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.8123), percent(None)
    ('81.2 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"


def nats(value: float | None) -> str:
    """A log-loss.

    >>> nats(0.25), nats(None)
    ('0.250', '-')
    """
    return "-" if value is None else f"{value:.3f}"


def lead_name(lead: LeadStatus | LeadFigure) -> str:
    """Its name in words; that of a later release as it is."""
    try:
        return parse_metric(lead.metric).words
    except ValueError:
        return lead.metric


def lead_value(lead: LeadStatus | LeadFigure, value: float | None) -> str:
    """A value of it: a share in percent, or a log-loss in nats."""
    return nats(value) if lead.metric == "log_loss" else percent(value)


def lead_line(lead: LeadStatus | LeadFigure) -> str:
    """Metric and value, beside that of one who has learned nothing; empty before the first score."""
    if lead.value is None or not lead.baseline_of:
        return ""
    value, beside = lead_value(lead, lead.value), lead_value(lead, lead.baseline)
    return f"{lead_name(lead)} {value}; {lead.baseline_of}: {beside}"


def number(value: float | None) -> str:
    """A number of any unit.

    >>> number(1.28691), number(25000.0), number(None)
    ('1.287', '2.5e+04', '-')
    """
    return "-" if value is None else f"{value:.4g}"
