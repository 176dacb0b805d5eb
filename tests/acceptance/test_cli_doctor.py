"""``flowbook doctor`` over every storage that outlives a process: healthy, damaged, newer, out of reach, not ours."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kazoo.client import KazooClient

from acceptance.schemas import check
from daemons.process import free_port
from daemons.storages import ON_SERVERS, OUTLIVING, kinds, new_storage
from flowbook import LinearFlow, Task, engines
from flowbook.cli.main import main
from flowbook.persistence import fetch
from flowbook.persistence.directory.lines import framed
from flowbook.persistence.inspection import Level
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.views.inspections import Check
from flowbook.views.schemas import DOCTOR

pytestmark = pytest.mark.slow


class Doctored:
    """A logbook with two finished runs, which a test damages, and what ``flowbook doctor`` says of it."""

    def __init__(self, kind: str, request: pytest.FixtureRequest, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.url = new_storage(kind, request, folder)
        for run_id in ("r1", "r2"):
            engines.run(LinearFlow("flow").add(Noted("atom", provides="noted")), backend=self.url, run_id=run_id)

    def checks(self, url: str = "") -> tuple[int, list[Check]]:
        """Return the exit code and what was found that is not as it should be, but for permissions and plug-ins."""
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            code = main(["doctor", "--json", "--backend", url or self.url])
        document = json.loads(out.getvalue())
        check(document, DOCTOR.json_schema())
        found = [Check(**{**one, "level": Level(one["level"])}) for one in document["checks"]]
        bad = [one for one in found if one.level is not Level.OK and "whoever reaches these" not in one.what]
        assert all(one.fix for one in bad)
        return code, bad

    def execute(self, statement: str) -> None:
        """Write to a database past flowbook."""
        with fetch(self.url) as backend:
            assert isinstance(backend, SqlBackend)
            with backend._database._engine.begin() as connection:
                connection.exec_driver_sql(statement)

    def set_znode(self, below: str, data: bytes) -> None:
        """Write to ZooKeeper past flowbook; ``below`` is the path, of which the last part is any that begins so."""
        address = urlsplit(self.url)
        client = KazooClient(address.netloc)
        client.start()
        folder, _, name = f"{address.path}{below}".rpartition("/")
        (path,) = (f"{folder}/{child}" for child in client.get_children(folder or "/") if child.startswith(name))
        client.set(path, data)
        client.stop()
        client.close()

    def damage(self) -> None:
        """Damage one record of r2."""
        match self.kind:
            case "dir":
                for journal in (self.folder / "runs" / "flow" / "r2").glob("epoch-*"):
                    journal.write_bytes(b"x" + journal.read_bytes()[1:])
            case "zookeeper":
                self.set_znode("/keys/flow/r2/p-", b"")
            case _:
                self.execute("UPDATE records SET data = '{' WHERE claim = 'flow:r2' AND kind = 'atom'")

    def make_newer(self) -> None:
        """Mark the logbook as one of a flowbook to come."""
        match self.kind:
            case "dir":
                line, _ = framed('{"logbook":"directory","format":2}', 0)
                (self.folder / "runs" / "logbook.json").write_bytes(line)
            case "zookeeper":
                self.set_znode("", b'{"logbook": "zookeeper", "format": 2}')
            case _:
                self.execute("UPDATE flowbook_schema SET version_num = '9999'")


class Noted(Task):
    """Returns a number."""

    def execute(self) -> int:
        return 1


@pytest.fixture(params=kinds(*OUTLIVING))
def doctored(request: pytest.FixtureRequest, tmp_path: Path) -> Doctored:
    return Doctored(request.param, request, tmp_path)


def test_doctor_finds_a_logbook_healthy_wherever_it_is(doctored: Doctored) -> None:
    assert doctored.checks() == (0, [])


def test_doctor_names_what_is_damaged_wherever_it_is(doctored: Doctored) -> None:
    doctored.damage()
    code, bad = doctored.checks()
    assert code == 5
    assert {one.level for one in bad} == {Level.FAIL}
    assert "run r2" in {one.where for one in bad if one.area == "runs"}
    assert all("damaged" in one.what and "r2" in one.where for one in bad)


def test_doctor_says_which_version_a_newer_logbook_needs_wherever_it_is(doctored: Doctored) -> None:
    doctored.make_newer()
    code, (one, *more) = doctored.checks()
    assert code == 5
    assert all("was written by a newer version" in each.what for each in more)
    assert (one.level, one.where) == (Level.FAIL, doctored.url)
    assert "was written by a newer version of flowbook" in one.what
    assert one.fix == "install the newer version of flowbook"


@pytest.mark.parametrize("kind", kinds(*ON_SERVERS))
def test_doctor_says_that_a_server_cannot_be_reached(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    doctored = Doctored(kind, request, tmp_path)
    gone = re.sub(r":\d+/", f":{free_port()}/", doctored.url).replace("timeout_s=20", "timeout_s=0.2")
    code, (one,) = doctored.checks(gone)
    assert code == 5
    assert (one.area, one.level, one.where) == ("schema", Level.FAIL, gone)
    assert "refused" in one.what
    assert "see that path, server and permissions are right" in one.fix


@pytest.mark.parametrize("kind", kinds("postgresql", "mysql"))
def test_doctor_names_the_tables_of_another_program(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    doctored = Doctored(kind, request, tmp_path)
    doctored.execute("ALTER TABLE flowbook_schema RENAME TO albums")
    code, (one,) = doctored.checks()
    assert code == 5
    assert "this is not a flowbook logbook: it has the tables albums, " in one.what
    assert one.fix.startswith("name the file, directory or database of a logbook")


def test_doctor_says_that_a_path_in_zookeeper_is_of_another_program(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    doctored = Doctored("zookeeper", request, tmp_path)
    doctored.set_znode("", b"{}")
    code, (one,) = doctored.checks()
    assert code == 5
    assert "this is not a flowbook logbook" in one.what
    assert "holds something else" in one.what
    assert "(in ZooKeeper the path)" in one.fix
