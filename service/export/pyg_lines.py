"""Lines of Python that load an exported model into plain layers of PyG, and predict the nodes of an exported graph."""

from __future__ import annotations

import json

_IMPORTS = {
    "gcn": "from torch_geometric.nn import GCNConv\nfrom torch_geometric.utils import add_self_loops",
    "sage": "from torch_geometric.nn import GraphConv",
    "gat": "from torch_geometric.nn import GATConv\nfrom torch_geometric.utils import add_self_loops",
    "evolvegcn": "from torch_geometric.nn import GCNConv\nfrom torch_geometric.utils import add_self_loops",
    "mlp": "from torch.nn import Linear",
    "sign": "from torch_geometric.nn import GraphConv, SimpleConv",
}
_LAYERS = {
    "gcn": """\
        self.first = GCNConv(inputs, width, add_self_loops=False, bias=False)
        self.second = GCNConv(width, classes, add_self_loops=False)""",
    "sage": """\
        self.first = GraphConv(inputs, width, bias=False)
        self.second = GraphConv(width, width)
        self.head = torch.nn.Linear(width, classes)""",
    "gat": """\
        self.first = GATConv(inputs, width // 4, heads=4, add_self_loops=False, bias=False)
        self.second = GATConv(width + 1, width, add_self_loops=False, bias=False)
        self.head = torch.nn.Linear(width, classes)""",
    "evolvegcn": """\
        self.encoder = torch.nn.Linear(inputs, width, bias=False)
        self.first = GCNConv(width, width, add_self_loops=False, bias=False)
        self.second = GCNConv(width, width, add_self_loops=False, bias=False)
        self.head = torch.nn.Linear(width, classes)""",
    "mlp": """\
        self.first = Linear(inputs, width, bias=False)
        self.second = Linear(width, width)
        self.head = Linear(width, classes)""",
    "sign": """\
        self.first = torch.nn.Linear(inputs, width, bias=False)
        self.hop = SimpleConv(aggr="sum")
        self.second = GraphConv(2 * width, width)
        self.head = torch.nn.Linear(width, classes)""",
}
_PASS = {
    "gcn": """\
        edges, weight = add_self_loops(edges, weight, num_nodes=len(x))
        return self.second(self.first(x, edges, weight).relu(), edges, weight)""",
    "sage": """\
        share = weight / sums(edges[1], weight, len(x))[edges[1]]
        rows = self.first(x, edges, share).relu()
        return self.head(self.second(rows, edges, share).relu())""",
    "gat": """\
        edges, _ = add_self_loops(edges, num_nodes=len(x))  # GATConv has no weights: all edges count alike
        rows = torch.cat([torch.nn.functional.elu(self.first(x, edges)), torch.ones(len(x), 1)], dim=1)
        return self.head(torch.nn.functional.elu(self.second(rows, edges)))""",
    "evolvegcn": """\
        edges, weight = add_self_loops(edges, weight, num_nodes=len(x))
        rows = self.first(self.encoder(x).relu(), edges, weight).relu()
        return self.head(self.second(rows, edges, weight).relu())""",
    "mlp": """\
        return self.head(self.second(self.first(x).relu()).relu())""",
    "sign": """\
        share = weight / sums(edges[1], weight, len(x))[edges[1]]
        own = self.first(x)
        rows = torch.cat([self.hop(own, edges, share), own], dim=1)
        return self.head(self.second(rows, edges, share).relu())""",
}
_TEXT = """\
import json

import torch
from safetensors import safe_open
from torch.nn.functional import one_hot
{imports}


def sums(nodes, values, count):
    return torch.zeros(count).index_add(0, nodes, values)


def inputs(data, config):
    nodes, (source, target), weight = data.num_nodes, data.edge_index, data.edge_weight
    x = data.x if config["features"] else sums(target, weight, nodes).log1p().unsqueeze(1)
    known = torch.where(data.y < config["labels"], data.y, -1)
    columns = [x, torch.ones(nodes, 1), one_hot(known + 1, config["labels"] + 1)[:, 1:]]
    for name in config["structure"]:  # in steps: one more where a degree or a sum of weights doubles
        way, kind = name.split("_")
        counted, one = (weight, 16) if kind == "weight" else (torch.ones_like(weight), 1)
        total = sums(target if way == "in" else source, counted, nodes)
        step = torch.where(total > 0, (total.log2().round() + one).clamp(1, 47), 0)
        columns.append(one_hot(step.long(), 48))
    return torch.cat(columns, dim=1)


class Model(torch.nn.Module):
    def __init__(self, inputs, width, classes):
        super().__init__()
{layers}

    def forward(self, x, edges, weight):
{passed}


with safe_open({model}, "pt") as file:
    config = json.loads(file.metadata()["olad"])
    weights = {{name: file.get_tensor(name) for name in file.keys()}}
data = torch.load({graph}, weights_only=False)
x = inputs(data, config)
model = Model(x.shape[1], config["width"], len(config["classes"]))
model.load_state_dict(weights)
with torch.no_grad():
    probabilities = model(x, data.edge_index, data.edge_weight).softmax(dim=1)
"""


def pyg_lines(architecture: str, model: str = "model.safetensors", graph: str = "graph.pt") -> str:
    """A program that ends with ``probabilities``, ``[N, C]``, of the nodes of a graph that ``olad export graph`` wrote.

    Args:
        architecture: of the student, one whose weights are those of plain layers.
        model: path of the exported model.
        graph: path of the exported graph, a ``.pt`` file.
    """
    return _TEXT.format(
        imports=_IMPORTS[architecture],
        layers=_LAYERS[architecture],
        passed=_PASS[architecture],
        model=json.dumps(model),
        graph=json.dumps(graph),
    )
