"""`pylm-lab merge DIR`: the records of several processes as one trace.

1. What can't be read is named and skipped: the rest still tells much.
2. Exit code 0: nothing is known to be missing; 1: something is, and it is said what.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pylm_lab.cli.scripts import run_scripts
from pylm_lab.cli.telling import tell_findings
from pylm_lab.errors import LabError, TraceFileError
from pylm_lab.output import claim_file
from pylm_lab.recording import VARIABLE
from pylm_lab.trace import Trace
from pylm_lab.trace.join.join import join
from pylm_lab.trace.join.missing import missing
from pylm_lab.trace.show.excerpt import excerpt

__all__ = ["Gathered", "gather", "merge", "run_recorded", "tell"]

#: How the name of a trace's file ends.
_ENDS = (".jsonl", ".jsonl.gz")
#: Sentences that are shown of each kind.
LINES = 20


@dataclass
class Gathered:
    """The records that were found, joined.

    `files` are their names, each with who is in it; `skipped` and `missing` are sentences.
    """

    trace: Trace
    files: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    apart: str = ""


def merge(asked: argparse.Namespace) -> int:
    """`pylm-lab merge DIR`."""
    out: Path = asked.out or _beside(asked.paths)
    claim_file(out, force=asked.force)
    found = gather(asked.paths)
    tell(found)
    found.trace.save(out)
    print(f"\nThe merged trace is in {out}.")
    return 1 if found.missing else 0


def _beside(paths: Sequence[Path]) -> Path:
    """Where the trace goes unless told: beside the folder, under its name."""
    folder = paths[0]
    _exists(folder)
    if len(paths) > 1 or not folder.is_dir():
        raise LabError("merge: say with -o FILE where the merged trace is to go")
    if folder.name in ("", ".."):
        folder = folder.resolve()
    return folder.with_name(f"{folder.name}.jsonl")


def run_recorded(
    words: Sequence[str], lasting: float | None, timeout: float | None, out: Path
) -> int:
    """Run scripts, each of which records itself, and save the trace of all of them.

    They record themselves into the folder that `PYLM_LAB_TRACE` names, if it names one, where
    their records stay; else into one of their own. Returns the exit code of the run; 2 where that
    is 0 and nobody has recorded anything.
    """
    own = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="pylm-lab-") as fresh:
        folder = Path(own or fresh)
        before = set(folder.iterdir()) if folder.is_dir() else set()
        code = run_scripts(words, lasting, timeout, {VARIABLE: str(folder)})
        new = sorted(set(folder.iterdir()) - before) if folder.is_dir() else []
        print()
        try:
            found = gather(path for path in new if path.name.endswith(_ENDS))
        except LabError:
            told = "no script has recorded anything: does one use pylm_lab?"
            print(f"pylm-lab: {told}", file=sys.stderr)
            return code or 2
    tell(found)
    tell_findings(found.trace)
    found.trace.save(out)
    print(f"\nThe trace is in {out}.")
    return code


def gather(paths: Iterable[Path]) -> Gathered:
    """Read and join all traces that these files are, or that are in these folders.

    Raises:
        LabError: there is none, or one of the paths is not there.
    """
    given = list(paths)
    traces: list[tuple[str, Trace]] = []
    skipped: list[str] = []
    broken: list[str] = []
    for path in _files(given, skipped):
        if path.stat().st_size == 0:
            broken.append(f"{path.name} is empty: its process died before it did anything.")
            continue
        try:
            trace = Trace.load(path)
        except TraceFileError as error:
            broken.append(f"{error}. It is skipped.")
            continue
        if not trace.actors:
            broken.append(f"{path.name} tells of nobody: its process died before it wrote of any.")
            continue
        traces.append((path.name, trace))
    if not traces:
        where = " and ".join(map(str, given))
        told = "".join(f"\n  {sentence}" for sentence in (*skipped, *broken))
        raise LabError(
            f"{where} holds no trace. A process records itself into a folder if it is started with "
            f"PYLM_LAB_TRACE={given[0] if given else 'DIR'}{told}"
        )
    # By who is in it: a part of each file's name is chance, and the result is not to be.
    traces.sort(key=lambda one: ([actor.id for actor in one[1].actors], one[0]))
    joined = join(trace for _, trace in traces)
    files = [(name, _who(trace)) for name, trace in traces]
    return Gathered(
        joined.trace,
        files,
        skipped,
        [*broken, *missing(joined.trace)],
        _apart(joined.groups, [who for _, who in files]),
    )


def _files(paths: Sequence[Path], skipped: list[str]) -> Iterable[Path]:
    """The files that may be traces; what is in a folder beside them is skipped, and said so."""
    for path in paths:
        if not path.is_dir():
            _exists(path)
            yield path
            continue
        for one in sorted(path.iterdir()):
            if one.name.startswith("."):
                continue  # an editor's, the system's, or half of what is being saved
            if one.is_file() and one.name.lower().endswith(_ENDS):
                yield one
            elif one.is_dir():
                skipped.append(f"{one.name} is a folder in the folder: it is skipped.")
            else:
                skipped.append(f"{one.name} is no trace, by its name: it is skipped.")


def _exists(path: Path) -> None:
    if not path.is_dir() and not path.is_file():
        raise LabError(f"merge: {str(path)!r} is neither a folder nor a file")


def _who(trace: Trace) -> str:
    """Who is in a trace: servers, and whoever is a part of none."""
    names = dict.fromkeys(actor.server or actor.id for actor in trace.actors)
    return excerpt(", ".join(names) or "nobody", 60, middle=True)


def _apart(groups: Sequence[Sequence[int]], who: Sequence[str]) -> str:
    """The sentence about processes that never exchanged anything with the others."""
    if len(groups) < 2:
        return ""
    named = "; ".join(" and ".join(who[n] for n in group) for group in groups)
    return (
        f"They exchanged no message across these groups: {named}. Do they belong to different runs,"
        " or have they missed each other?"
    )


def tell(found: Gathered) -> None:
    """Say what was joined, and what is missing."""
    trace = found.trace
    count = len(found.files)
    print(
        f"{count} {'record' if count == 1 else 'records'}, {len(trace.actors)} actors, "
        f"{len(trace.events):,} events, {len(trace.hops):,} hops"
    )
    width = max((len(name) for name, _ in found.files), default=0)
    for name, who in found.files:
        print(f"  {name:{width}}  {who}")
    _list(found.skipped)
    if found.apart:
        print(found.apart)
    if found.missing:
        print("\nWhat is missing:")
    _list(found.missing, "  ")


def _list(sentences: Sequence[str], indent: str = "") -> None:
    for sentence in sentences[:LINES]:
        print(f"{indent}{sentence}")
    if len(sentences) > LINES:
        print(f"{indent}… {len(sentences) - LINES} more")
