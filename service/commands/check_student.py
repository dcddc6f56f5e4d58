"""``olad check-student``: does a student keep the contract?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.status import Status

from service.terminal import Terminal, shown


def check_student(
    name: Annotated[
        str, typer.Argument(help="package.module:Class, or a name as in OLAD_STUDENTS.", metavar="STUDENT")
    ],
) -> None:
    """Check a student of your own: one line for each part of the contract. Status 1 where it breaks one."""
    # Students need torch, which the other commands do without.
    from olad_core.students.check import CHECKS, results  # noqa: PLC0415
    from service.worker.students import StudentUnusable, find_class  # noqa: PLC0415

    out, broken, done = Terminal(), 0, 0
    try:
        student = find_class(name)
    except StudentUnusable as error:
        Terminal(stderr=True).print(f"[bold red]error:[/] {shown(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from None
    with Status("", console=Terminal(stderr=True)) as progress:
        progress.update(f"check 1 of {len(CHECKS)}")
        for done, result in enumerate(results(student), start=1):
            broken += result.problem is not None
            if result.problem is None:
                out.print(f"[green]ok[/]      {result.name}: {shown(result.contract)}", soft_wrap=True)
            else:
                out.print(f"[bold red]broken[/]  {result.name}: {shown(result.problem)}", soft_wrap=True)
            progress.update(f"check {min(done + 1, len(CHECKS))} of {len(CHECKS)}")
    left = len(CHECKS) - done
    rest = f"; {left} were not run" if left else ""
    out.print(f"{shown(name)}: {done - broken} of {len(CHECKS)} checks passed{rest}", soft_wrap=True)
    raise typer.Exit(1 if broken else 0)
