"""Canaries in URLs, in declared secrets and in what exceptions say: nothing that is kept, logged or shown holds one.

On every backend a flow is run that tells its secrets wherever it can, and fails. Then all that the storage holds, each
line of the log, what every verb prints, and how backends, engines and errors show themselves are searched.
"""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import pymysql
import pytest
from kazoo.client import KazooClient
from sqlalchemy import inspect

import servers
from acceptance.leaky import ADDRESS, ENV, FILE, FOUND, LEAKY, SECRETS
from daemons.databases import new_mariadb_database
from daemons.process import LOOPBACK, Daemon, free_port
from daemons.storages import IN_FILES, OUTLIVING, kinds, new_storage
from daemons.zookeeper import zookeeper_with_users
from flowbook import Failure, engines
from flowbook.cli.main import VERBS, main
from flowbook.exceptions import FlowFailed, StorageError
from flowbook.persistence import fetch
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.secrets import Secret, masking, new_key
from flowbook.testing.backend_samples import stranger

pytestmark = pytest.mark.slow

PASSWORD: Final = "canary-url/xq9z"
USER: Final = "flo"

PLAIN: Final = "canary-stored"
"""Stands in an input that was given as plain text, in a URL: it is kept as it is, and masked when it is shown."""

WORDS: Final = (*FOUND, "xq9z")

LOGGERS: Final = ("flowbook", "alembic", "futurist", "kazoo", "pymysql", "psycopg", "sqlalchemy", "stevedore")
"""Ours, and those of what we use; what an atom logs is its own affair."""


class Caged:
    """A storage that is reached with a password if it is on a server, and all that it holds."""

    def __init__(self, url: str, contents: Callable[[], Iterator[object]]) -> None:
        self.url, self.contents = url, contents

    @property
    def unreachable(self) -> list[str]:
        """Return URLs with the password where no server listens, and where the server takes nobody in."""
        if PASSWORD not in unquote(self.url):
            return []
        elsewhere = re.sub(r":\d+/", f":{free_port()}/", self.url).replace("timeout_s=20", "timeout_s=0.2")
        refused = (
            self.url.replace("/postgres?", "/none?") if "/postgres?" in self.url else self.url.replace("9z", "9z-")
        )
        return [elsewhere, refused.replace("timeout_s=20", "timeout_s=0.5")]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=kinds(*OUTLIVING))
