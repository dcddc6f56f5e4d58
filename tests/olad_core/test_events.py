import json
from collections.abc import Callable
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from olad_core.event_codec import (
    decode_json,
    decode_log,
    decode_log_for_people,
    decode_ndjson,
    encode_log,
    feature_width_of,
)
from olad_core.events import (
    FLOAT32_MAX,
    MAX_EVENTS,
    MAX_FEATURE_WIDTH,
    MAX_ID_BYTES,
    MAX_WEIGHT,
    Event,
    EventProblem,
    GraphSchema,
    InvalidEvents,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
    json_schema,
)
from olad_core.graph_types import EdgeType, NodeType
from olad_core.schema import schema_json

NODE: dict[str, object] = {"op": "upsert_node", "id": "a"}
EDGE: dict[str, object] = {"op": "upsert_edge", "src": "a", "dst": "b"}


def body(*events: object) -> bytes:
    return json.dumps(events).encode()


def problems_of(data: bytes, width: int | None = None) -> list[tuple[int, str, str]]:
    with pytest.raises(InvalidEvents) as refused:
        decode_json(data, width)
    return [(problem.index, problem.field, problem.message) for problem in refused.value.problems]


def places_of(data: bytes, width: int | None = None) -> list[tuple[int, str]]:
    return [(index, field) for index, field, _ in problems_of(data, width)]


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        (NODE, UpsertNode("a")),
        (NODE | {"x": [1, -0.5], "label": "red", "ts": 3.5}, UpsertNode("a", [1.0, -0.5], "red", 3.5)),
        (NODE | {"x": {"indices": [2, 0], "values": [1, 2]}}, UpsertNode("a", SparseFeatures([2, 0], [1.0, 2.0]))),
        (NODE | {"x": None, "label": None, "ts": None}, UpsertNode("a")),
        ({"op": "remove_node", "id": "a"}, RemoveNode("a")),
        (EDGE, UpsertEdge("a", "b")),
        (EDGE | {"weight": 2, "ts": -1}, UpsertEdge("a", "b", 2.0, -1.0)),
        (EDGE | {"weight": MAX_WEIGHT}, UpsertEdge("a", "b", MAX_WEIGHT)),
        ({"op": "remove_edge", "src": "a", "dst": "b"}, RemoveEdge("a", "b")),
        ({"op": "label", "id": "a", "label": "red", "ts": 0}, LabelNode("a", "red", 0.0)),
    ],
)
def test_every_kind_of_event_is_read_and_survives_the_log(sent: dict[str, object], event: Event) -> None:
    width = 3 if isinstance(sent.get("x"), dict) else None
    assert decode_json(body(sent), width) == [event]
    assert decode_ndjson(json.dumps(sent).encode(), width) == [event]
    assert decode_log(encode_log([event])) == [event]


def test_numbers_name_the_same_nodes_and_classes_as_their_digits() -> None:
    batch = decode_json(
        body(
            {"op": "upsert_node", "id": 5, "label": 7},
            {"op": "remove_node", "id": -5},
            {"op": "upsert_edge", "src": 1, "dst": 2},
            {"op": "remove_edge", "src": 3, "dst": 4},
            {"op": "label", "id": 6, "label": 0},
        )
    )
    assert batch == [
        UpsertNode("5", label="7"),
        RemoveNode("-5"),
        UpsertEdge("1", "2"),
        RemoveEdge("3", "4"),
        LabelNode("6", "0"),
    ]


def test_an_id_may_hold_any_text() -> None:
    odd = ["naïve/Ω %2F", " ", "\u0000", "\U0001f600", "\\u0041"]
    assert [event.id for event in decode_json(body(*({"op": "remove_node", "id": name} for name in odd)))] == odd


