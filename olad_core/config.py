"""The configuration of an engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from olad_core.distill.trainer import TrainerConfig


@dataclass(frozen=True)
class EngineConfig:
    """How the engine learns, scores and publishes.

    Attributes:
        trainer: how the group learns.
        publish_steps: training steps between two versions, at least; and twice as many as it took to embed the last.
        score_memory: scored nodes after which a recent score's weight has fallen to 1/e.
        switch_margin: by how much another student's expected accuracy must be higher to take over.
        least_remembered: scored nodes that stay in memory after a drift, at least.
        drift_delta: probability that a look for drift finds one where there is none, at most.
        arrivals_scored: arrivals in one refresh that every student predicts, at most; the rest are not scored.
        arrivals_remembered: predictions that wait for a label, at most.
        advance_events: events between two steps of time for students with a memory.
    """

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    publish_steps: int = 2
    score_memory: float = 500.0
    switch_margin: float = 0.005
    least_remembered: int = 50
    drift_delta: float = 0.02
    arrivals_scored: int = 256
    arrivals_remembered: int = 65_536
    advance_events: int = 1000
