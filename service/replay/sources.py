"""What ``olad replay`` can send: a dataset by name, an archive, a file of events, or standard input."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal

import httpx

from olad_core.errors import OladError
from olad_core.events import GraphSchema
from service.replay.archive_graph import GraphDataset
from service.replay.arrival_stream import BATCH_BYTES, Arrival, Batch, UnreadableDataset, batched
from service.replay.file_kinds import head_of, kind_of, shape_of_json
from service.replay.label_delay import Duration, delay_labels, delay_labels_in_time, delay_own_labels
from service.replay.log_archive import LogArchive, archive_at
from service.replay.meter import Meter
from service.replay.ndjson import read_events, without_labels
from service.replay.npz import read_npz
from service.replay.registry import DATASETS, DatasetSpec, spec_of_file
from service.replay.table_options import TableOptions, require_no_columns

PUBMED_URL = "https://github.com/abojchevski/graph2gauss/raw/master/data/pubmed.npz"
"""PubMed as the field publishes it: papers, citations, features and classes, without years and without pickle."""
_EVENTS = 2_000
_DELAY = 100
"""Arrivals between a node and its label, in tables."""


class SourceNotFound(OladError, RuntimeError):
    """There is no such source; the message says where it would be looked for."""


@dataclass(frozen=True)
class Source:
    """Something to replay.

    Attributes:
        name: for people.
        identity: changes when the stream would be another one; None for a stream that cannot be read twice.
        batches: the stream; can be iterated once.
        schema: what to declare first, where the source knows it.
        nodes: nodes that will arrive, where that is known beforehand.
        score_from: arrivals before this one are left out of the second accuracy.
        demo_rate: events per second in the demo.
        notice: one line the user should read.
        proposal: the schema that fits what was found in it, which is declared where the user asks for it.
        notes: what was found in it, a line each.
        meter: how much of its file has been read.
    """

    name: str
    identity: str | None
    batches: Iterator[Batch]
    schema: GraphSchema | None = None
    nodes: int | None = None
    score_from: int = 500
    demo_rate: float = 200.0
    notice: str | None = None
    proposal: GraphSchema | None = None
    notes: tuple[str, ...] = ()
    meter: Meter | None = None


@dataclass(frozen=True)
class StreamOptions:
    """How a source becomes a stream.

    Attributes:
        label_delay: arrivals, or event time, between a node and its label; None takes the dataset's own, and leaves
            the labels of NDJSON where they stand.
        batch_size: nodes, or edges of a task, that arrive in one batch, at most.
        batch_bytes: bytes of JSON in one batch, at most; an event that is larger alone goes alone.
        limit: end after this many arrivals.
        batch_events: events of one batch, at most.
        scored: whether the predictions of arriving nodes are asked for. Without, labels that have no delay of their
            own follow at once, and memory does not depend on the number of nodes.
    """

    label_delay: int | Duration | None = None
    batch_size: int = 20
    batch_bytes: int = BATCH_BYTES
    limit: int | None = None
    batch_events: int = field(default=_EVENTS, repr=False)
    scored: bool = field(default=True, repr=False)

    @property
    def default_delay(self) -> int:
        """Arrivals between a node and its label where nothing else is stated."""
        return _DELAY if self.scored else 0

    def batches(self, arrivals: Iterable[Arrival]) -> Iterator[Batch]:
        """The arrivals as they are sent."""
        wanted = arrivals if self.limit is None else _limited(arrivals, self.limit)
        return batched(wanted, self.batch_size, self.batch_events, self.batch_bytes)


def open_source(
    source: str,
    options: StreamOptions = StreamOptions(),
    *,
    tables: TableOptions = TableOptions(),
    data_home: Path | None = None,
    published_url: str = PUBMED_URL,
    on_read: Callable[[Meter], None] = lambda _meter: None,
) -> Source:
    """Open a source and lay out its stream.

    Args:
        source: name of a dataset, path of an ``.npz``, of NDJSON in any of its wrappings or of a table, folder or URL
            of an archive of a log, or ``-``.
        options: how it becomes a stream.
        tables: what the columns of a table are.
        data_home: folder with the archives of named datasets; None looks into ``../shared/data`` and ``data``.
        published_url: where PubMed is published.
        on_read: called while a table is read through, before anything is sent.

    Raises:
        SourceNotFound: neither a name nor a file.
        UnreadableDataset: the file cannot be turned into events.
        WrongMapping: what is stated of the columns does not fit.
    """
    path = Path(source)
    if source == "-":
        return _stream(lambda: sys.stdin.buffer, "standard input", options, tables)
    if "://" in source or path.is_dir():
        return _log_archive(source, options, tables)
    if path.is_file():
        return _file(path, options, tables, on_read)
    if path.exists():  # A pipe cannot be read twice.
        return _stream(lambda: path.open("rb"), str(path), options, tables)
    if source in DATASETS:
        return _named(DATASETS[source], options, data_home, published_url)
    raise SourceNotFound(f"{source}: no such file, and no dataset of this name; the names are {', '.join(DATASETS)}")


def _file(path: Path, options: StreamOptions, tables: TableOptions, on_read: Callable[[Meter], None]) -> Source:
    kind = kind_of(path)
    meter = Meter(path.stat().st_size)
    if kind == "archive":
        require_no_columns(tables, f"{path} is an archive of arrays")
        return _archive(path, spec_of_file(path.name) or DatasetSpec(path.name, path.name, "an archive"), options)
    if kind == "torch":
        with _needing(path):
            from service.replay.pyg_source import pyg_source  # noqa: PLC0415
        return pyg_source(path, options, tables, on_read)
    shape = shape_of_json(head_of(path)) if kind == "json" else None
    if kind == "graphml" or shape == "graph" or (kind in {"csv", "parquet"} and not tables.names_columns):
        with _needing(path):
            from service.replay.graph_file_source import graph_file_source  # noqa: PLC0415
            from service.replay.graph_tables import graph_tables  # noqa: PLC0415
        if (graph := graph_tables(path, kind, shape, meter)) is not None:
            return graph_file_source(path, graph, options, tables, on_read, meter)
    if shape == "changes" and not tables.names_columns:
        raise UnreadableDataset(
            f"{path} looks like change events of Debezium: state their columns in a mapping file with `changes: "
            "debezium` (--mapping)"
        )
    if kind in {"csv", "parquet"} or shape == "rows" or tables.names_columns:
        return _table_file(path, kind if kind in {"json", "parquet"} else "csv", options, tables, on_read)
    return _events(str(path), lambda: meter.open(path), path.name, file_identity(path), options, meter)


def _stream(opened: Callable[[], IO[bytes]], name: str, options: StreamOptions, tables: TableOptions) -> Source:
    if tables.names_columns:
        with _needing(name):
            from service.replay.table_source import table_stream  # noqa: PLC0415
        return table_stream(opened(), name, options, tables)
    return _events(name, opened, name, None, options)


def _named(spec: DatasetSpec, options: StreamOptions, data_home: Path | None, published_url: str) -> Source:
    if spec.name == "payments":
        return _payments(spec, options)
    if spec.file is None:
        return graph_source(_digits(), spec, spec.name, options)
    folders = [data_home] if data_home is not None else [Path("../shared/data"), Path("data")]
    for folder in folders:
        if (folder / spec.file).is_file():
            return _archive(folder / spec.file, spec, options)
    put_it = f"put {spec.file} into {folders[-1]}/, or name its folder with OLAD_DATA_HOME"
    if spec.name != "pubmed":
        raise SourceNotFound(f"{spec.name} is not here: {put_it}")
    published = folders[-1] / "pubmed_published.npz"
    if not published.is_file():
        download(published_url, published, otherwise=put_it)
    notice = f"PubMed as published has no years: papers arrive in a random order. For the stream by year {put_it}."
    return replace(_archive(published, spec, options), notice=notice)


def _payments(spec: DatasetSpec, options: StreamOptions) -> Source:
    from service.replay.payments import SCHEMA, payments  # noqa: PLC0415

    delay = options.label_delay
    if delay is None:
        delay = spec.label_delay if options.scored else 0
    arrivals = payments()
    delayed = (
        delay_labels_in_time(arrivals, delay, spec.name)
        if isinstance(delay, Duration)
        else delay_own_labels(arrivals, delay)
    )
    return Source(
        name=spec.name,
        identity=f"{spec.name} {options}",
        batches=options.batches(delayed),
        schema=SCHEMA,
        score_from=spec.score_from,
        demo_rate=spec.demo_rate,
    )


def _digits() -> GraphDataset:
    # Here, because scikit-learn takes a second to load and is only in the extra `local`.
    try:
        from service.replay.digits import digits_graph  # noqa: PLC0415
    except ImportError:
        raise SourceNotFound("digits comes with scikit-learn: pip install scikit-learn") from None
    return digits_graph()


def _archive(path: Path, spec: DatasetSpec, options: StreamOptions) -> Source:
    return graph_source(read_npz(path), spec, file_identity(path), options)


def file_identity(path: Path) -> str:
    """What is another text for another file, or another state of one."""
    stat = path.stat()
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"


def graph_source(graph: GraphDataset, spec: DatasetSpec, identity: str, options: StreamOptions) -> Source:
    """A graph in memory; its nodes arrive in the order of time."""
    if options.label_delay is None:
        options = replace(options, label_delay=spec.label_delay if options.scored else 0)
    assert options.label_delay is not None, "set above"
    return Source(
        name=spec.name,
        identity=f"{identity} {options}",
        batches=options.batches(_delayed(graph.arrivals(), options.label_delay, spec.name)),
        schema=graph.schema(spec.edge_lifetime),
        nodes=len(graph) if options.limit is None else min(options.limit, len(graph)),
        score_from=spec.score_from,
        demo_rate=spec.demo_rate,
    )


def _events(
    path: str,
    opened: Callable[[], IO[bytes]],
    name: str,
    identity: str | None,
    options: StreamOptions,
    meter: Meter | None = None,
) -> Source:
    arrivals = read_events(opened, path, arrivals=options.scored or options.label_delay is not None)
    if options.label_delay is not None:
        arrivals = _delayed(without_labels(arrivals), options.label_delay, name)
    return Source(
        name=name, identity=identity and f"{identity} {options}", batches=options.batches(arrivals), meter=meter
    )


def _log_archive(source: str, options: StreamOptions, tables: TableOptions) -> Source:
    place = archive_at(source)
    if place is None:
        raise SourceNotFound(f"{source} is a folder without an archive of a log: name the file in it")
    require_no_columns(tables, f"{source} is an archive of a log")
    archive = LogArchive(place)
    as_they_came = options.scored and options.label_delay is None
    if as_they_came:
        batches = archive.batches(options.limit)
    elif options.label_delay is None:
        batches = options.batches(archive.arrivals(options))
    else:
        batches = options.batches(_delayed(archive.arrivals(options), options.label_delay, archive.name))
    notes = [f"{archive.entries:,} entries"]
    if archive.clock_settings:
        notes.append(f"{archive.clock_settings:,} of them set the clock of the graph, which is not repeated")
    return Source(
        name=archive.name,
        identity=f"{archive.identity} {options}",
        batches=batches,
        schema=archive.schema,
        notes=tuple(notes),
    )


def _delayed(arrivals: Iterable[Arrival], delay: int | Duration, name: str) -> Iterator[Arrival]:
    if isinstance(delay, Duration):
        return delay_labels_in_time(arrivals, delay, name)
    return delay_labels(arrivals, delay)


def _table_file(
    path: Path,
    kind: Literal["csv", "json", "parquet"],
    options: StreamOptions,
    tables: TableOptions,
    on_read: Callable[[Meter], None],
) -> Source:
    with _needing(path):
        from service.replay.table_source import table_file  # noqa: PLC0415
    return table_file(path, kind, options, tables, on_read)


@contextlib.contextmanager
def _needing(name: object) -> Iterator[None]:
    """Import what reads tables and saved tensors: Arrow and torch are large, and each in an extra of its own."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "worker" if str(error.name).startswith("torch") else "files"
        raise SourceNotFound(f"{name} needs {error.name}: pip install 'olad[{extra}]'") from None


def _limited(arrivals: Iterable[Arrival], limit: int) -> Iterator[Arrival]:
    seen = 0
    for arrival in arrivals:
        seen += arrival.counts
        if seen > limit:
            return
        yield arrival


def download(url: str, to: Path, otherwise: str) -> None:
    """Fetch a file, whole or not at all.

    Raises:
        SourceNotFound: it cannot be fetched; the message says ``otherwise``.
    """
    part = to.with_suffix(".part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with httpx.stream("GET", url, follow_redirects=True, timeout=httpx.Timeout(30.0, connect=5.0)) as answer:
            answer.raise_for_status()
            with part.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        part.replace(to)
    except (httpx.HTTPError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise SourceNotFound(f"{to.name} could not be downloaded ({reason}): {otherwise}") from None
