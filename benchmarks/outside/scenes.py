"""Every row of the table, by the graph that it is measured on."""

from __future__ import annotations

from benchmarks.graphs import GraphArrays, arxiv_shaped, uniform
from benchmarks.outside import classes, hub
from benchmarks.outside.freshness import freshness
from benchmarks.outside.idle import idle
from benchmarks.outside.reads import many, popular, single
from benchmarks.outside.rows import Plan, Scene
from benchmarks.outside.throughput import accepted, sustained

ARXIV = 169_343, 1_166_243
SIZES = (10_000, 100_000, 1_000_000)
_FRESH = {"p50_ms": 20.0, "p99_ms": 100.0}


def scenes(plan: Plan) -> list[Scene]:
    """In the order in which they are measured."""
    first = [_defaults(plan), *_sizes(plan), _classes(plan, 350, {"p50_ms": 30, "p99_ms": 120})]
    # A twentieth of 5,000 classes are not many, and direction is in the last scene too.
    return [*first, *([] if plan.quick else [_classes(plan, 5_000, {}), _directed(plan)]), _cheap(plan)]


def _arxiv(plan: Plan, features: int, kinds: int) -> GraphArrays:
    nodes, edges = map(plan.sized, ARXIV)
    return arxiv_shaped(nodes, edges, features, kinds)


def _defaults(plan: Plan) -> Scene:
    """What someone meets who follows the README."""
    rows = (
        freshness("freshness", _FRESH),
        freshness("freshness_100_single", {"p50_ms": 10, "p99_ms": 40}, per_s=100, batch=1),
        freshness("freshness_500_single", {"p50_ms": 20, "p99_ms": 80}, per_s=500, batch=1),
        popular(),
        single(),
        many(),
        idle(plan),
        sustained("sustained", 25_000),
        *hub.rows(),
        accepted(),
    )
    return Scene("arxiv", lambda: _arxiv(plan, 16, 8), rows)


def _sizes(plan: Plan) -> list[Scene]:
    """The same at other sizes: any two nodes may be joined, so that degrees are the same at each."""

    def scene(nodes: int) -> Scene:
        return Scene(
            f"{nodes}_nodes",
            lambda: uniform(plan.sized(nodes), 10, 16, 8),
            (freshness(f"freshness_{nodes}_nodes", _FRESH),),
        )

    return [scene(nodes) for nodes in (SIZES[:2] if plan.quick else SIZES)]


def _classes(plan: Plan, kinds: int, at_most: dict[str, float]) -> Scene:
    shown = max(2, int(kinds * plan.scale))
    nodes, edges = plan.sized(classes.NODES), plan.sized(classes.EDGES)
    return Scene(
        f"{kinds}_classes",
        lambda: arxiv_shaped(nodes, edges, classes.FEATURES, shown),
        classes.rows(kinds, at_most),
        variables={"OLAD_MAX_CLASSES": str(kinds)} if kinds > 1_000 else {},
        hidden_share=classes.HIDDEN_SHARE,
        unserved_counts=True,
    )


def _directed(plan: Plan) -> Scene:
    rows = (freshness("freshness_directed"), sustained("sustained_directed", 60_000))
    return Scene("directed", lambda: _arxiv(plan, 16, 8), rows, directed=True)


def _cheap(plan: Plan) -> Scene:
    """The conditions of figures that were published earlier: directed, and the student whose updates cost least."""
    rows = (
        freshness("freshness_directed_sage", _FRESH),
        freshness("freshness_directed_sage_20000_per_s", per_s=20_000, batch=1_000),
        sustained("sustained_directed_sage", 60_000),
    )
    variables = {"OLAD_STUDENTS": "sage"}
    return Scene("directed_sage", lambda: _arxiv(plan, 128, 40), rows, directed=True, variables=variables)
