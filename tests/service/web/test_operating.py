"""What an operator does on the dashboard, in a real Chromium, against a worker that answers."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from olad_core.events import UpsertNode
from service.api_keys import create_key
from service.store.keys import Keys
from service.store.log_reader import LogReader
from tests.olad_core.runs import BEST_OF_PAIR, Run, learned
from tests.redis_server import RedisServer
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import serving
from tests.service.engine_report import engine_report
from tests.service.web.opened import CONTRAST, CUT, WIDTH, Dashboard, hindrances, table_of

NODE = "7"


@dataclass
class Operated:
    """A tab with the dashboard of a worker that answers, and its store."""

    dashboard: Dashboard
    worker: AnsweringWorker
    client: redis.Redis
    keys: Keys
    read: str
    admin: str

    @property
    def page(self) -> Page:
        return self.dashboard.page

    def report(self) -> None:
        """Write the worker's report, as the worker does once a second."""
        self.worker.predictions.write_status(engine_report(self.worker.lane.engine), b"")

    def sign_in(self, key: str) -> None:
        self.dashboard.open()
        if self.page.evaluate("sessionStorage.length"):
            self.page.evaluate("sessionStorage.clear()")
            self.dashboard.open()
        expect(self.page.locator("#state-text")).to_have_text("Sign in")
        self.page.fill("#key", key)
        self.page.press("#key", "Enter")
        expect(self.page.locator("#state-text")).to_have_text("Serving")
        self.dashboard.errors.clear()

    def get(self, path: str) -> dict[str, object]:
        answer = self.dashboard.api.get(path, headers={"authorization": f"Bearer {self.read}"})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def show(self, node: str) -> None:
        self.page.fill("#node", node)
        self.page.press("#node", "Enter")
        expect(self.page.locator("#answer .label")).to_contain_text(f"{node} →")


