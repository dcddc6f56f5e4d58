"""Runs methods on streams and prints one table: ``python -m benchmarks.learning --streams pubmed-5 --seeds 3``."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from itertools import product
from pathlib import Path

from benchmarks.learning.conditions import conditions
from benchmarks.learning.configuration import parse_change
from benchmarks.learning.methods import METHODS, USUAL_METHODS
from benchmarks.learning.plots import PUBLISHED, write_plots
from benchmarks.learning.results import archive, carry_out, is_archive, read
from benchmarks.learning.run import Run
from benchmarks.learning.streams import STREAMS, USUAL_STREAMS
from benchmarks.learning.table import overview, table
from benchmarks.learning.targets import targets_table
from benchmarks.table import machine

HERE = Path(__file__).parent
SHORT = {
    "streams": ["sudden"],
    "methods": ["independent", "ours"],
    "seeds": 2,
    "size": 600,
    "jobs": 1,
    "overrides": ["warmup_steps=4"],
}
"""What ``--short`` stands for."""


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.short:
        vars(given).update(SHORT)
    try:
        streams = _meant(given.streams, STREAMS, USUAL_STREAMS)
        methods = _meant(given.methods, METHODS, USUAL_METHODS)
        overrides = tuple(parse_change(text) for text in sorted(given.overrides))
    except ValueError as wrong:
        parser.error(str(wrong))
    if is_archive(given.results) and not given.held:
        parser.error(f"{given.results} is an archive, which is only read: add --held")
    if given.archive and not is_archive(given.archive):
        parser.error(f"--archive {given.archive}: the name must end in .xz")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    runs = [
        Run(
            stream=stream,
            method=method,
            seed=seed,
            steps=(steps := given.steps or STREAMS[stream].steps),
            share=given.share,
            # Only the version that is there when the questions come is asked: one a turn is enough.
            publish_steps=given.publish_steps or steps,
            size=given.size,
            overrides=overrides,
        )
        for stream, seed, method in product(streams, seeds, methods)
        if STREAMS[stream].is_split or not METHODS[method].for_splits
    ]
    if given.held:
        wanted = {run.key for run in runs}
        lines = [line for line in read(given.results) if line["key"] in wanted]
    else:
        lines = carry_out(runs, given.results, jobs=given.jobs, device=given.device, again=given.again)
    order = {run.key: number for number, run in enumerate(runs)}
    lines.sort(key=lambda line: order[line["key"]])
    served = f"## Served, in points\n\n{overview(lines, given.baseline)}"
    parts = (
        served,
        f"## Conditions\n\n{conditions(lines)}",
        f"## Targets\n\n{targets_table(lines)}",
        table(lines, given.baseline),
    )
    text = "\n".join(parts)
    print(text)
    if given.archive:
        archive(lines, given.archive)
    if given.plots:
        write_plots(lines, given.plots)
    if given.write:
        plots = write_plots(lines, given.write / "plots", PUBLISHED)
        shown = "\n".join(f"![{plot.stem}](plots/{plot.name})" for plot in plots)
        where = f"Written on {machine()}, by `make bench-learning`."
        (given.write / "RESULTS.md").write_text(f"# Results\n\n{where}\n\n{text}\n## Plots\n\n{shown}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    add = parser.add_argument
    add("--streams", nargs="+", default=["usual"], metavar="NAME", help=f"usual, all, or of: {' '.join(STREAMS)}")
    add("--methods", nargs="+", default=["usual"], metavar="NAME", help=f"usual, all, or of: {' '.join(METHODS)}")
    add("--seeds", type=int, default=5, help="so many")
    add("--first-seed", type=int, default=0)
    add("--jobs", type=int, default=2, help="runs at a time")
    add("--steps", type=int, help="training steps a turn; by default each stream's own")
    add("--share", type=float, default=Run.share, help="size of a step")
    add("--publish-steps", type=int, help="training steps between two versions; by default those of a turn")
    add("--size", type=int, help="nodes of each stream at most; by default each stream's own")
    more = "another value of a field of EngineConfig or TrainerConfig, for every method"
    add("--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides", help=more)
    add(
        "--results",
        type=Path,
        default=HERE / "results" / "runs.jsonl",
        help="file of results, added to; an archive (.xz) is read",
    )
    add("--again", action="store_true", help="carry out runs that the file of results holds already, too")
    add("--held", action="store_true", help="carry out nothing: the table of those that the file of results holds")
    add("--device", default="cpu")
    add("--baseline", default="independent", choices=METHODS, metavar="NAME", help="what others are compared with")
    add("--short", action="store_true", help="a small stream, two methods, two seeds")
    add("--write", type=Path, metavar="FOLDER", help="write RESULTS.md and the published plots there")
    add("--archive", type=Path, metavar="FILE.xz", help="write the runs there, compressed")
    add("--plots", type=Path, metavar="FOLDER", help="write every plot there")
    return parser


class UnknownName(ValueError):
    """A stream or method that there is not."""


def _meant(given: Sequence[str], known: Collection[str], usual: Sequence[str]) -> list[str]:
    """The names that were meant: ``usual`` and ``all`` stand for several."""
    meant = [name for word in given for name in {"usual": usual, "all": known}.get(word, [word])]
    if unknown := [name for name in meant if name not in known]:
        raise UnknownName(f"unknown: {' '.join(unknown)}; there are {' '.join(known)}")
    return list(dict.fromkeys(meant))


if __name__ == "__main__":
    main()
