"""Where a variant begins that has no checkpoint: on the graph of another one, with students of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from service.store.positions import START, parse_position
from service.worker.checkpoint import Checkpoint, list_checkpoints, read_position
from service.worker.restoring import restore


def other_checkpoints(own: Path) -> list[Path]:
    """Checkpoints of the other variants of a graph, the latest position first, those without a readable one last.

    Args:
        own: directory of a variant's checkpoints: ``GRAPH``, or ``GRAPH@VARIANT``.
    """
    graph = own.name.partition("@")[0]
    names = re.compile(re.escape(graph) + r"(@.+)?")
    folders = [path for path in own.parent.glob("*") if path != own and names.fullmatch(path.name) and path.is_dir()]
    found = [(read_position(path) or START, path) for folder in folders for path in list_checkpoints(folder)]
    return [path for _, path in sorted(found, key=lambda one: parse_position(one[0]), reverse=True)]


def restore_graph(config: EngineConfig, checkpoint: Checkpoint, device: torch.device, name: str) -> Engine:
    """An engine on the graph of a checkpoint, with its labels and its position, and with new students.

    Nothing is served: what the members of the checkpoint have learned is left out, and so are kept versions
    and which one is pinned.

    Args:
        config: of the engine.
        checkpoint: of another variant.
        device: where it computes.
        name: of the variant that begins, which no variant before it has.

    Raises:
        BrokenCheckpoint: its content is no engine's state.
    """
    tensors = {
        part: held for part, held in checkpoint.tensors.items() if not part.startswith(("trees/", "linear/", "kept/"))
    }
    values = {part: value for part, value in checkpoint.values.items() if part != "kept"}
    asked = replace(config, renewal=name)
    engine = restore(asked, replace(checkpoint, tensors=tensors, values=values), device, keep_served=False)
    engine.renewal = config.renewal or name
    return engine
