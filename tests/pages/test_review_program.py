"""`deepproverbs review` as a program: where it listens, how it ends, and when it opens a browser."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.helpers import reviewed as made
from training.cli.main import main
from training.pages.review import serve
from training.pages.review.guard import PAGE_TOKEN


@pytest.fixture
def run(tmp_path: Path) -> made.Run:
    return made.run(tmp_path)


def opened(server: made.Server) -> tuple[requests.Session, dict[str, str], dict[str, object]]:
    """(a browser's session, the headers of the page, its facts)."""
    session = requests.Session()
    session.get(server.address)
    text = session.get(server.base).text
    facts = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    return session, {PAGE_TOKEN: facts["token"], "Origin": server.base}, facts


def post(server: made.Server, path: str) -> dict[str, Any]:
    """Ask for something, as the page's buttons do."""
    session, headers, _ = opened(server)
    answer = session.post(f"{server.base}/{path}", json={}, headers=headers)
    assert answer.status_code == 200
    return dict(answer.json())


def keep(server: made.Server) -> str:
    """Keep the first text that is to be read. Returns it."""
    session, headers, facts = opened(server)
    first = facts["texts"][0]  # type: ignore[index]
    body = {"n": first["n"], "id": first["id"], "decision": "keep"}
    assert session.post(f"{server.base}/decide", json=body, headers=headers).status_code == 200
    return str(first["text"])


def test_it_listens_on_loopback_alone_and_ends_with_a_sentence(run: made.Run) -> None:
    with made.server(run) as server:
        port = urlsplit(server.base).port
        for address in ("127.0.0.2", socket.gethostbyname(socket.gethostname())):
            if address != "127.0.0.1":
                with pytest.raises(OSError), socket.create_connection((address, port), timeout=5):
                    pass
        assert requests.get(server.base).status_code == 403
        assert keep(server) == made.NAMES[0]
        said = server.end()
    assert server.process.returncode == 0
    assert "Decided: 1 kept." in said and "`deepproverbs review --publish --bot" in said and "Traceback" not in said


def test_nothing_decided_is_said_too(run: made.Run) -> None:
    with made.server(run) as server:
        assert "Nothing was decided." in server.end()


def test_the_last_lines_say_what_is_left_to_do(run: made.Run) -> None:
    with made.server(run) as server:
        keep(server)
        assert "Added 1 text" in post(server, "publish")["said"][0]
        said = server.end()
    assert "Decided: 1 kept." in said and f"{run.pool} has it already." in said and "--publish" not in said
    with made.server(run) as server:
        said = server.end()
    assert "Nothing new; decided before: 1 kept." in said and "has it already" in said and "Next" not in said
    with made.server(run) as server:
        post(server, "undo")
        said = server.end()
    assert "No decision stands: all were taken back." in said and "Nothing was decided" not in said
    assert "Next: `deepproverbs review --publish" in said, "the pool still has the text"
    with made.server(run) as server:
        assert "1 text taken out of" in post(server, "publish")["said"][0]
        said = server.end()
    assert "No decision stands" in said and "Next" not in said


def test_killed_it_goes_on_where_it_was(run: made.Run) -> None:
    for number in range(3):
        with made.server(run) as server:
            assert keep(server) == made.NAMES[number]
            server.kill()
    with made.server(run, "--by", "ben") as server:
        assert keep(server) == made.NAMES[3]
        assert "Decided: 4 kept." in server.end()
    by = [json.loads(line)["by"] for line in (run.folder / "decisions.jsonl").read_text().splitlines()]
    assert len(by) == 4 and by[3] == "ben" != by[0]


def test_of_two_at_once_the_second_is_told(run: made.Run, capsys: pytest.CaptureFixture[str]) -> None:
    with made.server(run):
        assert main(["review", *run.options(), "--no-browser"]) == 1
        assert "Another review of" in capsys.readouterr().err
        assert main(["review", *run.options(), "--publish"]) == 1


def test_a_port_that_is_taken_is_told(run: made.Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["review", *run.options(), "--port", str(port)]) == 2
    assert f"Cannot listen on port {port}" in capsys.readouterr().err


def test_no_answer_waits_for_nagle_s_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio turns it off, by a look at the socket's protocol."""
    found: list[int] = []
    monkeypatch.setattr(serve.uvicorn.Server, "run", lambda _, sockets: found.extend(each.proto for each in sockets))
    serve.serve(lambda *_: None, 0, lambda _: None)  # type: ignore[arg-type, return-value]
    assert found == [socket.IPPROTO_TCP]


def test_answers_from_a_pipe_need_no_option(run: made.Run) -> None:
    command = [sys.executable, "-m", "training.cli.main", "review", *run.options()]
    done = subprocess.run(command, input="y\n" * 4, capture_output=True, text=True, cwd=made.ROOT, timeout=120)
    assert done.returncode == 0 and "4 approved, 0 refused." in done.stdout and "Added 4 texts" in done.stdout


def test_a_browser_is_opened_only_where_it_has_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Windows(webbrowser.BackgroundBrowser):
        def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
            shown.append(url)
            return True

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda: Windows("x"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not serve.open_browser("a") and shown == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert serve.open_browser("b") and shown == ["b"]
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))  # takes the terminal
    assert not serve.open_browser("c")

    def none() -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert not serve.open_browser("d") and shown == ["b"]
