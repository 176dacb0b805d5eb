"""What the crash tests share: a fork server, a fast folder, and the figures that they print in the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("crash.judging", "crash.forks")

from crash.forks import Forks  # noqa: E402 - what is rewritten is imported later

FIGURES = "crash figures"
_IN_MEMORY = Path("/dev/shm")  # a killed process loses nothing there, and syncing is free


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.crash)


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[Path]:
    usable = os.access(_IN_MEMORY, os.W_OK)
    path = tempfile.mkdtemp(prefix="flowbook-crash-", dir=_IN_MEMORY if usable else None)
    yield Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["flowbook.persistence.sql.backend", "crash.driving", "crash.owners"])
    yield server
    server.close()


@pytest.fixture
def new_folder(fast_folder: Path) -> Iterator[Callable[[], Path]]:
    """Make folders that are gone after the test."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(dir=fast_folder)))
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path)


@pytest.fixture
def no_descriptor_is_left(forks: object) -> Iterator[None]:
    """See that the test closes as many descriptors as it opens; the fork server is there before it begins."""
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """Count what shall be printed at the end of the session, over all tests and workers."""
    counter: Counter[str] = Counter()
    yield counter
    record_property(FIGURES, dict(counter))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    total: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                for name, value in report.user_properties:
                    total.update(value if name == FIGURES else {})
    if total:
        terminalreporter.write_sep("-", "crashes")
        terminalreporter.write_line(", ".join(f"{count} {what}" for what, count in sorted(total.items())))
