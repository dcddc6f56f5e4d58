"""How a graph's schema changes: one rule for the API, which accepts events, and for the graph, which applies them.

The schema is a function of the log alone. Both apply the same functions to the same entries, so both always hold the
same schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from olad_core.config import MAX_CLASSES
from olad_core.errors import OladError
from olad_core.events import Event, EventProblem, GraphSchema, InvalidEvents, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph_types import MAX_EDGE_TYPES, MAX_NODE_TYPES, NODE_TYPE, RELATION, EdgeType, NodeType
from olad_core.task_types import MAX_EDGE_CLASSES, MAX_TASKS, EdgeClassTask, NodeValueTask, Task, tasks_on_edges

_LABELLED = frozenset({LabelNode, UpsertNode})
_ADDED = ("decisions", "edge_types", "node_types", "tasks")
"""Fields that earlier releases do not know."""
_VALUES = ("edge_value", "node_value")
"""Kinds of tasks that predict numbers."""
_ADDED_TO_EDGE_TYPES = ("ids", "feature_width")
"""Fields of a type of edges that earlier releases do not know."""


class HeldSchema(GraphSchema):
    """A schema together with whether its feature width is still open to change."""

    feature_width_held: bool = Field(
        default=False, description="Whether features of this width have arrived: from then on it cannot change."
    )

    def declared(self) -> GraphSchema:
        """The schema alone, as the log carries it."""
        return GraphSchema(**self.model_dump(exclude={"feature_width_held"}))


def schema_json(schema: GraphSchema) -> str:
    """The schema as JSON; without what releases do not know that cannot have written it, so that they can read it."""
    without: dict[str, Any] = {name: True for name in _ADDED if not getattr(schema, name)}
    if schema.edge_types:
        without["edge_types"] = {
            name: {field for field in _ADDED_TO_EDGE_TYPES if not getattr(each, field)}
            for name, each in schema.edge_types.items()
        }
    return schema.model_dump_json(exclude=without)


class SchemaConflict(OladError, ValueError):
    """A change that contradicts what the graph already holds."""


class TooManyClasses(OladError, ValueError):
    """A new class where the graph has as many as it may have.

    Attributes:
        label: the first class that has no place.
        most: number of classes that the graph may have.
    """

    def __init__(self, label: str, most: int) -> None:
        super().__init__(f"{label!r} would be a new class, and the graph has the {most:,} that it may have")
        self.label = label
        self.most = most


def after_declaration(schema: HeldSchema, change: GraphSchema, max_classes: int = MAX_CLASSES) -> HeldSchema:
    """The schema after a declaration: fields left out stay, classes and types are added to and never removed.

    A class that a decision names is declared with it: a name that no label has would else be passed over in silence.

    The feature width can change until features have arrived. Whether ``directed`` may change depends on what was
    applied, so the caller checks that.

    >>> after_declaration(HeldSchema(classes=("a",)), GraphSchema(classes=("b", "a"))).classes
    ('a', 'b')

    Raises:
        SchemaConflict: where another feature width is held.
        TooManyClasses: where the change adds more classes than there may be.
    """
    wanted = {name: getattr(change, name) for name in change.model_fields_set if name in GraphSchema.model_fields}
    if "classes" in wanted or wanted.get("decisions"):
        wanted["classes"] = _with_classes(schema.classes, (*change.classes, *change.decisions), max_classes)
    if "edge_types" in wanted:
        wanted["edge_types"] = _with_edge_types(schema.edge_types, change.edge_types)
    if "node_types" in wanted:
        wanted["node_types"] = _with_node_types(schema, change)
    if "tasks" in wanted:
        edge_types = wanted.get("edge_types", schema.edge_types)
        wanted["tasks"] = _with_tasks(schema, change, edge_types, wanted.get("node_types", schema.node_types))
    open_width = not schema.feature_width_held and "feature_width" in wanted
    width = change.feature_width if open_width else schema.feature_width
    if width is not None and (schema.node_types or change.node_types):
        raise SchemaConflict("feature_width: nodes have types, each with a feature_width of its own")
    if schema.feature_width_held:
        width = wanted.pop("feature_width", None)
        if width is not None and width != schema.feature_width:
            raise SchemaConflict(f"feature_width is {width}, but features of width {schema.feature_width} have arrived")
    return schema.model_copy(update=wanted)


def directions(schema: GraphSchema) -> dict[str, bool]:
    """Whether the edges of each type are directed, those that name none included.

    >>> directions(GraphSchema(directed=True, edge_types={"knows": EdgeType(directed=False), "sent": EdgeType()}))
    {'edge': True, 'knows': False, 'sent': True}
    """
    types = {RELATION: EdgeType(), **schema.edge_types}
    return {name: schema.directed if each.directed is None else each.directed for name, each in types.items()}


def lifetimes(schema: GraphSchema) -> dict[str, float | None]:
    """After how long the edges of each type leave, those that name none included; None where they stay.

    >>> lifetimes(GraphSchema(edge_lifetime=7.0, edge_types={"knows": EdgeType(lifetime=9.0), "sent": EdgeType()}))
    {'edge': 7.0, 'knows': 9.0, 'sent': 7.0}
    """
    types = {RELATION: EdgeType(), **schema.edge_types}
    return {name: schema.edge_lifetime if each.lifetime is None else each.lifetime for name, each in types.items()}


def after_events(schema: HeldSchema, batch: Sequence[Event]) -> HeldSchema:
    """The schema after a checked batch: the first features hold the width; the same object where nothing changes."""
    if schema.feature_width_held or schema.node_types:
        return schema
    width = schema.feature_width
    for event in batch:
        if isinstance(event, UpsertNode) and event.x is not None:
            width = len(event.x) if width is None and isinstance(event.x, list) else width
            if width is not None:
                return schema.model_copy(update={"feature_width": width, "feature_width_held": True})
    return schema


def labels_in(batch: Iterable[Event]) -> dict[str, None]:
    """The labels that a checked batch names, each once, in order."""
    nodes = (event for event in batch if type(event) in _LABELLED)
    named = (event.label for event in nodes if not (isinstance(event, LabelNode) and event.of_task))  # type: ignore[union-attr]
    return dict.fromkeys(str(label) for label in named if label is not None)


def require_tasks(batch: list[Event], schema: GraphSchema) -> list[Event]:
    """The checked batch itself, where every value, and label of an edge, is of a type with the task for it.

    Of which type a node is that a ``label`` names is known to the graph alone.

    Raises:
        InvalidEvents: naming every one that is not.
    """
    kinds = {task.edge_type: task.kind for task in tasks_on_edges(schema.tasks).values() if task.kind != "link"}
    valued = {task.node_type for task in schema.tasks.values() if isinstance(task, NodeValueTask)}
    problems = []
    for index, event in enumerate(batch):
        if not isinstance(event, UpsertEdge | LabelNode):
            if type(event) is UpsertNode and event.value is not None and (event.type or NODE_TYPE) not in valued:
                message = f"nodes of the type {event.type or NODE_TYPE!r} have no task: PUT /schema with tasks first"
                problems.append(EventProblem(index, "value", message))
            continue
        if type(event) is LabelNode and not event.of_edge:
            if event.value is not None and not valued:
                message = "no nodes have a task that predicts values: PUT /schema with tasks first"
                problems.append(EventProblem(index, "value", message))
            continue
        if edge_label(event) is not None and kinds.get(event.type or RELATION) != "edge_class":
            problems.append(EventProblem(index, "label", _without_task(event.type or RELATION, kinds, "value")))
        if event.value is not None and kinds.get(event.type or RELATION) != "edge_value":
            problems.append(EventProblem(index, "value", _without_task(event.type or RELATION, kinds, "label")))
    if problems:
        raise InvalidEvents(problems)
    return batch


def edge_label(event: UpsertEdge | LabelNode) -> str | int | None:
    """The class that an event states of an edge; None where it states none.

    >>> edge_label(LabelNode(src="a", dst="b", label="ok")), edge_label(LabelNode("a", label="ok"))
    ('ok', None)
    """
    if type(event) is UpsertEdge:
        return event.label
    return event.label if event.of_edge and event.value is None else None  # type: ignore[union-attr]


def _without_task(edge_type: str, kinds: Mapping[str, str], other: str) -> str:
    """Why edges of a type have no label, or no value; ``other`` is what they may have."""
    if edge_type in kinds:
        return f"the task of edges of the type {edge_type!r} is {kinds[edge_type]}: send a {other}"
    return f"edges of the type {edge_type!r} have no task: PUT /schema with tasks first"


def _with_edge_types(known: dict[str, EdgeType], more: dict[str, EdgeType]) -> dict[str, EdgeType]:
    together = {**known, **more}
    for name, before in known.items():
        if together[name].ids != before.ids:
            raise SchemaConflict(f"edge_types.{name}.ids is {str(before.ids).lower()}, which stays")
        if together[name].feature_width != before.feature_width:
            width = "null" if before.feature_width is None else before.feature_width
            raise SchemaConflict(f"edge_types.{name}.feature_width is {width}, which stays")
    if len(together) > MAX_EDGE_TYPES:
        raise SchemaConflict(f"edge_types: together these are {len(together)}, and a graph may have {MAX_EDGE_TYPES}")
    return together


def _with_node_types(schema: HeldSchema, change: GraphSchema) -> dict[str, NodeType]:
    together = {**schema.node_types, **change.node_types}
    for name, known in schema.node_types.items():
        if together[name] != known:
            raise SchemaConflict(f"node_types.{name}.feature_width is {known.feature_width}, which stays")
    if len(together) > MAX_NODE_TYPES:
        raise SchemaConflict(f"node_types: together these are {len(together)}, and a graph may have {MAX_NODE_TYPES}")
    return together


def _with_tasks(
    schema: HeldSchema, change: GraphSchema, edge_types: dict[str, EdgeType], node_types: dict[str, NodeType]
) -> dict[str, Task]:
    together = dict(schema.tasks)
    for name, task in change.tasks.items():
        known = together.get(name)
        if known is not None and (known.kind, _type_of(known)) != (task.kind, _type_of(task)):
            raise SchemaConflict(f"tasks.{name} is {known.kind} of {_about(known)}, which stays")
        if isinstance(task, NodeValueTask):
            if task.node_type not in (node_types or {NODE_TYPE: NodeType()}):
                raise SchemaConflict(f"tasks.{name}.node_type: {task.node_type!r} is not declared in node_types")
        elif task.edge_type not in (edge_types or {RELATION: EdgeType()}):
            raise SchemaConflict(f"tasks.{name}.edge_type: {task.edge_type!r} is not declared in edge_types")
        together[name] = _with_classes_of_task(name, known, task) if isinstance(task, EdgeClassTask) else task
        if task.kind in _VALUES and known not in (None, task):
            raise SchemaConflict(f"tasks.{name}.coverage is another one, which stays")
    if len(together) > MAX_TASKS:
        raise SchemaConflict(f"tasks: together these are {len(together)}, and a graph may have {MAX_TASKS}")
    by_type: dict[tuple[str, bool], str] = {}
    for name, task in together.items():
        if (other := by_type.setdefault((_about(task), task.kind == "link"), name)) != name:
            raise SchemaConflict(f"tasks.{name}: {_about(task)} have the task {other!r}")
    return together


def _type_of(task: Task) -> str:
    return task.node_type if isinstance(task, NodeValueTask) else task.edge_type


def _about(task: Task) -> str:
    """What a task is about, for people."""
    return f"{'nodes' if isinstance(task, NodeValueTask) else 'edges'} of the type {_type_of(task)!r}"


def _with_classes_of_task(name: str, known: Task | None, task: EdgeClassTask) -> EdgeClassTask:
    before = known.classes if isinstance(known, EdgeClassTask) else ()
    classes = tuple(dict.fromkeys((*before, *task.classes)))
    if len(classes) > MAX_EDGE_CLASSES:
        raise SchemaConflict(f"tasks.{name}.classes: these are {len(classes)}, {MAX_EDGE_CLASSES} are allowed")
    return task.model_copy(update={"classes": classes})


def _with_classes(known: tuple[str, ...], more: Iterable[str], most: int) -> tuple[str, ...]:
    together = tuple(dict.fromkeys((*known, *more)))
    if len(together) > max(most, len(known)):
        raise TooManyClasses(together[max(most, len(known))], most)
    return together
