"""Prequential accuracy of what is served, in one process: the engine alone, no Redis and no HTTP.

    python -m benchmarks.prequential ../shared/data/pubmed_temporal.npz --label-delay 1000 --steps 4

Nodes arrive in batches; each batch is one log entry, after which the engine refreshes, is scored and takes a
fixed number of training steps. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from olad_core.datasets.npz import read_npz
from olad_core.datasets.stream import batched, delay_labels
from olad_core.distill.trainer import TrainerConfig
from olad_core.engine import Engine, EngineConfig


def run(
    path: Path,
    config: EngineConfig,
    *,
    batch: int,
    delay: int,
    steps: int,
    score_from: int,
    limit: int | None = None,
    share: float = 1.0,
) -> dict[str, object]:
    """One pass over a dataset; accuracies are of the prediction served right after a node's arrival."""
    engine = Engine(config, torch.device("cpu"))
    dataset = read_npz(path)
    engine.declare("0-1", dataset.schema())
    served: dict[str, str] = {}
    truth: dict[str, str] = {}
    order: dict[str, int] = {}
    spent = {"apply": 0.0, "learn": 0.0}
    begun = time.perf_counter()
    for number, entry in enumerate(
        batched(delay_labels(itertools.islice(dataset.arrivals(), limit), delay), batch), start=1
    ):
        started = time.perf_counter()
        engine.apply(f"{number}-0", entry.events, float(number))
        engine.refresh()
        engine.publication()
        spent["apply"] += time.perf_counter() - started
        held = engine.versions.served
        for node in entry.nodes:
            order[node] = len(order)
            if held:
                row = np.array([engine.graph.row(node)])
                served[node] = held.version.classes[int(held.embedding.probabilities(row).argmax())]
        truth |= dict(entry.truths)
        started = time.perf_counter()
        engine.learn(steps, share)
        spent["learn"] += time.perf_counter() - started
    scored = [node for node in truth if node in served and order[node] >= score_from]
    scores = engine.scores
    names = [*(engine.trainer.names if engine.trainer else ()), "served"]
    return {
        "dataset": path.stem,
        "served": float(np.mean([served[node] == truth[node] for node in scored])),
        "scored": len(scored),
        "students": dict(zip(names, scores.accuracy().round(4).tolist(), strict=True)),
        "recent": dict(zip(names, scores.recent_accuracy().round(4).tolist(), strict=True)),
        "steps": engine.trainer.steps if engine.trainer else 0,
        "seconds": round(time.perf_counter() - begun, 1),
        **{f"{name}_s": round(value, 1) for name, value in spent.items()},
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--label-delay", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--score-from", type=int, default=2000)
    parser.add_argument("--publish-steps", type=int, default=EngineConfig.publish_steps)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--share", type=float, default=1.0, help="size of a step")
    floats = ("global_weight", "local_weight", "learning_rate", "weight_decay", "hidden_dropout", "feature_dropout")
    for name, kind in (*((name, float) for name in floats), ("seed", int)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(TrainerConfig, name))
    args = parser.parse_args()
    torch.set_num_threads(1)
    trainer = replace(
        TrainerConfig(),
        **{name: getattr(args, name) for name in (*floats, "seed")},
    )
    config = EngineConfig(trainer=trainer, publish_steps=args.publish_steps)
    result = run(
        args.path,
        config,
        batch=args.batch,
        delay=args.label_delay,
        steps=args.steps,
        score_from=args.score_from,
        limit=args.limit,
        share=args.share,
    )
    print(json.dumps({**result, "settings": vars(args) | {"path": str(args.path)}}))


if __name__ == "__main__":
    main()
