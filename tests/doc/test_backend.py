"""The backend that the documentation shows passes the suite that it is shown with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from doc.pages import ROOT, blocks, text_of

PAGE = "doc/howto/new-backend.rst"


@pytest.mark.slow
def test_the_backend_of_the_page_passes_the_suite_of_backends(tmp_path: Path) -> None:
    files = {block.caption: block.text for block in blocks(text_of(PAGE)) if block.caption}
    assert set(files) == {"dictbackend.py", "test_dictbackend.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
