"""The variants on the dashboard, side by side, and promotion, in a real Chromium."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Browser, expect

from service.api_keys import create_key
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.status import CostStatus, VersionStatus
from tests.redis_server import RedisServer
from tests.service.api.serving import serving
from tests.service.publications import publication, served_outcomes, worker_status
from tests.service.web.opened import CONTRAST, CUT, WIDTH, Dashboard, hindrances, table_of

PAIRS = 400


@dataclass
class Compared:
    """A tab with the dashboard of a graph that has two variants."""

    dashboard: Dashboard
    graph: str
    read: str
    admin: str

    def variants(self) -> dict[str, Any]:
        answer = self.dashboard.api.get("/variants", headers={"authorization": f"Bearer {self.read}"})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def sign_in(self, key: str) -> None:
        self.dashboard.open()
        self.dashboard.page.evaluate("sessionStorage.clear()")
        self.dashboard.open()
        expect(self.dashboard.page.locator("#state-text")).to_have_text("Sign in")
        self.dashboard.page.fill("#key", key)
        self.dashboard.page.press("#key", "Enter")
        expect(self.dashboard.page.locator("#variants tbody tr")).to_have_count(2)
        # The browser reports the refusal of the first visit.
        self.dashboard.errors.clear()


def begin_worker(client: redis.Redis, keys: Keys, right: float, cpu_s: float) -> PredictionWriter:
    """What a worker has written that serves a version and has scored some nodes."""
    writer = PredictionWriter(client, keys)
    writer.start()
    writer.publish(publication("5-0", {"n": (0.9, 0.1)}, applied=3, version=4))
    writer.heartbeat(600_000)
    served = VersionStatus(version=4, student="sage", progress=1, created_position="1-0")
    cost = CostStatus(cpu_s=cpu_s, events=2_000, cpu_share=0.25)
    report = worker_status().model_copy(update={"served": served, "cost": cost})
    writer.write_status(report, b"", served_outcomes(PAIRS, right, seed=int(10 * right)))
    return writer


@pytest.fixture(scope="module")
def compared(
    browser: Browser, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compared]:
    folder: Path = tmp_path_factory.mktemp("compared")
    graph = f"test-{uuid.uuid4().hex}"
    read, admin = (create_key(folder / "keys.json", f"the-{scope}", [scope]) for scope in ("read", "admin"))
    client, keys = redis_server.client(), Keys(graph)
    for name in ("default", "wide"):
        LogReader(client, keys.of(name)).hold()
    workers = [begin_worker(client, keys, 0.7, 1.0), begin_worker(client, keys.of("wide"), 0.9, 3.0)]
    client.set(keys.appended, 4)
    with serving(redis_server.url, graph, api_keys_file=folder / "keys.json") as api:
        with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
            found = Compared(Dashboard(context.new_page(), api), graph, read, admin)
            found.sign_in(admin)
            yield found
            assert found.dashboard.errors == []
            assert found.dashboard.hosts == {api.base_url.netloc.decode()}
        # They are there as long as this process holds their subscriptions.
        assert len(workers) == 2
    client.close()


def points(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{abs(100 * value):.1f}"


def test_they_stand_side_by_side_with_the_difference_and_the_costs(compared: Compared) -> None:
    answered = compared.variants()["variants"]
    champion, challenger = table_of(compared.dashboard.page, "#variants")
    assert (champion["Variant"], champion["Against the champion"]) == ("default champion", "–")
    assert (challenger["Variant"], challenger["Serves"]) == ("wide", "sage, version 4")
    comparison = answered[1]["comparison"]
    difference, windows = comparison["difference"], comparison["windows"]
    assert difference["low"] > 0
    assert challenger["Against the champion"] == (
        f"accuracy {points(difference['value'])} points "
        f"[{points(difference['low'])}, {points(difference['high'])}] on {PAIRS} nodes, ahead"
    )
    assert challenger["Over time"] == ", ".join(points(window["accuracy"]["value"]) for window in windows)
    assert challenger["CPU"] == "1.50 ms an event, 25.0 % of a core lately"
    assert (champion["Lag"], challenger["Lag"]) == ("1 event", "1 event")


def test_a_key_that_may_only_read_is_offered_no_promotion(compared: Compared) -> None:
    compared.sign_in(compared.read)
    page = compared.dashboard.page
    expect(page.locator("#variants-may")).to_contain_text("scope admin")
    assert page.locator("#variants button").count() == 0
    compared.sign_in(compared.admin)
    expect(page.locator("#variants-may")).to_be_empty()


def test_one_is_promoted_and_the_other_one_again_by_keyboard_after_a_confirmation(compared: Compared) -> None:
    page = compared.dashboard.page
    promote = page.locator("#variants button[data-promote=wide]")
    for refusal in ("Cancel", "Escape"):
        promote.focus()
        page.keyboard.press("Enter")
        expect(page.locator("dialog h2")).to_have_text("Promote wide?")
        # It names its scope: which graph, what changes for readers, and how it is undone.
        for words in (compared.graph, "every request that names no variant", "?variant=default", "To undo it"):
            expect(page.locator("dialog")).to_contain_text(words)
        expect(page.locator("dialog button", has_text="Cancel")).to_be_focused()
        page.keyboard.press("Enter" if refusal == "Cancel" else "Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(promote).to_be_focused()
    assert compared.variants()["champion"] == "default"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("dialog button", has_text="Promote")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#variants-done")).to_have_text("wide is the champion from position 5-0 on.")
    expect(page.locator("#variants tbody tr.served th")).to_contain_text("wide")
    assert compared.variants()["champion"] == "wide"
    # Compared the other way round, and back.
    default, _ = table_of(page, "#variants")
    assert re.search(r"accuracy −.* points \[.*\] on 400 nodes, behind", default["Against the champion"])
    expect(page.locator("#promotions li")).to_contain_text("wide took the place of default")
    page.locator("#variants button[data-promote=default]").click()
    page.locator("dialog button", has_text="Promote").click()
    expect(page.locator("#variants-done")).to_contain_text("default is the champion")
    expect(page.locator("#promotions li")).to_have_count(2)
    assert compared.variants()["champion"] == "default"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_whole_and_legible(compared: Compared, scheme: str) -> None:
    page = compared.dashboard.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for width in (1440, 1401, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(WIDTH) == width
        assert page.evaluate(CUT) == []
        weak, _ = page.evaluate(CONTRAST)
        assert weak == []
        assert hindrances(page) == []
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")
