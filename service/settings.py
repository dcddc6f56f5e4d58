"""Every setting of the service: one class, read from ``OLAD_*`` variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from limits import parse_many
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from olad_core.config import EngineConfig, Serve, StructureColumn
from olad_core.judging.metric import parse_metric
from service.redis_urls import with_access
from service.traffic_split import TrafficSplit
from service.variant_names import DEFAULT_VARIANT, VARIANT_NAME, own_name

_STUDENT = re.compile(r"[A-Za-z_][\w-]*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def _parsable_split(split: str) -> str:
    TrafficSplit.parse(split)
    return split


def _student_name(name: str) -> str:
    """Refuse names that no student can have. Only the worker, which has torch, knows which students exist."""
    if len(name) > 200 or not _STUDENT.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a student: give names like gcn, or package.module:Class")
    return name


_CHANGES_KEPT = 100_000


def _on_or_off(value: object) -> object:
    """The number of changes that a word stands for."""
    words = {"on": _CHANGES_KEPT, "off": 0}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


StudentName = Annotated[str, AfterValidator(_student_name)]
"""Name of a built-in architecture, of an entry point of the group ``olad.students``, or ``package.module:Class``."""
_ENGINE = EngineConfig()
"""The core's defaults: those of the settings that configure it."""
_TRAINER = _ENGINE.trainer


