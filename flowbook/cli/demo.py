"""``flowbook demo``: a flow on real files is killed at work, resumed, and proved to have lost and repeated nothing.

The flow is ``flowbook.examples.stdlib_report``; it runs in processes of its own. The proof reads the logbook.
"""

from __future__ import annotations

import platform
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from flowbook.cli.exits import Exit
from flowbook.cli.session import verbose_option
from flowbook.cli.streams import write
from flowbook.exceptions import FlowFailed, NotPossible
from flowbook.persistence import FlowDetail, fetch, hide_secrets
from flowbook.persistence.changes import Row
from flowbook.persistence.options import scheme_of
from flowbook.states import UNFINISHED_ATOMS, AtomState, FlowState

EXAMPLE = "flowbook.examples.stdlib_report"

CRASH_AFTER = 6
"""Commit 1 creates the run, 2 begins it, 3 has the files scanned; each further one ends 1 to 16 of 60 parsing atoms.

So after this one 4 to 49 atoms are saved, 12 to 16 are running, and the others are still to go, whatever the timing.
"""

SHOWN_OF_ERRORS = 15


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that ran the example: its id, exit code, what it said, and how long it took."""

    pid: int
    code: int
    said: str
    took_s: float


class DemoFailed(FlowFailed):
    """A process of the demo ended in another way than it was to."""

    def __init__(self, ran: Ran, wanted: str) -> None:
        self.ran, self.wanted = ran, wanted
        super().__init__(ran, wanted)

    def __str__(self) -> str:
        said = "\n".join(self.ran.said.splitlines()[-SHOWN_OF_ERRORS:])
        return f"process {self.ran.pid} was to {self.wanted}, but ended with code {self.ran.code}\n{said}".rstrip()


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof."""

    holds: bool
    claim: str


@click.command()
@click.option("--crash/--no-crash", default=True, help="Kill the process at work and resume the run (default).")
@click.option("--backend", "url", metavar="URL", help="Use this logbook instead of a temporary one.")
@click.option("--keep", is_flag=True, help="Keep the temporary logbook.")
@click.option("--open", "opens", is_flag=True, help="Open the report in a browser.")
@verbose_option
def demo(*, crash: bool, url: str | None, keep: bool, opens: bool) -> Exit:
    """Make a report on Python's standard library, be killed, and continue.

    Parses the source of the Python that runs, some hundreds of modules, in parallel. The process is killed with
    SIGKILL, another one resumes the run, and the logbook proves that nothing that was saved has run again.
    """
    if url is not None:
        _check(url)
    with _folder(keep=keep) as folder:
        show = _Show(url or f"sqlite:///{folder / 'logbook' / 'runs.db'}", f"demo-{secrets.token_hex(3)}", folder)
        show.begin()
        proved = show.run_crashed() if crash else show.run_through()
        show.end(keeps_logbook=keep or url is not None)
    if opens and not webbrowser.open(show.report.as_uri()):
        write(f"no browser was found for {show.report}")
    return Exit.OK if proved else Exit.FAILED


def _check(url: str) -> None:
    """Raise what is wrong with a logbook before a process is started for it."""
    with fetch(url) as backend:
        if scheme_of(backend.url) == "memory":
            raise NotPossible("a logbook in memory ends with its process", todo="give the URL of one that stays")


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Give a temporary folder of which the report stays; the logbook stays when it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="flowbook-demo-"))
    logbook = folder / "logbook"
    logbook.mkdir()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(logbook)
        if not any(folder.iterdir()):
            folder.rmdir()


