"""Under which conditions runs were carried out: code, seeds, and what else decides a result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.learning.table import markdown

Line = dict[str, Any]
Condition = tuple[str, ...]

HEADS = ("commit", "seeds", "steps a turn", "nodes", "torch, device", "other settings", "runs of")


def conditions(lines: Iterable[Line]) -> str:
    """One row for each set of conditions, those of the most runs first, with the streams and methods that had them.

    A stream stands without methods where all of its methods had the same conditions.

    >>> runs = [("a", "ours", "1"), ("a", "dml", "1"), ("b", "ours", "1"), ("b", "dml", "2"), ("c", "dml", "2")]
    >>> fixed = {"seed": 0, "steps": 4, "size": None, "share": 1.0, "overrides": []}
    >>> lines = [dict(zip(("stream", "method", "commit"), run), **fixed) for run in runs]
    >>> print(conditions(lines).replace(" ---:|", ""))
    | commit | seeds | steps a turn | nodes | torch, device | other settings | runs of |
    |---|---|---|---|---|---|---|
    | 1 | 0 | 4 | all |  |  | a; b (ours) |
    | 2 | 0 | 4 | all |  |  | c; b (dml) |
    <BLANKLINE>
    """
    seeds: defaultdict[tuple[str, str, Condition], set[int]] = defaultdict(set)
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for line in lines:
        seeds[line["stream"], line["method"], _rest(line)].add(line["seed"])
        methods[line["stream"]].add(line["method"])
    by_condition: defaultdict[Condition, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    runs: defaultdict[Condition, int] = defaultdict(int)
    for (stream, method, (commit, *rest)), of in seeds.items():
        condition = (commit, _ranges(sorted(of)), *rest)
        by_condition[condition][stream].append(method)
        runs[condition] += len(of)
    ordered = sorted(by_condition, key=lambda condition: -runs[condition])
    return markdown(HEADS, [[*one, _streams(by_condition[one], methods)] for one in ordered], numbers=False)


def _rest(line: Line) -> Condition:
    """Everything but the seed."""
    where = ", ".join(str(line[name]) for name in ("torch", "device") if name in line)
    others = [f"{name} = {value}" for name, value in line["overrides"]]
    others += [f"share = {line['share']}"] if line["share"] != 1 else []
    size = "all" if line["size"] is None else f"{line['size']:,} at most"
    return line.get("commit", "unknown"), str(line["steps"]), size, where, ", ".join(others)


def _streams(found: Mapping[str, Sequence[str]], methods: Mapping[str, set[str]]) -> str:
    """Streams with the same methods together, those with all of their methods first."""
    together: defaultdict[str, list[str]] = defaultdict(list)
    for stream, own in found.items():
        named = "" if set(own) == methods[stream] else f" ({', '.join(sorted(own))})"
        together[named].append(stream)
    return "; ".join(f"{', '.join(streams)}{named}" for named, streams in sorted(together.items()))


def _ranges(numbers: Sequence[int]) -> str:
    """Successive numbers as ranges.

    >>> _ranges([0, 1, 2, 5])
    '0 to 2, 5'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)
