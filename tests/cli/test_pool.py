"""The commands of a pool, as a person uses them: looking into it, taking texts out, posting by hand."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fakes import records
from tests.helpers.loopback_x import loopback_x
from training.cli.main import main
from training.runs import owner
from training.settings import load


def test_looking_into_a_pool_and_taking_texts_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(tmp_path / "pool")
    Pool(open_store(url)).append(records(5), "test")

    def pool(*words: str) -> str:
        assert main(["pool", *words, "--pool", url]) == 0
        return capsys.readouterr().out

    assert [line.split()[0] for line in pool("list").splitlines()] == list("01234")
    assert json.loads(pool("show", "2"))["text"] == records(3)[2]["text"]
    assert "2 texts withdrawn; 3 are left." in pool("withdraw", "0", "2")
    assert json.loads(pool("show", "2"))["fate"] == "withdrawn"
    assert [line.split()[1] == "withdrawn" for line in pool("list").splitlines()] == [True, False, True, False, False]
    assert [each["fate"] for each in json.loads(pool("show", "0-2", "--json"))] == ["withdrawn", "waiting", "withdrawn"]
    assert json.loads(pool("status", "--json"))["remaining"] == 3
    assert "every batch is whole" in pool("verify")
    assert json.loads(pool("verify", "--json")) == {"pool": url, "whole": True, "wrong": []}
    batch = next((tmp_path / "pool" / "batches").iterdir())
    batch.write_bytes(batch.read_bytes().replace(b"saying", b"slaying", 1))
    assert main(["pool", "verify", "--pool", url]) == 1
    assert "checksum differs" in capsys.readouterr().err
    assert main(["pool", "verify", "--json", "--pool", url]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["whole"] is False and "checksum differs" in found["wrong"][0]


def test_texts_are_withdrawn_by_ranges_and_batches_and_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "pool")
    made = Pool(open_store(url))
    made.append(records(30), "one")
    made.append(records(20, 30), "two")

    def pool(*words: str, code: int = 0) -> str:
        assert main(["pool", *words, "--pool", url]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    said = pool("withdraw", "3-10", "12")
    assert "9 texts withdrawn; 41 are left." in said
    back = re.search(r"`deepproverbs (pool restore .*)` takes it back", said)
    assert back and main(back[1].split()) == 0 and "9 texts restored; 50 are left." in capsys.readouterr().out
    rows = pool("batches").splitlines()
    assert "texts 0 to 29, 30 unused, 0 withdrawn, by one" in rows[0] and "texts 30 to 49" in rows[1]
    batch = rows[1].split()[0][:6]
    assert json.loads(pool("withdraw", "--batch", batch, "--json")) == {"withdrawn": 20, "settled": 0, "remaining": 30}
    state, etag = made.load()
    made.save(replace(state, seq=state.seq + 1, next=40), etag)
    assert "10 texts restored; 10 are left. 10 cannot come back: they lie before text 40" in pool(
        "restore", "--batch", batch
    )
    assert "Nothing was restored: 2 cannot come back" in pool("restore", "31", "32", code=1)
    assert "1 lie before text 40, the next one" in pool("withdraw", "39-41")
    assert "'20-3' ends before it begins" in pool("withdraw", "20-3", code=2)
    assert "by their numbers: deepproverbs pool withdraw 17" in pool("withdraw", code=2)
    assert "No batch of" in pool("withdraw", "--batch", "zzz", code=2)


def test_a_list_says_where_it_stops_and_a_pool_that_it_runs_low(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "pool")
    made = Pool(open_store(url))
    made.append(records(60), "one")

    def pool(*words: str) -> tuple[list[str], str]:
        assert main([*words, "--pool", url]) == 0
        said = capsys.readouterr()
        return said.out.splitlines(), said.err

    lines, said = pool("pool", "list")
    assert len(lines) == 20 and f"40 more: `deepproverbs pool list 20 --pool {url}` goes on" in said
    lines, said = pool("pool", "list", "20", "--count", "50")
    assert len(lines) == 40 and said == ""
    assert len(pool("pool", "list", "--all")[0]) == 60
    state, etag = made.load()
    made.save(replace(state, seq=state.seq + 1, next=59), etag)
    low = "The pool runs low: 1 text, for 1 day at the present pace; `deepproverbs run`"
    for words in ("pool status", "pool status --json", "pool list", "pool verify", "post --dry-run"):
        assert low in pool(*words.split())[1], words
    assert pool("pool", "status", "-q")[1] == ""
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records(5, 60)))
    lines, said = pool("fill", str(tmp_path / "more.jsonl"))
    assert (
        "Added 5 texts" in lines[0] and "the pool now holds 65, 6 unused." in lines[0] and "runs low: 6 texts" in said
    )


def run_that_fills(pool: str) -> Path:
    """The run folder of a bot `mine`, in the working directory."""
    run, file = Path("runs/mine"), Path("mine/bot.toml")
    run.mkdir(parents=True)
    file.parent.mkdir()
    file.write_text("")
    settings = load(file)
    owner.claim(run, settings, file, print)
    owner.claim_pool(run, settings, file, pool, print)
    (run / "manifest.json").write_text("{}")
    return run


def test_a_pool_that_is_not_there_names_the_one_that_the_run_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_that_fills("elsewhere")
    for words in ("pool status", "post --dry-run"):
        assert main([*words.split(), "--bot", "mine"]) == 2
        assert (
            "There is no pool at pool; the bot's run fills elsewhere: add --pool elsewhere." in capsys.readouterr().err
        )
    Pool(open_store("elsewhere")).append(records(40), "mine")
    # `make status` away from AWS is of that pool, too, and of no other bot's.
    assert main(["cloud", "status", "--bot", "mine"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("elsewhere: 40 of 40 texts left") and "filled by mine" in said and "Not in AWS" in said
    Pool(open_store("pool")).append(records(40), "another")
    Path("other").mkdir()
    Path("other/bot.toml").write_text("")
    assert main(["cloud", "status", "--bot", "other"]) == 1
    assert "No AWS credentials" in capsys.readouterr().err


def test_what_is_published_goes_to_the_run_s_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_that_fills("elsewhere")
    kept = [{**record, "names": "moab", "round": 2, "allow": ["hashtag"]} for record in records(2)]
    (run / "review.jsonl").write_text("".join(json.dumps(record) + "\n" for record in kept))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n"))
    Path("other").mkdir()
    Path("other/bot.toml").write_text("")
    assert main(["review", "--bot", "other", "--run", "runs/mine"]) == 2
    assert main(["report", "--bot", "other", "--run", "runs/mine"]) == 2
    assert capsys.readouterr().err.count("runs/mine belongs to the bot mine, and other is another") == 2
    assert main(["review", "--bot", "mine"]) == 0
    assert "Added 1 text to elsewhere" in capsys.readouterr().out and not Path("pool").exists()
    (record,) = Pool(open_store("elsewhere")).records()
    assert (record["text"], record["allow"]) == (records(1)[0]["text"], ["hashtag"])
    assert not record.keys() & {"names", "round"}


def test_a_paused_pool_posts_nothing_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(tmp_path / "pool")
    Pool(open_store(url)).append(records(2), "test")

    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--pool", url])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert "is paused" in run("pool", "pause")[1] and "already paused" in run("pool", "pause")[1]
    assert "paused since" in run("pool", "status")[1]
    assert run("post", "--dry-run") == (
        1,
        f"deepproverbs: {url} is paused; `deepproverbs pool resume --pool {url}` opens it again.\n",
    )
    assert "is open again" in run("pool", "resume")[1] and "was not paused" in run("pool", "resume")[1]
    assert run("post", "--dry-run")[0] == 0


@pytest.mark.parametrize("published", [True, False])
def test_a_post_whose_answer_was_lost_is_repeated_by_its_slot(
    published: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the sentence says: named anew, the same post is looked for; "now" would be another slot and another text."""
    pool = Pool(open_store(str(tmp_path / "pool")))
    pool.append(records(3), "test")
    with loopback_x() as x:
        monkeypatch.setenv("X_API_URL", x.url)
        (tmp_path / "twitter.json").write_text(x.twitter_json)
        command = ["post", "--pool", str(tmp_path / "pool"), "--creds", str(tmp_path / "twitter.json")]
        x.script(drop=True, publish=published)
        assert main(command) == 1
        said = capsys.readouterr().err
        (slot,) = re.findall(r"add --slot '(manual \S+)' \(SLOT= for make\)", said)
        assert main([*command, "--slot", slot]) == 1, "its lease is not over"
        state, etag = pool.load()  # what the clock would do: the claim is as old as it may be, and older
        assert state.claim
        since = datetime.fromisoformat(state.claim.since) - timedelta(minutes=2)
        claim = replace(state.claim, since=since.isoformat())
        assert pool.save(replace(state, seq=state.seq + 1, claim=claim), etag)
        assert main([*command, "--slot", slot]) == 0
        assert json.loads(capsys.readouterr().out)["index"] == 0 and len(x.published) == 1
