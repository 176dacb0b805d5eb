"""What ``tools/test`` finds on a machine, and what it says about what it does not find."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import checks
import interpreters
import servers

HERE = sys.version_info[:2]
NAME = "python{}.{}".format(*HERE)


def test_an_interpreter_is_found_in_a_folder_of_pyenv(tmp_path: Path) -> None:
    _executable(tmp_path / "versions" / "any" / "bin" / NAME, f'exec "{sys.executable}" "$@"')
    found = interpreters.find(HERE, {"PATH": "", "PYENV_ROOT": str(tmp_path)})
    assert found == Path(sys.executable)


def test_a_shim_that_runs_nothing_is_passed_over(tmp_path: Path) -> None:
    shims = _executable(tmp_path / "shims" / NAME, "echo no such version >&2; exit 127").parent
    behind = _executable(tmp_path / "behind" / NAME, f'exec "{sys.executable}" "$@"').parent
    found = interpreters.find(HERE, {"PATH": f"{shims}{os.pathsep}{behind}", "PYENV_ROOT": str(tmp_path)})
    assert found == Path(sys.executable)


def test_a_version_that_nobody_has_is_not_found() -> None:
    assert interpreters.find((2, 99), os.environ) is None


def test_the_running_interpreter_is_used_where_the_oldest_supported_one_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpreters, "find", lambda version, environ: None)
    assert interpreters.found() == {HERE: Path(sys.executable)}


def test_a_missing_interpreter_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.environments_of_ci([(3, 11), (3, 13)]) == ["lint", "py311", "py313", "doc"]
    assert capsys.readouterr().out == "Python 3.12 was not found: py312 is left out\n"


def test_a_server_that_cannot_be_installed_is_named_with_the_tests_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = servers.Server("no-such-program", "no/such/*", ("no-such-package",), "tests/conformance/test_nothing.py")
    monkeypatch.setattr(servers, "NEEDED", (needed,))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not checks.servers_are_there()
    assert capsys.readouterr().out == (
        "no-such-program is missing (Debian: no-such-package); left out: tests/conformance/test_nothing.py\n"
    )


def _executable(path: Path, command: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)
    return path
