"""The simulator in small: 20,000 slots, every double fault in one slot, every single one in two concurrent calls, every
mutation caught; and that the simulator itself is what it says: deterministic, readable, shrinking."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import chain, islice, pairwise

import pytest
from post_tweet import lost_answer
from post_tweet.place import CannotTell, Found, NotFound
from post_tweet.state import due as due_of
from post_tweet.x import X

from tests.simulation.history import START, History, history
from tests.simulation.mutations import MUTATIONS, hunt
from tests.simulation.search import (
    old_claims,
    old_heirs,
    one_slot,
    random_runs,
    restored,
    short_leases,
    shrink,
    sleepers,
    story,
    two_heirs,
    two_slots,
)
from tests.simulation.world import Run, Simulation
from tests.simulation.worlds import accounts, damaged, denied, given_up, inherited, memories, outages
from training.common.paths import ROOT

PAGE = ROOT / "docs" / "pool.md"


def clean(runs: Iterable[Run]) -> list[Run]:
    done = []
    for run in runs:
        if run.violations:
            pytest.fail(story(shrink(run)))
        done.append(run)
    return done


def test_twenty_thousand_slots() -> None:
    runs = clean(random_runs(range(1_000_000, 1_000_200)))
    assert sum(run.history.slots for run in runs) >= 20_000
    assert sum(run.faults for run in runs) > 5_000 and sum(run.posts for run in runs) > 10_000
    assert sum(run.history.world.through_bytes for run in runs) == 4, "some lives go through the real bytes"
    assert min(run.faults for run in runs) == 0, "and some are calm:"


def calm(seed: int) -> History:
    """A life in which nothing is wrong: every slot comes, some late and some twice."""
    life = history(seed)
    due = [at for delivery in life.deliveries if (at := due_of(delivery.slot)) and not delivery.by_hand]
    gap = min(later - earlier for earlier, later in pairwise(sorted(set(due)))).total_seconds()
    deliveries = []
    for delivery in life.deliveries:
        at = due_of(delivery.slot)
        latest = (at - START).total_seconds() + 30 * gap if at else delivery.time
        deliveries.append(replace(delivery, time=min(delivery.time, latest), skew=0.0, by_hand=False, account=None))
    world = replace(life.world, texts=400, unfit=41, blind=3.0, lag=0.0, lease=55.0)
    return replace(life, world=world, deliveries=tuple(deliveries), acts=(), faults={})


def test_where_nothing_is_wrong_no_slot_is_missed() -> None:
    runs = clean(Simulation(calm(seed)).run() for seed in range(60))
    assert [run.missed for run in runs] == [0] * 60 and sum(run.posts for run in runs) > 6_000


@pytest.mark.slow
def test_every_single_and_double_fault_in_one_slot() -> None:
    assert len(clean(one_slot(depth=2))) > 14_000


@pytest.mark.slow
def test_every_single_fault_in_two_calls_at_once() -> None:
    assert len(clean(two_slots(depth=1))) > 15_000


@pytest.mark.slow
def test_double_faults_in_two_calls_at_once() -> None:
    """Some of the interleavings, of one and of two slots, X readable or not; `make simulate` does all."""
    assert len(clean(two_slots(depth=2, start=random.Random(5).randrange(37), every=37))) > 20_000


@pytest.mark.slow
def test_two_heirs_of_one_claim() -> None:
    """Every nineteenth of the interleavings; `make simulate` does all."""
    assert len(clean(two_heirs(depth=1, every=19))) > 11_000


@pytest.mark.slow
def test_old_claims_wrong_clocks_and_sleepers() -> None:
    assert len(clean(old_claims(depth=1))) > 400 and len(clean(sleepers(depth=1))) > 4_000


def test_a_text_restored_at_any_moment() -> None:
    assert len(clean(restored(depth=0))) == 384


@pytest.mark.slow
def test_a_text_restored_at_any_moment_and_every_fault() -> None:
    assert len(clean(restored(depth=1))) > 35_000


def test_full_memories_older_pools_and_outages() -> None:
    runs = clean(chain(memories(), inherited(), outages()))
    assert len(runs) == 44 and sum(run.missed for run in runs) > 700
    assert sum(run.posts for run in runs) > 2_000


def test_keys_of_two_accounts() -> None:
    runs = clean(islice(accounts(depth=1), 0, None, 4))
    assert len(runs) > 1_000 and sum(run.posts for run in runs) > 2_000
    assert sum(run.missed for run in runs) > 500, "the other account's"


def test_a_text_whose_record_stands_is_posted_whatever_x_shows() -> None:
    assert len(clean(denied(depth=1))) > 450


def test_a_claim_of_seven_hours_and_the_shortest_lease() -> None:
    assert len(clean(chain(old_heirs(every=9), short_leases()))) > 1_000


def test_a_state_that_is_lost_cut_or_put_back_at_any_moment() -> None:
    assert len(clean(chain(damaged(depth=0, every=97), given_up()))) > 200


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_is_caught(mutation: object) -> None:
    caught = hunt(mutation, 10_000)  # type: ignore[arg-type]
    assert caught.run, "nothing noticed that this rule is gone"


def test_a_life_repeats_itself_exactly() -> None:
    first, second = (Simulation(history(17), log=True).run() for _ in range(2))
    assert first.log == second.log and len(first.log) > 500


def test_objects_and_bytes_make_the_same_life() -> None:
    life = history(23)
    through_bytes = replace(life, world=replace(life.world, through_bytes=True))
    assert Simulation(life, log=True).run().log == Simulation(through_bytes, log=True).run().log


def test_a_broken_life_shrinks_to_a_story() -> None:
    (mutation,) = [m for m in MUTATIONS if m.name == "trust X's check of duplicates for a month"]
    protocol = mutation.protocol()
    broken = next(run for run in random_runs(range(2_000), protocol) if run.violations)
    small = shrink(broken, protocol)
    assert len(small.history.deliveries) <= 6 < len(broken.history.deliveries)
    assert len(small.history.faults) <= 6 < len(broken.history.faults)
    assert "DOUBLE" in story(small) and "Publish" in story(small)
    for key in small.history.faults:
        fewer = {other: kind for other, kind in small.history.faults.items() if other != key}
        rest = Simulation(replace(small.history, faults=fewer), protocol).run().violations
        assert not any("DOUBLE" in violation for violation in rest), "a fault that could be left out"


ANSWERS: dict[str, Found | NotFound | CannotTell] = {
    "hold the text": Found("1"),
    "do not hold it": NotFound(),
    "keys not accepted": CannotTell("401", "keys"),
    "cannot be read": CannotTell("403", "never"),
    "cannot be read now": CannotTell("503", "later"),
}


def test_the_table_in_the_docs_is_what_the_function_does() -> None:
    """Row by row, and in every case that a row covers and none before it does."""
    section = PAGE.read_text().partition("## A lost answer")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip(" `") for cell in line.split("|")[1:4]) for line in section.splitlines() if "|" in line]
    rows = [row for row in rows if row[0] in ANSWERS]
    assert len(rows) == 9
    for answer in ANSWERS.values():
        for hours in (-1.0, -0.05, 0.0, 5.9, 6.1, 100.0):
            for withdrawn in (False, True):
                expected = next(
                    settled for what, claim, settled in rows if covers(what, claim, answer, hours, withdrawn)
                )
                assert lost_answer.settlement(answer, X.promise, timedelta(hours=hours), withdrawn) == expected
    docstring = lost_answer.settlement.__doc__ or ""
    assert [row[2] for row in rows] == re.findall(
        r"^    (?:hold|do not|keys|cannot)\b.*?  +.*?  +([a-z-]+)  ", docstring, re.MULTILINE
    )


def covers(what: str, claim: str, answer: object, hours: float, withdrawn: bool) -> bool:
    same = answer == ANSWERS[what] or (what == "cannot be read" and answer == ANSWERS["cannot be read now"])
    of_claims = {
        "any": True,
        "withdrawn": withdrawn,
        "from the future": hours < -1 / 12,
        "up to 6 hours old": hours <= 6,
        "older": True,
    }
    return same and of_claims[claim]
