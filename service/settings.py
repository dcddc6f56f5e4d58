"""Every setting of the service: one class, read from ``OLAD_*`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

StudentName = Literal["gcn", "sage", "gat", "evolvegcn"]


class Settings(BaseSettings):
    """Settings with their defaults; each is documented in ``docs/settings.md``."""

    model_config = SettingsConfigDict(env_prefix="OLAD_", frozen=True)

    redis_url: str | None = Field(
        default=None,
        description="Redis to use (redis://, rediss://, unix://). "
        "Unset: `olad up` starts its own; the single processes use redis://127.0.0.1:6379/0.",
    )
    graph: str = Field(
        default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Name of the graph; part of every Redis key."
    )
    data_dir: Path = Field(
        default=Path("olad-data"), description="Directory for checkpoints and for the embedded Redis."
    )
    data_home: Path | None = Field(
        default=None,
        description="Directory with datasets to replay by name. Unset: ../shared/data, then ./data.",
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people or for machines."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the worker computes; auto takes a GPU where there is one."
    )
    torch_threads: int = Field(
        default=1, ge=1, description="Threads torch may use; on two cores the API needs one of them."
    )
    seed: int = Field(default=0, ge=0, description="Seed of every random choice of the worker.")
    students: Annotated[tuple[StudentName, ...], NoDecode] = Field(
        default=("gcn", "sage", "gat", "evolvegcn"),
        min_length=1,
        description="Members of the group, separated by commas; a name may stand more than once.",
    )
    width: int = Field(default=64, ge=4, le=4096, description="Width of the students' hidden embeddings.")
    learning_rate: float = Field(default=0.01, gt=0, description="Adam's learning rate of the students.")
    global_weight: float = Field(
        default=1.0, ge=0, description="Weight alpha of the global knowledge (KL to the group); 0 turns it off."
    )
    local_weight: float = Field(
        default=0.05, ge=0, description="Weight beta of the local knowledge (adversarial cycle); 0 turns it off."
    )
    temperature: float = Field(default=1.0, gt=0, description="Temperature T of the global knowledge.")
    warmup_steps: int = Field(default=100, ge=0, description="Steps with the supervised loss alone.")
    publish_steps: int = Field(default=50, ge=1, description="Training steps between two published versions, at least.")
    steps_per_entry: int | None = Field(
        default=None,
        ge=0,
        description="Training steps after each log entry, for runs that can be repeated to the byte. "
        "Unset: as many as time allows.",
    )
    freshness_target_ms: int = Field(
        default=100, ge=10, description="Longest time one slice of background work may keep an event waiting."
    )
    checkpoint_interval_s: float = Field(default=30.0, gt=0, description="Seconds between two checkpoints.")
    checkpoints_kept: int = Field(
        default=3, ge=1, description="Checkpoints kept; the log is trimmed behind the oldest."
    )

    @field_validator("students", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value
