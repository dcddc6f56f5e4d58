"""What one would write with PyG instead: after each batch, the reached rows from their subgraph, or all rows.

    python -m benchmarks.peers [--rounds 10] [--directed]

An Arxiv-shaped graph and PyG's own layers of the same width. `k_hop_subgraph` finds the rows that a batch reaches, and
the rows that those are computed from. An update counts from the event to the new probabilities. The ways alternate in
one run on graphs that are the same. The edge list of PyG is changed by masking and concatenation, which counts too.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import k_hop_subgraph

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.incremental_inference import WIDTH, batches, embed, ends_of, load
from benchmarks.report import emit
from olad_core.events import Event, RemoveEdge, UpsertEdge
from olad_core.serving.touched import merge
from olad_core.students import build_student

LAYERS = 2
CONVOLUTIONS = {"sage": SAGEConv, "gcn": GCNConv, "gat": GATConv}
SIZES = (1000, 20, 1)


class Network(nn.Module):
    """Two layers and a head."""

    def __init__(self, architecture: str, features: int, classes: int) -> None:
        super().__init__()
        kind = CONVOLUTIONS[architecture]
        self.layers = nn.ModuleList([kind(features, WIDTH), kind(WIDTH, WIDTH)])
        self.head = nn.Linear(WIDTH, classes)
        # An edge changes the lowest layer of its ends alone. GCN also divides by degrees: their neighbours change too,
        # and degrees must be whole one hop beyond what is read.
        self.reach = LAYERS if architecture == "gcn" else LAYERS - 1

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Probabilities ``[N, C]`` of all nodes of a graph."""
        for layer in self.layers:
            x = torch.relu(layer(x, edges))
        return torch.softmax(self.head(x), dim=1)


@dataclass
class PyGGraph:
    """A graph as PyG holds it, with the probabilities that are kept.

    Attributes:
        edges: int64 ``[2, E]``, each pair once; both ways where the graph is undirected.
        x: features ``[N, F]``.
        kept: probabilities ``[N, C]``.
    """

    edges: Tensor
    x: Tensor
    kept: Tensor
    directed: bool

    def apply(self, events: list[Event]) -> Tensor:
        """Change the edges; the nodes at their ends."""
        pairs = torch.tensor([ends_of(event) for event in events if isinstance(event, UpsertEdge | RemoveEdge)]).T
        new = torch.tensor([isinstance(event, UpsertEdge) for event in events])
        if not self.directed:
            pairs, new = torch.cat([pairs, pairs.flip(0)], dim=1), torch.cat([new, new])
        keys = self._keys(self.edges)
        rest = self.edges[:, ~torch.isin(keys, self._keys(pairs))]
        self.edges = torch.cat([rest, torch.unique(pairs[:, new], dim=1)], dim=1)
        touched: Tensor = torch.unique(pairs)
        return touched

    def reached(self, network: Network, touched: Tensor) -> int:
        """Renew the rows that changed edges reach, from the rows around them; how many they are."""
        nodes, reach = len(self.x), network.reach
        rows, *_ = k_hop_subgraph(touched, reach, self.edges, flow="target_to_source", num_nodes=nodes)
        below, edges, place, _ = k_hop_subgraph(rows, reach + 1, self.edges, relabel_nodes=True, num_nodes=nodes)
        self.kept[rows] = network(self.x[below], edges)[place]
        return len(rows)

    def whole(self, network: Network) -> Tensor:
        """Probabilities of all nodes."""
        probabilities: Tensor = network(self.x, self.edges)
        return probabilities

    def _keys(self, pairs: Tensor) -> Tensor:
        """One number for each pair."""
        return pairs[0] * len(self.x) + pairs[1]


def held_by_pyg(arrays: GraphArrays, network: Network, *, directed: bool) -> PyGGraph:
    """The generated graph."""
    edges = torch.from_numpy(np.stack([arrays.src, arrays.dst]))
    edges = torch.unique(edges if directed else torch.cat([edges, edges.flip(0)], dim=1), dim=1)
    graph = PyGGraph(edges, torch.from_numpy(arrays.x), torch.empty(0), directed)
    graph.kept = graph.whole(network)
    return graph


@torch.inference_mode()
def measure(arrays: GraphArrays, architecture: str, *, directed: bool, rounds: int) -> dict[str, float]:
    """Medians of one architecture."""
    ours = load(arrays, directed=directed)
    student = build_student(architecture, arrays.x.shape[1], WIDTH, arrays.classes, seed=0)
    embedding = embed(ours, student, arrays.classes)
    torch.manual_seed(0)
    network = Network(architecture, arrays.x.shape[1], arrays.classes).eval()
    theirs = held_by_pyg(arrays, network, directed=directed)
    random = np.random.default_rng(1)
    results: dict[str, float] = {}
    for size in SIZES:
        next_batch = batches(arrays, max(size, 2), random)
        spent: dict[str, list[float]] = {"incremental": [], "k_hop": [], "full": []}
        rows = []
        for _ in range(rounds):
            events = next_batch()[:size]
            started = perf_counter()
            embedding.mark(ours, merge([ours.apply(events, 0.0)], ours))
            # All reached rows, as the others compute them; the service computes most of them when they are asked for.
            embedding.compute(ours, embedding.marked(ours))
            spent["incremental"].append(perf_counter() - started)
            started = perf_counter()
            touched = theirs.apply(events)
            applying = perf_counter() - started
            rows.append(theirs.reached(network, touched))
            spent["k_hop"].append(perf_counter() - started)
            started = perf_counter()
            full = theirs.whole(network)
            spent["full"].append(perf_counter() - started + applying)
        seconds = {name: median(values) for name, values in spent.items()}
        results[f"incremental_ms_at_{size}"] = 1e3 * seconds["incremental"]
        results[f"k_hop_ms_at_{size}"] = 1e3 * seconds["k_hop"]
        results[f"times_k_hop_at_{size}"] = seconds["k_hop"] / seconds["incremental"]
        results[f"times_full_at_{size}"] = seconds["full"] / seconds["incremental"]
        results[f"k_hop_rows_at_{size}"] = median(rows)
    results["k_hop_greatest_difference"] = float((full - theirs.kept).abs().max())
    return results


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="batches of each size")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the graph's size")
    parser.add_argument("--directed", action="store_true", help="messages pass one way only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    arrays = arxiv_shaped(int(169_343 * args.scale), int(1_166_243 * args.scale))
    results: dict[str, float] = {}
    for architecture in CONVOLUTIONS:
        measured = measure(arrays, architecture, directed=args.directed, rounds=args.rounds)
        results |= {f"{architecture}_{name}": value for name, value in measured.items()}
    emit("peers", results)


if __name__ == "__main__":
    main()
