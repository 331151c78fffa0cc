"""Folders and files that commands write: ours are refreshed, anything else is left alone."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from pylm_lab.errors import OutputError, TraceFileError
from pylm_lab.trace import Trace

__all__ = ["claim_file", "claim_folder"]


def claim_folder(folder: Path, files: Collection[str]) -> None:
    """Make sure that these files may be written into the folder, and make it if need be.

    A folder is ours if it has a `trace.jsonl` that is a trace, and nothing but these files.

    Raises:
        OutputError: something else is in the way. Nothing has been changed.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: choose another folder with --out")
    present = sorted(os.listdir(folder)) if folder.exists() else []
    foreign = [name for name in present if name not in files]
    if foreign:
        raise OutputError(
            f"{folder} holds {foreign[0]!r}, which is not ours: choose another folder with --out, "
            "or an empty one"
        )
    odd = [name for name in present if not (folder / name).is_file()]
    if odd:
        raise OutputError(f"{folder / odd[0]} is no file: choose another folder with --out")
    if present and not _is_trace(folder / "trace.jsonl"):
        raise OutputError(
            f"{folder} holds {present[0]!r} but no trace of ours beside it: choose another folder "
            "with --out, or an empty one"
        )
    folder.mkdir(parents=True, exist_ok=True)


def _is_trace(path: Path) -> bool:
    try:
        Trace.load(path)
    except (OSError, TraceFileError):
        return False
    return True


def claim_file(path: Path, *, force: bool) -> Path:
    """Make sure that the file may be written.

    Raises:
        OutputError: there is one already, and `force` is False, or its folder is missing.
    """
    if path.exists() and (not force or not path.is_file()):
        raise OutputError(f"{path} is there already: choose another name, or say --force")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent} is no folder: make it first")
    return path
