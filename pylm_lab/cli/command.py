"""The command `pylm-lab`: see `pylm-lab --help`.

Answers go to standard output, progress and errors to standard error. Exit codes: 0 well, 1 a check
has found something, 2 an error that is named, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pylm_lab import __version__
from pylm_lab.cli import checking, exporting, merging, running, showing, terminal
from pylm_lab.errors import LabError
from pylm_lab.trace import invariants

__all__ = ["main"]

#: What there is to know of `run` with scripts.
SCRIPTS = """
Scripts: pylm-lab run master.py "worker.py worker1" client.py starts each as a process of its own,
and writes their lines after their names. It waits until the last one has ended by itself (and all
others that are the same file), then ends the others as Ctrl-C would. A script that fails
ends all. Exit code 0: all did what they should; 1: one failed, or --timeout is over; 130: Ctrl-C.
With --trace FILE each records itself, and FILE is the trace of all of them.
"""

#: What there is to know of `merge`.
MERGE = """
A process that is started with PYLM_LAB_TRACE=DIR in its environment records itself into a file of
DIR, and so does each of its children. Merged, their traces are one: in causal order, and with a
sentence for whatever is known to be missing, such as the end of a process that was killed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            # A console that knows no arrows shows question marks; a line of odd bytes is no end.
            stream.reconfigure(errors="replace")
    asked = _parser().parse_args(arguments)
    try:
        code: int = asked.run(asked)
        sys.stdout.flush()
    except LabError as error:
        print(f"pylm-lab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read has gone; a second complaint at the end of the process would help nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"pylm-lab: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npylm-lab: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pylm-lab",
        description="A laboratory for message routing: run a real router, record it, look at it.",
        epilog="Begin with: pylm-lab tour",
    )
    parser.add_argument("--version", action="version", version=f"pylm-lab {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = ""
    ) -> Any:
        told = f"{text[0].upper()}{text[1:]}."
        made = commands.add_parser(name, help=text, description=told, epilog=more)
        made.set_defaults(run=run)
        return made

    tour = command(
        "tour", running.tour, "run the parallel cluster and write its pictures to a folder"
    )
    _seed(tour)
    tour.add_argument(
        "--out",
        type=Path,
        default=Path("pylm-lab-tour"),
        metavar="DIR",
        help="the folder to write to (default: %(default)s)",
    )

    command("list", showing.list_scenarios, "list the scenarios")

    parts = command("parts", showing.list_parts, "list the parts that servers are made of")
    parts.add_argument(
        "--format", default="text", help="text, markdown or json (default: %(default)s)"
    )

    run = command(
        "run",
        running.run,
        "run a scenario, and print its answers and counts; or run scripts together",
        SCRIPTS,
    )
    run.add_argument(
        "what",
        nargs="+",
        metavar="SCENARIO | SCRIPT",
        help="a name that 'pylm-lab list' shows; or scripts, each within quotes with its arguments",
    )
    _set(run)
    _seed(run)
    _faults(run)
    run.add_argument("--tcp", action="store_true", help="over tcp instead of inproc")
    run.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="give up a free run, or scripts, that have not ended by then "
        f"(default: {running.PATIENCE:g} with a fault, else never)",
    )
    run.add_argument(
        "--for",
        dest="lasting",
        type=float,
        metavar="SECONDS",
        help="let scripts run so long, and wait for none: when all of them are servers",
    )
    _trace(run)

    step = command("step", terminal.step, "let a scenario happen step by step, as you say")
    _scenario(step)
    _seed(step, "N chooses what happens where you don't (default: the first that is possible)")
    _faults(step)
    _trace(step)

    replay = command(
        "replay", running.replay, "run a saved trace once more; exit code 1 if it differs"
    )
    _input(replay)
    _trace(replay, "save the trace of the new run there")

    explore = command(
        "explore",
        running.explore,
        "look for an order of events that breaks a scenario; exit code 1 if there is one",
    )
    _scenario(explore)
    _seed(explore, "what all random choices come from (default: %(default)s)", default=0)
    explore.add_argument(
        "--budget",
        type=int,
        default=1000,
        metavar="N",
        help="orders to try (default: %(default)s)",
    )
    _trace(explore, "save the trace of what was found, shortened, there")

    draw = command("draw", showing.draw, "draw a trace as a picture")
    _input(draw)
    draw.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help=".svg, .pdf or .png (default: TRACE.svg)"
    )
    draw.add_argument("--view", default="router", help="router (default: %(default)s)")
    draw.add_argument("--theme", default="light", help="light or dark (default: %(default)s)")
    draw.add_argument("--format", default="column", help="column or slide (default: %(default)s)")
    _server(draw)
    _force(draw)

    play = command("play", showing.play, "make a page on which a trace can be stepped through")
    _input(play)
    play.add_argument("-o", "--out", type=Path, metavar="FILE", help="(default: TRACE.html)")
    _server(play)
    _force(play)

    export = command("export", exporting.export, "write a trace in the format of another tool")
    _input(export)
    export.add_argument("--to", required=True, metavar="FORMAT", help=exporting.formats())
    export.add_argument("-o", "--out", type=Path, metavar="FILE", help="(default: print it)")
    export.add_argument(
        "--limit", type=int, metavar="N", help="draw so many hops (mermaid; default: 200)"
    )
    export.add_argument(
        "--credits", action="store_true", help="draw acknowledgements too (mermaid)"
    )
    _force(export)

    check = command(
        "check",
        checking.check,
        "look for what no run should do; exit code 1 if there is any",
        "Exit code 1 also where the record is not whole, so that not everything can be told. "
        f"The invariants: {', '.join(invariants())}.",
    )
    _input(check)
    check.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="ask this invariant only; may be repeated",
    )

    merge = command(
        "merge",
        merging.merge,
        "join what several processes have recorded into one trace; exit code 1 if something is "
        "missing",
        MERGE,
    )
    merge.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="DIR | TRACE",
        help="a folder that PYLM_LAB_TRACE has named; or traces",
    )
    merge.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="(default: DIR.jsonl, beside the folder)"
    )
    _force(merge)

    figures = command("figures", showing.figures, "make the project's figures again")
    figures.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("figures"),
        metavar="DIR",
        help="(default: %(default)s)",
    )
    figures.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if a file has drifted"
    )

    bench = command("bench", showing.bench, "measure pylm_lab on this machine, beside raw pyzmq")
    for option, number, text in (
        ("--messages", 20_000, "messages of a measurement; jobs take half, latency a tenth"),
        ("--rounds", 5, "rounds, each of which measures everything once"),
    ):
        bench.add_argument(
            option, type=int, default=number, metavar="N", help=f"{text} (default: %(default)s)"
        )
    bench.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GROUP",
        help="throughput, recording, latency, start, processes, or trace, which runs only when it"
        " is named; may be repeated (default: all others)",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="save every round there")
    bench.add_argument("--plot", type=Path, metavar="FILE", help="draw it: .svg, .png or .pdf")
    _force(bench)
    return parser


def _scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", help="a name that 'pylm-lab list' shows")
    _set(parser)


def _set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="an option of the scenario, such as workers=4; may be repeated",
    )


def _seed(
    parser: argparse.ArgumentParser,
    text: str = "one operation at a time, in the order that N decides (default: run free)",
    default: int | None = None,
) -> None:
    parser.add_argument("--seed", type=int, metavar="N", default=default, help=text)


def _faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="break something, as in --fault \"drop('WorkerPush->worker1', nth=3)\"; "
        "may be repeated",
    )


def _trace(parser: argparse.ArgumentParser, text: str = "save the trace there") -> None:
    parser.add_argument("--trace", type=Path, metavar="FILE", help=text)
    _force(parser)


def _input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="TRACE", help="a file that --trace has saved")


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", metavar="NAME", help="the server to draw, of several (default: the first)"
    )


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
