"""``olad export``: predictions, the graph, or a model, in files."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from service.client.http import Client
from service.commands.bar_view import ExportView
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, DataDir, MinPosition, RedisUrl, Url, service_url
from service.models import MAX_ASKED_EDGES
from service.replay.sources import SourceNotFound
from service.settings import Settings
from service.terminal import Terminal, shown

if TYPE_CHECKING:
    from service.export.tables import Exported

export = typer.Typer(name="export", help="Write predictions, the graph, or a model, into a file.", no_args_is_help=True)

_NODES_PER_PART = 5_000
_CELLS_PER_PART = 200_000
_PATIENCE_S = 300.0


@export.command(name="predictions")
def export_predictions(
    file: Annotated[Path, typer.Argument(help="A .parquet or .csv file.")],
    url: Url = None,
    nodes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Ids, one a line; - for standard input.", show_default="all of the graph"),
    ] = None,
    edges: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="Edges of this type that its task remembers, instead of nodes."),
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="CLASS", help="Order by the probability of a class.")] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="Values of nodes by this task, instead of classes.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    min_position: MinPosition = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the prediction of every node, or of every edge of a type, each with its position."""
    settings = read_settings(data_dir=data_dir, redis_url=redis_url)
    console = Terminal(stderr=as_json)
    with reported_failures(), _needing_files():
        from service.export.failed import ExportFailed  # noqa: PLC0415
        from service.export.tables import FORMATS  # noqa: PLC0415

        if file.suffix not in FORMATS:
            raise ExportFailed(f"{file}: name a file that ends with {' or '.join(FORMATS)}")
        if nodes is not None and edges is not None:
            raise ExportFailed("--nodes and --edges are not used together")
        if task is not None and (by is not None or edges is not None):
            raise ExportFailed("--task writes values of nodes: leave out --by and --edges")
        address = service_url(url, settings)
        with contextlib.ExitStack() as held:
            client = held.enter_context(Client(address, key=settings.api_key, patience_s=_PATIENCE_S))
            asked = _AskedFor(client, settings, file, min_position, by, limit, console, held)
            done = _nodes(asked, nodes, task) if edges is None else _edges(asked, edges)
    _report(console, file, done.as_dict(), what="in the graph" if edges is None else "remembered", as_json=as_json)


@export.command(name="graph")
def export_graph(
    file: Annotated[Path, typer.Argument(help="An .npz, .graphml, .pt (PyG), .parquet or .csv file.")],
    position: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="Of the log; no earlier than a checkpoint.", show_default="the last one"),
    ] = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write nodes, edges, features, known classes and values at a position: a checkpoint and the log after it."""
    settings = read_settings(data_dir=data_dir, redis_url=redis_url)
    console = Terminal(stderr=as_json)
    with reported_failures(), _needing_files():
        from service.export.graph_at import graph_at  # noqa: PLC0415 (loads torch)
        from service.export.graph_files import export_graph as write  # noqa: PLC0415
        from service.export.graph_files import require_format  # noqa: PLC0415

        require_format(file)
        found = graph_at(settings, position, with_known=True)
        with ExportView(console, shown(file.name), found.graph.num_nodes + found.graph.num_edges) as view:
            files = write(found, file, view.update)
    done = {"position": found.position, "nodes": found.graph.num_nodes, "edges": found.graph.num_edges}
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in files], **done}))
        return
    names = " and ".join(str(path) for path in files)
    console.print(
        f"{shown(names)}: {done['nodes']:,} nodes and {done['edges']:,} edges at position {found.position}",
        soft_wrap=True,
        highlight=False,
    )


@export.command(name="model")
def export_model(
    file: Annotated[Path, typer.Argument(help="A .safetensors file.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="One of `olad versions`.", show_default="the served one")
    ] = None,
    member: Annotated[
        str | None, typer.Option(metavar="STUDENT", help="Of a group, this student alone.", show_default="all")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the weights of a kept version, for plain PyG where its layers can hold them (docs/versions.md)."""
    settings = read_settings(data_dir=data_dir)
    with reported_failures():
        from service.export.model_file import export_model as write  # noqa: PLC0415 (loads torch)
        from service.export.model_file import model_at, require_suffix  # noqa: PLC0415

        require_suffix(file)
        done = write(model_at(settings, version), file, member)
    config = done.config
    if as_json:
        typer.echo(json.dumps({"file": str(file), **config}))
        return
    what = f"version {config['version']} of {config['student']}, weights of position {config['position']}"
    console = Terminal()
    console.print(f"{shown(str(file))}: {shown(what)}", soft_wrap=True, highlight=False)
    if done.lines:
        typer.echo(f"\nIn plain PyG, on the file of `olad export graph graph.pt`:\n\n{done.lines}", nl=False)
    else:
        console.print(f"plain layers of PyG cannot hold it: {shown(config['reason'])}", soft_wrap=True, highlight=False)


