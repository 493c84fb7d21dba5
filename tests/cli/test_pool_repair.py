"""`pool repair` and `pool account`, and what a fill refuses, through the commands, on a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.store import DirectoryStore, open_store

from tests.helpers.fakes import records
from tests.helpers.loopback_x import loopback_x
from training.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written("pool.jsonl", records(9))
    assert main(["fill", "pool.jsonl", "--pool", "pool"]) == 0
    return tmp_path


def written(name: str, some: list[dict[str, Any]]) -> None:
    Path(name).write_text("".join(json.dumps(record) + "\n" for record in some))


def test_a_lost_state_is_told_and_rebuilt_with_the_accounts_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with loopback_x() as x:
        monkeypatch.setenv("X_API_URL", x.url)
        Path("keys.json").write_text(x.twitter_json)
        Path("keys.json").chmod(0o600)
        for slot in ("a", "b"):
            assert main(["post", "--pool", "pool", "--creds", "keys.json", "--slot", slot]) == 0
        Path("pool/state.json").unlink()
        capsys.readouterr()
        for words in ("pool status", "pool verify", "pool list", "fill pool.jsonl", "post --dry-run"):
            assert main([*words.split(), "--pool", "pool"]) == 1
            assert "pool repair" in capsys.readouterr().err
        assert main(["pool", "repair", "--pool", "pool"]) == 0 and not Path("pool/state.json").exists()
        said = capsys.readouterr().out
        assert "the records of 2 posts" in said and "--creds" in said and "Nothing was changed" in said
        assert main(["pool", "repair", "--pool", "pool", "--creds", "keys.json", "--yes", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["repaired"] is True
        assert main(["pool", "verify", "--pool", "pool"]) == 0
        assert main(["post", "--pool", "pool", "--creds", "keys.json", "--slot", "c"]) == 1, "it is left paused"
        assert main(["pool", "resume", "--pool", "pool"]) == 0
        assert main(["post", "--pool", "pool", "--creds", "keys.json", "--slot", "c"]) == 0
        assert list(x.published) == [record["text"] for record in records(3)]
    capsys.readouterr()
    assert main(["pool", "repair", "--pool", "pool"]) == 0 and "needs no repair" in capsys.readouterr().out


def test_a_lost_batch_comes_back_from_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    (batch,) = Path("pool/batches").iterdir()
    whole = batch.read_bytes()
    batch.write_bytes(whole[:300])
    assert main(["post", "--dry-run", "--pool", "pool"]) == 0, "its first text is whole"
    capsys.readouterr()
    batch.unlink()
    assert main(["pool", "status", "--pool", "pool"]) == 1
    written("another.jsonl", records(9, 20))
    assert main(["pool", "repair", "--pool", "pool", "--from", "another.jsonl"]) == 0
    assert "9 are lost" in capsys.readouterr().out
    assert main(["pool", "repair", "--pool", "pool", "--from", "pool.jsonl", "--yes"]) == 0
    assert batch.read_bytes() == whole and main(["pool", "verify", "--pool", "pool"]) == 0


def test_a_pool_is_handed_to_another_account(capsys: pytest.CaptureFixture[str]) -> None:
    def account(*words: str) -> Any:
        assert main(["pool", "account", *words, "--pool", "pool", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        return found["account"], found["changed"]

    capsys.readouterr()
    assert account() == (None, False) and account("77") == ("77", True) and account("77") == ("77", False)
    assert main(["pool", "status", "--pool", "pool"]) == 0 and "the account 77" in capsys.readouterr().out
    assert account("--forget") == (None, True)
    for words in (["77", "--forget"], ["7 7"], [""], ["\x1b[2J"]):
        assert main(["pool", "account", *words, "--pool", "pool"]) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"text": 5}, "its text is no text"),
        ({"text": "half of it: \ud800"}, "surrogate"),
        ({"more": {"\udfff": 1}}, "surrogate"),
        ({"allow": "link"}, "allow must be a list"),
        ({"allow": [1]}, "allow must be a list"),
        ({"check": "yes"}, "give it another name"),
    ],
)
def test_what_no_pool_can_hold_is_refused_when_it_is_filled_in(
    values: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("pool/state.json").read_bytes()
    written("bad.jsonl", [*records(2, 50), {**records(60)[59], **values}])
    assert main(["fill", "bad.jsonl", "--pool", "pool"]) == 2
    error = capsys.readouterr().err
    assert said in error and "record 3" in error and Path("pool/state.json").read_bytes() == before


def test_null_allows_nothing() -> None:
    written("null.jsonl", [{**records(60)[59], "allow": None}])
    assert main(["fill", "null.jsonl", "--pool", "other"]) == 0
    assert main(["post", "--dry-run", "--pool", "other"]) == 0


def test_an_interrupted_first_fill_is_done_again_by_the_same_command() -> None:
    class Torn(DirectoryStore):
        def put_if(self, key: str, data: bytes, etag: str | None) -> str:
            if key == "state.json" and etag:
                raise KeyboardInterrupt
            return super().put_if(key, data, etag)

    with pytest.raises(KeyboardInterrupt):
        Pool(Torn(Path("new"))).append(records(5), "run")
    assert sorted(path.name for path in Path("new").iterdir() if not path.name.startswith(".")) == [
        "batches",
        "state.json",
    ]
    assert Pool(open_store("new")).append(records(5), "run").added == 5 and Pool(open_store("new")).verify() == []
