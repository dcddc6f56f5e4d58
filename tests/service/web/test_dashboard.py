"""The dashboard in a real Chromium, against a real API with published predictions."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from playwright.sync_api import Browser, expect

from service.api.document.examples import COMBINED
from service.api_keys import create_key
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.status import CombinedStatus, LeadStatus, StudentStatus, VersionStatus, WorkerStatus
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.publications import publication, worker_status
from tests.service.web.opened import CONTRAST, CUT, WIDTH, Dashboard, hindrances, table_of

STUDENTS = ("gcn", "sage", "gat", "evolvegcn", "tgcn")
SERVED = "sage"
HOSTILE = '<img src=x onerror="document.title=1">\u202eevil\u2066'
HOSTILE_SEEN = '<img src=x onerror="document.title=1">‹U+202E›evil‹U+2066›'
WIDTHS = (1920, 1440, 1401, 1024, 800, 390)
NO_EDGES: dict[str, object] = {"node": "a", "label": None, "edges": [], "count": 0, "position": "1482-0", "behind": 0}
STALE_MS = 8_000
"""A worker whose heartbeat is gone is shown as such within this time."""


def report(**given: Any) -> WorkerStatus:
    """A worker that serves one of five students, and is one event behind in its report."""
    status = worker_status()
    (student,) = status.students
    students = tuple(
        student.model_copy(
            update={
                "name": name,
                "architecture": name,
                "parameters": 1234 * 10**number,
                "served": name == SERVED,
                "served_since_version": 12 if name == SERVED else None,
                "score": student.score.model_copy(update={"scored": 10 + number, "accuracy": 0.123 * (number + 1)}),
            }
        )
        for number, name in enumerate(STUDENTS)
    )
    served = VersionStatus(version=12, student=SERVED, progress=1, created_position="1-0")
    return status.model_copy(update={"students": students, "served": served, "applied_events": 1304} | given)


@dataclass
class Served:
    """An API with a graph of its own, and the worker's side of its store."""

    api: httpx.Client
    writer: PredictionWriter
    client: redis.Redis
    keys: Keys

    def report(self, **given: Any) -> None:
        self.writer.write_status(report(**given), b"")
        self.writer.heartbeat(600_000)


def publish(redis_server: RedisServer, graph: str, api: httpx.Client) -> Served:
    client = redis_server.client()
    keys = Keys(graph)
    writer = PredictionWriter(client, keys)
    writer.start()
    rows = {"a": [7.7e-9, 1 - 7.7e-9], HOSTILE: [0.25, 0.75]}
    writer.publish(publication("1482-0", rows, version=12, classes=("plain", HOSTILE), applied=1482))
    client.set(keys.appended, 1482)
    served = Served(api, writer, client, keys)
    served.report()
    return served


@pytest.fixture(scope="module")
def published(browser: Browser, redis_server: RedisServer) -> Iterator[Served]:
    # The browser comes first: without one nothing else is started.
    graph = f"test-{uuid.uuid4().hex}"
    with serving(redis_server.url, graph) as api:
        served = publish(redis_server, graph, api)
        yield served
        served.client.close()


@pytest.fixture
def served(published: Served) -> Served:
    published.report()
    return published


@pytest.fixture(scope="module")
def tab(browser: Browser, published: Served) -> Iterator[Dashboard]:
    with browser.new_context() as context:
        opened = Dashboard(context.new_page(), published.api)
        # No worker answers here what the edges of a node are.
        opened.page.route("**/neighbours/**", lambda route: route.fulfill(json=NO_EDGES))
        yield opened


@pytest.fixture
def dashboard(tab: Dashboard, served: Served) -> Iterator[Dashboard]:
    """The page, loaded anew, with its first answers; it may log no error and reach no other host."""
    tab.errors.clear()
    tab.page.set_viewport_size({"width": 1440, "height": 900})
    tab.open()
    tab.wait_for_students()
    yield tab
    assert tab.errors == []
    assert tab.hosts == {served.api.base_url.netloc.decode()}


def test_tiles_show_what_the_status_answers(dashboard: Dashboard) -> None:
    status = dashboard.api.get("/status").json()
    expect(dashboard.page.locator("#state-text")).to_have_text("Serving")
    score, learning = status["worker"]["served_score"], status["worker"]["learning"]
    assert f"{100 * score['accuracy_recent']:.1f} %" in dashboard.tile("Served accuracy, recent")
    assert "12 · sage" in dashboard.tile("Served version")
    assert status["position"] in dashboard.tile("Position")
    assert f"{learning['steps']} in all" in dashboard.tile("Training steps")
    assert f"{status['worker']['graph']['nodes']} nodes" in dashboard.tile("Graph")
    assert "1 rejected" in dashboard.tile("Checkpoint")


