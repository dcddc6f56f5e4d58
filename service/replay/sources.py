"""What ``olad replay`` can send: a dataset by name, an archive, a file of events, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from olad_core.errors import OladError
from olad_core.events import GraphSchema
from service.replay.archive_graph import GraphDataset
from service.replay.arrival_stream import BATCH_BYTES, Arrival, Batch, batched, delay_labels
from service.replay.event_files import is_zip, read_lines
from service.replay.ndjson import read_ndjson, without_labels
from service.replay.npz import read_npz
from service.replay.registry import DATASETS, DatasetSpec, spec_of_file

PUBMED_URL = "https://github.com/abojchevski/graph2gauss/raw/master/data/pubmed.npz"
"""PubMed as the field publishes it: papers, citations, features and classes, without years and without pickle."""
_EVENTS = 2_000


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
    """

    name: str
    identity: str | None
    batches: Iterator[Batch]
    schema: GraphSchema | None = None
    nodes: int | None = None
    score_from: int = 500
    demo_rate: float = 200.0
    notice: str | None = None


@dataclass(frozen=True)
class StreamOptions:
    """How a source becomes a stream.

    Attributes:
        label_delay: arrivals between a node and its label; None takes the dataset's own, and leaves the labels of
            NDJSON where they stand.
        batch_size: nodes that arrive in one batch, at most.
        batch_bytes: bytes of JSON in one batch, at most; an event that is larger alone goes alone.
        limit: end after this many arrivals.
    """

    label_delay: int | None = None
    batch_size: int = 20
    batch_bytes: int = BATCH_BYTES
    limit: int | None = None

    def batches(self, arrivals: Iterable[Arrival]) -> Iterator[Batch]:
        """The arrivals as they are sent."""
        wanted = arrivals if self.limit is None else _limited(arrivals, self.limit)
        return batched(wanted, self.batch_size, _EVENTS, self.batch_bytes)


def open_source(
    source: str,
    options: StreamOptions = StreamOptions(),
    *,
    data_home: Path | None = None,
    published_url: str = PUBMED_URL,
) -> Source:
    """Open a source and lay out its stream.

    Args:
        source: name of a dataset, path of an ``.npz`` or of NDJSON in any of its wrappings, or ``-``.
        options: how it becomes a stream.
        data_home: folder with the archives of named datasets; None looks into ``../shared/data`` and ``data``.
        published_url: where PubMed is published.

    Raises:
        SourceNotFound: neither a name nor a file.
        UnreadableDataset: the file cannot be turned into events.
    """
    path = Path(source)
    if source == "-":
        return _events("standard input", read_lines(sys.stdin.buffer, "standard input"), None, options)
    if path.is_dir():
        raise SourceNotFound(f"{source} is a folder: name the file in it")
    if path.exists():
        if path.is_file() and (path.suffix == ".npz" or is_zip(path)):
            return _archive(path, spec_of_file(path.name) or DatasetSpec(path.name, path.name, "an archive"), options)
        # A pipe cannot be read twice.
        return _events(path.name, _lines(path), _identity(path) if path.is_file() else None, options)
    if source in DATASETS:
        return _named(DATASETS[source], options, data_home, published_url)
    raise SourceNotFound(f"{source}: no such file, and no dataset of this name; the names are {', '.join(DATASETS)}")


def _named(spec: DatasetSpec, options: StreamOptions, data_home: Path | None, published_url: str) -> Source:
    if spec.file is None:
        return _graph(_digits(), spec, spec.name, options)
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


def _digits() -> GraphDataset:
    # Here, because scikit-learn takes a second to load and is only in the extra `local`.
    try:
        from service.replay.digits import digits_graph  # noqa: PLC0415
    except ImportError:
        raise SourceNotFound("digits comes with scikit-learn: pip install scikit-learn") from None
    return digits_graph()


def _archive(path: Path, spec: DatasetSpec, options: StreamOptions) -> Source:
    return _graph(read_npz(path), spec, _identity(path), options)


def _identity(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"


def _graph(graph: GraphDataset, spec: DatasetSpec, identity: str, options: StreamOptions) -> Source:
    if options.label_delay is None:
        options = replace(options, label_delay=spec.label_delay)
    assert options.label_delay is not None, "set above"
    return Source(
        name=spec.name,
        identity=f"{identity} {options}",
        batches=options.batches(delay_labels(graph.arrivals(), options.label_delay)),
        schema=graph.schema(spec.edge_lifetime),
        nodes=len(graph) if options.limit is None else min(options.limit, len(graph)),
        score_from=spec.score_from,
        demo_rate=spec.demo_rate,
    )


def _events(name: str, lines: Iterable[bytes], identity: str | None, options: StreamOptions) -> Source:
    arrivals = read_ndjson(lines, name)
    if options.label_delay is not None:
        arrivals = delay_labels(without_labels(arrivals), options.label_delay)
    return Source(name=name, identity=identity and f"{identity} {options}", batches=options.batches(arrivals))


def _limited(arrivals: Iterable[Arrival], limit: int) -> Iterator[Arrival]:
    seen = 0
    for arrival in arrivals:
        seen += arrival.node is not None
        if seen > limit:
            return
        yield arrival


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from read_lines(file, str(path))


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
