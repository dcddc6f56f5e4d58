"""POST /predict as an Arrow stream, read with pyarrow and compared with the JSON answer."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pyarrow
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from olad_core.serving.publication import Publication, TableUpdate, Version
from service.api.arrow import ARROW, wants_arrow
from service.store.prediction_writer import PredictionWriter
from tests.service.api.serving import assert_problem
from tests.service.publications import publication

CLASSES = ("a", "ключ", "c", '"d"')
ROWS = {"1": [0.25, 0.25, 0.5, 0.0], "節點": [1.0, 0.0, 0.0, 0.0], "x" * 300: [0.0, 0.125, 0.125, 0.75]}


@pytest.fixture
def served(writer: PredictionWriter) -> PredictionWriter:
    writer.publish(publication("5-0", ROWS, applied=7, version=3, classes=CLASSES, disagreement=0.375))
    return writer


def ask(api: httpx.Client, nodes: list[Any], query: str = "") -> pyarrow.Table:
    answer = api.post(f"/predict?{query}", json={"nodes": nodes}, headers={"accept": ARROW})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ARROW
    assert int(answer.headers["content-length"]) == len(answer.content)
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    table.validate(full=True)
    return table


def as_json(table: pyarrow.Table) -> list[dict[str, Any]]:
    """What the JSON answer would be."""
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    classes = httpx.Response(200, content=about["classes"]).json()
    answers = []
    for row in table.to_pylist():
        answer = {name: row[name] for name in ("node", "label", "position", "behind")}
        answer |= {"student": about["student"], "model_version": int(about["model_version"])}
        if row["probabilities"] is None:
            assert row["disagreement"] is None
            assert row.get("classes") is None
            answer |= {"error": row["error"]}
        else:
            assert row["error"] is None
            names = classes if "classes" not in row else [classes[place] for place in row["classes"]]
            shown = dict(zip(names, row["probabilities"], strict=True))
            answer |= {"probabilities": shown, "disagreement": row["disagreement"]}
        answers.append(answer)
    return answers


@pytest.mark.parametrize("query", ["", "top=1", "top=3", "top=99"])
@pytest.mark.parametrize("nodes", [[*ROWS], ["unknown", 1, *ROWS, -5, "1"], ["unknown"], [], ["1", "unknown"] * 2_500])
def test_it_says_what_the_json_answer_says(
    api: httpx.Client, served: PredictionWriter, nodes: list[Any], query: str
) -> None:
    expected = api.post(f"/predict?{query}", json={"nodes": nodes}).json()["predictions"]
    found = as_json(ask(api, nodes, query))
    assert found == [answer | {"node": str(answer["node"])} for answer in expected]
    assert [[*answer.get("probabilities", {})] for answer in found] == [
        [*answer.get("probabilities", {})] for answer in expected
    ]


def test_the_columns(api: httpx.Client, served: PredictionWriter) -> None:
    table = ask(api, ["1"])
    types = {field.name: (str(field.type), field.nullable) for field in table.schema}
    assert types == {
        "node": ("string", False),
        "label": ("string", True),
        "probabilities": ("fixed_size_list<item: float>[4]", True),
        "disagreement": ("float", True),
        "position": ("string", False),
        "behind": ("int64", False),
        "error": ("string", True),
    }
    assert ask(api, ["1"], "top=2").schema.field("classes").type == pyarrow.list_(pyarrow.int32(), 2)


def test_the_floats_are_those_that_are_stored(api: httpx.Client, writer: PredictionWriter) -> None:
    values = np.random.default_rng(0).random((2_100, 60), dtype=np.float32)
    nodes = tuple(map(str, range(len(values))))
    update = TableUpdate(1, nodes, values, values[:, 0], rows=np.arange(len(values)))
    writer.publish(Publication("1-0", 1, (update,), Version(1, "sage", tuple(map(str, range(60))))))
    table = ask(api, [*nodes])
    assert table.column("probabilities").num_chunks > 1
    assert np.array_equal(table.column("probabilities").combine_chunks().flatten(), values.ravel())


def test_what_is_wrong_is_a_problem_document(api: httpx.Client, served: PredictionWriter) -> None:
    assert_problem(api.post("/predict", json={"nodes": [""]}, headers={"accept": ARROW}), 422, "invalid-request")


WISHES = st.sampled_from(["application/json", ARROW, ARROW.upper(), "*/*", "text/html"])
QUALITIES = st.sampled_from(["", ";q=0", "; q=0.5", ";q=1", ";q=x", ";level=1;q=0.4"])


@pytest.mark.parametrize(
    ("accept", "arrow"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        (ARROW, True),
        (f"text/html, {ARROW}", True),
        (f"application/json, {ARROW}", True),
        (f"application/json, {ARROW};q=0.5", False),
        (f"application/json;q=0.1, {ARROW}; q=0.5", True),
        (f"{ARROW};q=0", False),
    ],
)
def test_arrow_is_sent_to_those_who_name_it(
    api: httpx.Client, served: PredictionWriter, accept: str | None, arrow: bool
) -> None:
    headers = {"accept": accept} if accept is not None else {}
    answer = api.post("/predict", json={"nodes": ["1"]}, headers=headers)
    assert (answer.headers["content-type"] == ARROW) == arrow


@given(st.lists(st.tuples(WISHES, QUALITIES), max_size=4), st.text(max_size=20))
def test_no_header_is_too_strange(wishes: list[tuple[str, str]], rest: str) -> None:
    accept = ",".join(kind + quality for kind, quality in wishes) + rest
    scope = {"type": "http", "headers": [(b"accept", accept.encode())]}
    found = wants_arrow(Request(scope))
    assert not found or ARROW in accept.lower()
