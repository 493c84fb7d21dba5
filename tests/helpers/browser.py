"""A real browser for the tests of pages: the Chromium or Chrome of the machine, driven by playwright.

Whoever takes the fixture `chromium` is in the ring `browser`; where no such browser is found those tests are skipped,
and say what to install.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [f"--{name}" for name in ("no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run")]
GRAVE = ("serious", "critical")
DESK, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """playwright's Browser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("No browser here: install Chromium or Chrome, and the pages are tested in it.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=FLAGS) as browser:
        yield browser


@contextmanager
def page(
    chromium: Any, size: tuple[int, int] = DESK, scheme: Literal["light", "dark"] = "light", errors: str = ""
) -> Iterator[Any]:
    """A page that fails the test if it writes anything to the console: an error, or what its CSP kept from it.

    errors: what messages may hold that are no failure.
    """
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
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


def axe(tab: Any) -> list[str]:
    """What stands in the way of a person who cannot see or point well, the serious alone: rule, place, cure."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(tab).response["violations"]
    return [
        f"{violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in violations
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
    ]
