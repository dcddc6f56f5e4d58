"""The command line ``olad``."""

from __future__ import annotations

import typer

from service.commands.demo import demo
from service.commands.keys import keys
from service.commands.repair import repair
from service.commands.replay import replay_source
from service.commands.serve import api, worker
from service.commands.status import status
from service.commands.up import up
from service.commands.verify import verify

app = typer.Typer(
    help="A dynamic-graph streaming service that never stops learning. Settings: OLAD_* variables (docs/settings.md).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command()(up)
app.command()(api)
app.command()(worker)
app.command(name="replay")(replay_source)
app.command()(status)
app.command()(demo)
app.command()(verify)
app.command()(repair)
app.add_typer(keys)

if __name__ == "__main__":
    app()
