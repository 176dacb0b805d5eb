"""``flowbook show`` in this process."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from flowbook.atoms import task
from flowbook.cli.main import main
from flowbook.engines import load
from flowbook.flows import LinearFlow
from flowbook.persistence import fetch


@task
def greet() -> None: ...


@pytest.mark.parametrize(("atom", "code"), [("gre*", 0), ("none", 2)])
def test_showing_leaves_the_process_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], atom: str, code: int
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with fetch(url) as backend:
        load(LinearFlow("stay").add(greet), backend=backend, run_id="r1").run()
    assert main(["show", "r1", atom, "--backend", url]) == code
    assert gc.isenabled()
    assert ("greet" in capsys.readouterr().out) is (code == 0)
