"""``flowbook export``, ``import``, ``prune``, ``doctor``, ``backend upgrade``, ``plugins`` and ``explain`` at work."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sqlite3
import stat
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, STEPS, TIMEOUT_S, Ended, Waiting, environment, flowbook, part
from acceptance.schemas import check
from flowbook.views.schemas import DOCTOR, EXPLAIN, PLUGINS, PRUNE

pytestmark = pytest.mark.slow

OTHER = ("--backend", "sqlite:///other.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two finished runs: r1 of one atom, r2 of three."""
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::first", "--run-id", "r1").code == 0
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r2", "--book", "other").code == 0
    return tmp_path


def ids(folder: Path, *words: str) -> list[str]:
    return [run["id"] for run in json.loads(flowbook(folder, "list", "--json", *words).out)["runs"]]


def on_terminal(folder: Path, words: Sequence[str], until: str, answer: str) -> Ended:
    """Run the command with a terminal for stdin and stderr, and answer when ``until`` has been shown."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=environment(TERM="xterm"), stdin=slave, stdout=subprocess.PIPE, stderr=slave
    )
    os.close(slave)
    shown, before = "", time.monotonic() + TIMEOUT_S
    while until not in shown:
        more = part(master, before)
        assert more, f"{until!r} was not shown: {shown}"
        shown += more.decode()
    os.write(master, answer.encode())
    out, _ = process.communicate(timeout=TIMEOUT_S)
    while select.select([master], [], [], 0)[0]:
        try:
            shown += os.read(master, 65536).decode()
        except OSError:  # all is read, and nobody writes any more
            break
    os.close(master)
    return Ended(process.returncode, out.decode(), shown)


# -- export and import --


def test_a_run_goes_to_another_storage_and_back_in_the_same_bytes(folder: Path) -> None:
    exported = flowbook(folder, "export", "r2")
    (folder / "r2.jsonl").write_text(exported.out, encoding="ascii")
    imported = flowbook(folder, "import", "r2.jsonl", *OTHER)
    assert (imported.code, imported.out) == (0, "r2\n")
    assert "flowbook show r2 --backend sqlite:///other.db" in imported.err
    assert flowbook(folder, "export", "r2", *OTHER).out == exported.out
    assert ids(folder, *OTHER) == ["r2"]


def test_a_run_is_kept_under_another_id_too(folder: Path) -> None:
    flowbook(folder, "export", "r2", "--out", "r2.jsonl")
    assert flowbook(folder, "import", "r2.jsonl", "--as", "again").out == "again\n"
    assert sorted(ids(folder)) == ["again", "r1", "r2"]
    done = flowbook(folder, "run", "steps.py::flow", "--run-id", "again")
    assert (done.code, done.out) == (0, "a = 1\nb = 2\nc = 20\n")


def test_a_run_goes_through_a_pipe(folder: Path) -> None:
    with subprocess.Popen([*COMMAND, "export", "r1"], cwd=folder, env=environment(), stdout=subprocess.PIPE) as export:
        done = subprocess.run(
            [*COMMAND, "import", "-", *OTHER],
            cwd=folder,
            env=environment(),
            stdin=export.stdout,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert (done.returncode, done.stdout) == (0, "r1\n")


def test_an_exported_file_is_whole_and_for_its_owner_alone(folder: Path) -> None:
    (folder / "r1.jsonl").write_text("older", encoding="ascii")
    ended = flowbook(folder, "export", "r1", "--out", "r1.jsonl")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "wrote r1.jsonl: 4 records\n"
    assert stat.S_IMODE((folder / "r1.jsonl").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.glob("*.jsonl*")) == ["r1.jsonl"]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(folder: Path) -> None:
    (folder / "link").symlink_to("r1.jsonl")
    assert flowbook(folder, "export", "r1", "--out", "link").code == 0
    assert (folder / "link").is_symlink()
    assert flowbook(folder, "export", "r1", "--out", "/dev/stdout").out == (folder / "r1.jsonl").read_text("ascii")


def test_a_running_run_is_exported_as_it_is_and_continues_elsewhere(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    flowbook(tmp_path, "export", "r1", "--out", "r1.jsonl")
    waiting.let_go()
    assert waiting.end().code == 0
    waiting.remove_gate()
    flowbook(tmp_path, "import", "r1.jsonl", *OTHER)
    assert "RUNNING (interrupted: nobody works on it)" in flowbook(tmp_path, "show", "r1", *OTHER).out
    done = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py", *OTHER)
    assert (done.code, done.out) == (0, "a = 1\nb = 2\nc = 20\n")


def test_importing_runs_no_code(folder: Path) -> None:
    flowbook(folder, "export", "r2", "--out", "r2.jsonl")
    (folder / "steps.py").write_text("raise SystemExit('it was run')", encoding="utf-8")
    assert flowbook(folder, "import", "r2.jsonl", *OTHER).code == 0
    assert "SUCCESS" in flowbook(folder, "show", "r2", *OTHER).out


# -- prune --


def test_prune_shows_what_it_would_delete_and_deletes_it(folder: Path) -> None:
    dry = flowbook(folder, "prune", "--book", "other", "--dry-run")
    assert dry.code == 0
    assert [line.split()[0] for line in dry.out.splitlines()] == ["run", "r2"]
    assert dry.err == "would delete 1 run (3 atoms)\n"
    done = flowbook(folder, "prune", "--book", "other", "--yes")
    assert (done.code, done.out, done.err) == (0, "", "deleted 1 run (3 atoms)\n")
    assert ids(folder) == ["r1"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--older-than", "1d"], ["r1", "r2"]),
        (["--older-than", "0s"], []),
        (["--state", "failure"], ["r1", "r2"]),
        (["--state", "failure", "--state", "success"], []),
        (["--keep", "1"], ["r2"]),
        ([], []),
    ],
)
def test_prune_is_narrowed(folder: Path, words: list[str], left: list[str]) -> None:
    assert flowbook(folder, "prune", "--yes", *words).code == 0
    assert sorted(ids(folder)) == left


def test_prune_asks_on_a_terminal(folder: Path) -> None:
    question = "delete 2 runs (4 atoms)? [y/N]"
    refused = on_terminal(folder, ["prune"], question, "n\n")
    assert refused.code == 0
    assert "nothing was deleted" in refused.err
    assert len(ids(folder)) == 2
    agreed = on_terminal(folder, ["prune"], question, "y\n")
    assert "deleted 2 runs (4 atoms)" in agreed.err
    assert ids(folder) == []


def test_prune_deletes_nothing_when_its_question_is_not_answered(folder: Path) -> None:
    ended = on_terminal(folder, ["prune"], "[y/N]", "\x04")  # the end of what is typed
    assert ended.code == 130
    assert len(ids(folder)) == 2


def test_a_run_that_cannot_be_deleted_stops_no_other_and_exits_with_5(folder: Path) -> None:
    assert flowbook(folder, "run", "steps.py::first", "--run-id", "r3").code == 0
    with closing(sqlite3.connect(folder / "flowbook.db")) as database, database:
        database.execute(
            "CREATE TRIGGER worn BEFORE DELETE ON records WHEN OLD.claim = 'flow:r2' "
            "BEGIN SELECT RAISE(ABORT, 'it is worn out'); END"
        )
    ended = flowbook(folder, "prune", "--yes")
    assert (ended.code, ended.out) == (5, "")
    assert re.fullmatch(r"deleted 2 runs \(2 atoms\); r2 was not: .*: .*it is worn out.*\n", ended.err)
    assert ids(folder) == ["r2"]
    told = flowbook(folder, "prune", "--yes", "--json")
    assert told.code == 5
    document = json.loads(told.out)
    check(document, PRUNE.json_schema())
    assert [(run["id"], run["fate"]) for run in document["runs"]] == [("r2", "skipped")]
    assert "it is worn out" in document["runs"][0]["why"]


def test_damaged_runs_are_found_by_their_state_and_deleted(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    env = environment(FLOWBOOK_BACKEND="dir:runs")
    for run in ("r1", "r2", "r3"):
        assert flowbook(tmp_path, "run", "steps.py::first", "--run-id", run, env=env).code == 0
    for journal in (tmp_path / "runs" / "flow" / "r2").glob("epoch-*"):
        journal.write_bytes(b"x" + journal.read_bytes()[1:])
    assert (
        "; restore a copy of the storage, or flowbook prune --state damaged"
        in flowbook(tmp_path, "doctor", env=env).out
    )
    listed = flowbook(tmp_path, "list", "--state", "damaged", "--json", env=env)
    assert [run["id"] for run in json.loads(listed.out)["runs"]] == ["r2"]
    ended = flowbook(tmp_path, "prune", "--state", "damaged", "--yes", env=env)
    assert (ended.code, ended.out, ended.err) == (0, "", "deleted 1 run (0 atoms)\n")
    assert flowbook(tmp_path, "prune", "--yes", env=env).err == "deleted 2 runs (2 atoms)\n"


def test_prune_has_json_and_its_document_fits_the_schema(folder: Path) -> None:
    planned = json.loads(flowbook(folder, "prune", "--dry-run", "--json").out)
    check(planned, PRUNE.json_schema())
    assert [run["fate"] for run in planned["runs"]] == ["to delete", "to delete"]
    done = json.loads(flowbook(folder, "prune", "--yes", "--json").out)
    check(done, PRUNE.json_schema())
    assert (done["dry_run"], done["deleted"], done["deleted_atoms"]) == (False, 2, 4)


def test_prune_never_deletes_a_run_that_somebody_works_on_unless_it_is_forced(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    spared = flowbook(tmp_path, "prune", "--state", "running", "--yes")
    assert spared.code == 0
    assert "left alone" in spared.err
    assert "r1" in spared.err
    assert "nothing to delete" in spared.err
    assert ids(tmp_path) == ["r1"]
    forced = flowbook(tmp_path, "prune", "--state", "running", "--force", "--yes")
    assert "deleted 1 run (3 atoms)" in forced.err
    waiting.let_go()
    ended = waiting.end()
    assert ended.code == 6
    assert "error[FB303]" in ended.err
    assert ids(tmp_path) == []


def test_force_says_how_many_are_claimed_before_it_asks(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    words = ["prune", "--state", "running", "--force"]
    on_terminal(tmp_path, words, "delete 1 run (3 atoms), 1 of them claimed by a living owner? [y/N]", "n\n")
    waiting.let_go()
    assert waiting.end().code == 0


def test_nothing_to_delete_is_no_error_and_asks_nothing(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "prune")
    assert (ended.code, ended.out, ended.err) == (0, "", "nothing to delete: no run fits\n")
    assert list(tmp_path.iterdir()) == []


# -- doctor --


def test_doctor_finds_all_well(folder: Path) -> None:
    ended = flowbook(folder, "doctor")
    assert ended.code == 0
    assert {line.split()[0] for line in ended.out.splitlines()} == {"ok"}
    assert "runs read: 2" in ended.out
    assert ended.err.endswith(" ok, 0 warn, 0 fail\n")
    document = json.loads(flowbook(folder, "doctor", "--json").out)
    check(document, DOCTOR.json_schema())
    assert document["healthy"]


def test_doctor_warns_with_what_mends_it_and_exits_with_0(folder: Path) -> None:
    (folder / "flowbook.db").chmod(0o644)
    ended = flowbook(folder, "doctor")
    assert ended.code == 0
    warned, fix = (line for line in ended.out.splitlines() if not line.startswith("ok"))
    assert warned.startswith("warn  storage")
    assert fix.strip() == f"fix: if it is for you alone: chmod 600 {folder / 'flowbook.db'}"


def test_doctor_names_a_damaged_record_and_exits_with_5(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "flowbook.db")) as database, database:
        database.execute("UPDATE records SET data = '{' WHERE kind = 'atom' AND key = 'second'")
    ended = flowbook(folder, "doctor")
    assert ended.code == 5
    (failed,) = (line for line in ended.out.splitlines() if line.startswith("fail"))
    assert "run r2" in failed
    assert "atom 'second'" in failed
    assert not json.loads(flowbook(folder, "doctor", "--json").out)["healthy"]


def test_doctor_exits_with_5_where_the_file_is_no_storage(folder: Path) -> None:
    (folder / "flowbook.db").write_bytes(b"no database at all" * 500)
    ended = flowbook(folder, "doctor")
    assert ended.code == 5
    assert "fail  schema    this is not a flowbook logbook" in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_doctor_exits_with_1_when_a_plug_in_cannot_be_loaded(folder: Path) -> None:
    _install_broken_plugin(folder)
    ended = flowbook(folder, "doctor", env=environment(PYTHONPATH=str(folder)))
    assert ended.code == 1
    assert "fail  plugins   flowbook.persistence broken cannot be loaded" in ended.out


def test_doctor_makes_no_storage(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "doctor")
    assert ended.code == 0
    assert "no storage here yet" in ended.out
    assert list(tmp_path.iterdir()) == []


# -- plugins, explain, backend --


def _install_broken_plugin(folder: Path) -> None:
    info = folder / "acme_store-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.5\n", encoding="ascii")
    (info / "entry_points.txt").write_text("[flowbook.persistence]\nbroken = no_such_module:Store\n", encoding="ascii")


def test_plugins_lists_what_is_installed_and_why_some_cannot_be_loaded(tmp_path: Path) -> None:
    _install_broken_plugin(tmp_path)
    env = environment(PYTHONPATH=str(tmp_path))
    ended = flowbook(tmp_path, "plugins", env=env)
    assert ended.code == 0
    rows = {line.split()[1]: line for line in ended.out.splitlines()[1:] if line.startswith("flowbook.persistence")}
    assert rows["sqlite"].split()[2] == "flowbook"
    assert rows["sqlite"].endswith("ok")
    assert "acme-store" in rows["broken"]
    assert "No module named 'no_such_module'" in rows["broken"]
    assert "1 of " in ended.err
    document = json.loads(flowbook(tmp_path, "plugins", "--json", env=env).out)
    check(document, PLUGINS.json_schema())
    assert [one["package"] for one in document["plugins"] if one["error"]] == ["acme-store"]


def test_a_missing_extra_is_told_in_one_line(tmp_path: Path) -> None:
    _install_broken_plugin(tmp_path)
    points = tmp_path / "acme_store-1.5.dist-info" / "entry_points.txt"
    points.write_text("[flowbook.persistence]\nacme = no_such_module:Store [driver]\n", encoding="ascii")
    ended = flowbook(tmp_path, "list", "--backend", "acme://host/db", env=environment(PYTHONPATH=str(tmp_path)))
    assert ended.code == 2
    what, where, why, todo, _ = ended.err.splitlines()
    assert what == "error[FB112]: acme needs: pip install 'acme-store[driver]'"
    assert where == "  where: --backend acme://host/db"
    assert why == "  why: it cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    assert todo == "  do: pip install 'acme-store[driver]'"


@pytest.mark.parametrize("word", ["FB301", "fb301", "NotFound"])
def test_explain_prints_the_page_of_an_error(tmp_path: Path, word: str) -> None:
    ended = flowbook(tmp_path, "explain", word)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("FB301: NotFound\n")
    for title in ("Why it happens", "What to do", "Example"):
        assert f"\n{title}\n" in ended.out
    assert "``" not in ended.out
    assert "---" not in ended.out


def test_explain_lists_all_errors(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "explain")
    codes = [line.split()[0] for line in ended.out.splitlines()[1:]]
    assert {"FB100", "FB301", "FB901"} <= set(codes)
    document = json.loads(flowbook(tmp_path, "explain", "--json").out)
    check(document, EXPLAIN.json_schema())
    assert [error["code"] for error in document["errors"]] == codes


def test_every_error_names_the_page_that_explains_it_once(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "show", "none")
    assert ended.err.count("flowbook explain FB301") == 1
    assert flowbook(tmp_path, *ended.err.splitlines()[-1].split()[2:]).code == 0


def test_backend_upgrade_says_from_which_schema_to_which(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "flowbook.db")) as database, database:
        database.execute("CREATE TABLE flowbook_schema (version_num VARCHAR(32) NOT NULL)")
    script = flowbook(tmp_path, "backend", "upgrade", "--print-sql")
    assert script.code == 0
    assert "CREATE TABLE records" in script.out
    assert flowbook(tmp_path, "backend", "upgrade").err == "upgraded sqlite:///flowbook.db from schema none to 0003\n"
    again = flowbook(tmp_path, "backend", "upgrade")
    assert (again.code, again.err) == (0, "nothing to do: sqlite:///flowbook.db has schema 0003, the newest\n")
    nothing = flowbook(tmp_path, "backend", "upgrade", "--print-sql")
    assert (nothing.out, "nothing to do" in nothing.err) == ("", True)


def test_backend_upgrade_makes_a_storage_but_its_script_does_not(tmp_path: Path) -> None:
    assert "CREATE TABLE records" in flowbook(tmp_path, "backend", "upgrade", "--print-sql").out
    assert list(tmp_path.iterdir()) == []
    assert flowbook(tmp_path, "backend", "upgrade").err == "made sqlite:///flowbook.db with schema 0003\n"
    assert (tmp_path / "flowbook.db").exists()


@pytest.mark.parametrize(
    "verb", [["export"], ["import"], ["prune"], ["doctor"], ["plugins"], ["explain"], ["backend", "upgrade"]]
)
def test_help_has_three_examples_and_tells_every_option(tmp_path: Path, verb: list[str]) -> None:
    ended = flowbook(tmp_path, *verb, "--help")
    assert ended.code == 0
    assert ended.out.count(f"  flowbook {' '.join(verb)}") >= 3
