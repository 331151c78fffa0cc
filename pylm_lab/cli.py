"""The command `pylm-lab`: see `pylm-lab --help`.

Answers go to standard output, progress and errors to standard error. Exit codes: 0 well, 1 a check
has found something, 2 an error that is named, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pylm_lab import __version__
from pylm_lab.cluster import Cluster
from pylm_lab.errors import LabError
from pylm_lab.output import claim_file, claim_folder
from pylm_lab.scenarios import get, names
from pylm_lab.trace import Trace, counts
from pylm_lab.trace.excerpt import excerpt

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
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

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    tour = command("tour", _tour, "run the parallel cluster and write its pictures to a folder")
    _seed(tour)
    tour.add_argument(
        "--out",
        type=Path,
        default=Path("pylm-lab-tour"),
        metavar="DIR",
        help="the folder to write to (default: %(default)s)",
    )

    run = command("run", _run, "run a scenario, and print its answers and counts")
    run.add_argument("scenario", metavar="SCENARIO", help="a name that 'pylm-lab list' shows")
    _seed(run)
    run.add_argument("--tcp", action="store_true", help="over tcp instead of inproc")
    run.add_argument("--trace", type=Path, metavar="FILE", help="save the trace there")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="an option of the scenario, such as workers=4",
    )
    _force(run)

    draw = command("draw", _draw, "draw a trace as a picture")
    _input(draw)
    draw.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help=".svg, .pdf or .png (default: TRACE.svg)"
    )
    draw.add_argument("--view", default="router", help="what to draw (default: %(default)s)")
    draw.add_argument("--theme", default="light", help="light or dark (default: %(default)s)")
    draw.add_argument("--format", default="column", help="column or slide (default: %(default)s)")
    _force(draw)

    play = command("play", _play, "make a page on which a trace can be stepped through")
    _input(play)
    play.add_argument("-o", "--out", type=Path, metavar="FILE", help="(default: TRACE.html)")
    _force(play)

    check = command("check", _check, "look for what no run should do; exit code 1 if there is any")
    _input(check)

    command("list", _list, "list the scenarios")

    figures = command("figures", _figures, "make the project's figures again")
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

    bench = command("bench", _bench, "measure pylm_lab on this machine, beside raw pyzmq")
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
        help="throughput, recording, latency, start or processes; may be repeated (default: all)",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="save every round there")
    bench.add_argument("--plot", type=Path, metavar="FILE", help="draw it: .svg, .png or .pdf")
    _force(bench)
    return parser


def _seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="one operation at a time, in the order that N decides (default: run free)",
    )


def _input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a file that --trace has saved")


def _force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")


# The commands


def _tour(asked: argparse.Namespace) -> int:
    from pylm_lab import graph
    from pylm_lab.draw.animation import animate
    from pylm_lab.draw.figure import draw
    from pylm_lab.draw.player import play

    folder: Path = asked.out
    files = {
        "trace.jsonl": "the record of the run, a line for each event",
        "graph.json": "the same as a graph, for networkx.node_link_graph(…, edges='edges')",
        "router.svg": "the router, with what went over each wire",
        "router.png": "the same, as pixels",
        "flow.gif": "the messages on their way",
        "player.html": "open it in a browser: step with the arrow keys",
    }
    claim_folder(folder, files)
    scenario = get("parallel")
    with _step("a client, a master and two workers: ten messages"):
        with Cluster(asked.seed, scenario=scenario.name) as cluster:
            answers = scenario.play(cluster)
        trace = cluster.trace
    # The trace comes first: a folder that has one is ours, also if this is interrupted.
    with _step("the trace and its graph"):
        trace.save(folder / "trace.jsonl")
        text = graph.to_json(trace.graph)
        (folder / "graph.json").write_text(text, encoding="utf-8", newline="\n")
    with _step("the diagram"):
        picture = draw(trace)
        picture.save(folder / "router.svg")
        picture.save(folder / "router.png")
    with _step("the animation"):
        animate(trace).save(folder / "flow.gif")
    with _step("the player"):
        play(trace).save(folder / "player.html")
    _tell(trace, answers)
    print(f"\nWritten to {folder}:")
    for name, text in files.items():
        print(f"  {name:12} {text}")
    return 0


def _run(asked: argparse.Namespace) -> int:
    scenario = get(asked.scenario)
    options = dict(map(_option, asked.set))
    if asked.trace is not None:
        claim_file(asked.trace, force=asked.force)
    with _step(scenario.summary.rstrip(".")):
        with Cluster(
            asked.seed, transport="tcp" if asked.tcp else "inproc", scenario=scenario.name
        ) as cluster:
            answers = scenario.play(cluster, **options)
        trace = cluster.trace
    _tell(trace, answers)
    if asked.trace is not None:
        trace.save(asked.trace)
        print(f"\nThe trace is in {asked.trace}.")
    return 0


def _option(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value)
    except ValueError:
        raise LabError(f"--set {text}: write NAME=NUMBER, such as workers=4") from None


def _draw(asked: argparse.Namespace) -> int:
    from pylm_lab.draw.figure import draw

    trace = Trace.load(asked.trace)
    out = claim_file(asked.out or _beside(asked.trace, ".svg"), force=asked.force)
    picture = draw(trace, view=asked.view, theme=asked.theme, format=asked.format)
    picture.save(out)
    print(f"{out}: {picture.alt}")
    return 0


def _play(asked: argparse.Namespace) -> int:
    from pylm_lab.draw.player import play

    trace = Trace.load(asked.trace)
    out = claim_file(asked.out or _beside(asked.trace, ".html"), force=asked.force)
    play(trace).save(out)
    print(f"{out}: open it in a browser, and step with the arrow keys")
    return 0


def _beside(trace: Path, suffix: str) -> Path:
    name = trace.name.removesuffix(".gz").removesuffix(".jsonl")
    return trace.with_name(name + suffix)


def _check(asked: argparse.Namespace) -> int:
    trace = Trace.load(asked.trace)
    findings = trace.check()
    for finding in findings:
        print(f"{finding.name}: {finding.sentence}")
    if not findings:
        print(f"{asked.trace}: all is well in {len(trace.hops)} hops")
    return 1 if findings else 0


def _list(asked: argparse.Namespace) -> int:
    for name in names():
        scenario = get(name)
        print(f"{name:10} {scenario.summary}")
        if scenario.options:
            options = "  ".join(f"{option}={value}" for option, value in scenario.options.items())
            print(f"{'':10} --set {options}")
    return 0


def _figures(asked: argparse.Namespace) -> int:
    from pylm_lab import figures

    if not asked.check:
        with _step(f"figures in {asked.folder}"):
            made = figures.make(asked.folder)
        print(f"{len(made)} figures in {asked.folder}")
        return 0
    with _step(f"{len(figures.names())} figures"):
        found = figures.compare(asked.folder)
    for sentence in found:
        print(sentence)
    if not found:
        print(f"{asked.folder}: every figure is what the code draws")
    return 1 if found else 0


def _bench(asked: argparse.Namespace) -> int:
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
    with _line() as told:
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


# What they print


@contextmanager
def _line() -> Iterator[Callable[[str], None]]:
    """Say what is being done: on one line that is rewritten, where somebody looks."""
    lively = sys.stderr.isatty()
    begin = "\r\x1b[K" if lively else ""
    try:
        yield lambda text: print(
            f"{begin}… {text}", end="" if lively else "\n", file=sys.stderr, flush=True
        )
    finally:
        print(begin, end="", file=sys.stderr, flush=True)


def _tell(trace: Trace, answers: list[bytes]) -> None:
    print(f"{len(answers)} answers:")
    for position, answer in enumerate(answers[:10], start=1):
        print(f"  {position:2}  {excerpt(answer, 70)}")
    if len(answers) > 10:
        print(f"      … {len(answers) - 10} more")
    unit = "step" if trace.clock == "step" else "µs"
    print(f"\nThe first hops:\n  {unit:>6}  message  from → to")
    for hop in _first(trace, 10):
        event = trace.events[hop.begins]
        at = event.at if trace.clock == "step" else event.at // 1000
        number = trace.numbers.get(hop.message, "")
        way = " → ".join(trace.labels.get(actor, "nobody") for actor in hop.link)
        print(f"  {at:6}  {number:>7}  {way}")
    print("\nMessages on each link:\n    sent  received")
    for link, count in _counts(trace):
        way = " → ".join(trace.labels.get(actor, "nobody") for actor in link)
        print(f"  {count.sent:6}  {count.received:8}  {way}")
    findings = trace.check()
    print("\nNothing was lost." if not findings else "")
    for finding in findings:
        print(f"{finding.name}: {finding.sentence}")


def _first(trace: Trace, count: int) -> list[Any]:
    return [hop for hop, _ in zip(trace.hops_of("message"), range(count), strict=False)]


def _counts(trace: Trace) -> Iterator[tuple[tuple[str, str], Any]]:
    yield from counts(trace).items()


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    begun = time.monotonic()
    lively = sys.stderr.isatty()
    print(f"… {what}", end="" if lively else "\n", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        if lively:
            print(file=sys.stderr)
        raise
    spent = time.monotonic() - begun
    print(f"{chr(13) if lively else ''}✓ {what} ({spent:.1f} s)", file=sys.stderr, flush=True)
