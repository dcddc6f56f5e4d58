"""An evaluation: the configurations and baselines that are asked for, on one stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from olad_core.events import ClassDecision, GraphSchema
from service.evaluation.baselines import baseline
from service.evaluation.configurations import CHANGEABLE, Configuration, WrongConfiguration
from service.evaluation.players import EnginePlayer, Player
from service.evaluation.prequential import Progress, play
from service.evaluation.report import (
    Entrant,
    NodeValueScore,
    Report,
    TaskScore,
    build_report,
    node_value_score,
    task_score,
    value_task_score,
)
from service.evaluation.task_outcomes import rarest, task_differences
from service.replay.pace import STEPS_PER_ENTRY
from service.replay.sources import Source
from service.worker.assembly import CannotBegin, choose_device, engine_config
from service.worker.determinism import compute_repeatably
from service.worker.students import StudentUnusable, register_students


def steps_of(configuration: Configuration) -> int:
    """Training steps after each entry under a configuration."""
    steps = configuration.settings.steps_per_entry
    return STEPS_PER_ENTRY if steps is None else steps


def evaluate(
    source: Source,
    configurations: Sequence[Configuration],
    baselines: Sequence[str] = (),
    *,
    device: str = "cpu",
    score_from: int | None = None,
    decisions: Mapping[str, ClassDecision] | None = None,
    on_entry: Callable[[Progress], None] = lambda _progress: None,
) -> Report:
    """Play the source for all of them, and compare each with the first configuration.

    The same arguments give the same report, on one machine with the same libraries.

    Args:
        source: the stream.
        configurations: of the engine, one at least.
        baselines: their names.
        device: where the engines compute.
        score_from: overrides the source's own.
        decisions: by class, what makes its labels, instead of what the source's schema declares; for all that have
            no decisions of their own.
        on_entry: called after each entry of the stream.

    Raises:
        WrongConfiguration: a student or baseline is unknown or needs what is not installed, or there is no GPU.
    """
    names = [configuration.name for configuration in configurations] + list(dict.fromkeys(baselines))
    if len(set(names)) < len(names):
        raise WrongConfiguration(f"two contestants have one name: {', '.join(names)}")
    torch.set_num_threads(configurations[0].settings.torch_threads)
    compute_repeatably(True)
    engines = {configuration.name: _engine_player(configuration, device) for configuration in configurations}
    players: dict[str, Player] = {**engines}
    players |= {name: baseline(name) for name in names[len(configurations) :]}
    start = source.score_from if score_from is None else score_from
    schema = source.schema or GraphSchema()
    if decisions is not None:
        schema = schema.model_copy(update={"decisions": dict(decisions)})
        source = replace(source, schema=schema)
    played = play(source, players, score_from=start, on_entry=on_entry)
    entrants = [_entrant(one, engines[one.name], schema.decisions) for one in configurations] + [
        Entrant(name, "baseline", {}, {}, _as_plain(schema.decisions), 0, players[name].rejected, _tasks(players[name]))
        for name in names[len(configurations) :]
    ]
    return build_report(source.name, start, played, _compared(entrants, players))


def _engine_player(configuration: Configuration, device: str) -> EnginePlayer:
    settings = configuration.settings
    try:
        register_students(settings.students)
        config, chosen = engine_config(settings), choose_device(device)
        return EnginePlayer(config, steps_of(configuration), chosen, configuration.decisions)
    except (StudentUnusable, CannotBegin) as error:
        raise WrongConfiguration(f"{configuration.name}: {error}") from None


def _entrant(configuration: Configuration, player: EnginePlayer, declared: Mapping[str, ClassDecision]) -> Entrant:
    settings = {name: getattr(configuration.settings, name) for name in CHANGEABLE}
    settings["steps_per_entry"] = steps_of(configuration)
    own = declared if configuration.decisions is None else configuration.decisions
    return Entrant(
        name=configuration.name,
        kind="configuration",
        settings=settings,
        changed=dict(configuration.changes),
        decisions=_as_plain(own),
        steps=player.steps,
        rejected=player.rejected,
        tasks=_tasks(player),
        links=player.links,
        value_tasks=tuple(map(value_task_score, player.value_tasks)),
    )


def _tasks(player: Player) -> tuple[TaskScore, ...]:
    outcomes = player.task_outcomes
    return tuple(task_score(each, rarest([*outcomes.of(each.name).values()], each.classes)) for each in player.tasks)


def _compared(entrants: Sequence[Entrant], players: Mapping[str, Player]) -> list[Entrant]:
    """The entrants with the differences of their tasks from those of the first."""
    reference = players[entrants[0].name]
    reports = {each.name: each for each in reference.tasks}
    ranked = {each.name: each.ranked for each in entrants[0].tasks}

    def compared(entrant: Entrant, score: TaskScore) -> TaskScore:
        own = players[entrant.name]
        classes = next(each.classes for each in own.tasks if each.name == score.name), reports[score.name].classes
        one, other = own.task_outcomes.of(score.name), reference.task_outcomes.of(score.name)
        return replace(score, differences=task_differences(one, other, classes, ranked[score.name]))

    def of_values(name: str) -> tuple[NodeValueScore, ...]:
        own = players[name]
        return tuple(
            node_value_score(each, own.value_outcomes.less(reference.value_outcomes, each.name))
            if own is not reference
            else node_value_score(each)
            for each in own.node_values
        )

    others = [replace(each, tasks=tuple(compared(each, score) for score in each.tasks)) for each in entrants[1:]]
    return [replace(each, node_values=of_values(each.name)) for each in (entrants[0], *others)]


def _as_plain(decisions: Mapping[str, ClassDecision]) -> dict[str, dict[str, float]]:
    return {name: one.model_dump(exclude_none=True) for name, one in decisions.items()}
