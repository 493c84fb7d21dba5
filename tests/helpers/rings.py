"""The rings of the tests and who shares a process: `make check` is all that needs no environment beside the project's.

A test that takes the fixture `tf1`, `torch`, `sam`, `checkov` or `chromium`, itself or through another fixture, gets
the marker of that ring. `slow` is set by hand: races, kills, long simulations.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

RINGS = {"tf1": "tensorflow", "torch": "torch", "sam": "sam", "checkov": "checkov", "chromium": "browser"}
"""Fixture → marker."""

MOST_WORKERS = 4
"""More do not end sooner: the longest group alone takes a quarter of the time that one worker needs."""

TENSORFLOW = "tensorflow"
SHARED = {
    f"tests/{name}.py": TENSORFLOW
    for name in ("model/test_finetune", "model/test_torch", "runs/test_end_to_end", "sample/test_same_as_tensorflow")
}
"""Files that take the fine-tuned nano, which costs more than any test of it: one worker makes it once."""

LONGEST = {TENSORFLOW, "tests/aws/test_bot.py"}
"""The groups that begin first."""

SPLIT = {"tests/simulation/test_simulation.py", "tests/post_tweet/test_races.py"}
"""Files whose tests share nothing and take long: each goes to whichever worker is free."""


def group_of(nodeid: str) -> str:
    """The tests of a group run in one worker, in their order: a file, unless it is in the lists above."""
    file = nodeid.partition("::")[0]
    return nodeid if file in SPLIT else SHARED.get(file, file)


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    config.option.loadscopereorder = False  # the order is that of pytest_collection_modifyitems
    return ByGroup(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One for each processor that this process may use, which a container or taskset may have made fewer; none with
    `-s`, for what a worker prints is not shown."""
    return 0 if config.getoption("capture") == "no" else min(MOST_WORKERS, len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set the markers; in a worker, put the longest groups first, and then all that hold a dear test."""
    for item in items:
        for fixture in RINGS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(RINGS[fixture])
    if hasattr(config, "workerinput"):
        markers = {*RINGS.values(), "slow"}
        dear = {group_of(item.nodeid) for item in items if any(mark.name in markers for mark in item.iter_markers())}
        items.sort(key=lambda item: (group_of(item.nodeid) not in LONGEST, group_of(item.nodeid) not in dear))