def test_of_duplicate_keys_the_last_counts() -> None:
    data = b'[{"op": "label", "id": "a", "label": "red", "id": "b", "label": "blue"}]'
    assert decode_json(data) == [LabelNode("b", "blue")]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"op": "upsert_node"}, "id"),
        ({"op": "remove_node"}, "id"),
        ({"op": "upsert_edge", "src": "a"}, "dst"),
        ({"op": "remove_edge", "dst": "a"}, "src"),
        ({"op": "label", "id": "a"}, "label"),
        ({"op": "label", "id": "a", "label": None}, "label"),
        ({"id": "a"}, "op"),
        ({"op": "grow", "id": "a"}, "op"),
        (NODE | {"colour": "red"}, "colour"),
        (NODE | {"x": {"indices": [0], "values": [1.0], "width": 3}}, "x"),
        (EDGE | {"label": ""}, "label"),
        (NODE | {"id": True}, "id"),
        (NODE | {"id": 1.5}, "id"),
        (NODE | {"id": None}, "id"),
        (NODE | {"id": ""}, "id"),
        (NODE | {"id": "a" * (MAX_ID_BYTES + 1)}, "id"),
        (NODE | {"id": "é" * (MAX_ID_BYTES // 2 + 1)}, "id"),
        (EDGE | {"src": "é" * (MAX_ID_BYTES // 2 + 1)}, "src"),
        (EDGE | {"dst": "é" * (MAX_ID_BYTES // 2 + 1)}, "dst"),
        (NODE | {"id": 10**MAX_ID_BYTES}, "id"),
        (EDGE | {"dst": 10**4000}, "dst"),
        (NODE | {"label": ""}, "label"),
        (NODE | {"label": "é" * (MAX_ID_BYTES // 2 + 1)}, "label"),
        (NODE | {"label": 10**MAX_ID_BYTES}, "label"),
        (NODE | {"ts": "noon"}, "ts"),
        (NODE | {"x": "1"}, "x"),
        (NODE | {"x": []}, "x"),
        (NODE | {"x": [1.0, "2"]}, "x[1]"),
        (NODE | {"x": [1.0, None]}, "x[1]"),
        (NODE | {"x": [0.0] * (MAX_FEATURE_WIDTH + 1)}, "x"),
        (NODE | {"x": [2 * FLOAT32_MAX]}, "x"),
        (NODE | {"x": [0.0, -1e39]}, "x"),
        (NODE | {"x": {"indices": [0]}}, "x"),
        (EDGE | {"weight": 0}, "weight"),
        (EDGE | {"weight": -1.0}, "weight"),
        (EDGE | {"weight": 1.1 * MAX_WEIGHT}, "weight"),
        (EDGE | {"weight": "1"}, "weight"),
        ("upsert_node", ""),
        ([], ""),
        (None, ""),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_wrong_event_is_refused_with_its_index_and_field(event: object, field: str, ascii_only: bool) -> None:
    data = json.dumps([NODE, event, EDGE], ensure_ascii=ascii_only).encode()
    ((index, named, message),) = problems_of(data)
    assert index == 1
    assert named.split(".")[-1] == field
    assert message


def test_an_id_of_more_digits_than_a_number_can_have_is_refused() -> None:
    assert places_of(b'[{"op": "remove_node", "id": %s}]' % (b"9" * 5000)) == [(0, "id")]


@pytest.mark.parametrize("field", ["ts", "weight"])
def test_a_number_beyond_float64_is_refused(field: str) -> None:
    event = json.dumps(EDGE)[:-1] + f', "{field}": 1e999}}'
    assert places_of(f"[{json.dumps(NODE)}, {event}]".encode()) == [(1, field)]


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"{}", b"null", b"[{]", b'[{"op": "label",}]', b'[{"op": "remove_node", "id": "\xff"}]'],
)
def test_what_is_no_json_array_is_refused_as_a_whole(data: bytes) -> None:
    assert places_of(data)[0][1] == ""


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_json_knows_no_other_numbers(number: bytes) -> None:
    assert problems_of(b'[{"op": "upsert_node", "id": 1, "x": [%s]}]' % number)


def test_a_half_surrogate_is_no_text() -> None:
    assert problems_of(b'[{"op": "remove_node", "id": "\\ud800"}]')


def test_nesting_without_end_is_refused() -> None:
    deep = b"[" * 100_000
    assert problems_of(b'[{"op": "upsert_node", "id": 1, "x": %s' % deep)
    assert problems_of(deep)


@pytest.mark.parametrize("decode", [decode_json, decode_ndjson])
def test_an_empty_batch_is_refused(decode: Callable[[bytes], list[Event]]) -> None:
    with pytest.raises(InvalidEvents, match="at least one event"):
        decode(b"[]" if decode is decode_json else b"\n\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{bad", "JSON is malformed: expected '\"' (byte 1)"),
        (b'{"op": "remove_node" "id": 1}', "JSON is malformed: expected ',' or '}' (byte 21)"),
        (b"[{bad}]", "JSON is malformed: expected '\"' (byte 2)"),
        (b"[1, 2", "JSON is malformed: it ends too early (byte 5)"),
        (b'[{"op": "grow"}] x', "JSON is malformed: trailing characters (byte 18)"),
        (b"", "JSON is malformed: it ends too early (byte 0)"),
    ],
)
def test_what_is_no_json_is_called_so_whatever_else_is_wrong(text: bytes, expected: str) -> None:
    assert problems_of(text) == [(-1, "", expected)]


def test_json_that_is_no_array_is_told_so() -> None:
    assert problems_of(b'{"op": "remove_node", "id": 1}') == [(-1, "", "Expected `array`, got `object`")]


def test_everything_that_is_wrong_is_named_in_one_answer() -> None:
    malformed = (NODE | {"id": ""}, EDGE, EDGE | {"weight": 0}, {"op": "label", "id": 1, "label": ""})
    assert places_of(body(*malformed)) == [(0, "id"), (2, "weight"), (3, "label")]
    impossible: tuple[dict[str, object], ...] = (NODE | {"x": [1.0]}, NODE | {"x": [1.0, 1e39]})
    assert places_of(body(*impossible)) == [(1, "x"), (1, "x")]


def test_problems_are_named_for_the_events_of_a_whole_batch_and_no_more() -> None:
    events = [*[NODE] * MAX_EVENTS, {"op": "grow"}]
    assert problems_of(body(*events)) == [(-1, "", f"more than {MAX_EVENTS} events")]


def test_the_exception_says_how_many_and_which_first() -> None:
    with pytest.raises(InvalidEvents, match=r"2 invalid event\(s\), first: Invalid value 'grow'"):
        decode_json(body({"op": "grow"}, {"op": "shrink"}))


class TestFeatureWidth:
    def test_is_the_declared_one(self) -> None:
        assert places_of(body(NODE | {"x": [1.0]}, NODE | {"x": [1.0, 2.0]}), 2) == [(0, "x")]

    def test_undeclared_is_that_of_the_batchs_first_features(self) -> None:
        assert places_of(body(NODE, NODE | {"x": [1.0]}, NODE | {"x": [1.0, 2.0]})) == [(2, "x")]

    def test_of_a_batch(self) -> None:
        assert feature_width_of([UpsertNode("a"), UpsertNode("b", SparseFeatures([0], [1.0]))]) is None
        assert feature_width_of([RemoveNode("a"), UpsertNode("b", [1.0, 2.0]), UpsertNode("c", [1.0])]) == 2

    @pytest.mark.parametrize(
        ("indices", "values", "field", "expected"),
        [
            ([0, 3], [1.0, 1.0], "x.indices", "not below the feature width 3"),
            ([-1], [1.0], "x.indices[0]", ">= 0"),
            ([0, 0], [1.0, 2.0], "x.indices", "twice"),
            ([0, 1], [1.0], "x", "2 indices but 1 values"),
            ([0], [1e39], "x.values", "float32"),
            ([0.5], [1.0], "x.indices[0]", "int"),
        ],
    )
    def test_sparse_features_are_checked_against_it(
        self, indices: list[float], values: list[float], field: str, expected: str
    ) -> None:
        sent = NODE | {"x": {"indices": indices, "values": values}}
        ((index, named, message),) = problems_of(body(NODE, sent), 3)
        assert (index, named) == (1, field)
        assert expected in message

    def test_sparse_features_need_a_declared_one(self) -> None:
        sent = NODE | {"x": {"indices": [0], "values": [1.0]}}
        for events in ([sent], [NODE | {"x": [1.0]}, sent]):
            ((index, field, message),) = problems_of(body(*events))
            assert (index, field) == (len(events) - 1, "x")
            assert "PUT /schema" in message

    def test_no_entry_at_all_is_a_vector_of_zeros(self) -> None:
        sent = {**NODE, "x": {"indices": [], "values": []}}
        assert decode_json(body(sent), 4) == [UpsertNode("a", SparseFeatures([], []))]


class TestNdjson:
    def test_is_one_event_a_line_in_any_line_ending(self) -> None:
        lines = [json.dumps(NODE), json.dumps(EDGE), '{"op": "remove_node", "id": "\u2028"}', ""]
        assert decode_ndjson("\r\n".join(lines).encode()) == [
            UpsertNode("a"),
            UpsertEdge("a", "b"),
            RemoveNode("\u2028"),
        ]

    def test_empty_lines_do_not_count(self) -> None:
        data = b"\n\n%s\n  \n%s\n" % (json.dumps(NODE).encode(), b'{"op": "grow"}')
        with pytest.raises(InvalidEvents) as refused:
            decode_ndjson(data)
        assert refused.value.problems == (EventProblem(1, "op", "Invalid value 'grow'"),)

    def test_malformed_lines_are_named_beside_wrong_events(self) -> None:
        with pytest.raises(InvalidEvents) as refused:
            decode_ndjson(b'{"op": \n%s\n{"op": "remove_node", "id": ""}\n\xff' % json.dumps(NODE).encode())
        assert [(problem.index, problem.field) for problem in refused.value.problems] == [(0, ""), (2, "id"), (3, "")]

    def test_is_checked_like_an_array(self) -> None:
        sent = b"\n".join(json.dumps(event).encode() for event in (NODE | {"x": [1.0]}, NODE | {"x": [0, 1e39]}))
        with pytest.raises(InvalidEvents) as refused:
            decode_ndjson(sent, 2)
        assert [(problem.index, problem.field) for problem in refused.value.problems] == [(0, "x"), (1, "x")]


_texts = st.text(min_size=1, max_size=8) | st.integers(-(10**20), 10**20)
_numbers = st.none() | st.floats(-1e30, 1e30)
_values = st.floats(width=32, allow_nan=False, allow_infinity=False)
_dense = st.lists(_values, min_size=4, max_size=4)
_sparse = st.lists(st.tuples(st.integers(0, 3), _values), max_size=4, unique_by=lambda entry: entry[0]).map(
    lambda entries: {"indices": [index for index, _ in entries], "values": [value for _, value in entries]}
)
_sent = st.one_of(
    st.fixed_dictionaries(
        {"op": st.just("upsert_node"), "id": _texts},
        optional={"x": st.none() | _dense | _sparse, "label": st.none() | _texts, "ts": _numbers},
    ),
    st.fixed_dictionaries({"op": st.just("remove_node"), "id": _texts}),
    st.fixed_dictionaries(
        {"op": st.just("upsert_edge"), "src": _texts, "dst": _texts},
        optional={"weight": st.none() | st.floats(1e-30, MAX_WEIGHT), "ts": _numbers},
    ),
    st.fixed_dictionaries({"op": st.just("remove_edge"), "src": _texts, "dst": _texts}),
    st.fixed_dictionaries({"op": st.just("label"), "id": _texts, "label": _texts}, optional={"ts": _numbers}),
)


@given(st.lists(_sent, min_size=1, max_size=6))
@settings(max_examples=60)
def test_what_is_sent_is_what_the_worker_reads(sent: list[dict[str, object]]) -> None:
    batch = decode_json(body(*sent), 4)
    read = decode_log(encode_log(batch))
    assert read == batch
    named = ("id", "src", "dst", "label")
    expected = [
        {key: str(value) if key in named else value for key, value in event.items() if value is not None}
        for event in sent
    ]
    assert [msgspec.to_builtins(event) for event in read] == expected


class TestSchema:
    def test_is_open_by_default(self) -> None:
        schema = GraphSchema()
        assert (schema.feature_width, schema.classes, schema.directed, schema.edge_lifetime) == (None, (), False, None)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("feature_width", 0),
            ("feature_width", MAX_FEATURE_WIDTH + 1),
            ("classes", ["a", "a"]),
            ("classes", [""]),
            ("classes", ["é" * 129]),
            ("edge_lifetime", 0),
            ("edge_lifetime", float("inf")),
            ("edge_lifetime", float("nan")),
            ("direction", True),
        ],
    )
    def test_refuses_what_no_graph_can_have(self, field: str, value: object) -> None:
        with pytest.raises(ValidationError) as refused:
            GraphSchema.model_validate({field: value})
        assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_the_json_schema_names_every_kind_of_event() -> None:
    schema, components = json_schema()
    assert set(schema["discriminator"]["mapping"]) == {
        "upsert_node",
        "remove_node",
        "upsert_edge",
        "remove_edge",
        "label",
    }
    for reference in schema["discriminator"]["mapping"].values():
        component = components[reference.removeprefix("#/components/schemas/")]
        assert component["additionalProperties"] is False


def test_features_stand_in_the_log_as_float32_and_all_else_with_all_digits() -> None:
    batch = decode_json(body(NODE | {"x": [0.1, 1e-300, 3e38]}, EDGE | {"weight": 0.1, "ts": 0.1}), 3)
    node, edge = decode_log(encode_log(batch))
    assert isinstance(node, UpsertNode)
    assert node.x == np.array([0.1, 1e-300, 3e38], np.float32).tolist()
    assert isinstance(edge, UpsertEdge)
    assert (edge.weight, edge.ts) == (0.1, 0.1)
    (shown, _) = decode_log_for_people(encode_log(batch))
    assert isinstance(shown, UpsertNode)
    assert shown.x == [0.1, 0.0, 3e38]
    wide = [UpsertNode("a", [0.1] * 1000)]
    assert len(encode_log(wide)) < 4100
    assert len(msgspec.msgpack.encode(wide)) > 9000


@pytest.mark.parametrize("x", [[0.1, 0.2], SparseFeatures([1], [0.25]), None])
def test_what_an_earlier_release_has_logged_is_read(x: list[float] | SparseFeatures | None) -> None:
    batch: list[Event] = [UpsertNode("a", x, "red", 1.5), RemoveNode("b"), LabelNode("a", "c")]
    assert decode_log(msgspec.msgpack.encode(batch)) == batch


class TestTypesOfEdges:
    TYPES: ClassVar[dict[str, EdgeType]] = {"knows": EdgeType(), "sent": EdgeType()}

    def problems(self, *events: object, types: dict[str, EdgeType] | None = None) -> list[tuple[int, str, str]]:
        types = self.TYPES if types is None else types
        with pytest.raises(InvalidEvents) as refused:
            decode_json(body(*events), None, types)
        with pytest.raises(InvalidEvents) as by_line:
            decode_ndjson(b"\n".join(json.dumps(event).encode() for event in events), None, types)
        assert by_line.value.problems == refused.value.problems
        return [(problem.index, problem.field, problem.message) for problem in refused.value.problems]

    def test_a_declared_type_goes_through_the_log(self) -> None:
        batch = decode_json(
            body(EDGE | {"type": "knows"}, EDGE | {"op": "remove_edge", "type": "sent"}), None, self.TYPES
        )
        assert batch == [UpsertEdge("a", "b", type="knows"), RemoveEdge("a", "b", "sent")]
        assert decode_log(encode_log(batch)) == batch

    def test_an_edge_without_a_type_is_the_same_bytes_as_before(self) -> None:
        batch = decode_json(body(EDGE | {"type": "edge"}, EDGE))
        assert encode_log(batch) == msgspec.msgpack.encode([EDGE, EDGE])

    @pytest.mark.parametrize("op", ["upsert_edge", "remove_edge"])
    def test_an_undeclared_type_is_refused_by_name(self, op: str) -> None:
        edge = EDGE | {"op": op}
        message = "'used' is not declared: PUT /schema with edge_types first"
        assert self.problems(edge | {"type": "used"}, types={}) == [(0, "type", message)]
        declared = "this graph's edges have one of the types 'knows', 'sent'"
        found = self.problems(edge | {"type": "knows"}, edge, edge | {"type": "used"}, edge | {"type": "edge"})
        refused = [(1, declared), (2, f"{declared}, not 'used'"), (3, f"{declared}, not 'edge'")]
        assert found == [(index, "type", message) for index, message in refused]

    def test_edges_without_a_type_may_be_declared(self) -> None:
        types = {"edge": EdgeType(), "sent": EdgeType()}
        batch = decode_json(body(EDGE, EDGE | {"type": "edge"}, EDGE | {"type": "sent"}), None, types)
        assert [event.type for event in batch if isinstance(event, UpsertEdge)] == [None, None, "sent"]

    def test_what_is_no_name_is_refused(self) -> None:
        assert [field for _, field, _ in self.problems(EDGE | {"type": ""}, EDGE | {"type": 5})] == ["type", "type"]
        assert self.problems(NODE | {"type": "knows"})[0][1] == "type"

    @pytest.mark.parametrize(
        ("edge_types", "place"),
        [
            ({"": {}}, "edge_types"),
            ({"x" * 257: {}}, "edge_types"),
            ({str(number): {} for number in range(65)}, "edge_types"),
            ({"sent": {"directed": "yes"}}, "edge_types.sent.directed"),
            ({"sent": {"lifetime": 0}}, "edge_types.sent.lifetime"),
            ({"sent": {"feature_width": 0}}, "edge_types.sent.feature_width"),
        ],
    )
    def test_a_wrong_declaration_is_refused(self, edge_types: object, place: str) -> None:
        with pytest.raises(ValidationError) as refused:
            GraphSchema.model_validate_json(json.dumps({"edge_types": edge_types}), strict=True)
        assert ".".join(map(str, refused.value.errors()[0]["loc"])) == place


class TestIdsOfEdges:
    TYPES: ClassVar[dict[str, EdgeType]] = {"paid": EdgeType(ids=True), "knows": EdgeType()}
    PAID: ClassVar[dict[str, object]] = EDGE | {"type": "paid"}

    def problems(self, *events: object, types: dict[str, EdgeType] | None = None) -> list[tuple[int, str, str]]:
        with pytest.raises(InvalidEvents) as refused:
            decode_json(body(*events), None, self.TYPES if types is None else types)
        return [(problem.index, problem.field, problem.message) for problem in refused.value.problems]

    def test_an_id_goes_through_the_log(self) -> None:
        gone = {"op": "remove_edge", "type": "paid", "id": "p"}
        batch = decode_json(body(self.PAID | {"id": 5}, gone, EDGE | {"type": "knows"}), None, self.TYPES)
        paid = [UpsertEdge("a", "b", type="paid", id="5"), RemoveEdge(type="paid", id="p")]
        assert batch == [*paid, UpsertEdge("a", "b", type="knows")]
        assert decode_log(encode_log(batch)) == batch

    def test_an_edge_without_a_type_may_have_an_id_where_that_is_declared(self) -> None:
        types = {"edge": EdgeType(ids=True)}
        batch = decode_json(body(EDGE | {"id": "p"}, {"op": "remove_edge", "id": "p", "type": "edge"}), None, types)
        assert batch == [UpsertEdge("a", "b", id="p"), RemoveEdge(id="p")]
        assert self.problems(EDGE, types=types) == [(0, "id", "edges of the type 'edge' have ids: name one")]

    def test_an_edge_that_is_named_in_another_way_than_its_type_is_refused(self) -> None:
        none = "have no ids: PUT /schema with ids for a new type, or leave it out"
        assert self.problems(
            self.PAID,
            EDGE | {"type": "knows", "id": "p"},
            self.PAID | {"op": "remove_edge"},
            self.PAID | {"op": "remove_edge", "id": "p"},
            {"op": "remove_edge", "type": "knows", "id": "p"},
            {"op": "remove_edge", "type": "knows", "src": "a"},
        ) == [
            (0, "id", "edges of the type 'paid' have ids: name one"),
            (1, "id", f"edges of the type 'knows' {none}"),
            (2, "id", "edges of the type 'paid' have ids: name one"),
            (3, "src", "the id alone names the edge"),
            (3, "dst", "the id alone names the edge"),
            (4, "id", f"edges of the type 'knows' {none}"),
            (5, "dst", "Object missing required field `dst`"),
        ]
        assert self.problems(EDGE | {"id": "p"}, types={}) == [(0, "id", f"edges of the type 'edge' {none}")]

    @pytest.mark.parametrize("name", ["", "a" * (MAX_ID_BYTES + 1), 1.5, True])
    def test_what_is_no_id_is_refused(self, name: object) -> None:
        assert [field for _, field, _ in self.problems(self.PAID | {"id": name})] == ["id"]

    def test_a_declaration_without_ids_is_the_same_bytes_as_before(self) -> None:
        schema = GraphSchema(edge_types={"knows": EdgeType(), "paid": EdgeType(ids=True)})
        logged = json.loads(schema_json(schema))["edge_types"]
        assert logged == {
            "knows": {"directed": None, "lifetime": None},
            "paid": {"directed": None, "lifetime": None, "ids": True},
        }


class TestTypesOfNodes:
    TYPES: ClassVar[dict[str, NodeType]] = {"account": NodeType(feature_width=2), "device": NodeType()}

    def problems(self, *events: object, types: dict[str, NodeType] | None = None) -> list[tuple[int, str, str]]:
        with pytest.raises(InvalidEvents) as refused:
            decode_json(body(*events), None, {}, self.TYPES if types is None else types)
        return [(problem.index, problem.field, problem.message) for problem in refused.value.problems]

    def test_a_declared_type_goes_through_the_log(self) -> None:
        sparse = {"indices": [1], "values": [0.5]}
        batch = decode_json(
            body(NODE | {"type": "account", "x": [1, 2]}, NODE | {"type": "account", "x": sparse}), None, {}, self.TYPES
        )
        expected = [
            UpsertNode("a", [1.0, 2.0], type="account"),
            UpsertNode("a", SparseFeatures([1], [0.5]), type="account"),
        ]
        assert batch == expected
        assert decode_log(encode_log(batch)) == batch

    def test_a_node_without_a_type_is_the_same_bytes_as_before(self) -> None:
        assert encode_log(decode_json(body(NODE))) == msgspec.msgpack.encode([NODE])

    def test_what_does_not_fit_the_types_is_refused_with_its_field(self) -> None:
        assert self.problems(NODE | {"type": "shop"}, types={}) == [
            (0, "type", "'shop' is not declared: PUT /schema with node_types first")
        ]
        declared = "this graph's nodes have one of the types 'account', 'device'"
        assert self.problems(
            NODE,
            NODE | {"type": "shop"},
            NODE | {"type": "account", "x": [1]},
            NODE | {"type": "device", "x": [1]},
            NODE | {"type": "account", "x": {"indices": [2], "values": [1]}},
        ) == [
            (0, "type", declared),
            (1, "type", f"{declared}, not 'shop'"),
            (2, "x", "1 features where nodes of the type 'account' have 2"),
            (3, "x", "nodes of the type 'device' have no features"),
            (4, "x.indices", "an index is not below the feature width 2"),
        ]