class Settings(BaseSettings):
    """Settings with their defaults; each is documented in ``docs/settings.md``."""

    model_config = SettingsConfigDict(env_prefix="OLAD_", frozen=True)

    redis_user: str | None = Field(
        default=None, min_length=1, description="User of Redis's access control list, in place of one in the URL."
    )
    redis_password_file: Path | None = Field(
        default=None,
        description="File with Redis's password, in place of one in the URL; a line break at its end does not count.",
    )
    redis_ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that may have signed that of a rediss:// server. Unset: the system's.",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        validate_default=True,
        description="Redis to use: redis://, rediss://, unix://, redis+sentinel://HOST,.../NAME or "
        "redis+cluster://HOST,... (docs/scaling.md). "
        "Unset: `olad up` starts its own; the single processes use redis://127.0.0.1:6379/0.",
    )
    redis_read_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="Replicas of Redis that predictions are read from, separated by commas: URLs like that of "
        "OLAD_REDIS_URL, with the same user, password and certificates. Unset: the primary (docs/scaling.md).",
    )
    redis_wait_replicas: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Replicas of Redis that must have an entry of the log before its position is answered, and before "
        "the worker applies it (docs/scaling.md).",
    )
    graph: str = Field(
        default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Name of the graph; part of every Redis key."
    )
    variant: Annotated[str, AfterValidator(own_name)] = Field(
        default=DEFAULT_VARIANT,
        pattern=VARIANT_NAME,
        description="Name of this worker's variant, as `olad worker --variant` gives it: a second worker on the same "
        "graph with checkpoints and predictions of its own (docs/variants.md).",
    )
    begin_from: str | None = Field(
        default=None,
        description="Directory or URL of the archive on which a variant without checkpoints begins, as "
        "`olad worker --variant NAME --from ARCHIVE` gives it: it replays all of the history. Unset: it begins on the "
        "graph of another variant.",
    )
    split: Annotated[str, AfterValidator(_parsable_split)] = Field(
        default="",
        description="Share of the nodes that another variant than the champion answers for, by a hash of the node: "
        "`wide:0.1`, several separated by commas. For the API (docs/variants.md).",
    )
    partitions: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Ranks of `olad worker` or `olad up` that one graph is spread over, on this machine; 1 is a worker "
        "without partitions (docs/scaling.md).",
    )
    weights: Literal["trained", "fixed"] = Field(
        default="trained",
        description="Whether the worker trains. `fixed` serves the version of the newest checkpoint for ever; only a "
        "worker with partitions does.",
    )
    student_ranks: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes of `olad worker` or `olad up` that the students are spread over, on this machine: each "
        "has the whole graph, and trains some of them (docs/scaling.md).",
    )
    rank_timeout_s: float = Field(
        default=10.0,
        ge=2,
        le=600,
        description="Seconds that the ranks of a worker wait for each other; then all begin again from the newest "
        "checkpoint. With partitions, Redis must answer within half of it.",
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
    api_processes: int = Field(
        default=1,
        ge=1,
        le=256,
        description="API processes of one `olad api` or `olad up`, which share the port (docs/scaling.md).",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys, made by `olad keys create`; read again when it changes. "
        "Set: every request needs a key (docs/security.md).",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Listen on other addresses than this machine's own without keys. "
        "Without it, such an API refuses to start.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Host names the API answers to beside localhost and its own address, separated by commas: "
        "`graph.example.org`, `*.example.org`, or `*`. Unset: no other names without API keys, any with them.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose web pages may use the API (CORS), separated by commas: "
        "`https://app.example.org`, or `*`. Unset: none but the API's own.",
    )
    api_key: str | None = Field(
        default=None,
        repr=False,
        description="Key that `olad replay`, `olad status` and `olad demo` show to the API.",
    )
    rate_limit: str | None = Field(
        default=None,
        description="Requests of one key, or of one address without keys: `100/second`, several with semicolons. "
        "Unset: no limit.",
    )
    rate_limit_shared: bool = Field(
        default=False,
        description="Count requests in Redis, for all API processes and machines of the graph together. Unset: each "
        "process counts for itself.",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Addresses or networks, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed. Unset: none.",
    )
    read_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds a client may take to send a request's head, and again for its body."
    )
    keep_alive_s: int = Field(
        default=75,
        ge=1,
        description="Seconds a connection may wait for its next request; longer than the proxy before it keeps one.",
    )
    max_connections: int = Field(
        default=15_000,
        ge=1,
        description="Connections an API process holds at once, fewer where the process may not open as many files; "
        "one more is answered 503.",
    )
    max_waiting: int = Field(
        default=5_000,
        ge=0,
        description="Requests that may wait for min_position in an API process at once, about half of them of one "
        "client; one more is answered 503.",
    )
    max_streams: int = Field(
        default=1_000,
        ge=0,
        description="Open streams of changes (`GET /stream`) in an API process, about half of them of one client; one "
        "more is answered 429 or 503.",
    )
    max_in_flight_mb: int = Field(
        default=256,
        ge=40,
        description="Megabytes of request bodies and large answers that an API process holds at once. One client, a "
        "key or an address, may hold about half. Beyond it: 429 for a client that holds some, else 503.",
    )
    request_log: Literal["all", "errors", "off"] = Field(
        default="errors", description="Requests that get a log line; errors are the answers from 500 on."
    )
    audit_log: bool | None = Field(
        default=None,
        description="Log every requested change and every refusal of a key: who, what, position, answer. "
        "Unset: where keys are needed.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="Log lines for people or for machines."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the worker computes; auto takes a GPU where there is one."
    )
    cuda_graphs: bool = Field(
        default=_TRAINER.cuda_graphs,
        description="On a GPU, record training steps as CUDA graphs and launch each as a whole. Nothing on a CPU.",
    )
    torch_threads: int = Field(
        default=1, ge=1, description="Threads torch may use; on two cores the API needs one of them."
    )
    seed: int = Field(default=_TRAINER.seed, ge=0, description="Seed of every random choice of the worker.")
    students: Annotated[tuple[StudentName, ...], NoDecode] = Field(
        default=_TRAINER.students,
        min_length=1,
        description="Members of the group, separated by commas: gcn, sage, gat, evolvegcn, tgcn, mlp, sign, or a "
        "student of your own (docs/students.md). A name may occur more than once.",
    )
    width: int = Field(
        default=_TRAINER.width,
        ge=4,
        le=4096,
        multiple_of=4,
        description="Width of the students' hidden embeddings, a multiple of 4.",
    )
    structure: Annotated[tuple[StructureColumn, ...], NoDecode] = Field(
        default=_TRAINER.structure,
        description="What students see of a node's edges beside features and labels, separated by commas: "
        "in_degree, out_degree, in_weight, out_weight, age, gap (docs/method.md). Empty: nothing.",
    )
    new_students: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="A word of your choice. New students begin at the first start with another word than the last "
        "one, beside what is served; `olad up --new-students` does so once. Unset: the same students continue.",
    )
    learning_rate: float = Field(
        default=_TRAINER.learning_rate, gt=0, description="Adam's learning rate of the students."
    )
    global_weight: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        default=_TRAINER.global_weight,
        description="Weight alpha of the global knowledge (KL to the group); 0 turns it off. `auto`: 1, given as far "
        "as an untaught twin shows that it helps (docs/method.md).",
    )
    local_weight: float = Field(
        default=_TRAINER.local_weight,
        ge=0,
        description="Weight beta of the local knowledge (adversarial cycle); 0 turns it off, 0.01 is usual.",
    )
    temperature: float = Field(default=_TRAINER.temperature, gt=0, description="Temperature T of the global knowledge.")
    warmup_steps: int = Field(default=_TRAINER.warmup_steps, ge=0, description="Steps with the supervised loss alone.")
    serve: Serve = Field(
        default=_ENGINE.serve,
        description="What answers come from: `best`, the student that stands highest; `group`, the combined prediction "
        "of all; `auto`, what is expected to be best of these among what keeps to OLAD_FRESHNESS_TARGET_MS at the "
        "present load (docs/method.md).",
    )
    trees: bool = Field(
        default=_ENGINE.trees,
        description="Whether boosted trees, on features and the neighbourhood, are a member of the group. They are "
        "grown in a thread of their own, and served within the group alone.",
    )
    linear: bool = Field(
        default=_ENGINE.linear,
        description="Whether a linear model, on features and labels of two hops, is a member of the group. It learns "
        "from each label, and is served within the group alone.",
    )
    members_teach: bool = Field(
        default=_ENGINE.members_teach,
        description="Whether boosted trees and linear model teach the students, too. They are then there under "
        "OLAD_SERVE=best, and with one student (docs/method.md).",
    )
    publish_steps: int = Field(
        default=_ENGINE.publish_steps, ge=1, description="Training steps between two published versions, at least."
    )
    versions_kept: int = Field(
        default=_ENGINE.versions_kept,
        ge=1,
        le=100,
        description="Versions whose weights are kept, the served one among them (docs/versions.md).",
    )
    metric: str | None = Field(
        default=_ENGINE.metric,
        description="What predictions are judged by, and the served student is chosen by: `accuracy`, `macro_f1`, "
        "`log_loss`, or `average_precision:CLASS`. Unset: accuracy where classes are balanced, else macro-F1 "
        "(docs/rare-classes.md).",
    )
    steps_per_entry: int | None = Field(
        default=None,
        ge=0,
        description="Training steps after each log entry, for runs that can be repeated to the byte. "
        "Unset: as many as time allows.",
    )
    freshness_target_ms: int = Field(
        default=_ENGINE.freshness_target_ms,
        ge=10,
        description="How long an event may wait to be visible. Parts of training are sized by it, and under "
        "`OLAD_SERVE=auto` what is served keeps to it.",
    )
    checkpoint_interval_s: float = Field(default=30.0, gt=0, description="Seconds between two checkpoints.")
    checkpoints_kept: int = Field(
        default=3, ge=1, description="Checkpoints kept; the log is trimmed behind the oldest."
    )
    history_rows: int = Field(
        default=0,
        ge=0,
        le=10**9,
        description="Predictions of earlier positions that Redis keeps, about, for `GET /predict/{node}?at=POSITION` "
        "(docs/history.md). 0 keeps none.",
    )
    archive: str | None = Field(
        default=None,
        min_length=1,
        repr=False,
        description="Directory, or URL that fsspec can write (`s3://bucket/folder`), to which every entry of the log "
        "goes before it is trimmed (docs/history.md). Unset: what is trimmed is gone.",
    )
    archive_interval_s: float = Field(
        default=300.0,
        ge=0,
        description="Seconds that entries of less than a megabyte together wait before they go to the archive. They "
        "stay in the log meanwhile.",
    )
    changes: Annotated[int, BeforeValidator(_on_or_off)] = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Changes of labels and decisions that are kept for `GET /stream`: a number, `on` for "
        f"{_CHANGES_KEPT:,}, or `off`. Worker and API need the same value (docs/changes.md).",
    )
    webhook_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="Addresses (http or https), separated by commas, that the worker sends its decisions to. It needs "
        "OLAD_CHANGES and OLAD_WEBHOOK_SECRET (docs/changes.md). Unset: none.",
    )
    webhook_secret: str | None = Field(
        default=None,
        min_length=16,
        repr=False,
        description="Secret that webhooks are signed with, of 16 characters at least.",
    )
    max_classes: int = Field(
        default=_ENGINE.max_classes,
        ge=2,
        description="Classes of a graph, declared or named by labels; a label that would be one more is answered 422. "
        "Every prediction holds a number for each.",
    )
    most_read: int = Field(
        default=_ENGINE.most_read,
        ge=1,
        description="Nodes and edges that the answer to `POST /what-if`, `GET /explain` or `/embeddings` may read; one "
        "that needs more is answered 413. Events wait about a millisecond for each thousand of them.",
    )
    memory_budget_mb: int | None = Field(
        default=None,
        ge=600,
        description="Memory the worker may need, in millions of bytes; events are held against it before the log. "
        "Unset: four fifths of what its control group, else the machine, has.",
    )
    max_behind: int = Field(
        default=1_000_000,
        ge=1,
        description="Events that may wait to be applied; beyond it, events are answered 429.",
    )
    min_disk_free_mb: int = Field(
        default=100,
        ge=0,
        description="Free space required where checkpoints are written; below it, events are answered 429.",
    )
    accept_log_loss: str | None = Field(
        default=None,
        description="Position of a state from which the worker continues although Redis has lost entries "
        "(docs/operations.md).",
    )

    @field_validator("redis_url")
    @classmethod
    def _complete(cls, url: str | None, info: ValidationInfo) -> str | None:
        """The URL with user, password and certificates in it, so that every connection is made the same way."""
        access = _redis_access(info)
        if url is None:
            if any(access):
                raise ValueError("must be set with OLAD_REDIS_USER, OLAD_REDIS_PASSWORD_FILE and OLAD_REDIS_CA_FILE")
            return None
        return with_access(url, *access)

    @field_validator("redis_read_urls", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        # Sentinels and nodes of a cluster are separated by commas too.
        return (
            re.split(r"[,\s]+(?=[a-z+]+://)", value.strip())
            if isinstance(value, str) and value.strip()
            else value or ()
        )

    @field_validator("redis_read_urls")
    @classmethod
    def _complete_all(cls, urls: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(with_access(url, *_redis_access(info)) for url in urls)

    @field_validator("rate_limit")
    @classmethod
    def _parsable(cls, limit: str | None) -> str | None:
        if limit is not None:
            parse_many(limit)
        return limit

    @field_validator("metric")
    @classmethod
    def _metric(cls, metric: str | None) -> str | None:
        return str(parse_metric(metric)) if metric is not None else None

    @field_validator("students", "structure", "allowed_hosts", "cors_origins", "webhook_urls", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(","))
        # A group needs at least one student; the other lists may be empty.
        return names if info.field_name == "students" else tuple(filter(None, names))

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host or " " in host or (host != "*" and "*" in host.removeprefix("*.")):
                raise ValueError(f"{host} is no host name: give names without a scheme, *.example.org, or *")
        return tuple(host.lower().removesuffix(".") for host in hosts)

    @field_validator("webhook_urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for number, url in enumerate(urls, 1):
            # An address may hold a secret, so it is not repeated.
            if not re.fullmatch(r"https?://[^/\s]+\S*", url):
                raise ValueError(f"address {number} is no http or https URL")
        return urls

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ValueError(f"{origin} is no origin: give scheme, host and port without a path, or *")
        return tuple(origin.lower() for origin in origins)


def _redis_access(info: ValidationInfo) -> tuple[str | None, Path | None, Path | None]:
    """User, file of the password, and file of the certificates."""
    given = info.data
    return given.get("redis_user"), given.get("redis_password_file"), given.get("redis_ca_file")


def environment(settings: Settings) -> dict[str, str]:
    """The settings as ``OLAD_*`` variables, for a child process.

    >>> environment(Settings(port=8123))["OLAD_PORT"]
    '8123'
    """
    # The key is for clients; no process of the service needs it.
    values = settings.model_dump(mode="json", exclude_none=True, exclude={"api_key"})
    return {
        f"OLAD_{name.upper()}": ",".join(value) if isinstance(value, list) else str(value)
        for name, value in values.items()
    }
