"""The live graph: events in, rows and adjacency out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.config import MAX_CLASSES, REMOVED_KEPT
from olad_core.events import ClassDecision, Event, GraphSchema
from olad_core.graph.arrays import lengthened
from olad_core.graph.batch import Batch, Limits, or_nan, reject_absent, settle
from olad_core.graph.changes import Changes
from olad_core.graph.clock import Clock
from olad_core.graph.columns import Columns
from olad_core.graph.edge_arrays import EdgeList
from olad_core.graph.event_columns import EventColumns, columns_of
from olad_core.graph.features import FeatureTable
from olad_core.graph.localise import Localiser
from olad_core.graph.neighbours import Neighbours
from olad_core.graph.node_ids import NodeIds
from olad_core.graph.node_pass import furthest
from olad_core.graph.relations import RelationRule, Relations, StandIns
from olad_core.graph.structure import Structure
from olad_core.graph.text import unpack
from olad_core.graph.text_loops import Slices
from olad_core.graph.type_numbers import number_types
from olad_core.graph.typed_features import TypedFeatures
from olad_core.graph_types import RELATION, EdgeType, NodeType
from olad_core.memory_use import NUMBERS_OF_NODE, Sizes, numbers_of_task
from olad_core.schema import HeldSchema, after_declaration, after_events, directions, lifetimes
from olad_core.task_types import NodeValueTask, Task

FEWEST_ROWS = 64
"""Rows that memory is taken for at first."""
FEWEST_GIVEN_BACK = 1024
"""Rows that are worth to be given back."""
_PER_ROW = ("label", "alive", "arrival")


class DynamicGraph:
    """A graph that changes with every batch of events.

    Every living node has a row; all arrays are indexed by row and longer than the rows in use (``capacity``). A removed
    node's row is free for another node from the next batch on. The arrays are replaced when they grow: read them
    through the graph, write to none.

    >>> from olad_core.events import UpsertEdge
    >>> graph = DynamicGraph()
    >>> changes = graph.apply([UpsertEdge(src="a", dst="b", weight=2.0)], time=0.0)
    >>> graph.ids(graph.in_neighbours(graph.rows(["a"])).index)
    ['b']

    Attributes:
        label: int32 ``[capacity]``, class of the node, -1 where it is not known.
        alive: bool ``[capacity]``, whether the row holds a node.
        arrival: int64 ``[capacity]``, how many nodes were created before this one, over the graph's whole life.
        structure: what the edges of each node come to, in steps.
        edge_lifetime: edges whose type declares no other leave that long after their last time; None where they stay.
        edge_types: the declared ones, by name.
        node_types: the declared ones, by name.
        tasks: the declared ones, by name.
        features: of the nodes that have some, by row.
        ts_ahead_max: how far a ``ts`` may lie ahead of the latest one; None where that is not declared.
    """

    def __init__(
        self,
        *,
        directed: bool = False,
        feature_width: int | None = None,
        edge_lifetime: float | None = None,
        classes: Sequence[str] = (),
        max_classes: int = MAX_CLASSES,
        removed_kept: int = REMOVED_KEPT,
    ) -> None:
        self.edge_lifetime = edge_lifetime
        self.edge_types: Mapping[str, EdgeType] = {}
        self.node_types: Mapping[str, NodeType] = {}
        self.tasks: Mapping[str, Task] = {}
        self.ts_ahead_max: float | None = None
        self.decisions: Mapping[str, ClassDecision] = {}
        """What the schema declares about labels of answers, by class."""
        self._clock = Clock()
        self._width = feature_width
        self._width_held = False
        self._max_classes = max_classes
        self._nodes = NodeIds(removed_kept)
        self._nodes.add_classes(classes)
        self._directed = directed
        self._edges = Relations({RELATION: RelationRule(directed, edge_lifetime)}, FEWEST_ROWS)
        self._allocate()

    @property
    def directed(self) -> bool:
        """Whether an edge whose type declares nothing else is seen from its target only."""
        return self._directed

    @property
    def relations(self) -> tuple[str, ...]:
        """The types of edges in the order of their numbers; one where none is declared."""
        return self._edges.names

    @property
    def relation_rules(self) -> Mapping[str, RelationRule]:
        """What holds for the edges of each type, in the order of their numbers."""
        return self._edges.rules

    @property
    def num_nodes(self) -> int:
        """Number of living nodes."""
        return self._nodes.living

    @property
    def num_edges(self) -> int:
        """Number of edges, an undirected one counted once."""
        return self._edges.count

    @property
    def clock(self) -> float:
        """The latest time: the greatest of any event applied, unless it was set; minus infinity before the first.

        Removals have no time.
        """
        return self._clock.latest

    @property
    def clock_from_ts(self) -> bool:
        """Whether the clock is event time; it is the time of arrival until an event with a ``ts`` is applied."""
        return self._clock.from_ts

    def time_at(self, arrival: float) -> float:
        """The time that an event without a ``ts`` gets where it arrives with the next entry, at these seconds."""
        return self._clock.at(arrival).now

    @property
    def last_arrival(self) -> float:
        """Seconds at which the last batch arrived; minus infinity before the first."""
        return self._clock.arrival

    @property
    def capacity(self) -> int:
        """Length of the row arrays."""
        return self.alive.size

    @property
    def num_features(self) -> int | None:
        """Width of the features; None before the first were seen or declared. With types of nodes the common width."""
        return self.features.width if isinstance(self.features, TypedFeatures) else self._width

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of their numbers."""
        return list(self._nodes.classes)

    @property
    def removed_ids(self) -> int:
        """Ids of removed nodes that are remembered."""
        return self._nodes.remembered

    @property
    def sizes(self) -> Sizes:
        """What memory is needed for."""
        types = len(self.relations)
        return Sizes(
            self._nodes.end,
            self.num_edges + self._edges.count_with_ids,
            self.features.count,
            self.num_features or 0,
            len(self._nodes.classes),
            types,
            self._edges.count_of_features,
            len(self.tasks),
            sum(self._numbers_of(task) for task in self.tasks.values()),
        )

    def _numbers_of(self, task: Task) -> int:
        """Numbers that a task remembers of an edge; one with numbers as labels has less than one with classes."""
        if isinstance(task, NodeValueTask):
            return NUMBERS_OF_NODE
        return numbers_of_task(len(getattr(task, "classes", ())), self.relation_rules[task.edge_type].width)

    @property
    def schema(self) -> HeldSchema:
        """What was declared or found out so far."""
        return HeldSchema(
            feature_width=self._width,
            feature_width_held=self._width_held,
            classes=tuple(self._nodes.classes),
            directed=self.directed,
            edge_lifetime=self.edge_lifetime,
            ts_ahead_max=self.ts_ahead_max,
            decisions=dict(self.decisions),
            edge_types=dict(self.edge_types),
            node_types=dict(self.node_types),
            tasks=dict(self.tasks),
        )

    def in_weight_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Sum of the weights of each row's incoming edges, float64 ``[n]``."""
        return self._edges.in_weight_of(rows)

    def apply(self, events: Sequence[Event], time: float) -> Changes:
        """Apply a batch: every event in order, then the leaving of edges that are too old.

        An event that is impossible changes nothing, and moves no clock. An edge event sets the edge's time to its own,
        even to an earlier one. An event without ``ts`` happens at the graph's latest time; while no event has had
        one, at the time of its arrival. What happened before the first ``ts`` happened at it.

        Args:
            events: checked events.
            time: seconds at which they arrived; may go back, which the graph's clock does not.
        """
        events = columns_of(events)
        return self.carry_out(events, self.settle(events, time))

    def settle(
        self,
        events: EventColumns,
        time: float,
        nodes: NodeIds | None = None,
        interned: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    ) -> Batch:
        """What a batch comes to as far as nodes are concerned, which come and go; the first half of :meth:`apply`.

        Args:
            events: checked events.
            time: seconds at which they arrived.
            nodes: that come and go; those of this graph if None. With others the graph itself stays as it is.
            interned: as of :func:`olad_core.graph.batch.settle`.
        """
        nodes = self._nodes if nodes is None else nodes
        number_types(events.columns, self._edges.rules, self.node_types)
        limits = Limits(
            self._edges.longest_lifetime,
            self.ts_ahead_max,
            self._max_classes,
            self._width,
            self._width_held,
            nodes.typed,
        )
        return settle(events, self._clock.at(time), nodes, limits, interned)

    def carry_out(self, events: EventColumns, batch: Batch) -> Changes:
        """Apply what a batch comes to; the second half of :meth:`apply`."""
        if (batch.width, batch.width_held) != (self._width, self._width_held):
            self._hold_width(batch.width, held=batch.width_held)
        self._reserve(self._nodes.end)
        if batch.created.size:
            self.arrival[batch.created] = np.arange(self._nodes.arrivals - batch.created.size, self._nodes.arrivals)
            self.alive[batch.created] = True
        if isinstance(self.features, TypedFeatures):
            self.features.kind = self._nodes.arrays.kind
        changed = self._put_features(batch, events.columns)
        if batch.kinded.size:
            changed = np.union1d(changed, batch.kinded)
        differing = self._put_labels(batch)
        if batch.first_ts is not None:
            self._edges.set_times(batch.first_ts)
            self.structure.set_times(batch.first_ts)
        absent = self._edges.run(batch.operations, batch.event_of, events.columns)
        self._clock = batch.clock
        expired = self._edges.expire(self.clock)
        arcs = self._edges.take_changes()
        steps = self.structure.follow(self._edges, batch.operations, arcs, timed=self._clock.from_ts)

        if batch.freed.size:
            self.alive[batch.freed] = False
            self.structure.remove(batch.freed)
            self.features.remove(batch.freed)
            self.label[batch.freed] = -1
        return Changes(
            created=batch.created[self.alive[batch.created]] if batch.freed.size else batch.created,
            features=changed,
            labelled=batch.labelled,
            label_differs=differing,
            removed_rows=batch.removed_rows,
            removed_ids=batch.removed_ids,
            edge_source=arcs.source,
            edge_target=arcs.target,
            weight_before=arcs.before,
            weight_after=arcs.after,
            stepped=steps.rows,
            stepped_columns=steps.columns,
            expired=expired,
            rejected=reject_absent(events, batch, absent.tolist()) if absent.size else batch.rejected,
            anything=bool(
                batch.created.size or batch.removed_rows.size or changed.size or arcs.source.size or differing.any()
            ),
        )

    @property
    def is_worth_beginning_anew(self) -> bool:
        """Whether there is no node, but there are rows enough that were used."""
        return not self.num_nodes and self._nodes.end >= FEWEST_GIVEN_BACK

    def begin_anew(self) -> None:
        """Give back the memory of all rows, and use them from the first one again; there must be no node.

        Whoever holds rows has to forget them.
        """
        assert not self.num_nodes, "rows are in use"
        self._nodes.begin_anew()
        self._edges = self._edges.emptied(FEWEST_ROWS)
        self._allocate()

    def declare(self, schema: GraphSchema) -> None:
        """Follow a schema change: new classes, the feature width, the edge lifetime, the direction.

        Classes that the schema does not name stay. Edges too old for a new lifetime leave with the next batch.

        Raises:
            SchemaConflict: for another feature width than that of features that have arrived, or another direction
                once there are edges. Nothing is changed then.
            TooManyClasses: for more classes than there may be. Nothing is changed then.
        """
        # An entry of the log holds the whole schema, so what it leaves out is not left as it is.
        whole = GraphSchema(**schema.model_dump())
        after = after_declaration(self.schema, whole, self._max_classes)
        lives = lifetimes(after)
        rules = {
            name: RelationRule(directed, lives[name], *_table_of(after.edge_types.get(name)))
            for name, directed in directions(after).items()
        }
        self._edges.follow(rules, after.edge_types)
        self._follow(after)
        if after.node_types:
            self._hold_types(after.node_types)
        self._directed = after.directed
        self.edge_lifetime = schema.edge_lifetime
        self.edge_types = after.edge_types
        self.tasks = after.tasks
        self.ts_ahead_max = schema.ts_ahead_max
        self.decisions = after.decisions

    def set_clock(self, time: float | None, arrival: float) -> None:
        """Set the latest time, also to an earlier one. Edges that are too old then leave with the next batch.

        No edge keeps a time after it, for an edge of the future would stay.

        Args:
            time: the latest time; None makes the time of arrival the clock, until the next ``ts``.
            arrival: seconds at which this was asked for.
        """
        self._clock = self._clock.at(arrival).set_to(time)
        self._edges.set_times(self._clock.latest, only_later=time is not None)
        self.structure.set_times(self._clock.latest, only_later=time is not None)

    def pass_over(self, events: Sequence[Event]) -> None:
        """Follow what a batch that cannot be applied adds to the schema; nothing else of it happens."""
        self._follow(after_events(self.schema, events))

    def hold(self, width: int | None, classes: Sequence[str], *, held: bool) -> None:
        """Take over a feature width and classes that other parts of a graph have found out.

        Args:
            width: of the features; None while it is unknown.
            classes: names in the order of their numbers.
            held: whether features of that width have arrived.
        """
        if (width, held) != (self._width, self._width_held):
            self._hold_width(width, held=held)
        if len(classes) > len(self._nodes.classes):
            self._nodes.add_classes(classes)

    def row(self, node: str) -> int:
        """Row of a node; KeyError where there is no such node."""
        row = int(self.rows([node])[0])
        if row < 0:
            raise KeyError(node)
        return row

    def rows(self, ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """Rows of nodes, -1 where there is no such node."""
        return self._nodes.rows(ids)

    def rows_of(self, ids: Slices) -> npt.NDArray[np.int64]:
        """Rows of nodes whose ids are parts of an array of bytes, -1 where there is no such node."""
        return self._nodes.rows_of(ids)

    def kinds(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        """Numbers of the types of the nodes in these rows, -1 where it is not known or nodes have no types."""
        return self._nodes.arrays.kind[rows] if self._nodes.typed else np.full(rows.size, -1, np.int16)

    def ids(self, rows: Iterable[int] | npt.NDArray[np.int64]) -> list[str]:
        """Ids of the nodes in these rows; KeyError for a row that holds none."""
        return unpack(*self.ids_bytes(np.array(rows, np.int64)))

    def ids_bytes(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Ids of the nodes in these rows as UTF-8, one after the other, and where each begins and the last one ends.

        >>> from olad_core.events import UpsertNode
        >>> graph = DynamicGraph()
        >>> _ = graph.apply([UpsertNode("a"), UpsertNode("bcd")], time=0.0)
        >>> text, offsets = graph.ids_bytes(np.array([1, 0]))
        >>> text.tobytes(), offsets.tolist()
        (b'bcda', [0, 3, 4])

        Raises:
            KeyError: for a row that holds no node.
        """
        return self._nodes.bytes_of(rows)

    def were_removed(self, ids: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which ids are those of removed nodes that are remembered: bool ``[n]``."""
        return self._nodes.were_removed(ids)

    def edges_between(
        self, source: npt.NDArray[np.int64], target: npt.NDArray[np.int64], relation: npt.NDArray[np.int64]
    ) -> EdgeList:
        """Those of the edges between pairs of rows that there are, each of a numbered type, each once."""
        return self._edges.between(source, target, relation)

    def edges_due(self, times: Iterable[float], most: int) -> EdgeList:
        """The edges that would leave by age with events of these times.

        Where the graph's clock is not event time yet, those that are too old already: with the first event time all
        edges get the same age. Where they are more than ``most``, so many at least.
        """
        clock = self._clock
        latest = clock.now
        lifetime, ahead = or_nan(self._edges.longest_lifetime), or_nan(self.ts_ahead_max)
        for time in times if clock.from_ts else ():
            if time <= furthest(lifetime, ahead, latest):
                latest = max(latest, time)
        return self._edges.due(latest, most)

    def part(
        self, rows: npt.NDArray[np.int64], outside: str, removed: Sequence[str], edges: EdgeList
    ) -> tuple[DynamicGraph, StandIns]:
        """A graph of some of these nodes and edges, with the same schema, classes and clock.

        One edge of each type, to and from a node outside, stands for all other edges of a node
        (:meth:`Relations.part`), so that the sums of weights are those of the whole graph.

        Args:
            rows: of the nodes, which have the rows from 0 on in the part.
            outside: id of the node outside, which no node has.
            removed: ids that count as those of removed nodes.
            edges: in the rows of the part.

        Returns:
            The graph, and for how many edges the others stand.
        """
        part = DynamicGraph(max_classes=self._max_classes, feature_width=self._width)
        part.edge_lifetime, part.edge_types, part.node_types = self.edge_lifetime, self.edge_types, self.node_types
        part.ts_ahead_max, part.decisions, part._clock = self.ts_ahead_max, self.decisions, self._clock
        part._width_held, part._directed = self._width_held, self._directed
        part._nodes = self._nodes.part(rows, outside, removed)
        part._edges, stand_ins = self._edges.part(rows, edges)
        part.label, part.alive, part.arrival = self.label[rows], self.alive[rows], self.arrival[rows]
        part.features, part.structure = self.features.part(rows), self.structure.part(rows)
        part._reserve(rows.size + 1)
        part.alive[rows.size] = True
        if isinstance(part.features, TypedFeatures):
            part.features.kind = part._nodes.arrays.kind
        return part, stand_ins

    def sums_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """In- and out-degree and in- and out-weight of rows, ``[n, 4]``.

        Edges that are seen from both ends count as incoming alone.
        """
        return self._edges.sums_of(rows)

    def steps_of(self, rows: npt.NDArray[np.int64], sums: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """The steps of structure ``[n, 6]`` that rows would have with these sums (:meth:`sums_of`)."""
        return self.structure.steps_of(rows, sums, timed=self._clock.from_ts)

    def count_stand_ins(self, stand_ins: StandIns) -> None:
        """Take the structure of a part's nodes anew, counting all edges that others stand for, where these are left."""
        rows = np.arange(len(stand_ins.into))
        sums = self._edges.sums_of(rows)
        sums[:, :2] += self._edges.stood_for(stand_ins)
        rows = rows[self.alive[rows]]
        self.structure.take_anew(rows, sums[rows], timed=self._clock.from_ts)

    def in_neighbours(self, rows: npt.NDArray[np.int64]) -> Neighbours:
        """Every node with an edge into these rows' nodes; a row that holds no node has none.

        Raises:
            IndexError: for a row outside ``0 .. capacity - 1``.
        """
        return self._edges.in_neighbours(self._checked(rows))

    def out_neighbours(self, rows: npt.NDArray[np.int64]) -> Neighbours:
        """Every node that these rows' nodes have an edge to; the same as `in_neighbours` where undirected.

        Raises:
            IndexError: for a row outside ``0 .. capacity - 1``.
        """
        return self._edges.out_neighbours(self._checked(rows))

    def sample_in_neighbours(self, rows: npt.NDArray[np.int64], fanout: int, seed: int) -> Neighbours:
        """Up to ``fanout`` distinct in-neighbours of each row, drawn uniformly without replacement.

        All of them where there are no more than that. Where edges have several types, each has an equal share of the
        fanout. The same graph, rows and seed give the same sample.

        Raises:
            IndexError: for a row outside ``0 .. capacity - 1``.
            ValueError: for a fanout below 1.
        """
        return self._edges.sample(self._checked(rows), fanout, seed)

    def localised(
        self, targets: npt.NDArray[np.int64], index: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Number distinct ``targets`` and the other rows in ``index``, in this order.

        Returns:
            The rows in the order of their numbers, and the numbers of ``index``.
        """
        return self._localiser(self._checked(targets), self._checked(index), self.capacity)

    def distinct(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows in ``index``, each once, in the order in which they first stand there."""
        return self._localiser.distinct(self._checked(index), self.capacity)

    def in_degree(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of incoming edges of each row."""
        return self._edges.in_degree(self._checked(rows))

    def in_degrees(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of incoming edges of each row by type, ``[n, R]``."""
        return self._edges.in_degrees(self._checked(rows))

    def out_degree(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of outgoing edges of each row."""
        return self._edges.out_degree(self._checked(rows))

    def edge_index(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Source, target and weight of every arc, ascending by target; undirected edges in both directions."""
        rows = np.arange(self._nodes.end)
        found = self.in_neighbours(rows)
        return found.index, np.repeat(rows, np.diff(found.indptr)), found.weight

    def living(self) -> npt.NDArray[np.int64]:
        """Rows of all nodes, in the order of their arrival."""
        rows = np.flatnonzero(self.alive)
        return rows[np.argsort(self.arrival[rows], kind="stable")]

    def edge_list(self) -> EdgeList:
        """Every edge once; in an undirected graph the end of the smaller row is its source.

        >>> from olad_core.events import UpsertEdge
        >>> graph = DynamicGraph()
        >>> _ = graph.apply([UpsertEdge(src="a", dst="b", weight=2.0, ts=7.0)], time=0.0)
        >>> [array.tolist() for array in graph.edge_list()]
        [[0], [1], [2.0], [7.0], [0], [-1]]
        """
        return self._edges.edges()

    def find_edges(self, edge_type: str, ids: Sequence[str]) -> EdgeList:
        """Edges by their ids, within a type whose edges have ids; rows of -1 where there is no such edge.

        >>> from olad_core.events import UpsertEdge
        >>> graph = DynamicGraph()
        >>> graph.declare(GraphSchema(edge_types={"paid": EdgeType(ids=True)}))
        >>> payments = [UpsertEdge("a", "b", type="paid", id="p1"), UpsertEdge("a", "b", 3.0, type="paid", id="p2")]
        >>> _ = graph.apply(payments, time=0.0)
        >>> found = graph.find_edges("paid", ["p2", "p3"])
        >>> found.source.tolist(), found.target.tolist(), found.weight.tolist()
        ([0, -1], [1, -1], [3.0, 0.0])

        Raises:
            KeyError: there is no such type, or its edges have no ids.
        """
        edges = self._edges.parallel(edge_type)
        return edges.ends(edges.find(ids), self.relations.index(edge_type))

    def edge_features(self, edges: EdgeList) -> npt.NDArray[np.float32]:
        """Features of edges that are there, ``[n, D]``, those of each type in its first columns.

        Args:
            edges: as :meth:`find_edges`, :meth:`edges_between` or :meth:`edge_list` give them.
        """
        return self._edges.features_of(edges)

    @property
    def edge_feature_width(self) -> int:
        """D: the greatest number of features of an edge of any type."""
        return self._edges.width

    def edge_ids(self) -> list[str | None]:
        """Ids of the edges in the order of :meth:`edge_list`; None where those of a type have none."""
        return self._edges.edge_ids()

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that the graph's future depends on, as arrays. They may be those in use: copy them in time."""
        end = self._nodes.end
        return {
            **self.features.state(end),
            "label": self.label[:end],
            "arrival": self.arrival[:end],
            "capacity": np.array(self.capacity, np.int64),
            "feature_width": np.array(self._width or 0, np.int64),
            "feature_width_held": np.array(self._width_held),
            "directed": np.array(self.directed),
            "edge_lifetime": np.array(or_nan(self.edge_lifetime)),
            "ts_ahead_max": np.array(or_nan(self.ts_ahead_max)),
            **({"decisions": _as_bytes(GraphSchema(decisions=dict(self.decisions)))} if self.decisions else {}),
            **({"node_types": _as_bytes(GraphSchema(node_types=dict(self.node_types)))} if self.node_types else {}),
            **({"edge_types": _as_bytes(GraphSchema(edge_types=dict(self.edge_types)))} if self.edge_types else {}),
            **({"tasks": _as_bytes(GraphSchema(tasks=dict(self.tasks)))} if self.tasks else {}),
            **self._clock.state(),
            **self._nodes.state(),
            **self._edges.state(end),
            **self.structure.state(end),
        }

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, npt.NDArray[np.generic]],
        arrival: float = -math.inf,
        *,
        max_classes: int = MAX_CLASSES,
        removed_kept: int = REMOVED_KEPT,
    ) -> DynamicGraph:
        """The graph that :meth:`state` was taken of; it goes on in exactly the same way.

        Args:
            state: the arrays.
            arrival: seconds at which the last entry arrived, for a state of a release that did not keep that.
            max_classes: classes that there may be.
            removed_kept: ids of removed nodes that are remembered.
        """
        lifetime, ahead_max = float(state["edge_lifetime"]), float(state.get("ts_ahead_max", np.array(math.nan)))
        width = int(state["feature_width"])
        graph = cls(feature_width=width or None, max_classes=max_classes)
        graph._nodes = NodeIds.from_state(state, removed_kept)
        capacity, end = int(state["capacity"]), graph._nodes.end
        graph._reserve(capacity)
        for name in ("label", "arrival"):
            getattr(graph, name)[:end] = state[name]
        if "node_types" in state:
            graph._hold_types(GraphSchema.model_validate_json(state["node_types"].tobytes()).node_types)
            widths = [each.feature_width or 0 for each in graph.node_types.values()]
            graph.features = TypedFeatures.from_state(state, capacity, widths)
            graph._nodes.give_kinds(state["node_kind"].astype(np.int16))
            graph.features.kind = graph._nodes.arrays.kind
        else:
            graph.features = FeatureTable.from_state(state, capacity, width)
        graph._width_held = bool(state["feature_width_held"])
        graph.alive[:end] = graph._nodes.arrays.name_of[:end] >= 0
        graph._clock = Clock.from_state(state, arrival)
        graph.ts_ahead_max = None if math.isnan(ahead_max) else ahead_max
        if "decisions" in state:
            graph.decisions = GraphSchema.model_validate_json(state["decisions"].tobytes()).decisions
        if "tasks" in state:
            graph.tasks = GraphSchema.model_validate_json(state["tasks"].tobytes()).tasks
        if "edge_types" in state:
            graph.edge_types = GraphSchema.model_validate_json(state["edge_types"].tobytes()).edge_types
        graph.edge_lifetime = None if math.isnan(lifetime) else lifetime
        graph._directed = bool(state["directed"])
        graph._edges = Relations.from_state(state, RelationRule(graph._directed, graph.edge_lifetime), capacity)
        graph.structure = Structure.from_state(state, graph._edges, capacity)
        return graph

    def _allocate(self) -> None:
        """Make the row arrays, as small as they are at first."""
        self.label = np.full(FEWEST_ROWS, -1, np.int32)
        self.alive = np.zeros(FEWEST_ROWS, np.bool_)
        self.arrival = np.zeros(FEWEST_ROWS, np.int64)
        self.structure = Structure(FEWEST_ROWS)
        self.features: FeatureTable | TypedFeatures = FeatureTable(FEWEST_ROWS, self._width or 0)
        if self.node_types:
            self._hold_types(self.node_types)
        self._localiser = Localiser()

    def _checked(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        rows = np.ascontiguousarray(rows, np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < self.capacity:
            raise IndexError(f"rows are 0 to {self.capacity - 1}, not {rows.min()} to {rows.max()}")
        return rows

    def _follow(self, schema: HeldSchema) -> None:
        """Take over the feature width and the classes."""
        self._hold_width(schema.feature_width, held=schema.feature_width_held)
        self._nodes.add_classes(schema.classes)

    def _hold_types(self, node_types: Mapping[str, NodeType]) -> None:
        """Follow the declared types of nodes, to which types may have been added."""
        self.node_types = node_types
        self._nodes.typed = True
        widths = [each.feature_width or 0 for each in node_types.values()]
        if isinstance(self.features, TypedFeatures):
            self.features.add(widths)
        else:
            self.features = TypedFeatures(self.capacity, widths)

    def _put_features(self, batch: Batch, columns: Columns) -> npt.NDArray[np.int64]:
        """Set the features of a batch; the rows that had others before, ascending."""
        if not batch.featured.size:
            return batch.featured
        return np.sort(batch.featured[self.features.put(batch.featured, columns, batch.features_of)])

    def _put_labels(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """Set the labels of a batch; which of them are others than before."""
        if not batch.labelled.size:
            return np.empty(0, np.bool_)
        differing: npt.NDArray[np.bool_] = self.label[batch.labelled] != batch.classes
        self.label[batch.labelled] = batch.classes
        return differing

    def _hold_width(self, width: int | None, *, held: bool) -> None:
        if width != self._width:
            # No features have arrived yet.
            self.features = FeatureTable(self.capacity, width or 0)
        self._width, self._width_held = width, held

    def _reserve(self, rows: int) -> None:
        """Reserve so many rows."""
        if rows > self.capacity:
            capacity = max(rows, 2 * self.capacity)
            used = self.capacity
            for name in _PER_ROW:
                setattr(self, name, lengthened(getattr(self, name), capacity))
            self.label[used:] = -1
            self.features.reserve(capacity)
            self._edges.reserve_rows(capacity)
            self.structure.reserve(capacity)


def _table_of(edge_type: EdgeType | None) -> tuple[bool, int]:
    """Whether edges of a type have ids, and how many features."""
    return (False, 0) if edge_type is None else (edge_type.ids, edge_type.feature_width or 0)


def _as_bytes(declared: GraphSchema) -> npt.NDArray[np.uint8]:
    return np.frombuffer(declared.model_dump_json(exclude_unset=True).encode(), np.uint8).copy()
