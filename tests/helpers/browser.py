"""A real browser for the tests of pages: the Chromium or Chrome of the machine, driven by playwright.

Whoever takes the fixture `chromium` is in the ring `browser`; where no such browser is found those tests are skipped,
and say what to install.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [f"--{name}" for name in ("no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run")]
GRAVE = ("serious", "critical")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """playwright's Browser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("No browser here: install Chromium or Chrome, and the pages are tested in it.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=found, args=FLAGS) as browser:
        yield browser


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
