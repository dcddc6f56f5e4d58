"""The dashboard as a test has opened it, with all that its page did."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTH = "document.documentElement.scrollWidth"
CUT = """() => [...document.querySelectorAll(
        "main td, main tbody th, .tile, .panel, .bars > *, .legend button, main button, main select, .graph text")]
    .filter(cell => cell.getBoundingClientRect().left < 0
        || cell.getBoundingClientRect().right > document.documentElement.clientWidth
        || cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth)
    .map(cell => cell.outerHTML)"""
"""Whatever does not lie within the page, or whose box hides a part of its text."""
CONTRAST = """() => {
    const parse = text => text.match(/[\\d.]+/g).map(Number);
    const channel = value => value <= 0.03928 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const weak = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!own || !element.checkVisibility() || element.closest("noscript")) continue;
        const style = getComputedStyle(element);
        const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
        const [a, b] = [light(parse(colour)), light(behind(element))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(`${element.outerHTML}: ${(a + 0.05) / (b + 0.05)}`);
    }
    return [weak, light(behind(document.querySelector("h1")))];
}"""
"""Texts with a contrast below 4.5 to what is behind them, and how light the page is."""


def hindrances(page: Page) -> list[str]:
    """What axe-core calls serious or critical of the page as it is: the rule, and where it does not hold."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


@dataclass
class Dashboard:
    """A page of the browser, with all that it did."""

    page: Page
    api: httpx.Client
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.set_default_timeout(20_000)

    def open(self) -> None:
        self.page.goto(str(self.api.base_url))

    def tile(self, name: str) -> str:
        return self.page.locator(".tile", has=self.page.get_by_text(name, exact=True)).inner_text()

    def wait_for_students(self) -> None:
        self.page.wait_for_selector("#students table")


def table_of(page: Page, box: str) -> list[dict[str, str]]:
    """Rows of a table by the headings of its columns."""
    rows: list[dict[str, str]] = page.evaluate(
        """box => {
            const heads = [...document.querySelectorAll(`${box} thead th`)].map(head => head.textContent);
            return [...document.querySelectorAll(`${box} tbody tr`)].map(row =>
                Object.fromEntries([...row.children].map((cell, at) => [heads[at], cell.innerText.trim()])));
        }""",
        box,
    )
    return rows
