"""``olad keys``: making, listing and revoking API keys."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from service.api_keys import SCOPES, KeysUnusable, create_key, read_keys, revoke_key
from service.commands.failures import read_settings, reported_failures
from service.terminal import Terminal

keys = typer.Typer(name="keys", help="Make, list and revoke API keys (docs/security.md).", no_args_is_help=True)

# Of several values typer takes an enumeration only.
_Scope = StrEnum("_Scope", {scope: scope for scope in SCOPES})  # type: ignore[misc]
File = Annotated[Path | None, typer.Option(help="File of the keys.", show_default="OLAD_API_KEYS_FILE")]


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is; the audit log names it.")],
    scope: Annotated[
        list[_Scope],
        typer.Option(help="read: predictions and status; write: events; admin: everything. May be repeated."),
    ],
    file: File = None,
) -> None:
    """Make a key and print it, this one time: only its hash is kept."""
    with reported_failures():
        typer.echo(create_key(_file(file), name, [known for known in SCOPES if known in scope]))


@keys.command(name="list")
def list_keys(file: File = None) -> None:
    """Show every key's name, scopes and age."""
    with reported_failures():
        kept = read_keys(_file(file))
    table = Table("name", "scopes", "id", "created")
    for key in kept:
        table.add_row(key.name, ", ".join(key.scopes), key.id, f"{key.created_at:%Y-%m-%d %H:%M} UTC")
    Terminal().print(table if kept else "No keys.")


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name or id.")],
    file: File = None,
) -> None:
    """Refuse a key from now on; a running API refuses it within a second."""
    with reported_failures():
        gone = revoke_key(_file(file), name)
    Terminal().print(f"Revoked {gone.name} ({gone.id}).")


def _file(given: Path | None) -> Path:
    path = given or read_settings().api_keys_file
    if path is None:
        raise KeysUnusable("which file? Set OLAD_API_KEYS_FILE or give --file")
    return path
