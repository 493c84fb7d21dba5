"""Chromium for the tests of the pages: any that is on PATH. Where there is none they are skipped, and say why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESK, PHONE = (1280, 900), (390, 844)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def chromium() -> str:
    """Where it is. Skips the test: there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("This test needs a browser: install Chromium or Chrome (apt-get install chromium).")
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of Playwright's, without windows."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield launched
        finally:
            launched.close()


@contextmanager
def page(
    launched: Any, size: tuple[int, int] = DESK, scheme: Literal["light", "dark"] = "light", errors: str = ""
) -> Iterator[Any]:
    """A page that fails the test if it writes anything to the console: an error, or what its CSP kept from it.

    errors: what messages may hold that are no failure.
    """
    context = launched.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, accept_downloads=True
    )
    context.set_default_timeout(120_000)
    said: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield opened
    finally:
        context.close()
    assert [each for each in said if not errors or errors not in each] == []


def serious(opened: Any) -> list[str]:
    """What axe-core finds on a page that is serious or critical: rule and elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened).response["violations"]
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