class _AskedFor(NamedTuple):
    """What one export of predictions needs."""

    client: Client
    settings: Settings
    file: Path
    min_position: str | None
    by: str | None
    limit: int | None
    console: Terminal
    held: contextlib.ExitStack

    def view(self, total: int | None) -> ExportView:
        """A bar that counts what was answered."""
        return self.held.enter_context(ExportView(self.console, shown(self.file.name), total))


def _nodes(asked: _AskedFor, nodes: str | None, task: str | None) -> Exported:
    """Predictions of the nodes of a file, or of the graph; with a task, values."""
    from service.export.asked_nodes import of_graph, of_lines  # noqa: PLC0415
    from service.export.predictions import export_predictions as write  # noqa: PLC0415
    from service.export.values import export_values  # noqa: PLC0415

    status = asked.client.status()
    classes = len(status.worker.graph.classes) if status.worker is not None else 0
    size = max(1, min(_NODES_PER_PART, _CELLS_PER_PART // (classes + 1)))
    position: str | None = asked.min_position
    total: int | None = None
    if nodes is None:
        from service.export.graph_at import graph_at  # noqa: PLC0415 (loads torch)

        found = graph_at(asked.settings, position)
        parts, position, total = of_graph(found.graph, size), found.position, found.graph.num_nodes
    else:
        parts = of_lines(_lines(nodes, asked.held), nodes, size)
    if task is not None:
        view = asked.view(total)
        return export_values(
            asked.client, parts, asked.file, task, position=position, limit=asked.limit, on_rows=view.update
        )
    return write(
        asked.client,
        parts,
        asked.file,
        position=position,
        by=asked.by,
        limit=asked.limit,
        on_rows=asked.view(total).update,
    )


def _edges(asked: _AskedFor, edge_type: str) -> Exported:
    """Predictions of the edges of a type."""
    from service.export.asked_edges import edges_of_type, in_parts  # noqa: PLC0415
    from service.export.edge_predictions import export_edge_predictions as write  # noqa: PLC0415
    from service.export.graph_at import graph_at  # noqa: PLC0415 (loads torch)
    from service.export.late_edges import LateEdges  # noqa: PLC0415

    late = LateEdges(edge_type)
    found = graph_at(asked.settings, asked.min_position, late)
    edges = edges_of_type(found.graph, late)
    done = write(
        asked.client,
        in_parts(edges.asked, MAX_ASKED_EDGES),
        edge_type,
        asked.file,
        position=found.position,
        by=asked.by,
        limit=asked.limit,
        on_rows=asked.view(len(edges.asked)).update,
    )
    return replace(done, missing=done.missing + edges.others)


def _lines(nodes: str, held: contextlib.ExitStack) -> Any:
    if nodes == "-":
        return sys.stdin.buffer
    return held.enter_context(Path(nodes).open("rb"))


@contextlib.contextmanager
def _needing_files() -> Any:
    """Import what writes tables, which is large."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SourceNotFound(f"olad export needs {error.name}: pip install 'olad[files]'") from None


def _report(console: Terminal, file: Path, done: dict[str, Any], *, what: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file), **done}))
        return
    missing = f", {done['missing']:,} not {what}" if done["missing"] else ""
    versions = ", ".join(map(str, done["versions"]))
    position = f"; exact for position {done['position']} or later" if done["position"] else ""
    console.print(
        f"{shown(str(file))}: {done['rows']:,} predictions{missing}; model version {versions}{position}",
        soft_wrap=True,
        highlight=False,
    )
