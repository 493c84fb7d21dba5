"""Rebuild what is damaged of a pool from what is there: `deepproverbs pool repair`.

`Repair.plan` reads and decides, `carry_out` writes: first whole files and records, then the state. So it can be broken
off at any moment and run again: until the state is written the pool is as damaged as before, and nothing is posted.

No text is posted that may have been posted: `next` goes behind the last record; the text after it, which may have been
under way when the state was lost, is passed over unless its place shows that it was not posted; and a slot that was due
before the repair posts nothing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from post_tweet import dropped
from post_tweet.checks import SEALED
from post_tweet.errors import PoolBroken, Unreachable
from post_tweet.files import BATCHES
from post_tweet.filling import FilledPool, pack, pack_plain, recorded_ahead, spelling
from post_tweet.layout import File, Identify, Layout, Piece, Record, agrees, first_numbers, lay_out, read_state
from post_tweet.numbers import NONE, Numbers
from post_tweet.place import CannotTell, Found, NotFound
from post_tweet.recent import MAY_HAVE_POSTED
from post_tweet.state import RECENT, Batch, PostRecord, Settled, State, stamp, when

ASKED = 5
"""Texts after the last record that the account is asked about: it shows as many posts."""
NAME = re.compile(r"[0-9a-f]{16}|[0-9a-f]{20}")
REPAIRED = "repair of"
"""What the run of a batch says that stands in for another one."""


@dataclass(frozen=True)
class Helper:
    """Who and what can tell more than the files do."""

    identify: Identify
    """The id that a text is given when it is filled in."""
    problems: Callable[[str, Collection[str]], str | None]
    """Why the place would not take a text, with what its owner permits in it."""
    ask: Callable[[str, datetime], Found | NotFound | CannotTell] | None = None
    """Is a text among the account's latest posts?"""
    account: str | None = None
    """Whose those are."""
    texts: Sequence[dict[str, Any]] = ()
    """Records from which a lost batch may have been made."""


@dataclass
class Plan:
    said: list[str] = field(default_factory=list)
    """What will be done and what is lost, a sentence each; empty: the pool is whole."""
    files: list[tuple[Batch, bytes]] = field(default_factory=list)
    records: list[tuple[str, PostRecord]] = field(default_factory=list)
    """(key, what is written there), of posts that have no record or a damaged one."""
    dropped: bool = False
    """Is dropped.jsonl damaged?"""
    given_up: PostRecord | None = None
    state: State | None = None
    """None: it stays."""
    etag: str | None = None


