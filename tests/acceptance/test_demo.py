"""``flowbook demo`` as its users see it: what it prints, what it leaves, and what it would not let pass."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flowbook.cli.demo import proof
from flowbook.persistence import AtomDetail, FlowDetail

PROVED = "\n".join(
    [
        r"ok  at the kill [1-9]\d* atoms were saved, [1-9]\d* interrupted, [1-9]\d* still to go",
        r"ok  of the (\d+) saved atoms none ran again",
        r"ok  interrupted atoms: begun again, and ended: (\d+) of \2",
        r"ok  other atoms: run once: (\d+) of \3",
        r"ok  the run is SUCCESS, with (\d+) of \4 atoms saved",
        r"ok  the report equals that of an uncrashed run in its [\d,]+ bytes",
    ]
)


def _flowbook(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``flowbook``, with temporary files in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "flowbook", *words],
        env={**os.environ, "TMPDIR": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


Crashed = tuple[subprocess.CompletedProcess[str], Path]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    folder = tmp_path_factory.mktemp("crashed")
    return _flowbook(folder, "demo"), folder


@pytest.mark.slow
@pytest.mark.crash
def test_the_demo_is_killed_resumed_and_proved(crashed: Crashed) -> None:
    ended, _ = crashed
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"process \d+ was killed with SIGKILL right after commit 6\n", ended.stdout)
    assert re.search(r"\| resumed run demo-\w+: \d+ saved, \d+ interrupted, \d+ to go\n", ended.stdout)
    assert re.search(PROVED, ended.stdout), ended.stdout
    assert "NO  " not in ended.stdout


@pytest.mark.slow
@pytest.mark.crash
def test_the_processes_are_two(crashed: Crashed) -> None:
    ended, _ = crashed
    assert len(set(re.findall(r"process (\d+)", ended.stdout))) == 2


@pytest.mark.slow
@pytest.mark.crash
def test_the_demo_fits_on_a_screen_and_has_no_colours_where_there_is_no_terminal(crashed: Crashed) -> None:
    ended, _ = crashed
    assert len(ended.stdout.splitlines()) < 40
    assert "\x1b" not in ended.stdout


@pytest.mark.slow
@pytest.mark.crash
def test_the_report_stays_and_the_logbook_goes(crashed: Crashed) -> None:
    ended, folder = crashed
    (report,) = (path for path in folder.rglob("*") if path.is_file())
    assert f"report   {report}\n" in ended.stdout


@pytest.mark.slow
@pytest.mark.crash
def test_the_report_is_well_formed_and_has_its_picture_inside(crashed: Crashed) -> None:
    _, folder = crashed
    (report,) = folder.rglob("report.html")
    page = ElementTree.parse(report).getroot()
    (picture,) = page.iter("{http://www.w3.org/2000/svg}svg")
    boxes = {"".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"asyncio", "email", "logging"} <= boxes
    assert len(list(page.iter("tr"))) > 20
    assert not [one.tag for one in page.iter() if "src" in one.attrib or "href" in one.attrib]  # it needs nothing else


@pytest.mark.slow
def test_without_a_crash_the_run_is_made_once_kept_and_opened_as_it_is_asked_for(tmp_path: Path) -> None:
    ended = _flowbook(tmp_path, "demo", "--no-crash", "--keep", "--open", BROWSER="echo opened %s")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"ok  the run is SUCCESS, with (\d+) of \1 atoms saved\n", ended.stdout)
    assert "SIGKILL" not in ended.stdout
    (report,) = tmp_path.rglob("report.html")
    assert f"opened {report.as_uri()}\n" in ended.stdout
    (logbook,) = tmp_path.rglob("runs.db")
    (told,) = re.findall(r"^next +flowbook (.+)$", ended.stdout, re.MULTILINE)
    assert str(logbook) in told
    shown = _flowbook(tmp_path, *shlex.split(told))
    assert shown.returncode == 0, shown.stderr
    assert "parse 0" in shown.stdout


@pytest.mark.slow
@pytest.mark.crash
def test_another_logbook_may_be_given(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    ended = _flowbook(tmp_path, "demo", "--backend", url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(PROVED, ended.stdout), ended.stdout
    assert re.search(rf"flowbook show demo-\w+ --backend {re.escape(url)}\n", ended.stdout)
    assert (tmp_path / "mine.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("url", ["memory:", "sqlite:////no/such/folder/runs.db", "nothing://"])
def test_a_logbook_that_cannot_serve_is_refused_before_anything_is_run(tmp_path: Path, url: str) -> None:
    ended = _flowbook(tmp_path, "demo", "--backend", url)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


# -- what the proof does not let pass ------------------------------------------------------------------------


def _atom(name: str, state: str, *outcomes: str) -> AtomDetail:
    attempts = [{"attempt": number, "outcome": outcome} for number, outcome in enumerate(outcomes, 1)]
    return AtomDetail.from_row(name, {"state": state}, attempts)


def _flow(*atoms: AtomDetail) -> FlowDetail:
    row: Mapping[str, object] = {"atoms": 3}
    return FlowDetail("r", "b", "f", "RUNNING", 0.0, 0.0, row, {atom.name: atom for atom in atoms})


KILLED = _flow(_atom("a", "SUCCESS", "SUCCESS"), _atom("b", "RUNNING"))
A = _atom("a", "SUCCESS", "SUCCESS")
B = _atom("b", "SUCCESS", "INTERRUPTED", "SUCCESS")
C = _atom("c", "SUCCESS", "SUCCESS")


def _holds(before: FlowDetail, after: FlowDetail) -> list[bool]:
    return [check.holds for check in proof(before, after)]


def test_a_run_that_went_on_where_it_stopped_is_proved() -> None:
    assert _holds(KILLED, _flow(A, B, C)) == [True, True, True, True]


def test_a_saved_atom_that_ran_again_is_told() -> None:
    again = _atom("a", "SUCCESS", "SUCCESS", "SUCCESS")
    assert _holds(KILLED, _flow(again, B, C)) == [True, False, True, True]
    assert proof(KILLED, _flow(again, B, C))[1].claim == "of the 1 saved atoms 1 (a) ran again"


def test_a_saved_atom_that_is_forgotten_is_told() -> None:
    assert _holds(KILLED, _flow(B, C)) == [True, False, True, True]


def test_an_interrupted_atom_that_did_not_begin_again_is_told() -> None:
    assert _holds(KILLED, _flow(A, _atom("b", "RUNNING"), C)) == [True, True, False, True]
    assert _holds(KILLED, _flow(A, C)) == [True, True, False, True]


def test_an_atom_that_was_not_begun_at_the_kill_and_ran_twice_is_told() -> None:
    assert _holds(KILLED, _flow(A, B, _atom("c", "SUCCESS", "SUCCESS", "SUCCESS"))) == [True, True, True, False]


@pytest.mark.parametrize(
    "atoms",
    [(_atom("b", "RUNNING"),), (A,), (A, _atom("b", "RUNNING"), _atom("c", "RUNNING"))],
    ids=["nothing saved", "nothing interrupted", "nothing to go"],
)
def test_a_kill_at_a_moment_that_shows_nothing_is_told(atoms: tuple[AtomDetail, ...]) -> None:
    assert not _holds(_flow(*atoms), _flow(A, B, C))[0]