@pytest.fixture(scope="module")
def operated(
    browser: Browser, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    folder: Path = tmp_path_factory.mktemp("operated")
    graph = f"test-{uuid.uuid4().hex}"
    run = learned(Run(BEST_OF_PAIR))
    # A class that comes late makes a second version.
    run.turn([UpsertNode("x", [9.0, 9.0, 9.0], "odd one")])
    while run.engine.versions.served is None or run.engine.versions.served.version.shown < 2:
        run.turn([], steps=1)
    read, admin = (create_key(folder / "keys.json", f"the-{scope}", [scope]) for scope in ("read", "admin"))
    client, keys = redis_server.client(), Keys(graph)
    with serving(redis_server.url, graph, api_keys_file=folder / "keys.json") as api:
        worker = AnsweringWorker(run.engine, client, keys, folder)
        with worker.at_work(), browser.new_context(viewport={"width": 1440, "height": 900}) as context:
            found = Operated(Dashboard(context.new_page(), api), worker, client, keys, read, admin)
            found.report()
            found.sign_in(admin)
            yield found
            assert found.dashboard.errors == []
            assert found.dashboard.hosts == {api.base_url.netloc.decode()}
        client.close()


def predicted(answer: dict[str, object]) -> str:
    probabilities, label = answer["probabilities"], answer["label"]
    assert isinstance(probabilities, dict)
    return f"{label} {100 * probabilities[label]:.1f} %"


def points(change: float) -> str:
    """A change as the page writes it."""
    if abs(round(100 * change, 1)) == 0:
        return "< 0.1 points"
    return f"{'+' if change > 0 else '−'}{abs(100 * change):.1f} points"


def test_a_node_is_shown_with_its_edges(operated: Operated) -> None:
    operated.show(NODE)
    found = operated.get(f"/neighbours/{NODE}")
    edges = found["edges"]
    assert isinstance(edges, list)
    expect(operated.page.locator("#around-now")).to_have_text(
        f"{found['count']} edges. Its known label is {found['label']}."
    )
    rows = table_of(operated.page, "#edges")
    assert [row["Node"] for row in rows] == [edge["node"] for edge in edges]
    for row, edge in zip(rows, edges, strict=True):
        assert (row["Edge"], row["Weight"], row["Known label"]) == ("both ways", "1", edge.get("label", "–"))
        assert row["Predicted"] == predicted(operated.get(f"/predict/{edge['node']}"))
    assert "Edge gives" not in rows[0]
    drawn = operated.page.locator("#picture .other title")
    assert sorted(drawn.evaluate_all("titles => titles.map(title => title.textContent)")) == sorted(
        f"{row['Node']}: {row['Predicted']}" for row in rows
    )
    assert operated.page.locator("#picture line.edge").count() == len(rows)


def test_explain_shows_what_each_thing_contributes(operated: Operated) -> None:
    operated.show(NODE)
    operated.page.click("#explain")
    explained = operated.get(f"/explain/{NODE}?k=1000")
    effects = explained["effects"]
    assert isinstance(effects, list)
    expect(operated.page.locator("#effects")).to_contain_text(f"What gives {explained['label']} its")
    given = {(effect["kind"], effect["node"]): points(-effect["change"]) for effect in effects}
    for row in table_of(operated.page, "#edges"):
        assert row["Edge gives"] == given["edge", row["Node"]]
        assert row["Label gives"] == given.get(("label", row["Node"]), "–")
        assert row["Features give"] == given.get(("features", row["Node"]), "–")
    text = operated.page.locator("#effects").inner_text()
    assert f"its own features {given['features', NODE]}" in text
    written = operated.page.locator("#picture .gives").evaluate_all("texts => texts.map(text => text.textContent)")
    assert {f"{share} points" for share in written} == {given[key] for key in given if key[0] == "edge"}


def test_edges_are_taken_away_and_the_answer_stands_beside_the_present_one(operated: Operated) -> None:
    page = operated.page
    operated.show(NODE)
    buttons = page.locator("#edges button[data-edge]")
    expect(buttons.first).to_have_text("Take away")
    others = [row["Node"] for row in table_of(page, "#edges")][:2]
    for number in range(2):
        buttons.nth(number).focus()
        page.keyboard.press("Enter")
        expect(buttons.nth(number)).to_have_text("Put back")
        expect(buttons.nth(number)).to_be_focused()
    events = [{"op": "remove_edge", "src": other, "dst": NODE} for other in others]
    assert json.loads(page.input_value("#events")) == events
    assert page.locator("#picture line.away").count() == 2
    page.click("#trial button")
    expect(page.locator("#tried .label")).to_contain_text("The label would")
    now = operated.get(f"/predict/{NODE}")["probabilities"]
    key = {"authorization": f"Bearer {operated.read}"}
    answer = operated.dashboard.api.post("/what-if", json={"events": events, "nodes": [NODE]}, headers=key)
    then = answer.json()["predictions"][0]["probabilities"]
    assert isinstance(now, dict)
    assert now != then
    for row in table_of(page, "#tried"):
        name = row["Class"]
        assert (row["Now"], row["Then"]) == (f"{100 * now[name]:.1f} %", f"{100 * then[name]:.1f} %")
        assert row["Change"] == points(then[name] - now[name])
    # What was tried has not happened.
    assert operated.get(f"/predict/{NODE}")["probabilities"] == now
    # An answer is of the events that stand there.
    buttons.first.click()
    expect(page.locator("#tried")).to_be_empty()
    assert json.loads(page.input_value("#events")) == events[1:]


def test_what_cannot_be_tried_is_said(operated: Operated) -> None:
    page = operated.page
    operated.show(NODE)
    for text, why in (
        ("", "no event to try"),
        ("[1,", "not a JSON array"),
        ('[{"op": "remove_edge", "src": "3"}]', "event 0, dst: Object missing required field `dst`"),
    ):
        page.fill("#events", text)
        page.click("#trial button")
        expect(page.locator("#tried")).to_contain_text(re.compile(re.escape(why), re.IGNORECASE))
    page.fill("#events", '[{"op": "remove_node", "id": "7"}, {"op": "remove_node", "id": "nobody"}]')
    page.click("#trial button")
    expect(page.locator("#tried")).to_contain_text("would not be in the graph")
    expect(page.locator("#tried")).to_contain_text("Event 1 would be rejected")
    # The browser reports the refused events as an error of its own.
    assert all("422" in error for error in operated.dashboard.errors)
    operated.dashboard.errors.clear()


def test_nodes_are_searched_and_opened_from_everywhere(operated: Operated) -> None:
    page = operated.page
    page.fill("#node", "1")
    page.click("#search")
    found = page.locator("#found button")
    expect(found.first).to_have_text("1")
    assert [button.inner_text() for button in found.all()] == ["1", *(f"1{number}" for number in range(10))]
    found.nth(3).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#answer .label")).to_contain_text("12 →")
    neighbour = page.locator("#edges button[data-node]").first
    name = neighbour.inner_text()
    neighbour.click()
    expect(page.locator("#answer .label")).to_contain_text(f"{name} →")
    other = page.locator("#picture .other").last
    name = (other.locator("title").text_content() or "").partition(":")[0]
    other.click()
    expect(page.locator("#answer .label")).to_contain_text(f"{name} →")
    page.fill("#node", "")
    page.press("#node", "Enter")
    expect(page.locator("#found")).to_contain_text("Some ids; the first 12 that were found")
    page.fill("#node", "2no such")
    page.press("#node", "Enter")
    expect(page.locator("#answer")).to_contain_text("is not in the graph")
    expect(page.locator("#found")).to_have_text("No id begins with 2no such.")
    expect(page.locator("#around")).to_be_hidden()
    assert all("404" in error for error in operated.dashboard.errors)
    operated.dashboard.errors.clear()


def test_a_hostile_id_is_shown_as_text_and_can_be_opened(operated: Operated) -> None:
    hostile, seen = "é/<b>\u202e%2F", "é/<b>‹U+202E›%2F"
    send(operated, [{"op": "upsert_node", "id": hostile}, {"op": "upsert_edge", "src": hostile, "dst": "39"}])
    operated.show("39")
    operated.page.locator("#edges button[data-node]", has_text=seen).click()
    expect(operated.page.locator("#answer .label")).to_contain_text(f"{seen} →")
    expect(operated.page.locator("#edges tbody th")).to_have_text(["39"])
    send(operated, [{"op": "remove_node", "id": hostile}])


def send(operated: Operated, events: list[dict[str, str]]) -> None:
    key = {"authorization": f"Bearer {operated.admin}"}
    answer = operated.dashboard.api.post("/events", json=events, headers=key)
    assert answer.status_code == 202, answer.text
    wait_for(operated, answer.json()["position"])


def wait_for(operated: Operated, position: str) -> None:
    operated.get(f"/predict/{NODE}?min_position={position}&timeout_ms=60000")


def test_lists_are_those_of_the_api(operated: Operated) -> None:
    page = operated.page
    page.check("#list-labelled")
    for order, path in (
        ("disagreement", "/nodes?order=disagreement"),
        ("changed", "/nodes?order=changed"),
        ("arrived", "/nodes?order=arrived"),
        ("top", "/top/odd%20one?"),
    ):
        page.select_option("#list-order", order)
        if order == "top":
            page.select_option("#list-class", label="odd one")
        page.click("#list-form button")
        nodes = operated.get(f"{path}&limit=15&labelled=true")["nodes"]
        assert isinstance(nodes, list)
        expect(page.locator("#list tbody th")).to_have_text([listed["node"] for listed in nodes])
        rows = table_of(page, "#list")
        share = "Probability of the class" if order == "top" else "Probability of the label"
        assert [row[share] for row in rows] == [f"{100 * listed['probability']:.1f} %" for listed in nodes]
    page.locator("#list button[data-node]").first.click()
    expect(page.locator("#answer .label")).to_contain_text(f"{rows[0]['Node']} →")
    expect(page.locator("#node")).to_be_focused()
    page.uncheck("#list-labelled")
    page.click("#list-form button")
    expect(page.locator("#list")).to_have_text("No node without a label.")


def test_events_that_were_rejected_are_listed(operated: Operated) -> None:
    expect(operated.page.locator("#rejected")).to_contain_text("None is kept")
    send(operated, [{"op": "remove_node", "id": "nobody"}])
    operated.report()
    expect(operated.page.locator("#rejected tbody tr")).to_have_count(1)
    (row,) = table_of(operated.page, "#rejected")
    (expected,) = operated.dashboard.api.get(
        "/events/rejected", headers={"authorization": f"Bearer {operated.read}"}
    ).json()["rejected"]
    assert (row["Batch at"], row["Event"], row["Why"]) == (expected["position"], "remove node", expected["detail"])


def changes(operated: Operated) -> list[tuple[str, int | None]]:
    entries = LogReader(operated.client, operated.keys).read("0-0", max_events=1000)
    return [(entry.version.action, entry.version.version) for entry in entries if entry.version is not None]


def test_a_version_is_pinned_and_unpinned_after_a_confirmation(operated: Operated) -> None:
    page = operated.page
    rows = table_of(page, "#versions")
    assert [row["Version"] for row in rows] == ["2 served", "1"]
    assert rows[0]["Made because of"] == "new classes"
    pin = page.locator("#versions button[data-do=pin][data-version='1']")
    for refusal in ("Cancel", "Escape"):
        pin.focus()
        page.keyboard.press("Enter")
        expect(page.locator("dialog h2")).to_have_text("Pin this version?")
        expect(page.locator("dialog button", has_text="Cancel")).to_be_focused()
        page.keyboard.press("Enter" if refusal == "Cancel" else "Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(pin).to_be_focused()
    assert changes(operated) == []
    pin.click()
    page.locator("dialog button", has_text="Pin").click()
    expect(page.locator("#versions-done")).to_contain_text("The change is in the log at position")
    assert changes(operated) == [("pin", 1)]
    log = operated.get("/status")["log"]
    assert isinstance(log, dict)
    wait_for(operated, log["position"])
    operated.report()
    expect(page.locator("#versions-now")).to_have_text("version 1 is pinned")
    expect(page.locator("#versions tbody tr").last.locator("th")).to_contain_text("pinned")
    page.click("#versions-actions button[data-do=unpin]")
    with page.expect_response("**/versions/pinned"):
        page.locator("dialog button", has_text="Unpin").click()
    assert changes(operated) == [("pin", 1), ("unpin", None)]


def test_a_rollback_names_its_version(operated: Operated) -> None:
    page = operated.page
    before = changes(operated)
    status = operated.dashboard.api.get("/status", headers={"authorization": f"Bearer {operated.read}"}).json()
    status["worker"]["kept"] |= {"pinned": None, "rollback_to": 1}
    operated.client.set(operated.keys.status, json.dumps(status["worker"]))
    page.locator("#versions-actions button", has_text="Roll back to version 1").click()
    expect(page.locator("dialog")).to_contain_text("Version 1, from before the last switch of student")
    with page.expect_response("**/versions/rollback"):
        page.locator("dialog button", has_text="Roll back").click()
    assert changes(operated)[len(before) :] == [("rollback", None)]
    operated.report()


def test_a_key_without_the_scope_reads_and_changes_nothing(operated: Operated) -> None:
    page = operated.page
    operated.sign_in(operated.read)
    expect(page.locator("#versions-may")).to_contain_text("scope admin")
    cards = page.locator("#versions button[data-do=card]")
    expect(cards.first).to_be_visible()
    assert page.locator("#versions-panel button").count() == cards.count()
    cards.first.click()
    expect(page.locator("dialog h2")).to_have_text(re.compile(r"Version \d"))
    expect(page.locator("dialog")).to_contain_text("Training steps")
    page.keyboard.press("Escape")
    # What needs no more than reading is there.
    operated.show(NODE)
    page.click("#explain")
    expect(page.locator("#effects")).to_contain_text("What gives")
    operated.sign_in(operated.admin)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_open_is_whole_and_legible(operated: Operated, scheme: str) -> None:
    page = operated.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    operated.show(NODE)
    page.click("#explain")
    expect(page.locator("#effects")).to_contain_text("What gives")
    page.locator("#edges button[data-edge]").first.click()
    page.click("#trial button")
    expect(page.locator("#tried table")).to_be_visible()
    page.check("#list-labelled")
    page.click("#list-form button")
    expect(page.locator("#list table")).to_be_visible()
    for width in (1440, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator("#picture svg")).to_have_attribute("width", re.compile(r"\d+"))
        page.wait_for_function(
            "() => document.querySelector('.graph').clientWidth === document.querySelector('#picture').clientWidth"
        )
        assert page.evaluate(WIDTH) == width
        assert page.evaluate(CUT) == []
        weak, _ = page.evaluate(CONTRAST)
        assert [text for text in weak if "away" not in text] == []
        assert hindrances(page) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")