def caged(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> Caged:
    kind, folder = request.param, tmp_path / "storage"
    folder.mkdir()
    if kind == "zookeeper":
        return _in_zookeeper(folder, stack)
    if kind in IN_FILES:
        url = new_storage(kind, request, folder)
        return Caged(url, lambda: (path.read_bytes() for path in folder.rglob("*") if path.is_file()))
    if kind == "mysql":
        url = _with_a_user(request.getfixturevalue("mariadb_server"))
    else:
        url = new_storage(kind, request, folder).replace("//postgres@", f"//postgres:{quote(PASSWORD, safe='')}@")
    return Caged(url, lambda: _rows_of(url))


def _with_a_user(server: Daemon) -> str:
    """Return the URL of an empty database for somebody with a password."""
    url = new_mariadb_database(server)
    with pymysql.connect(host=LOOPBACK, port=server.port, user="root") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT ALL ON *.* TO {USER}@'%'")
    return url.replace("//root@", f"//{USER}:{quote(PASSWORD, safe='')}@")


def _rows_of(url: str) -> Iterator[object]:
    """Yield every row of every table."""
    with fetch(url) as backend:
        assert isinstance(backend, SqlBackend)
        with backend._database._engine.connect() as connection:
            for table in inspect(connection).get_table_names():
                yield from connection.exec_driver_sql(f"SELECT * FROM {table}")


def _in_zookeeper(folder: Path, stack: ExitStack) -> Caged:
    if not servers.ZOOKEEPER.is_installed:
        pytest.skip("ZooKeeper is not installed")
    server = stack.enter_context(zookeeper_with_users(folder, **{USER: PASSWORD}))
    sasl = {"mechanism": "DIGEST-MD5", "username": USER, "password": PASSWORD}

    def contents() -> Iterator[object]:
        client = KazooClient(f"{LOOPBACK}:{server.port}", sasl_options=sasl)
        client.start()
        waiting = ["/runs"]
        while waiting:
            path = waiting.pop()
            waiting += [f"{path}/{name}" for name in client.get_children(path)]
            yield path, *client.get(path)
        client.stop()
        client.close()

    options = f"timeout_s=20&sasl_user={USER}&sasl_password={quote(PASSWORD, safe='')}"
    return Caged(f"{server.url}runs?{options}", contents)


class Log(logging.Handler):
    """Keeps every line of `LOGGERS`, tracebacks too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        stored = record.name.startswith("kazoo")  # which tells each request with what it stores
        self.lines.append(line.replace(PLAIN, "") if stored else line)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    handler = Log()
    for name in LOGGERS:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logging.DEBUG if name != "sqlalchemy" else logging.WARNING)
        monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    return handler


class Told:
    """What the command line has printed, in this process, and how each command ended."""

    def __init__(self, url: str, capfd: pytest.CaptureFixture[str]) -> None:
        self._at, self._capfd = ("--backend", url), capfd
        self.texts: list[str] = []
        self.verbs: set[str] = set()

    def say(self, *words: str, url: str = "") -> int:
        """Run a command and return its exit code."""
        at = () if words[0] in ("explain", "plugins", "completion") else ("--backend", url) if url else self._at
        code = main(["-v", *words, *at])
        out, err = self._capfd.readouterr()
        self.texts.append(out + err)
        self.verbs.add(words[0])
        return code


def _reading() -> Iterator[tuple[str, ...]]:
    for run in ("good", "bad"):
        yield from (("show", run), ("show", run, "--json"), ("show", run, "keep"), ("show", run, "keep", "--json"))
        yield ("export", run, "--out", f"{run}.jsonl")
    yield from (("show", "bad", "fail"), ("show", "bad", "fail", "--json"), ("watch", "bad"), ("suspend", "bad"))
    yield "cancel", "bad"
    yield from (("graph", "bad", "--format", how) for how in ("text", "svg", "json"))
    yield from (("list",), ("list", "--json"), ("doctor",), ("doctor", "--json"))
    yield from (("backend", "upgrade"), ("backend", "upgrade", "--print-sql"), ("plugins",), ("explain", "FB306"))
    yield from (("completion", "bash"), ("prune", "--dry-run"), ("prune", "--dry-run", "--json"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which the flow and its secrets are."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "leaky.py").write_text(LEAKY, encoding="utf-8")
    (tmp_path / "pin").write_text(f"{FILE}\n", encoding="utf-8")
    monkeypatch.chdir(here)
    monkeypatch.setenv("SHOP_PASSWORD", ENV)
    monkeypatch.setenv("FLOWBOOK_SECRET_KEYS", new_key())
    return here


def test_no_canary_is_found_in_what_is_kept_logged_or_shown(
    caged: Caged, here: Path, log: Log, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(caged.url, capfd)
    assert told.say("run", "leaky.py::flow", "--run-id", "good", *SECRETS, *ADDRESS) == 0
    assert told.say("run", "leaky.py::failing", "--run-id", "bad", *SECRETS, *ADDRESS) == 3
    assert told.say("resume", "bad", "--allow", "leaky.py", "--rerun") == 3
    assert PLAIN in _text(caged.contents())  # what is to be searched is there
    monkeypatch.setattr(masking, "_known", {})  # who only looks at a run has not seen its secrets
    for words in _reading():
        assert told.say(*words) == 0, told.texts[-1]
    assert told.say("import", "bad.jsonl", "--as", "again") == 0
    with closing(fetch(caged.url)) as backend:
        backend.claim("flow:bad", stranger(), lease_s=60)
        assert told.say("run", "leaky.py::failing", "--run-id", "bad", "--rerun") == 6
    for url in caged.unreachable:
        for words in [("list",), ("doctor",), ("run", "leaky.py::flow", *SECRETS)]:
            assert told.say(*words, url=url) == 5, told.texts[-1]
    assert VERBS.keys() - told.verbs == {"demo"}  # which has a storage of its own

    assert _canaries_in("".join(told.texts)) == []
    assert _canaries_in("\n".join(log.lines)) == []
    documents = [path.read_text(encoding="utf-8") for path in here.glob("*.jsonl")]
    assert len(documents) == 2
    assert _canaries_in((_text(caged.contents()) + "".join(documents)).replace(PLAIN, "")) == []


def test_no_backend_engine_or_error_shows_a_canary(caged: Caged, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    path = str(here / "leaky.py")
    assert main(["run", f"{path}::failing", "--run-id", "bad", *SECRETS, *ADDRESS, "--backend", caged.url]) == 3
    with fetch(caged.url) as backend:
        engine = engines.load_from_run(backend, "bad", allow=[path], rerun=True)
        with pytest.raises(Exception, match="canary-in-text"):  # it is the atom's own, and its caller's to tell
            engine.run()
        failures = engine.storage.get_failures()
        assert set(failures) == {"fail"}
        shown += [backend, engine, engine.storage, failures, *failures.values(), Secret(FILE)]
    monkeypatch.setattr(masking, "_known", {})
    with pytest.raises(FlowFailed) as failed:
        engines.resume(caged.url, "bad", allow=[path])
    shown.append(failed.value)
    for url in caged.unreachable:
        with pytest.raises(StorageError) as caught:
            fetch(url).open()
        shown.append(caught.value)
    assert _canaries_in("\n".join(text for one in shown for text in _shown(one))) == []


def _shown(one: object) -> Iterator[str]:
    yield from (repr(one), str(one))
    if isinstance(one, Failure):
        yield from (one.traceback_str, one.exception_str, one.pformat(traceback=True))
    if isinstance(one, BaseException):
        yield "".join(traceback.format_exception(one))
        yield repr(one.args)
        yield repr(pickle.dumps(one))


def _text(contents: Iterator[object]) -> str:
    return "\n".join(map(str, contents))


def _canaries_in(text: str) -> list[str]:
    """Return the canaries, each with what is around it."""
    return [text[max(0, at.start() - 80) : at.end() + 40] for word in WORDS for at in re.finditer(word, text)]
