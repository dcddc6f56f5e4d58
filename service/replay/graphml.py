"""GraphML in pieces: its declarations, and its nodes or edges one after the other, in constant memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Literal, NoReturn
from xml.parsers import expat

from olad_core.errors import OladError
from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import unwrapping

_CHUNK = 1 << 16
_LONGEST = 16 * 2**20
"""Characters of one value at most."""
_OTHER_ROOTS = {
    "gexf": "GEXF, which is not read: write GraphML, as networkx.write_graphml(networkx.read_gexf(FILE), OTHER) does",
    "html": "a web page: fetch the file itself",
    "svg": "a picture",
}
Kind = Literal["node", "edge"]


@dataclass(frozen=True)
class GraphmlHead:
    """What stands before the first node or edge.

    Attributes:
        directed: whether edges go one way.
        graph: values of the graph itself, by name.
        names: by kind, the names of the values that nodes and edges may have.
    """

    directed: bool
    graph: dict[str, str]
    names: dict[Kind, tuple[str, ...]]


@dataclass(frozen=True)
class Record:
    """One node or edge.

    Attributes:
        line: at which it begins.
        values: by name; a node has ``id``, an edge ``source`` and ``target``.
    """

    line: int
    values: dict[str, str]


def read_head(opened: Callable[[], IO[bytes]], name: str) -> GraphmlHead:
    """The declarations of a file.

    Args:
        opened: opens the file at its beginning, compressed or not.
        name: for messages.

    Raises:
        UnreadableDataset: it is no GraphML, or not whole.
    """
    parsed = _Parsed(name, None)
    with contextlib.suppress(_HeadEnds):
        for _ in _records(opened, parsed):
            pass
    if not parsed.graphs:
        raise UnreadableDataset(f"{name} has no <graph>")
    return GraphmlHead(parsed.directed, parsed.graph, {"node": parsed.names("node"), "edge": parsed.names("edge")})


def read_records(opened: Callable[[], IO[bytes]], name: str, kind: Kind) -> Iterator[Record]:
    """The nodes, or the edges, in the order of the file.

    Raises:
        UnreadableDataset: naming the line, what is there, and what to do.
    """
    return _records(opened, _Parsed(name, kind))


class _HeadEnds(OladError):
    """The first node or edge has come."""


@dataclass
class _Key:
    """A value that is declared: its name, and what has it where it is not given."""

    name: str
    default: str | None = None


@dataclass
class _Parsed:
    """The state of one parse.

    Args:
        file: name of the file.
        kind: what is wanted; None for the declarations alone.
    """

    file: str
    kind: Kind | None
    keys: dict[tuple[str, str], _Key] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    graphs: int = 0
    directed: bool = False
    graph: dict[str, str] = field(default_factory=dict)
    found: list[Record] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    line: int = 0
    text: list[str] | None = None
    key: _Key | None = None
    declared: list[_Key] = field(default_factory=list)

    def names(self, kind: Kind) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.name for (owner, _), key in self.keys.items() if owner == kind))


def _records(opened: Callable[[], IO[bytes]], state: _Parsed) -> Iterator[Record]:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: _begin(state, parser, _local(name), attributes)
    parser.EndElementHandler = lambda name: _end(state, _local(name))
    parser.CharacterDataHandler = lambda text: _take_text(state, parser, text)
    parser.StartDoctypeDeclHandler = lambda *_: _refuse(
        state, parser.CurrentLineNumber, "a DOCTYPE, which could name other files or grow without end: take it out"
    )
    with opened() as file, unwrapping(file, state.file) as (_, stream):
        while True:
            chunk = stream.read(_CHUNK)
            try:
                parser.Parse(chunk, not chunk)
            except expat.ExpatError as error:
                _refuse(state, error.lineno, _problem(error, chunk))
            yield from state.found
            state.found.clear()
            if not chunk:
                return


def _problem(error: expat.ExpatError, chunk: bytes) -> str:
    reason = expat.ErrorString(error.code)
    if not chunk:
        return f"ends too early ({reason}): fetch or write it again"
    with contextlib.suppress(UnicodeDecodeError):
        chunk[:-4].decode()
        return f"not XML ({reason})"
    return (
        f"not XML ({reason}); where it is Latin-1, its first line must state so: "
        "<?xml version='1.0' encoding='ISO-8859-1'?>"
    )


def _begin(state: _Parsed, parser: Any, element: str, attributes: dict[str, str]) -> None:
    state.path.append(element)
    line, depth = parser.CurrentLineNumber, len(state.path)
    if depth == 1 and element != "graphml":
        raise UnreadableDataset(
            f"{state.file} is {_OTHER_ROOTS.get(element, f'XML with the root <{element}>, and no GraphML')}"
        )
    if element == "graph":
        state.graphs += 1
        if state.graphs > 1:
            inside = "a graph within a node or an edge" if depth > 2 else "a second graph"
            _refuse(state, line, f"{inside}: write each graph to a file of its own")
        state.directed = attributes.get("edgedefault") == "directed"
    elif element == "hyperedge":
        _refuse(state, line, "a hyperedge: write an edge for each pair of its ends")
    elif element == "key":
        _declare(state, line, attributes)
    elif element == "default" and state.declared:
        state.text = []
    elif element in {"node", "edge"} and state.path[-2:-1] == ["graph"]:
        _begin_record(state, line, element, attributes)
    elif element == "data" and state.path[-2] in {"node", "edge", "graph"}:
        _begin_data(state, line, state.path[-2], attributes)


def _begin_record(state: _Parsed, line: int, element: str, attributes: dict[str, str]) -> None:
    if state.kind is None:
        raise _HeadEnds
    wanted = ("id",) if element == "node" else ("source", "target")
    for name in wanted:
        if name not in attributes:
            _refuse(state, line, f"<{element}> has no {name}")
    own = attributes.get("directed", "").lower()
    if element == "edge" and own in {"true", "false"} and (own == "true") != state.directed:
        is_, of = ("a directed", "an undirected") if own == "true" else ("an undirected", "a directed")
        _refuse(state, line, f"{is_} edge in {of} graph: write all of one kind")
    if element == state.kind:
        state.line = line
        defaults = {
            key.name: key.default
            for (owner, _), key in state.keys.items()
            if owner == element and key.default is not None
        }
        state.values = defaults | {name: attributes[name] for name in wanted}


def _declare(state: _Parsed, line: int, attributes: dict[str, str]) -> None:
    if "id" not in attributes:
        _refuse(state, line, "<key> has no id")
    of = attributes.get("for", "all")
    state.declared = []
    for owner, own in (("node", {"id"}), ("edge", {"source", "target"}), ("graph", set[str]())):
        if of in {owner, "all"}:
            name = attributes.get("attr.name", attributes["id"])
            # A value may be called as what every node or edge has.
            key = _Key(attributes["id"] if name in own else name)
            state.keys[owner, attributes["id"]] = key
            state.declared.append(key)


def _begin_data(state: _Parsed, line: int, owner: str, attributes: dict[str, str]) -> None:
    key = state.keys.get((owner, attributes.get("key", "")))
    if key is None:
        _refuse(state, line, f"<data> of a {owner} with the key {attributes.get('key')!r}, which no <key> declares")
    if owner in {state.kind, "graph"}:
        state.key, state.text = key, []


def _take_text(state: _Parsed, parser: Any, text: str) -> None:
    if state.text is not None and state.path[-1] in {"data", "default"}:
        state.text.append(text)
        if sum(map(len, state.text)) > _LONGEST:
            _refuse(state, parser.CurrentLineNumber, f"a value longer than {_LONGEST:,} characters")


def _end(state: _Parsed, element: str) -> None:
    state.path.pop()
    if element == "key":
        state.declared = []
    elif element == "default" and state.text is not None:
        for key in state.declared:
            key.default = "".join(state.text)
        state.text = None
    elif element == "data" and state.text is not None and state.key is not None:
        values = state.graph if state.path[-1] == "graph" else state.values
        values[state.key.name] = "".join(state.text)
        state.key = state.text = None
    elif element == state.kind and state.path[-1:] == ["graph"]:
        state.found.append(Record(state.line, state.values))


def _local(name: str) -> str:
    """The name of an element without its namespace."""
    return name.rpartition(" ")[2]


def _refuse(state: _Parsed, line: int, problem: str) -> NoReturn:
    raise UnreadableDataset(f"{state.file}, line {line}: {problem}")
