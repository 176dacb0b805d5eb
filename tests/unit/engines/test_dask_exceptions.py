"""Exceptions that a program defines, on their way back from a worker of dask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.server]

PROGRAM = """
from flowbook import LinearFlow, WrappedFailure, engines, task

class Broken(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code

    def __reduce__(self):
        return Broken, (self.code, "again")

class Lasting(Exception):
    pass

def local():
    class Local(Lasting):
        pass
    return Local

LOCAL = local()

def undo(flow_failures):
    (failure,) = flow_failures.values()
    if failure.exception is not None:
        raise Broken(type(failure.exception).__name__, "undone")

@task(revert=undo)
def begin():
    pass

@task
def fail(kind):
    try:
        raise Broken(3, "bad")
    except Broken as cause:
        if kind == "cause":
            raise Lasting("because") from cause
        if kind == "local":
            raise LOCAL("here")
        raise

if __name__ == "__main__":
    for kind in ("itself", "cause", "local"):
        try:
            flow = LinearFlow("f").add(begin, fail)
            engines.run(flow, {"kind": kind}, engine="parallel", executor="dask", max_workers=1)
        except WrappedFailure as error:
            failed, undone = error
            caused = [type(cause.exception).__name__ for cause in failed.causes]
            print(type(failed.exception) in (Broken, Lasting, LOCAL), caused, undone.exception)
"""


@pytest.mark.parametrize("typed_in", [False, True])
def test_an_exception_whose_class_a_program_defines_arrives_as_itself(tmp_path: Path, typed_in: bool) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, *(["-c", PROGRAM] if typed_in else ["program.py"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    told = ["True [] Broken: again", "True ['Broken'] Lasting: again", "True ['Broken'] Local: again"]
    assert done.stdout.splitlines() == told
