"""``flowbook graph``: flows from files, runs from the logbook, in every format, and what may go wrong."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import sqlite3
import stat
import subprocess
import zlib
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from acceptance.command_line import COMMAND, STEPS, TIMEOUT_S, Ended, Waiting, environment, flowbook
from acceptance.schemas import check
from flowbook.views.schemas import GRAPH

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text(STEPS.replace("return b * times", "raise ValueError(times)"), encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1").code == 3
    return tmp_path


def test_a_flow_is_drawn_without_being_run(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    ended = flowbook(tmp_path, "graph", "steps.py::flow")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "steps (3 atoms)", "├─ first", "├─ second  ← first: a", "└─ third  ← second: b",
    ]  # fmt: skip
    assert not list(tmp_path.glob("*.db"))
    assert not (tmp_path / "effects").exists()


def test_a_function_that_gives_a_flow_gets_its_parameters(tmp_path: Path) -> None:
    program = "from flowbook import LinearFlow, task\ndef build(name: str):\n    return LinearFlow(name)\n"
    (tmp_path / "built.py").write_text(program, encoding="utf-8")
    assert flowbook(tmp_path, "graph", "built.py::build", "--param", "name=mine").out == "mine (0 atoms)\n"
    assert flowbook(tmp_path, "graph", "built:build", "--param", "name=mine").out == "mine (0 atoms)\n"


def test_a_run_is_drawn_from_the_logbook_alone(folder: Path) -> None:
    (folder / "steps.py").unlink()
    for word in ("r1", "@last", "@failed"):
        ended = flowbook(folder, "graph", word)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            "steps · run r1 · REVERTED (3 atoms)",
            "├─ ↶ REVERTED  first",
            "├─ ↶ REVERTED  second  ← first: a",
            "└─ ↶ REVERTED  third  ← second: b",
        ]


def test_a_run_that_goes_on_is_drawn_as_it_is_now(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    drawn = flowbook(tmp_path, "graph", "r1").out
    waiting.let_go()
    assert waiting.end().code == 0
    assert "▶ RUNNING  second" in drawn
    assert "✓ SUCCESS  first" in drawn


@pytest.mark.parametrize(("variables", "coloured"), [({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_on_a_terminal_lines_are_as_wide_as_it_is(folder: Path, variables: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    env = environment(COLUMNS="34", TERM="xterm-256color", **variables)
    subprocess.run([*COMMAND, "graph", "r1"], cwd=folder, env=env, stdout=theirs, check=True, timeout=TIMEOUT_S)
    os.close(theirs)
    drawn = os.read(ours, 10_000).decode()
    os.close(ours)
    assert ("\x1b[33m↶ REVERTED\x1b[0m" in drawn) is coloured
    plain = re.sub(r"\x1b\[\d+m", "", drawn)
    assert max(len(line) for line in plain.splitlines()) <= 34
    assert "├─ ↶ REVERTED  second  ← first: a" in plain


def test_where_the_output_takes_ascii_only_it_gets_that(folder: Path) -> None:
    ended = flowbook(folder, "graph", "r1", env=environment(PYTHONIOENCODING="ascii"))
    assert ended.out.isascii()
    assert "|- - REVERTED  second  <- first: a" in ended.out


@pytest.mark.parametrize(
    ("format", "ending", "beginning"),
    [("svg", "svg", "<svg "), ("mermaid", "mmd", "---\ntitle"), ("dot", "gv", "digraph "), ("text", "txt", "steps · ")],
)
def test_the_ending_of_a_file_says_its_format(folder: Path, format: str, ending: str, beginning: str) -> None:
    assert flowbook(folder, "graph", "r1", "--out", f"run.{ending}") == Ended(0, "", "")
    written = (folder / f"run.{ending}").read_text(encoding="utf-8")
    assert written.startswith(beginning)
    assert flowbook(folder, "graph", "r1", "--format", format).out.rstrip() == written.rstrip()


def test_svg_is_whole(folder: Path) -> None:
    document = ElementTree.fromstring(flowbook(folder, "graph", "r1", "--format", "SVG").out)
    assert document.tag == "{http://www.w3.org/2000/svg}svg"
    assert "↶ REVERTED" in "".join(document.itertext())


def test_the_document_has_a_schema(folder: Path) -> None:
    for words in (["--json"], ["--format", "json"]):
        document = json.loads(flowbook(folder, "graph", "r1", *words).out)
        check(document, GRAPH.json_schema())
        assert (document["schema"], document["run"], document["flow"]) == ("flowbook.graph/1", "r1", "steps")
        assert [node["label"] for node in document["nodes"]] == ["first", "second", "third"]
        assert document["edges"][0] == {"source": "a0", "target": "a1", "data": ["a"]}


def test_nodes_are_rows_of_a_table(folder: Path) -> None:
    ended = flowbook(folder, "graph", "r1", "--output", "csv", "--fields", "id,label,state")
    assert ended.out.splitlines()[:2] == ["id,label,state", "a0,first,REVERTED"]


def _many(count: int) -> str:
    return (
        "from flowbook import LinearFlow, UnorderedFlow, Task\n"
        "class T(Task):\n    def execute(self):\n        pass\n"
        "flow = LinearFlow('many').add(*(UnorderedFlow(f'b{b}').add(*(T(f't{b}_{i}') for i in range(100)))"
        f" for b in range({count})))\n"
    )


def test_a_large_flow_is_folded_unless_one_wants_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "many.py").write_text(_many(50), encoding="utf-8")
    folded = flowbook(tmp_path, "graph", "many.py::flow").out.splitlines()
    assert folded[:2] == ["many (5000 atoms, some drawn together)", "├─ [b0]: 100 atoms  unordered"]
    assert len(folded) == 51
    assert len(flowbook(tmp_path, "graph", "many.py::flow", "--no-fold").out.splitlines()) == 5051
    (tmp_path / "many.py").write_text(_many(2), encoding="utf-8")
    assert len(flowbook(tmp_path, "graph", "many.py::flow").out.splitlines()) == 203
    assert len(flowbook(tmp_path, "graph", "many.py::flow", "--depth", "0").out.splitlines()) == 3


ERRORS = {
    "no such format": (["r1", "--format", "svgg"], 2, "FB103", "'svgg'", "did you mean 'svg'? the formats are text, "),
    "no such ending": (
        ["r1", "--out", "r1.png"],
        2,
        "FB103",
        "r1.png",
        "give it one of these endings, or say --format",
    ),
    "no such run": (["nothing"], 2, "FB301", "'nothing'", "flowbook list shows the runs"),
    "no such flow": (["steps.py::flo"], 2, "FB103", "steps.py::flo", "did you mean 'flow'?"),
    "no such module": (["nothing:flow"], 2, "FB120", "nothing:flow", "see that the name is right"),
    "no file to write": (["r1", "--out", "no/r1.svg"], 2, "FB103", "no/r1.svg", "name a file in a directory"),
    "no flow at all": (["steps.py"], 2, "FB103", "steps.py", "give its name too"),
    "no word": ([], 2, "FB100", "RUN", "flowbook list shows the runs"),
    "a parameter for a flow": (["steps.py::flow", "--param", "x=1"], 2, "FB103", "it takes no x", "leave out --param"),
    "a parameter for a run": (["r1", "--param", "x=1"], 2, "FB100", "--param is for FLOW", "see flowbook graph --help"),
    "two outputs": (["r1", "--json", "--out", "x.json"], 2, "FB100", "--format json with --out", "graph --help"),
    "a flow in a circle": (["circle.py::flow"], 2, "FB101", "go in a circle", "mend the flow"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_has_four_parts(folder: Path, case: str) -> None:
    words, code, name, what, todo = ERRORS[case]
    program = "from flowbook import GraphFlow, task\nfrom steps import first, second\n"
    program += "flow = GraphFlow('circle').add(first, second).link(second, first)\n"
    (folder / "circle.py").write_text(program, encoding="utf-8")
    ended = flowbook(folder, "graph", *words)
    assert ended.out == ""
    assert ended.err.startswith(f"error[{name}]: ")
    assert what in ended.err
    parts = {line.partition(":")[0].strip(): line for line in ended.err.splitlines() if line.startswith("  ")}
    assert {"where", "why", "do"} <= set(parts)
    assert todo in parts["do"]
    assert "Traceback" not in ended.err
    assert ended.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_file_that_may_not_be_written_is_named(folder: Path) -> None:
    (folder / "locked.svg").touch(mode=0o400)
    ended = flowbook(folder, "graph", "r1", "--out", "locked.svg")
    assert "locked.svg cannot be written" in ended.err
    assert (folder / "locked.svg").read_bytes() == b""


def test_a_file_of_another_ending_is_written_only_where_the_format_is_named(folder: Path) -> None:
    refused = flowbook(folder, "graph", "r1", "--out", "r1.png")
    assert "why: its ending should say the format, and .png is none of .svg, " in refused.err
    assert not (folder / "r1.png").exists()
    assert flowbook(folder, "graph", "r1", "--out", "r1.image", "--format", "svg") == Ended(0, "", "")
    assert (folder / "r1.image").read_text(encoding="utf-8").startswith("<svg ")
    assert flowbook(folder, "graph", "r1", "--out", "drawn") == Ended(0, "", "")
    assert (folder / "drawn").read_text(encoding="utf-8").startswith("steps · ")


def test_a_picture_is_put_in_place_whole_and_others_may_read_it(folder: Path) -> None:
    (folder / "kept.svg").write_text("older", encoding="utf-8")
    (folder / "r1.svg").symlink_to("kept.svg")
    umask = os.umask(0o022)
    try:
        assert flowbook(folder, "graph", "r1", "--out", "r1.svg") == Ended(0, "", "")
    finally:
        os.umask(umask)
    assert (folder / "r1.svg").is_symlink()
    assert (folder / "kept.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert stat.S_IMODE((folder / "kept.svg").stat().st_mode) == 0o644
    assert sorted(path.name for path in folder.iterdir() if "svg" in path.name) == ["kept.svg", "r1.svg"]


@pytest.mark.parametrize("edges", [5, [["first", "nowhere"]]])
def test_a_damaged_plan_is_named(folder: Path, edges: object) -> None:
    (logbook,) = folder.glob("*.db")
    with closing(sqlite3.connect(logbook)) as database, database:
        ((text,),) = database.execute("select data from records where kind = 'plan'").fetchall()
        row = json.loads(text)
        plan = {**json.loads(zlib.decompress(base64.b64decode(row["packed"]))), "edges": edges}
        packed = base64.b64encode(zlib.compress(json.dumps(plan).encode())).decode()
        database.execute("update records set data = ? where kind = 'plan'", [json.dumps({**row, "packed": packed})])
    ended = flowbook(folder, "graph", "r1")
    assert (ended.code, ended.out) == (5, "")
    what, where, why, todo, *_ = ended.err.splitlines()
    assert what == "error[FB307]: a stored record is damaged"
    assert logbook.name in where
    assert why.startswith("  why: plan 'plan' of run 'r1' cannot be drawn: ")
    assert todo.startswith("  do: ")
