"""The commands that look at what is there: list, parts, draw, play, figures, bench."""

from __future__ import annotations

import argparse
from pathlib import Path

from pylm_lab.cli.telling import doing, line
from pylm_lab.errors import LabError
from pylm_lab.output import claim_file
from pylm_lab.scenarios import get, names
from pylm_lab.trace import Trace

__all__ = ["bench", "draw", "figures", "list_parts", "list_scenarios", "play"]


def list_scenarios(asked: argparse.Namespace) -> int:
    """`pylm-lab list`."""
    width = max(map(len, names()))
    for name in names():
        scenario = get(name)
        print(f"{name:{width}} {scenario.summary}{' Runs free only.' * scenario.free_only}")
        if scenario.options:
            options = "  ".join(f"{option}={value}" for option, value in scenario.options.items())
            print(f"{'':{width}} --set {options}")
    return 0


def list_parts(asked: argparse.Namespace) -> int:
    """`pylm-lab parts`."""
    from pylm_lab.cli.listing import FORMATS, listing

    if asked.format not in FORMATS:
        raise LabError(f"--format {asked.format!r}: choose from {', '.join(FORMATS)}")
    print(listing(asked.format))
    return 0


def draw(asked: argparse.Namespace) -> int:
    """`pylm-lab draw TRACE`."""
    from pylm_lab.draw import figure

    trace = Trace.load(asked.file)
    picture = figure.draw(
        trace, view=asked.view, theme=asked.theme, format=asked.format, server=asked.server
    )
    out = claim_file(asked.out or _beside(asked.file, ".svg"), force=asked.force)
    picture.save(out)
    print(f"{out}: {picture.alt}")
    return 0


def play(asked: argparse.Namespace) -> int:
    """`pylm-lab play TRACE`."""
    from pylm_lab.draw import player

    trace = Trace.load(asked.file)
    page = player.play(trace, server=asked.server)
    out = claim_file(asked.out or _beside(asked.file, ".html"), force=asked.force)
    page.save(out)
    print(f"{out}: open it in a browser, and step with the arrow keys")
    return 0


def _beside(trace: Path, suffix: str) -> Path:
    name = trace.name.removesuffix(".gz").removesuffix(".jsonl")
    return trace.with_name(name + suffix)


def figures(asked: argparse.Namespace) -> int:
    """`pylm-lab figures`."""
    from pylm_lab import figures

    if not asked.check:
        with doing(f"figures in {asked.folder}"):
            made = figures.make(asked.folder)
        print(f"{len(made)} figures in {asked.folder}")
        return 0
    with doing(f"{len(figures.names())} figures"):
        found = figures.compare(asked.folder)
    for sentence in found:
        print(sentence)
    if not found:
        print(f"{asked.folder}: every figure is what the code draws")
    return 1 if found else 0


def bench(asked: argparse.Namespace) -> int:
    """`pylm-lab bench`."""
    from pylm_lab.bench import report
    from pylm_lab.bench.suite import Suite

    suite = Suite(asked.messages, asked.rounds, asked.only)
    if asked.plot is not None:
        from pylm_lab.bench import plot

        plot.check_suffix(asked.plot)
        if asked.plot == asked.json:
            raise LabError(f"--json and --plot are both {asked.plot}: choose two files")
    for path in (asked.json, asked.plot):
        if path is not None:
            claim_file(path, force=asked.force)
    with line() as told:
        found = suite.run(told)
    print(report.table(found))
    if asked.json is not None:
        asked.json.write_text(report.to_json(found), encoding="utf-8", newline="\n")
    if asked.plot is not None:
        plot.plot(found, asked.plot)
    written = [str(path) for path in (asked.json, asked.plot) if path is not None]
    if written:
        print(f"\nWritten: {', '.join(written)}")
    return 0