def test_where_classes_are_unbalanced_the_metric_that_decides_comes_first(dashboard: Dashboard, served: Served) -> None:
    lead = LeadStatus(
        metric="macro_f1",
        declared=False,
        lower_is_better=False,
        value=0.612,
        recent=0.643,
        baseline=0.479,
        baseline_recent=0.48,
        baseline_of=f"always {HOSTILE!r}",
    )
    served.report(lead=lead)
    dashboard.page.wait_for_selector(".tile >> text=Served macro-F1, recent")
    first = dashboard.page.locator(".tile").first.inner_text()
    assert "64.3 %" in first
    assert "47.9 %" in first
    assert "unbalanced" in first
    expect(dashboard.page).to_have_title("64.3 % · olad")
    served.report(lead=lead.model_copy(update={"metric": "average_precision:" + HOSTILE, "declared": True}))
    expect(dashboard.page.locator(".tile").first).to_contain_text(f"Served average precision of {HOSTILE_SEEN}, recent")
    served.report(lead=lead.model_copy(update={"metric": "log_loss", "declared": True}))
    expect(dashboard.page.locator(".tile").first).to_contain_text("0.643")


def test_the_classes_and_their_confusion_are_shown(dashboard: Dashboard) -> None:
    found = dashboard.api.get("/status").json()["worker"]["served_report"]
    rows = table_of(dashboard.page, "#classes")
    assert [row["Class"] for row in rows] == [row["name"] for row in found["classes"]]
    for row, expected in zip(rows, found["classes"], strict=True):
        assert row["Nodes"] == str(expected["support"])
        assert row["Precision"] == f"{100 * expected['whole']['precision']:.1f} %"
        assert row["Recall"] == f"{100 * expected['whole']['recall']:.1f} %"
        assert row["Average precision"] == f"{100 * expected['whole']['average_precision']:.1f} %"
    assert "92.0 % right" in dashboard.page.locator("#classes-now").inner_text()
    matrix = table_of(dashboard.page, "#confusion")
    for row, name, counts in zip(matrix, found["confusion"]["classes"], found["confusion"]["counts"], strict=True):
        assert row["true class"] == name
        assert [row[column] for column in found["confusion"]["classes"]] == [str(count) for count in counts]


def test_the_lag_and_what_is_applied_are_of_one_moment(dashboard: Dashboard) -> None:
    # The report in Redis is older: it knows 1,304 events.
    lag = dashboard.tile("Lag")
    assert "0 events" in lag
    assert "1,482 of 1,482 applied" in lag
    assert "1,482 in all" in dashboard.tile("Events applied")


def test_the_table_shows_what_students_answers(dashboard: Dashboard) -> None:
    rows = table_of(dashboard.page, "#students")
    students = dashboard.api.get("/students").json()["students"]
    assert [row["Student"] for row in rows] == [student["name"] for student in students] == list(STUDENTS)
    for row, student in zip(rows, students, strict=True):
        score = student["score"]
        assert row["Accuracy, recent"] == f"{100 * score['accuracy_recent']:.1f} %"
        assert row["Accuracy, whole"] == f"{100 * score['accuracy']:.1f} %"
        assert row["Log-loss, recent"] == f"{score['log_loss_recent']:.3f}"
        assert row["Temperature"] == f"{student['temperature']:.2f}"
        assert row["Scored"] == str(score["scored"])
        assert row["Parameters"] == f"{student['parameters']:,}"
        assert row["Architecture"] == student["architecture"]
        assert row["Served"] == ("served since version 12" if student["served"] else "–")


def test_the_group_and_its_other_members_stand_below_the_students(dashboard: Dashboard, served: Served) -> None:
    combined = CombinedStatus.model_validate(COMBINED)
    served.report(combined=combined, applied_events=1305)
    expect(dashboard.page.locator("#students tbody th").last).to_have_text("linear")
    group, trees, linear = table_of(dashboard.page, "#students")[-3:]
    assert combined.trees is not None
    assert group["Student"] == "group"
    assert group["Accuracy, recent"] == f"{100 * (combined.score.accuracy_recent or 0):.1f} %"
    assert group["Architecture"] == "all members"
    assert trees["Accuracy, recent"] == f"{100 * (combined.trees.score.accuracy_recent or 0):.1f} %"
    assert trees["Parameters"] == f"{combined.trees.trees} trees"
    assert trees["Served"] == "–"
    assert combined.linear is not None
    assert linear["Parameters"] == f"{combined.linear.columns} columns"
    assert linear["Served"] == "–"


