"""Runs methods on streams and prints one table: ``python -m benchmarks.learning --streams pubmed-5 --seeds 3``."""

from __future__ import annotations

import argparse
import ast
from itertools import product
from pathlib import Path

from benchmarks.learning.methods import METHODS
from benchmarks.learning.results import carry_out
from benchmarks.learning.run import Run
from benchmarks.learning.streams import STREAMS
from benchmarks.learning.table import table

HERE = Path(__file__).parent
SHORT = {"streams": ["sudden"], "methods": ["independent", "ours"], "seeds": 2, "size": 600}


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--streams", nargs="+", default=list(STREAMS), choices=STREAMS, metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="so many, from 0")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--steps", type=int, help="training steps a turn; by default each stream's own")
    parser.add_argument("--share", type=float, default=Run.share, help="size of a step")
    parser.add_argument("--publish-steps", type=int, default=Run.publish_steps)
    parser.add_argument("--size", type=int, help="nodes of each stream at most; by default all")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="overrides",
                        help="another field of EngineConfig or TrainerConfig, for every method")  # fmt: skip
    parser.add_argument("--results", type=Path, default=HERE / "results" / "runs.jsonl")
    parser.add_argument("--again", action="store_true", help="carry out runs that the file of results holds already")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--baseline", default="independent", choices=METHODS)
    parser.add_argument("--short", action="store_true", help="a small stream, two methods, two seeds")
    given = parser.parse_args(arguments)
    if given.short:
        vars(given).update(SHORT)
    runs = [
        Run(stream, method, seed, given.steps or STREAMS[stream].steps, given.share, given.publish_steps, given.size,
            tuple(_override(text) for text in sorted(given.overrides)))
        for stream, seed, method in product(
            given.streams, range(given.first_seed, given.first_seed + given.seeds), given.methods
        )
    ]  # fmt: skip
    lines = carry_out(runs, given.results, jobs=given.jobs, device=given.device, again=given.again)
    order = {run.key: number for number, run in enumerate(runs)}
    print(table(sorted(lines, key=lambda line: order[line["key"]]), given.baseline))


def _override(text: str) -> tuple[str, str | float]:
    """``hidden_dropout=0.5`` as a name and a value."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == "__main__":
    main()
