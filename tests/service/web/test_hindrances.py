from __future__ import annotations

from playwright.sync_api import Browser

from tests.service.web.opened import hindrances


def test_what_hinders_is_found(browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content("<html lang=en><title>A form</title><main><h1>A form</h1><input id=name></main>")
        assert [rule.partition(":")[0] for rule in hindrances(page)] == ["label"]
        page.set_content(
            "<html lang=en><title>A form</title><main><h1>A form</h1><label>Name <input id=name></label></main>"
        )
        assert hindrances(page) == []
