"""Broken copies of the protocol, each with one of its rules taken out; the simulation must find every one.

Flows in: the source of protocol.py, steps.py, lost_answer.py and recent.py. Flows out: protocols. A rule that is
edited away must stand in the source word for word, so this list cannot fall behind it silently.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from types import ModuleType
from typing import Any

from post_tweet import lost_answer, protocol, recent, steps

from tests.simulation.search import (
    old_claims,
    old_heirs,
    one_slot,
    random_runs,
    restored,
    short_leases,
    sleepers,
    two_heirs,
    two_slots,
)
from tests.simulation.world import Protocol, Run
from tests.simulation.worlds import accounts, damaged, denied, given_up, inherited, memories, outages


@dataclass(frozen=True)
class Mutation:
    name: str
    edits: tuple[tuple[str, str], ...]
    """(as it stands in one of these, as it is broken)"""

    @classmethod
    def of(cls, name: str, *edits: str) -> Mutation:
        """`edits`: as it stands, as it is broken, and so on."""
        return cls(name, tuple(zip(edits[::2], edits[1::2], strict=True)))

    def protocol(self) -> Protocol:
        sources = {module: inspect.getsource(module) for module in (lost_answer, recent, steps, protocol)}
        for old, new in self.edits:
            (home,) = [module for module, source in sources.items() if source.count(old) == 1]
            sources[home] = sources[home].replace(old, new)
        broken: dict[str, Any] = {}
        for module, source in sources.items():
            names = ModuleType(f"broken_{module.__name__.rpartition('.')[2]}").__dict__
            exec(compile(source, str(module.__file__), "exec"), names)
            # What the next of them has imported from this one must be the broken one's.
            names.update({name: broken[name] for name in names.keys() & broken.keys()})
            broken |= {name: value for name, value in names.items() if getattr(module, name, None) is not value}
        posting: Protocol = broken["posting"]
        return posting


@dataclass(frozen=True)
class Caught:
    mutation: Mutation
    after: int
    """Histories tried."""
    run: Run | None


def hunt(mutation: Mutation, histories: int = 20_000) -> Caught:
    """Single faults in small histories first, then random lives."""
    protocol = mutation.protocol()
    runs: Iterator[Run] = chain(
        one_slot(protocol, 1),
        short_leases(protocol),
        two_slots(protocol, 1, every=17),
        two_heirs(protocol, 1, every=201),
        islice(accounts(protocol, 1), 0, None, 9),
        inherited(protocol),
        outages(protocol),
        memories(protocol),
        islice(denied(protocol, 1), 0, None, 5),
        given_up(protocol),
        damaged(protocol, every=151),
        old_heirs(protocol, every=7),
        old_claims(protocol),
        sleepers(protocol, 0),
        restored(protocol, 0),
        random_runs(range(histories), protocol),
    )
    for number, run in enumerate(islice(runs, histories), 1):
        if run.violations:
            return Caught(mutation, number, run)
    return Caught(mutation, histories, None)


CLAIM = """            claimed = yield from write_claim(successor(state, call, claim=fresh, account=account))"""
OURS = """    state: State = yield Load()
    ours = new.claim is not None and state.claim == new.claim
    return state if ours else None"""
LOST = """        case Unknown(reason):
"""
PUBLISH = "    answer: Posted | Refused | Unknown = yield Publish(claim.text)\n"
PROMPTLY = "    if now - when(claim.since) >= LATEST_START * call.lease:\n"
MET = 'entry = Settled(before.slot, claim.index, "posted", None, stamp(now), None, before.others)'
FOUND = 'entry = Settled(claim.slot, claim.index, "posted", tweet_id, stamp(now), None, claim.others)'
HEIRS = "        others=tuple(slot for slot in claim.slots if slot != call.slot)[1 - MAX_ATTEMPTS :],\n"
LOOK = "            if (yield Recorded(index, recorded_since(state), now)):\n"
STANDING = "    standing: PostRecord | None = yield Recorded(claim.index, recorded_since(state), now)\n"
HELD = "        if (state.claim and (state.claim.index, state.claim.owner)) != held:\n"
SETTLED = 'Settled(call.slot, claim.index, "posted", None, stamp(now))'

MUTATIONS = (
    Mutation.of("post first, write afterwards", CLAIM, "            claimed = successor(state, call, claim=fresh)"),
    Mutation.of(
        "settle first, post afterwards", PUBLISH, f"    state = yield from settle(call, state, {SETTLED})\n" + PUBLISH
    ),
    Mutation.of(
        "take a stale claim over without asking X", " = yield Ask(claim.text, when(claim.first))\n", " = NotFound()\n"
    ),
    Mutation.of("take every 412 for our own write", OURS, "    return new"),
    Mutation.of("take every 412 for a lost race", OURS, "    return None"),
    Mutation.of("no lease", "if claim and -CLOCK_TOLERANCE <= now - when(claim.since) < call.lease:", "if False:"),
    Mutation.of(
        "a claim from the future is live", "if claim and -CLOCK_TOLERANCE <= now - when(", "if claim and now - when("
    ),
    Mutation.of(
        "remember the last post alone",
        "in MAY_HAVE_POSTED][:-RECENT]",
        "in MAY_HAVE_POSTED][:-1]",
        "limit.isoformat() if limit else None",
        "None",
    ),
    Mutation.of(
        "post for a slot however late",
        "        if (limit := forgotten_until(state)) and begun <= limit:\n",
        "        if False:\n",
    ),
    Mutation.of("move `next` at the claim", CLAIM, CLAIM.replace("claim=fresh,", "claim=fresh, next=index + 1,")),
    Mutation.of(
        "a duplicate after a take-over is a refused text",
        'case Refused("text", "duplicate") if before:',
        'case Refused("text", "duplicate") if False:',
    ),
    Mutation.of(
        "a duplicate counts for the slot that met it",
        MET,
        MET.replace("before.slot,", "call.slot,").replace("before.others", "()"),
    ),
    Mutation.of(
        "a post that is found counts for the slot that found it",
        FOUND,
        FOUND.replace("claim.slot,", "call.slot,").replace("claim.others", "()"),
    ),
    Mutation.of("a take-over forgets who may have posted before", HEIRS, ""),
    Mutation.of(
        "a take-over keeps the old slot",
        "        slot=call.slot,\n        owner=call.owner,\n",
        "        owner=call.owner,\n",
        HEIRS,
        "",
    ),
    Mutation.of(
        "trust X's check of duplicates for a month", "age <= promise.repeats_refused_for:", "age <= timedelta(days=30):"
    ),
    Mutation.of(
        "the six hours begin anew with every attempt", "first=stamp(now) if absent else claim.first", "first=stamp(now)"
    ),
    Mutation.of(
        "a refused account drops a claim taken over",
        "release(call, state, before)\n            raise Account",
        "release(call, state, None)\n            raise Account",
    ),
    Mutation.of("a lost answer drops the claim", LOST, LOST + "            yield from release(call, state, None)\n"),
    Mutation.of(
        "a lost answer ends the lease",
        LOST,
        LOST
        + "            old = stamp(when(claim.since) - call.lease)\n"
        + "            yield from release(call, state, replace(claim, since=old))\n",
    ),
    Mutation.of(
        "a lost answer counts as posted", LOST, LOST + f"            yield from settle(call, state, {SETTLED})\n"
    ),
    Mutation.of(
        "post again at once when the answer is lost",
        PUBLISH,
        PUBLISH + "    if isinstance(answer, Unknown):\n        answer = yield Publish(claim.text)\n",
    ),
    Mutation.of("post however old the claim has become", PROMPTLY, "    if False:\n"),
    Mutation.of(
        "a slot whose text was abandoned posts another",
        'MAY_HAVE_POSTED = ("posted", "abandoned")',
        'MAY_HAVE_POSTED = ("posted",)',
    ),
    Mutation.of(
        "decide without X when it does not know the keys", '    if answer.kind == "keys":\n', "    if False:\n"
    ),
    Mutation.of(
        "give a text up when X cannot answer now",
        'return "later" if answer.kind == "later" else "abandoned"',
        'return "abandoned"',
    ),
    Mutation.of("reckon with a claim from the future", '        return "wrong-clock"\n', "        pass\n"),
    Mutation.of(
        "post unfit texts",
        "            if why := call.place.problems(",
        "            if why := () and call.place.problems(",
    ),
    Mutation.of("settle whoever holds the claim", HELD, "        if (state.claim is None) != (held is None):\n"),
    Mutation.of("let a claim go whoever holds it", "            if state.claim != held:\n", "            if False:\n"),
    Mutation.of("post withdrawn texts", "    index = state.withdrawn.after(state.next)\n", "    index = state.next\n"),
    Mutation.of(
        "pass over a text restored meanwhile",
        "        if held is None and state.withdrawn.after(state.next) < entry.index:\n",
        "        if False:\n",
    ),
    Mutation.of(
        "post again a text withdrawn meanwhile", 'return "refused" if withdrawn else "again"', 'return "again"'
    ),
    Mutation.of("post while paused", "        if state.paused:\n", "        if False:\n"),
    Mutation.of(
        "say posted for whoever has posted it",
        'if entry.outcome == "posted" and entry.slots == (call.slot,) and entry in state.recent:',
        'if entry.outcome == "posted":',
    ),
    Mutation.of("keep no record of a post", "    if not (yield Note(post)):\n", "    if False:\n"),
    Mutation.of(
        "believe a settling that met a conflict",
        "        if (yield Save(new)):\n            return new\n        state",
        "        yield Save(new)\n        return new\n        state",
    ),
    # The six hours, X's promise and what X denies
    Mutation.of("the six hours never begin anew", "first=stamp(now) if absent else claim.first", "first=claim.first"),
    Mutation.of(
        "post again to a place that promises nothing",
        "if promise.repeats_refused_for is not None and age <= promise.repeats_refused_for:",
        "if age <= (promise.repeats_refused_for or timedelta(hours=6)):",
    ),
    Mutation.of(
        "believe X's denial at once",
        "    if isinstance(answer, NotFound) and quiet < promise.shown_within:\n",
        "    if False:\n",
    ),
    Mutation.of("a text that X denies was withdrawn", 'return "refused" if withdrawn else "again"', 'return "refused"'),
    Mutation.of(
        "every young claim is from the future", "    if age < -CLOCK_TOLERANCE:\n", "    if age < CLOCK_TOLERANCE:\n"
    ),
    Mutation.of(
        "settle a text that is found whoever holds it",
        "    held = state.claim and (state.claim.index, state.claim.owner)\n",
        "    held = state.claim and state.claim.index\n",
        HELD,
        "        if (state.claim and state.claim.index) != held:\n",
    ),
    # Records, and states that were put back
    Mutation.of("claim a text whose record stands", LOOK, "            if False:\n"),
    Mutation.of("take over a text whose record stands", STANDING, STANDING + "    standing = None\n"),
    Mutation.of(
        "give a text up without a record",
        '    if entry.outcome == "abandoned" and entry in state.recent:\n',
        "    if False:\n",
    ),
    Mutation.of(
        "a duplicate that the state knows nothing of is a refused text",
        '        case Refused("text", "duplicate"):\n',
        '        case Refused("text", "never"):\n',
    ),
    Mutation.of(
        "a duplicate that the state knows nothing of ends no slot before it",
        '    if (entry.outcome, entry.reason) == ("abandoned", "duplicate"):\n',
        "    if False:\n",
    ),
    # Accounts and bounds
    Mutation.of("post with anybody's keys", "    if state.account and account != state.account:\n", "    if False:\n"),
    Mutation.of("forget whose the pool is", CLAIM, CLAIM.replace(", account=account", "")),
    Mutation.of(
        "take a claim over without end",
        "if not absent and max(len(claim.slots), claim.attempts) >= MAX_ATTEMPTS:",
        "if False:",
    ),
    Mutation.of("name every slot of an outage", HEIRS, HEIRS.replace("[1 - MAX_ATTEMPTS :]", "")),
    # The memory of posts
    Mutation.of("nobody is sure of having posted", 'if done.outcome == "abandoned" or done.others:', "if True:"),
    Mutation.of("remember every post", "if e not in dropped and e not in unposted", "if e not in unposted"),
    Mutation.of("remember every other text", "if e not in dropped and e not in unposted", "if e not in dropped"),
    Mutation.of(
        "unfit texts push posts out of the memory",
        "    dropped = [e for e in entries if e.outcome in MAY_HAVE_POSTED][:-RECENT]\n",
        "    dropped = [*entries][:-RECENT]\n",
    ),
    Mutation.of(
        "forget a post for one of its slots",
        "for e in dropped for slot in e.slots]",
        "for e in dropped for slot in [e.slot]]",
    ),
    Mutation.of(
        "a slot is as old as its post",
        "    return at if at is not None and at <= posted + CLOCK_TOLERANCE else posted\n",
        "    return posted\n",
    ),
    Mutation.of(
        "a name of the future makes every slot too late",
        "if at is not None and at <= posted + CLOCK_TOLERANCE else",
        "if at is not None else",
    ),
    Mutation.of(
        "an older version has forgotten nothing",
        "    if len(state.recent) < RECENT or state.next <= len(state.recent):\n",
        "    if True:\n",
    ),
)