class Repair:
    """Reads all that is there of a pool.

    Raises:
        PoolBroken: the state is a newer version's.
    """

    def __init__(self, pool: FilledPool, helper: Helper, now: datetime) -> None:
        self.pool, self.helper, self.now = pool, helper, now
        store = pool.store
        keys = pool.post_keys()
        self.state, self.etag, self.known, self.withdrawn = read_state(pool.store, pool.state_key)
        self.exists = self.etag is not None
        self.posts: dict[int, PostRecord] = {}
        self.damaged: dict[int, str] = {}
        """Index → key of a record that cannot be read. That it is there says that the text may have been posted."""
        for index, key in ((index, key) for index, found in sorted(keys.items()) if index >= 0 for key in found):
            try:
                self.posts.setdefault(index, pool.read_post(index, key))
            except PoolBroken:
                self.damaged[index] = key
        self.last = max([*self.posts, *self.damaged], default=-1)
        self.texts: list[str] = []
        """Of the pool as it will be; empty where one is lost. `plan` finds them."""
        self.allowed: list[Collection[str]] = []
        """What their owner permits in them."""
        likes = {batch.id: batch for batch in self.known}
        self.files: dict[str, File] = {}
        for key in store.list(BATCHES):
            name = key.removeprefix(BATCHES).removesuffix(".jsonl")
            if not NAME.fullmatch(name):
                continue  # nobody's batch
            self.files[name] = File.read(name, store.get(key)[0], likes.get(name), helper.identify)
        if self.state is None:  # a damaged one may name batches that never were
            self.known = tuple(
                takewhile(lambda batch: batch.id in self.files or self._from_texts(batch.id), self.known)
            )
        self.uncertain = self._judge(keys)

    def _judge(self, posted: dict[int, list[str]]) -> str:
        """Why what the state says of the posts is not known to be all; empty: it is. Drops `known` if it is not this
        pool's."""
        key = self.pool.state_key
        ours = not self.files or any(batch.id in self.files or self._from_texts(batch.id) for batch in self.known)
        for entry in self.state.recent if self.state else ():
            post = self.posts.get(entry.index)
            ours = ours or bool(post and post.slot in entry.slots)
        if self.known and not (ours and agrees(self.known, first_numbers(self.files.values(), self.posts.values()))):
            self.known, self.withdrawn, self.state = (), NONE, None
            return f"{key} is not this pool's"
        if self.state is None:
            return f"{key} is damaged" if self.exists else f"{key} is gone"
        claim = self.state.claim
        post = self.posts.get(claim.index) if claim else None
        if recorded_ahead(self.state, posted) or (
            claim and post and (post.text != claim.text or post.slot not in (None, *claim.slots))
        ):
            return f"{key} is older than the posts"
        return ""

    def plan(self) -> Plan:
        """Raises PoolBroken: there is nothing to rebuild a pool from."""
        plan, state = Plan(etag=self.etag), self.state or State()
        created = min([when(post.time) for post in self.posts.values()], default=self.now).isoformat()
        posts = list(self.posts.values())
        layout = lay_out(self.known, self.files, posts, self.last, created, bool(self.uncertain))
        if self.uncertain and not layout.pieces:
            raise PoolBroken(
                f"{self.pool.store.url} holds neither a batch nor a record of a post: there is nothing to rebuild. "
                f"Remove its {self.pool.state_key}, and fill it anew."
            )
        batches, empty = self._batches(layout, plan)
        self._records(state, plan)
        self._dropped(plan)
        withdrawn = self.withdrawn | empty
        if self.uncertain:
            plan.said.insert(
                0,
                f"{self.uncertain}: it is rebuilt from {len(batches)} batch{'es' * (len(batches) != 1)} and the "
                f"records of {len(self.posts) + len(self.damaged):,} posts.",
            )
            plan.state = self._rebuilt(plan, state, batches, withdrawn)
        elif batches != state.batches:
            plan.state = replace(state, batches=batches, withdrawn=withdrawn.within(state.next, layout.total))
        if plan.state:
            plan.state = replace(plan.state, seq=state.seq + 1, writer=uuid.uuid4().hex)
        return plan

    def _batches(self, layout: Layout, plan: Plan) -> tuple[tuple[Batch, ...], Numbers]:
        """The pool's batches, those that are lost made anew; and the texts that are lost."""
        found: list[Batch] = []
        lost: list[int] = []
        first = 0
        for piece in layout.pieces:
            batch, records = piece.batch, piece.file.records if piece.file else ()
            if piece.lost:
                batch, records, gone = self._made(piece, first, plan)
                lost += gone
            assert batch is not None
            self.texts += [record["text"] if record else "" for record in records]
            self.allowed += [(record.get("allow") or ()) if record else () for record in records]
            found.append(batch)
            first += piece.count
        return tuple(found), Numbers.of(lost)

    def _made(self, piece: Piece, first: int, plan: Plan) -> tuple[Batch, tuple[Record | None, ...], list[int]]:
        """A batch for the place of a lost one, its records, and which of them nobody knows any more."""
        old, what = piece.batch, f"The batch of the texts {first:,} to {first + piece.count - 1:,}"
        if old and (made := self._from_texts(old.id)):
            batch = replace(made[0], created=old.created, run=old.run)
            plan.files.append((batch, made[1]))
            plan.said.append(f"{what} is lost or damaged, and written again: the texts given are those.")
            return batch, tuple(made[2]), []
        kept = piece.file.records if piece.file else ()
        seen = {spelling(post.text) for post in self.posts.values()} | self._held_by_others(piece)
        claim = self.state.claim if self.state else None
        records: list[dict[str, Any]] = []
        lost: list[int] = []
        posted = 0
        for at, index in enumerate(range(first, first + piece.count)):
            text = self.posts[index].text if index in self.posts else None
            if claim and claim.index == index:
                text = claim.text
            record = kept[at] if at < len(kept) else None
            if record and (record["text"] == text or (text is None and spelling(record["text"]) not in seen)):
                seen.add(spelling(record["text"]))  # what does not prove its place may stand in two
                records.append(record)
            elif text is not None:
                posted += 1
                records.append({"id": self.helper.identify(text), "text": text})
            else:
                lost.append(index)
                records.append({"id": f"lost {index}", "text": ""})
        name = old.id if old else piece.file.id if piece.file else "lost texts"
        batch, data = pack(records, f"{old.run}, {REPAIRED} {name}" if old else f"{REPAIRED} {name}")
        batch = replace(batch, created=old.created) if old else batch
        plan.files.append((batch, data))
        plan.said.append(
            f"{what} is lost or damaged: {piece.count - posted - len(lost):,} of its texts are kept, {posted:,} are "
            f"taken from their records, and {len(lost):,} are lost; in their places stand empty ones, withdrawn."
        )
        return batch, tuple(records), lost

    def _held_by_others(self, piece: Piece) -> set[str]:
        """The texts of all whole files but this piece's."""
        files = (file for file in self.files.values() if file.whole and file != piece.file)
        return {spelling(record["text"]) for file in files for record in file.records if record}

    def _from_texts(self, name: str) -> tuple[Batch, bytes, list[dict[str, Any]]] | None:
        """The batch of that id, if it was made of the texts given, or of those that no other batch holds."""
        if not self.helper.texts:
            return None
        others = self._held_by_others(Piece(0, file=self.files.get(name)))
        fresh = [record for record in self.helper.texts if spelling(record["text"]) not in others]
        for some in (list(self.helper.texts), fresh):
            made = (pack if len(name) >= SEALED else pack_plain)(some, "") if some else None
            if made and made[0].id == name:
                return *made, some
        return None

    def _records(self, state: State, plan: Plan) -> None:
        """Records that are damaged, of texts that are known, and of remembered posts that have none."""
        remembered = {entry.index: entry for entry in state.recent if entry.outcome in MAY_HAVE_POSTED}
        for index in sorted({*self.damaged, *remembered} - self.posts.keys()):
            entry, key = remembered.get(index), self.damaged.get(index)
            text = self.texts[index] if index < len(self.texts) else ""
            year = key.split("/")[-2] if key else ""
            if not text or not (entry or year.isdigit()):
                if key:
                    plan.said.append(f"{key} is damaged and stays as it is: what it said is lost.")
                continue
            outcome = entry.outcome if entry else "posted"
            slot = entry.slot if entry and not entry.others and outcome == "posted" else None
            time = entry.time if entry and (not key or entry.time[:4] == year) else f"{year}-01-01T00:00:00+00:00"
            post = PostRecord(index, slot, text, entry.tweet_id if entry else None, time, outcome)
            plan.records.append((key or f"{self.pool.posts}{time[:4]}/{index}.json", post))
            plan.said.append(f"The record of the post of text {index:,} is missing or damaged, and written again.")

    def _dropped(self, plan: Plan) -> None:
        """The texts that people dropped, if the file of them is damaged."""
        try:
            dropped.read(self.pool.store)
        except PoolBroken:
            plan.dropped, kept = True, dropped.salvaged(self.pool.store.get(dropped.FILE)[0])[0]
            plan.said.append(
                f"{dropped.FILE} is damaged: {len(kept):,} of the texts that people dropped are kept; the "
                "others may come again, unless their runs' reviews are published once more."
            )

    def _rebuilt(self, plan: Plan, state: State, batches: tuple[Batch, ...], withdrawn: Numbers) -> State:
        """The state of a pool whose posts since are known by their records alone."""
        behind = max(state.next, self.last + 1)
        waiting = self.texts
        entries = {entry.index: entry for entry in state.recent}
        for index, post in self.posts.items():
            slot = post.slot or f"unknown slot of text {index}"
            entries.setdefault(index, Settled(slot, index, post.outcome, post.tweet_id, post.time))
        candidates = (i for i in range(behind, len(waiting)) if i not in withdrawn and waiting[i])
        fit = (i for i in candidates if self.helper.problems(waiting[i], self.allowed[i]) is None)
        for number, index in enumerate(fit):
            answer = self.helper.ask(waiting[index], self._since()) if self.helper.ask else None
            if isinstance(answer, Found):
                time = stamp(answer.created or self.now)
                post = PostRecord(index, None, waiting[index], answer.tweet_id, time)
                plan.records.append((f"{self.pool.posts}{time[:4]}/{index}.json", post))
                plan.said.append(f"The account shows text {index:,}: it counts as posted.")
                entries[index] = Settled(f"unknown slot of text {index}", index, "posted", answer.tweet_id, time)
                behind = index + 1
            elif not isinstance(answer, NotFound):
                why = f" ({answer.reason})" if answer else ""
                plan.said.append(
                    f"Text {index:,} may have been under way when the state was lost: it is passed over, because "
                    f"nothing shows whether it was posted{why}."
                )
                time, behind = stamp(self.now), index + 1
                entries[index] = Settled(f"unknown slot of text {index}", index, "abandoned", None, time, "repair")
                plan.given_up = PostRecord(index, None, waiting[index], None, time, "abandoned")
                break
            if number + 1 >= ASKED:
                break
        seen = {spelling(post.text) for post in self.posts.values()}
        twice = []
        for index, text in enumerate(waiting):
            if index >= behind and text and spelling(text) in seen:
                twice.append(index)
            seen.add(spelling(text))
        withdrawn |= Numbers.of(twice)
        if twice:
            plan.said.append(f"{len(twice):,} texts that stand in the pool twice are withdrawn.")
        if not self.posts and not self.damaged:
            plan.said.append(
                "There is no record of a post. If the bot has posted before, those are lost as well, and nothing shows "
                "which of these texts were posted: withdraw them before you go on."
            )
        plan.said.append(
            f"Text {behind:,} is the next one. Nothing shows what was withdrawn since: the pool is left paused; look "
            "through it with `deepproverbs pool list`, then `deepproverbs pool resume`."
        )
        return State(
            batches=batches,
            next=behind,
            recent=tuple(entries[index] for index in sorted(entries) if index < behind)[-RECENT:],
            withdrawn=withdrawn.within(behind, len(waiting)),
            paused=state.paused or self.now.isoformat("T", "seconds"),
            forgotten=self.now.isoformat(),
            account=state.account or self.helper.account,
        )

    def _since(self) -> datetime:
        """No text after the last record was posted earlier."""
        times = [when(post.time) for post in self.posts.values()]
        return max(times, default=self.now)


def carry_out(pool: FilledPool, plan: Plan) -> None:
    """Write what was planned, the state last.

    Raises:
        Unreachable: the pool was changed since it was read; nothing was put into the state.
    """
    for batch, data in plan.files:
        pool.put_over(batch.key, data)
    for key, post in plan.records:
        pool.put_over(key, post.dump())
    if plan.dropped:
        dropped.mend(pool.store)
    if plan.state and not pool.save(plan.state, plan.etag):
        raise Unreachable(f"{pool.store.url} was changed during the repair; run it again.")
    if plan.given_up:
        pool.note(plan.given_up)
