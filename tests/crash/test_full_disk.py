"""A real disk of 64 KiB gets full in the middle of a run: that is a named error, and with room again it is resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from crash import driving
from crash.flows import lines_of
from crash.judging import judge
from crash.small_disk import FLOW
from flowbook.persistence import fetch

SIZE_KIB = 64
MOST_PAGES = 8
MOUNT = f'mount -t tmpfs -o size={SIZE_KIB}k,mode=700 flowbook "$0"'
IN_A_NAMESPACE = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder that a disk may be mounted on."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [*IN_A_NAMESPACE, MOUNT, str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"there is no unshare(1) here: {error}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file system can be mounted in a namespace of our own: {error.stderr.strip()}")
    return folder


def test_a_run_that_fills_its_disk_goes_on_when_there_is_room(
    disk: Path, new_folder: Callable[[], Path], figures: Counter[str]
) -> None:
    folder = new_folder()
    with fetch(f"dir:{folder}/runs") as backend:
        expected = driving.drive(FLOW, backend, engine="serial", log=str(folder / "log"))
    work = [*IN_A_NAMESPACE, f'{MOUNT} && "$1" -m crash.small_disk "$0" "$2" "$3"', str(disk)]
    command = [*work, sys.executable, str(folder), str(MOST_PAGES)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for pages, answer in enumerate(answers):
        lines = lines_of(folder / f"log-{pages}")
        judge(expected, answer["answer"], [answer["look"]], lines, lines_of(folder / "log"))
        assert answer["told"] in ("", f"StorageFull dir:{disk}/runs")
    full = [answer for answer in answers if answer["told"]]
    assert len({answer["look"]["lines"] for answer in full}) > 2, "it is full at different places"
    assert len(full) < len(answers) == MOST_PAGES + 1
    figures["runs that filled their disk"] += len(full)