@pytest.mark.parametrize("wide", [False, True])
def test_nothing_is_cut(dashboard: Dashboard, served: Served, *, wide: bool) -> None:
    if wide:
        served.report(students=tuple(map(widest, report().students)), applied_events=10**12)
        expect(dashboard.page.locator("#students tbody th").last).to_have_text("tgcn-of-a-long-name")
    dashboard.page.fill("#node", "a")
    dashboard.page.press("#node", "Enter")
    dashboard.page.wait_for_selector(".bars")
    for width in WIDTHS:
        dashboard.page.set_viewport_size({"width": width, "height": 900})
        assert_nothing_is_cut(dashboard, width)


def widest(student: StudentStatus) -> StudentStatus:
    """The student with numbers as long as they become, and a longer name."""
    score = student.score.model_copy(update={"scored": 10**9, "accuracy": 0.9999999, "log_loss_recent": 12.345})
    numbers = {"parameters": 10**9, "temperature": 12.345, "served_since_version": 1_234_567}
    return student.model_copy(update={"name": f"{student.name}-of-a-long-name", "score": score} | numbers)


def assert_nothing_is_cut(dashboard: Dashboard, width: int) -> None:
    assert dashboard.page.evaluate(WIDTH) == width
    assert dashboard.page.evaluate(CUT) == []
    for box in ("#students", "#decisions"):
        widths = dashboard.page.evaluate(
            "box => [box.scrollWidth, box.clientWidth]", dashboard.page.query_selector(box)
        )
        assert widths[0] == widths[1]
    if width > 1400:
        # A usual name is not broken into lines.
        heights = (
            "names => names.filter(name => name.textContent.length < 12).map(name => name.getClientRects().length)"
        )
        assert set(dashboard.page.eval_on_selector_all("#students bdi", heights)) == {1}
    # Each column has its name in sight: in the head of the table, or beside each value of a card.
    names = dashboard.page.evaluate(
        """() => [...document.querySelectorAll("#students tbody tr:first-child > td")].map(cell => {
            const card = getComputedStyle(cell, "::before").content;
            const head = document.querySelectorAll("#students thead th")[cell.cellIndex].getBoundingClientRect();
            return card === "none" ? head.width > 20 && head.right <= innerWidth : card.length > 2;
        })"""
    )
    assert names == [True] * 10


def test_text_has_contrast_in_light_and_in_dark(dashboard: Dashboard) -> None:
    lightness = {}
    for scheme in ("light", "dark"):
        dashboard.page.emulate_media(color_scheme=scheme)
        weak, lightness[scheme] = dashboard.page.evaluate(CONTRAST)
        assert weak == []
        assert hindrances(dashboard.page) == []
    assert lightness["light"] > 0.8
    assert lightness["dark"] < 0.05


def test_the_keyboard_reaches_everything(dashboard: Dashboard) -> None:
    page = dashboard.page
    # One of a group of radio buttons takes the focus; the arrow keys choose among them.
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, select, textarea, [tabindex]")]
            .filter(element => element.checkVisibility() && !element.disabled)
            .filter(element => element.type !== "radio" || element.checked).length"""
    )
    reached = []
    page.evaluate("window.reached = new Set()")
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                    const element = document.activeElement;
                    const shown = element.type === "radio" ? element.nextElementSibling : element;
                    window.reached.add(element);
                    return getComputedStyle(shown).outlineStyle;
                }"""
            )
        )
    assert page.evaluate("window.reached.size") == wanted > 10
    # Whoever is reached is seen to be.
    assert "none" not in reached