class _Show:
    """One showing: the run in its logbook, and the report that it writes."""

    def __init__(self, url: str, run_id: str, folder: Path) -> None:
        self.url = url
        self.run_id = run_id
        self.report = folder / "report.html"
        self._reference = folder / "logbook" / "uncrashed.html"

    def begin(self) -> None:
        """Say what will be done, and where it is recorded."""
        write(f"A report on the standard library of Python {platform.python_version()}, as run {self.run_id}")
        write(f"in the logbook {hide_secrets(self.url)}")

    def run_through(self) -> bool:
        """Run the example once; return whether the logbook says that it is done."""
        _title("Run it")
        _finished(self._spoken())
        return _told([_all_done(self._recorded())])

    def run_crashed(self) -> bool:
        """Run the example, have it killed, resume it; return whether all is proved."""
        _title("1. Run it, and kill it")
        killed = self._spoken("--crash-after", str(CRASH_AFTER))
        if killed.code != -signal.SIGKILL:
            raise DemoFailed(killed, "be killed")
        before = self._recorded()
        write(f"process {killed.pid} was killed with SIGKILL right after commit {CRASH_AFTER}")
        _title("2. Run the same again, in a new process")
        _finished(self._spoken())
        _title("3. Prove it from the logbook")
        after = self._recorded()
        return _told([*proof(before, after), _all_done(after), self._same_as_uncrashed()])

    def end(self, *, keeps_logbook: bool) -> None:
        """Say what is left, and what can be done with it."""
        write()
        write(f"report   {self.report}")
        if keeps_logbook:
            write(f"next     flowbook show {self.run_id} --backend {shlex.quote(hide_secrets(self.url))}")
        else:
            write("next     flowbook demo --keep (keeps the logbook, too)")

    def _spoken(self, *more: str) -> Ran:
        """Run the example on the logbook; say how, and what it said."""
        arguments = ["--backend", self.url, "--run-id", self.run_id, "--out", str(self.report), *more]
        shown = [hide_secrets(one) if one == self.url else one for one in arguments]
        write(click.style(f"$ python -m {EXAMPLE} {shlex.join(shown)}", dim=True))
        ran = _run(arguments)
        if ran.code in (0, -signal.SIGKILL):
            for line in ran.said.splitlines():
                write(click.style(f"| {line}", fg="yellow"))
        return ran

    def _recorded(self) -> FlowDetail:
        with fetch(self.url) as backend:
            return FlowDetail.from_records(backend.load(self.run_id))

    def _same_as_uncrashed(self) -> Check:
        _finished(_run(["--backend", "memory:", "--out", str(self._reference)]), says=False)
        report = self.report.read_bytes()
        same = report == self._reference.read_bytes()
        what = "equals" if same else "differs from"
        return Check(same, f"the report {what} that of an uncrashed run in its {len(report):,} bytes")


def _run(arguments: Sequence[str]) -> Ran:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", EXAMPLE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said, _ = process.communicate()
    return Ran(process.pid, process.returncode, said, time.monotonic() - began)


def _finished(ran: Ran, *, says: bool = True) -> None:
    if ran.code != 0:
        raise DemoFailed(ran, "finish")
    if says:
        write(f"process {ran.pid} finished the run in {ran.took_s:.1f} s")


# -- the proof -----------------------------------------------------------------------------------------------


def proof(before: FlowDetail, after: FlowDetail) -> list[Check]:
    """Return what the logbook must say after the run, given what it said after the kill."""
    saved = {name for name, atom in before.atoms.items() if atom.state == AtomState.SUCCESS}
    interrupted = {name for name, atom in before.atoms.items() if atom.state in UNFINISHED_ATOMS}
    untouched = after.atoms.keys() - saved - interrupted
    to_go = before.row["atoms"] - len(saved) - len(interrupted)
    again = {name for name in saved if _attempts(after, name) != _attempts(before, name)}
    again |= {name for name in saved if _outcomes(after, name) != ["SUCCESS"]}
    return [
        Check(
            min(len(saved), len(interrupted), to_go) >= 1,
            f"at the kill {len(saved)} atoms were saved, {len(interrupted)} interrupted, {to_go} still to go",
        ),
        Check(not again, f"of the {len(saved)} saved atoms {_number(again)} ran again"),
        _ran(after, interrupted, ["INTERRUPTED", "SUCCESS"], "interrupted atoms: begun again, and ended"),
        _ran(after, untouched, ["SUCCESS"], "other atoms: run once"),
    ]


def _attempts(flow: FlowDetail, name: str) -> Sequence[Row]:
    return flow.atoms[name].attempts if name in flow.atoms else ()


def _outcomes(flow: FlowDetail, name: str) -> list[str]:
    return [attempt["outcome"] for attempt in _attempts(flow, name)]


def _ran(flow: FlowDetail, names: Collection[str], outcomes: Sequence[str], claim: str) -> Check:
    agree = sum(_outcomes(flow, name) == outcomes for name in names)
    return Check(agree == len(names), f"{claim}: {agree} of {len(names)}")


def _number(names: set[str]) -> str:
    return f"{len(names)} ({', '.join(sorted(names))})" if names else "none"


def _all_done(flow: FlowDetail) -> Check:
    done = sum(atom.state == AtomState.SUCCESS for atom in flow.atoms.values())
    total = flow.row["atoms"]
    holds = done == total and flow.state == FlowState.SUCCESS
    return Check(holds, f"the run is {flow.state}, with {done} of {total} atoms saved")


def _told(checks: Sequence[Check]) -> bool:
    for check in checks:
        mark = click.style("ok  " if check.holds else "NO  ", fg="green" if check.holds else "red", bold=True)
        write(f"{mark}{check.claim}")
    return all(check.holds for check in checks)


def _title(text: str) -> None:
    write()
    write(click.style(text, bold=True))
