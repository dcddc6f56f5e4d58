"""The command line ``olad``."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from service.commands.check_student import check_student
from service.commands.demo import demo
from service.commands.evaluate import evaluate_source
from service.commands.explain import explain
from service.commands.explain_edge import explain_edge
from service.commands.export import export
from service.commands.import_events import import_source
from service.commands.keys import keys
from service.commands.predict import predict
from service.commands.rebuild import rebuild
from service.commands.repair import repair
from service.commands.replay import replay_source
from service.commands.send import send
from service.commands.serve import api, worker
from service.commands.status import status
from service.commands.stream import stream
from service.commands.top import top
from service.commands.up import up
from service.commands.variants import variants
from service.commands.verify import verify
from service.commands.versions import versions
from service.commands.what_if import what_if
from service.redaction import printable

app = typer.Typer(
    help="A dynamic-graph streaming service that never stops learning. Settings: OLAD_* variables (docs/settings.md).",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"olad {metadata.version('olad')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Options of ``olad`` itself, before the command."""


app.command()(up)
app.command()(api)
app.command()(worker)
app.command(name="replay")(replay_source)
app.command(name="evaluate")(evaluate_source)
app.command(name="import")(import_source)
app.command()(send)
app.command()(predict)
app.command()(what_if)
app.command()(explain)
app.command()(explain_edge)
app.command()(status)
app.command()(top)
app.command()(stream)
app.command()(demo)
app.command()(verify)
app.command()(repair)
app.command()(rebuild)
app.command()(check_student)
app.add_typer(export)
app.add_typer(keys)
app.add_typer(variants)
app.add_typer(versions)


def run() -> int:
    """Carry out the command line; what is wrong with it is one line on standard error.

    Returns:
        The exit status: 2 for a wrong command line.
    """
    try:
        status = app(prog_name="olad", standalone_mode=False)
    except typer.TyperException as error:
        # A group without a command has shown its help, and has no message.
        if message := " ".join(error.format_message().split()):
            typer.echo(f"error: {printable(message)}", err=True)
        return error.exit_code
    except typer.Abort:
        return 1
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    from service.entry import main

    main()