def test_charts_and_choices_follow_the_keyboard(dashboard: Dashboard, served: Served) -> None:
    page = dashboard.page
    page.focus("#accuracy-chart")
    page.keyboard.press("End")
    assert "60.0 %" in page.locator("#accuracy-chart .tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator(".tip").count() == 0
    page.focus("input[name=window]:checked")
    page.keyboard.press("ArrowRight")
    assert "12.3 %" in str(page.locator("#accuracy-chart svg").get_attribute("aria-label"))
    page.focus(".legend button")
    page.keyboard.press("Space")
    assert page.locator(".legend button").first.get_attribute("aria-pressed") == "false"


def test_an_answer_that_comes_in_leaves_focus_and_selection(dashboard: Dashboard, served: Served) -> None:
    page = dashboard.page
    page.focus(".tile a")
    served.report(rejected_events=7)
    expect(page.locator(".tile a")).to_have_text("7 rejected")
    assert page.evaluate("document.activeElement.matches('.tile a')")


def test_a_worker_whose_heartbeat_is_gone_is_shown_as_such(dashboard: Dashboard, served: Served) -> None:
    state = dashboard.page.locator("#state-text")
    expect(state).to_have_text("Serving")
    served.client.delete(served.keys.heartbeat)
    expect(state).to_have_text("Worker silent", timeout=STALE_MS)
    expect(dashboard.page.locator("#notice")).to_contain_text("heartbeat is gone")
    served.report()
    expect(state).to_have_text("Serving", timeout=STALE_MS)
    expect(dashboard.page.locator("#notice")).to_be_hidden()


def test_an_api_that_does_not_answer_is_shown_as_such(dashboard: Dashboard) -> None:
    page, state = dashboard.page, dashboard.page.locator("#state-text")
    page.route("**/status", lambda route: route.abort())
    expect(state).to_have_text("API unreachable", timeout=STALE_MS)
    page.unroute("**/status")
    expect(state).to_have_text("Serving", timeout=STALE_MS)
    assert all("net::ERR_FAILED" in error for error in dashboard.errors)
    dashboard.errors.clear()


def test_a_hostile_name_is_shown_as_text(dashboard: Dashboard, served: Served) -> None:
    page = dashboard.page
    hostile = report().students[0].model_copy(update={"name": HOSTILE, "architecture": HOSTILE})
    served.report(
        students=(hostile,), served=VersionStatus(version=12, student=HOSTILE, progress=1, created_position="1-0")
    )
    expect(page.locator("#students tbody tr")).to_have_count(1)
    page.fill("#node", HOSTILE)
    page.press("#node", "Enter")
    expect(page.locator("#answer .label")).to_have_text(f"{HOSTILE_SEEN} → {HOSTILE_SEEN}")
    expect(page.locator(".bars .name").first).to_have_text(HOSTILE_SEEN)
    expect(page.locator("#students tbody th")).to_have_text(HOSTILE_SEEN)
    expect(page.locator(".legend")).to_contain_text(HOSTILE_SEEN)
    assert HOSTILE_SEEN in dashboard.tile("Served version")
    assert page.locator("img").count() == 1  # the icon beside the title
    assert page.evaluate("document.title") != "1"
    assert HOSTILE not in page.content()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(WIDTH) == width


def test_a_small_share_is_not_shown_as_none(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.fill("#node", "a")
    page.press("#node", "Enter")
    expect(page.locator(".bars")).to_contain_text("< 0.1 %")
    shown = page.evaluate(
        """async () => {
            const { percent, rate } = await import("/assets/format.js");
            return [...[0, 7.7e-9, 0.0004, 0.0005, 0.5, 0.9994, 0.99951, 0.9999999, 1, null, NaN].map(percent),
                ...[0, 0.001, 0.05, 99.94, 99.96, 1234.5].map(rate)];
        }"""
    )
    none = ["–", "–"]
    shares = ["0.0 %", "< 0.1 %", "< 0.1 %", "0.1 %", "50.0 %", "99.9 %", "> 99.9 %", "> 99.9 %", "100.0 %", *none]
    assert shown == [*shares, "0", "< 0.1", "0.1", "99.9", "100", "1,235"]


@dataclass
class Guarded:
    """An API that needs keys."""

    served: Served
    read: str
    write: str


@pytest.fixture
def guarded(browser: Browser, redis_server: RedisServer, graph: str, tmp_path: Path) -> Iterator[Guarded]:
    file = tmp_path / "keys.json"
    read, write = (create_key(file, f"the-{scope}", [scope]) for scope in ("read", "write"))
    with serving(redis_server.url, graph, api_keys_file=file) as api:
        served = publish(redis_server, graph, api)
        yield Guarded(served, read, write)
        served.client.close()


def test_a_first_visit_asks_to_sign_in(browser: Browser, guarded: Guarded) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        opened = Dashboard(page, guarded.served.api)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        opened.open()
        state, notice = page.locator("#state"), page.locator("#notice")
        expect(state).to_have_text("Sign in")
        assert state.get_attribute("data-state") == "wait"
        expect(notice).to_contain_text("This API has keys")
        assert notice.get_attribute("data-kind") == "wait"
        expect(page.locator("#key")).to_be_focused()
        # Nothing is shown that has no numbers, and nothing asks again without a key.
        expect(page.locator("main > section").first).to_be_hidden()
        page.wait_for_timeout(2_500)
        assert [path for path in asked if path in {"/status", "/students"}] == ["/status"]

        for refused, why in (("olad_wrong", "unknown"), (guarded.write, "lacks the scope read")):
            page.fill("#key", refused)
            page.keyboard.press("Enter")
            expect(state).to_have_text("Key refused")
            expect(notice).to_contain_text(why)
            expect(page.locator("#key")).to_be_focused()
            assert page.evaluate("sessionStorage.length") == 0

        page.fill("#key", guarded.read)
        page.keyboard.press("Enter")
        expect(state).to_have_text("Serving")
        expect(page.locator("#key-form")).to_be_hidden()
        opened.wait_for_students()
        # It stays with the tab, and only there.
        page.reload()
        expect(state).to_have_text("Serving")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        page.click("nav a:text('Rejected events')")
        page.wait_for_url("blob:**")
        other = Dashboard(context.new_page(), guarded.served.api)
        other.open()
        expect(other.page.locator("#state")).to_have_text("Sign in")
        # A node is asked for with the key, too. A key that is revoked while the page is open is refused.
        page.go_back()
        expect(state).to_have_text("Serving")
        page.fill("#node", "a")
        page.press("#node", "Enter")
        page.wait_for_selector(".bars")
        page.evaluate("sessionStorage.setItem('olad-api-key', 'olad_revoked')")
        expect(state).to_have_text("Key refused")
        expect(page.locator("#key-form")).to_be_visible()


def test_the_charts_begin_before_the_page_was_opened(browser: Browser, served: Served) -> None:
    now = time.time()
    client = served.client
    client.delete(served.keys.samples(10))
    for second in range(0, 600, 120):
        at = now - 3_600 + second
        sample = report(updated_at=at)
        more = {"accuracy_recent": 0.5 + second / 2_000, "scored": 40 if second < 240 else 43}
        score = {**sample.served_score.model_dump(), **more}
        values = {
            "time": at,
            "version": 11 if second < 480 else 12,
            "behind_events": second,
            "served": score,
            "students": {SERVED: score},
            "losses": {},
        }
        client.xadd(served.keys.samples(10), {"sample": json.dumps(values)}, id=f"{int(1000 * at)}-0")
    reason = "errors of what was served rose"
    decided = json.dumps({"time": now - 3_300, "kind": "drift", "reason": reason, "number": 9})
    client.delete(served.keys.past_decisions)
    client.xadd(served.keys.past_decisions, {"number": 9, "decision": decided}, id=f"{int(1000 * (now - 3_300))}-0")
    try:
        with browser.new_context() as context:
            opened = Dashboard(context.new_page(), served.api)
            opened.open()
            opened.wait_for_students()
            began = opened.page.evaluate("at => new Date(at).toLocaleTimeString('en-GB')", 1000 * (now - 3_600))
            expect(opened.page.locator("#since")).to_contain_text(f"Since {began}.")
            marks = opened.page.locator("#accuracy-chart .mark")
            assert [mark.evaluate("mark => mark.textContent") for mark in marks.all()] == [
                f"Drift: {reason}",
                "3 labels scored",
                "Version 12",
            ]
            expect(opened.page.locator("#accuracy-marks")).to_have_text("driftanother versionlabels came")
            # What happened is read by the keyboard, too.
            opened.page.focus("#accuracy-chart")
            opened.page.keyboard.press("Home")
            for expected in ("", "3 labels scored", f"Drift: {reason}"):
                opened.page.keyboard.press("ArrowRight")
                expect(opened.page.locator("#accuracy-chart .tip")).to_contain_text(expected)
            line = opened.page.locator("#accuracy-chart path.series").last.get_attribute("d") or ""
            assert line.count("L") >= 4, "the samples of before are joined"
            assert line.count("M") == 2, "and the hour without a worker is a gap"
            area = opened.page.locator("#lag-chart path.area").get_attribute("d") or ""
            assert area.count("Z") == 2, "which has no area beneath it either"
            assert opened.errors == []
    finally:
        client.delete(served.keys.samples(10), served.keys.past_decisions)
