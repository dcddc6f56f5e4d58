"""The model card of a version as Markdown."""

from __future__ import annotations

from service.figures import nats, percent
from service.models import ModelCard
from service.store.status import KeptVersion, ServingStatus


def markdown(card: ModelCard) -> str:
    """The card, with a heading for each part.

    Names come from the graph, so what Markdown reads as more than text is escaped.
    """
    kept, configuration = card.version, card.configuration
    members = ", ".join(_plain(f"{each.name} ({each.architecture})") for each in kept.members)
    data: dict[str, object] = {
        "Graph": _plain(card.graph),
        "Weights taken at": kept.created_position,
        "Events up to there": f"{kept.applied_events:,}",
        "Nodes": f"{kept.nodes:,}, {kept.labelled:,} of them labelled",
        "Edges": f"{kept.edges:,}",
        "Features": f"{kept.feature_width:,}",
        "Classes": f"{kept.classes:,}",
    }
    served: dict[str, object] = {
        "Why it was made": kept.reason,
        "Training steps": f"{kept.step:,}",
        "Refined": f"{kept.refined:,} times",
        "Served from": kept.served_from,
        "Served until": kept.served_until or "now",
        "Pinned": "yes" if card.pinned else "no",
        "Drifts meanwhile": kept.drifts,
    }
    model: dict[str, object] = {
        "Students": members,
        "Parameters": f"{kept.parameters:,} ({kept.bytes:,} bytes)",
        "Width": kept.width,
        "Edge types": kept.edge_types,
        "Temperature": "of the group" if kept.temperature is None else f"{kept.temperature:.3f}",
    }
    if configuration is not None:
        model |= {
            "Release": configuration.release,
            "Served by rule": configuration.serve,
            "Metric": _plain(configuration.metric),
            "Seed": configuration.seed,
        }
    parts = [
        f"# Version {kept.version}, {_plain(kept.student)}",
        _section("Data", data),
        _section("Service", served),
        _section("Model", model),
        _section("Scores while it was served", _scores(kept)),
    ]
    if card.serving is not None:
        parts.append(_section("Why it is served", _serving(card.serving)))
    if kept.by_class:
        parts.append(_classes(kept))
    return "\n\n".join(parts) + "\n"


def _scores(kept: KeptVersion) -> dict[str, object]:
    score = kept.score
    return {
        "Scored nodes": f"{score.scored:,}",
        "Accuracy": percent(score.accuracy),
        "Macro-F1": percent(score.macro_f1),
        "Log-loss": nats(score.log_loss),
        "Calibration error": percent(score.calibration_error),
    }


def _serving(serving: ServingStatus) -> dict[str, object]:
    """The group's expected gain, what keeps it from being served, and what an event takes with each choice."""
    gain = serving.expected_gain
    rows: dict[str, object] = {
        "Expected gain of the group": "not known" if gain is None else f"{100 * gain:+.1f} points",
        "The group is": "served" if serving.withheld is None else f"not served: {serving.withheld}",
    }
    for choice in serving.choices:
        if choice.cost_us is not None:
            how = "measured" if choice.measured else "assumed"
            load = "" if choice.load is None else f", load {choice.load:.2f}"
            rows[f"An event with {_plain(choice.name)}"] = f"{choice.cost_us:,.0f} microseconds ({how}){load}"
    return rows


def _section(title: str, rows: dict[str, object]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *lines])


def _classes(kept: KeptVersion) -> str:
    rows = [
        f"| {_plain(each.name)} | {each.support:,} | {percent(each.precision)} | {percent(each.recall)} | "
        f"{percent(each.f1)} |"
        for each in kept.by_class
    ]
    head = ["## Scores by class", "", "| class | nodes | precision | recall | F1 |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _plain(text: str) -> str:
    r"""The text with what Markdown and HTML would read as markup escaped, on one line.

    >>> _plain("a|<b>*")
    'a\\|&lt;b&gt;\\*'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#~" else sign for sign in text)
