"""Plots: accuracy over the stream, and accuracy against disagreement."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

Line = dict[str, Any]


PUBLISHED = ("pubmed-5", "sudden", "disagreement")
"""Plots that the repository keeps: the others are made when they are wanted."""


def write_plots(lines: Iterable[Line], folder: Path, only: Collection[str] | None = None) -> list[Path]:
    """One picture a stream, and one of disagreement where predictions have it; returns the files.

    Args:
        lines: of the runs.
        folder: for the files.
        only: names of those that are wanted; by default all.
    """
    lines = list(lines)
    folder.mkdir(parents=True, exist_ok=True)
    streams = dict.fromkeys(line["stream"] for line in lines)
    written = [
        _over_stream([line for line in lines if line["stream"] == stream], folder / f"{stream}.png")
        for stream in streams
        if not stream.endswith("-split") and (only is None or stream in only)
    ]
    disputed = [line for line in lines if line["disagreement"] and line["method"] == "ours"]
    if disputed and (only is None or "disagreement" in only):
        written.append(_against_disagreement(disputed, folder / "disagreement.png"))
    return written


def _over_stream(lines: list[Line], path: Path) -> Path:
    figure = _figure()
    axes = figure.add_subplot()
    for method in dict.fromkeys(line["method"] for line in lines):
        curves = [line["curve"] for line in lines if line["method"] == method]
        mean = _mean(curves)
        at = (np.arange(len(mean)) + 0.5) * lines[0]["window"]
        axes.plot(at, 100 * mean, label=method, lw=2 if method == "ours" else 1)
    axes.set(title=lines[0]["stream"], xlabel="question", ylabel="accuracy of what was served, %")
    axes.legend(fontsize="small", ncols=2)
    figure.savefig(path)
    return path


def _against_disagreement(lines: list[Line], path: Path) -> Path:
    figure = _figure()
    axes = figure.add_subplot()
    for stream in dict.fromkeys(line["stream"] for line in lines):
        parts = np.mean([line["disagreement"] for line in lines if line["stream"] == stream], axis=0)
        axes.plot(parts[:, 0], 100 * parts[:, 1], "o-", label=stream)
    axes.set(xlabel="disagreement, tenths of the questions", ylabel="accuracy of what was served, %")
    axes.legend(fontsize="small")
    figure.savefig(path)
    return path


def _figure() -> Figure:
    mpl.use("Agg")
    return Figure(figsize=(9, 5), dpi=110, layout="constrained")


def _mean(curves: list[list[float | None]]) -> npt.NDArray[np.float64]:
    """Over seeds; NaN where any had no answer."""
    # Streams of different seeds may ask some questions more or less.
    shortest = min(map(len, curves))
    points = np.array([[np.nan if point is None else point for point in curve[:shortest]] for curve in curves])
    return np.asarray(points.mean(axis=0))
