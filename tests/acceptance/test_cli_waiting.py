"""``flowbook resume --wait``: another process takes a run up as soon as its owner is gone, and never before."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from acceptance.command_line import Started, Waiting, effects, flowbook
from acceptance.schemas import check
from flowbook.persistence import fetch
from flowbook.persistence.backend import Query
from flowbook.testing.backend_samples import stranger
from flowbook.views.schemas import EVENT

pytestmark = pytest.mark.slow

URLS = ["sqlite:///runs.db", "dir:runs"]
RESULTS = "a = 1\nb = 2\nc = 20\n"
TOLD = "waiting until that owner is gone (Ctrl-C ends the waiting)"


def peer(folder: Path, url: str, *words: str) -> Started:
    """Return a process that waits for the run, as soon as it says so."""
    started = Started(folder, "resume", "r1", "--allow", "steps.py", "--wait", "--backend", url, *words)
    started.read_until(TOLD)
    return started


@pytest.mark.crash
@pytest.mark.parametrize("url", URLS)
def test_a_peer_goes_on_as_soon_as_the_owner_is_killed(url: str, tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", url)
    waiting = peer(tmp_path, url)
    owner.remove_gate()
    owner.process.kill()
    owner.end()
    ended = waiting.end()
    assert (ended.code, ended.out) == (0, RESULTS)
    assert "resumed run r1: 1 saved, 1 interrupted, 1 to go" in ended.err
    assert effects(tmp_path) == ["first", "second", "second", "third"]


@pytest.mark.crash
def test_of_several_peers_one_goes_on_and_all_show_the_results(tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", URLS[0])
    waiting = [peer(tmp_path, URLS[0]) for _ in range(3)]
    owner.remove_gate()
    owner.process.kill()
    owner.end()
    assert [one.end()[:2] for one in waiting] == [(0, RESULTS)] * 3
    assert effects(tmp_path) == ["first", "second", "second", "third"]


@pytest.mark.parametrize("url", URLS)
def test_an_owner_that_finishes_leaves_its_results_to_the_peer(url: str, tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", url)
    waiting = peer(tmp_path, url)
    owner.let_go()
    assert owner.end().code == 0
    ended = waiting.end()
    assert (ended.code, ended.out) == (0, RESULTS)
    assert "run r1 was finished before" in ended.err
    assert effects(tmp_path) == ["first", "second", "third"]


def test_what_the_owner_suspends_goes_on_in_the_peer(tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", URLS[0])
    waiting = peer(tmp_path, URLS[0])
    owner.process.send_signal(signal.SIGTERM)
    owner.read_until("finishing 1 atom")
    owner.let_go()
    assert owner.end().code == 4
    ended = waiting.end()
    assert (ended.code, ended.out) == (0, RESULTS)
    assert effects(tmp_path) == ["first", "second", "third"]


def test_ctrl_c_ends_the_waiting_and_touches_nothing(tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", URLS[0])
    waiting = peer(tmp_path, URLS[0])
    waiting.process.send_signal(signal.SIGINT)
    ended = waiting.end()
    assert (ended.code, ended.out) == (130, "")
    assert "not waiting any more; run r1 was not touched" in ended.err
    owner.let_go()
    assert owner.end().code == 0
    assert effects(tmp_path) == ["first", "second", "third"]


def test_a_wait_that_takes_too_long_exits_with_6_and_names_the_owner(tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", URLS[0])
    ended = peer(tmp_path, URLS[0], "--wait-timeout", "0").end()
    assert ended.code == 6
    assert "error[FB302]: run 'r1' is owned by" in ended.err
    owner.let_go()
    assert owner.end().code == 0


def test_a_run_that_nobody_owns_is_taken_up_without_a_word(tmp_path: Path) -> None:
    owner = Waiting(tmp_path, "--backend", URLS[0])
    owner.remove_gate()
    owner.process.kill()
    owner.end()
    words = "resume", "r1", "--allow", "steps.py", "--wait", "--backend", URLS[0]
    ended = flowbook(tmp_path, *words)
    assert (ended.code, ended.out) == (0, RESULTS)
    assert TOLD not in ended.err
    again = flowbook(tmp_path, *words, "--rerun")
    assert (again.code, again.out) == (0, RESULTS)
    assert effects(tmp_path)[-3:] == ["first", "second", "third"]


def test_programs_read_who_is_waited_for_as_an_event(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("from flowbook import LinearFlow\nflow = LinearFlow('empty')\n")
    url = f"sqlite:///{tmp_path}/runs.db"
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1", "--backend", url).code == 0
    with fetch(url) as backend:
        backend.claim("flow:r1", stranger(), lease_s=1000)
        words = "resume", "r1", "--allow", "steps.py", "--wait", "--wait-timeout", "0", "--rerun", "--backend", url
        ended = flowbook(tmp_path, *words, "--progress", "json")
        assert backend.find(Query(flow="r1"))[0].owner == stranger()
    document = json.loads(ended.err.splitlines()[0])
    check(document, EVENT.json_schema())
    assert document["message"].startswith(f"run r1 is owned by {stranger()} since ")


@pytest.mark.parametrize("words", [("--wait", "--take-over"), ("--wait-timeout", "1")])
def test_words_that_contradict_each_other_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "resume", "r1", *words)
    assert ended.code == 2
    assert ended.err.startswith("error[FB100]")
    assert "do: " in ended.err
