"""Execute the notebooks from scratch.

    python .ci/notebooks.py            write the outputs into the notebooks
    python .ci/notebooks.py --check    write nothing; exit code 1 if one fails, or its words differ

Outputs are kept without anything that changes from run to run or from machine to machine:
execution times, the kernel's version, ids that are made up at random.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
#: Seconds that a cell may take.
TIMEOUT = 60


def execute(path: Path, folder: str) -> Any:
    """The notebook, executed in the folder."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": folder}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for position, cell in enumerate(notebook.cells):
        cell.id = f"{path.stem}-{position}"
        cell.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    return notebook


def words(notebook: Any) -> list[tuple[int, str]]:
    """What each cell printed and showed as plain text, by the cell's position."""
    found = []
    for position, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if text:
                found.append((position, "".join(text)))
    return found


def main() -> int:
    """Execute all, or those that are named; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("notebooks", nargs="*", type=Path)
    asked = parser.parse_args()
    failed = False
    for path in asked.notebooks or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            try:
                fresh = execute(path, folder)
            except CellExecutionError as error:
                print(f"{path.name}: {error}")
                failed = True
                continue
            left = os.listdir(folder)
        if left:
            print(f"{path.name} leaves files behind: {', '.join(sorted(left))}")
            failed = True
        if not asked.check:
            text = nbformat.writes(fresh, indent=1, ensure_ascii=False)  # type: ignore[no-untyped-call]
            path.write_text(f"{text.rstrip()}\n", encoding="utf-8", newline="\n")
            print(f"{path.name}: executed")
            continue
        committed = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        kept = words(committed)
        now = words(fresh)
        for (cell, before), (_, after) in zip(kept, now, strict=False):
            if before != after:
                print(f"{path.name}, cell {cell}: was\n{before}\nis now\n{after}")
        if kept != now:
            print(f"{path.name}: what it says has changed; execute it again")
            failed = True
        else:
            print(f"{path.name}: as it was")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
