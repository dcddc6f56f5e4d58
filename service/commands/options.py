"""Options that more than one command has."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the API; 0 takes a free one.", show_default="8000"),
]
RedisUrl = Annotated[str | None, typer.Option(help="Use this Redis instead of starting one.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where the worker computes.", show_default="auto")
]
Url = Annotated[str | None, typer.Option(help="The service.", show_default="host and port of the settings")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
