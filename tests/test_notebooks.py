"""The notebooks run from scratch, say what the committed copies say, and ask before they tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = ["00_tour", "01_router", "02_master", "03_parts", "04_schedules", "05_trace"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_scratch_and_says_what_it_said(name: str, root: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            root / ".ci" / "notebooks.py",
            "--check",
            root / "notebooks" / f"{name}.ipynb",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_no_others(root: Path) -> None:
    assert sorted(path.stem for path in (root / "notebooks").glob("*.ipynb")) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_executed_and_asks_before_it_tells(name: str, root: Path) -> None:
    text = (root / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    asked = [n for n, cell in enumerate(cells) if "**Before you run" in "".join(cell["source"])]
    assert len(asked) >= 3
    for n in asked:
        assert cells[n]["cell_type"] == "markdown"
        assert cells[n + 1]["cell_type"] == "code"
