"""Says whether a wheel holds the package, all of it, and nothing else.

python .ci/wheel.py WHEEL    (in the source tree)
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path, PurePosixPath

PACKAGE = "pylm_lab"
#: What a wheel of ours may hold besides: its own records, the licence, the command.
RECORDS = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"}
#: What the package consists of. Another kind of file in it is there by mistake.
SUFFIXES = {".py", ".pyi", ".typed", ".proto", ".js", ".css", ".html"}


def main(wheel: str) -> int:
    """Print what is wrong, or how much there is; 1 if anything is wrong."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    inside = {name for name in names if name.startswith(f"{PACKAGE}/")}
    tree = {
        path.as_posix()
        for path in Path(PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    beside = {
        name
        for name in names - inside
        if not PurePosixPath(name).parts[0].endswith(".dist-info")
        or PurePosixPath(name).name not in RECORDS
    }
    licence = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    wrong = {
        "is missing": tree - inside,
        "is not in the tree": inside - tree,
        "is neither the package nor a record": beside,
        "is of a kind that the package has none of": {
            name for name in inside if PurePosixPath(name).suffix not in SUFFIXES
        },
    }
    lines = [f"{name} {why}" for why, found in wrong.items() for name in sorted(found)]
    if not licence:
        lines.append("LICENSE is missing")
    print("\n".join(lines) or f"{Path(wheel).name}: {len(inside)} files, {len(names)} in all")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
