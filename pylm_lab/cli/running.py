"""The commands that run a scenario from beginning to end: tour, run, replay, explore."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pylm_lab import faults
from pylm_lab.arguments import seconds
from pylm_lab.breakage import check_names
from pylm_lab.cli.merging import run_recorded
from pylm_lab.cli.scripts import are_scripts, run_scripts
from pylm_lab.cli.telling import doing, tell_answers, tell_run
from pylm_lab.cluster import Cluster
from pylm_lab.errors import LabError, NoAnswer, WiringError
from pylm_lab.faults import Fault
from pylm_lab.output import claim_file, claim_folder
from pylm_lab.rerun import replay as run_again
from pylm_lab.scenarios import Scenario, get
from pylm_lab.trace import Trace

__all__ = ["explore", "know", "make", "replay", "run", "save", "tour"]

#: Seconds after which a free run with faults is given up, unless told: what is lost never comes.
PATIENCE = 10.0


def tour(asked: argparse.Namespace) -> int:
    """`pylm-lab tour`."""
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
    with doing("a client, a master and two workers: ten messages"):
        with scenario.cluster(asked.seed) as cluster:
            answers = scenario.play(cluster)
        trace = cluster.trace
    # The trace comes first: a folder that has one is ours, also if this is interrupted.
    with doing("the trace and its graph"):
        trace.save(folder / "trace.jsonl")
        text = graph.to_json(trace.graph)
        (folder / "graph.json").write_text(text, encoding="utf-8", newline="\n")
    with doing("the diagram"):
        picture = draw(trace)
        picture.save(folder / "router.svg")
        picture.save(folder / "router.png")
    with doing("the animation"):
        animate(trace).save(folder / "flow.gif")
    with doing("the player"):
        play(trace).save(folder / "player.html")
    tell_answers(answers)
    print()
    tell_run(trace)
    print(f"\nWritten to {folder}:")
    for name, text in files.items():
        print(f"  {name:12} {text}")
    return 0


def run(asked: argparse.Namespace) -> int:
    """`pylm-lab run SCENARIO`, or `pylm-lab run SCRIPT…`."""
    if are_scripts(asked.what):
        for option in ("seed", "fault", "set", "tcp"):
            if getattr(asked, option) not in (None, False, []):
                raise WiringError(f"--{option} is for scenarios, and {asked.what[0]!r} is a script")
        times = seconds("--for", asked.lasting), seconds("--timeout", asked.timeout)
        if asked.trace is None:
            return run_scripts(asked.what, *times)
        claim_file(asked.trace, force=asked.force)
        return run_recorded(asked.what, *times, asked.trace)
    if asked.lasting is not None:
        raise WiringError("--for is for scripts: a scenario ends by itself, or give --timeout")
    asked.scenario = asked.what[0]
    scenario = get(asked.scenario)
    cluster, options = make(asked, transport="tcp" if asked.tcp else "inproc")
    patience = seconds("--timeout", asked.timeout)
    if patience is None and asked.fault and asked.seed is None:
        patience = PATIENCE
    answers, failure = None, None
    with doing(scenario.summary.rstrip(".")), cluster:
        try:
            answers = _play(scenario, cluster, options, patience)
        except WiringError:
            raise
        except LabError as error:
            failure = error
    trace = cluster.trace
    know(cluster.faults, trace)
    if answers is not None:
        tell_answers(answers)
        print()
    tell_run(trace, broken=bool(asked.fault))
    save(trace, asked.trace)
    if failure is not None:
        raise failure
    return 0


def _play(
    scenario: Scenario, cluster: Cluster, options: dict[str, int], patience: float | None
) -> list[bytes]:
    """The answers; NoAnswer with who waits for whom, where they take longer than that."""
    if patience is None:
        return scenario.play(cluster, **options)
    call = cluster.start(scenario.play, cluster, **options)
    try:
        return call.result(patience)  # type: ignore[no-any-return]
    except NoAnswer:
        if call.done:
            raise
        waits = cluster.waiting()
        raise NoAnswer(f"{scenario.name} has not ended in {patience:g} s: {waits}") from None


def make(asked: argparse.Namespace, **more: Any) -> tuple[Cluster, dict[str, int]]:
    """The cluster of the scenario that was asked for, with its faults; and the options to play.

    Raises:
        LabError: something that was asked for can't be, the place for the trace among it.
    """
    scenario = get(asked.scenario)
    options = _options(scenario, asked.set)
    broken = [faults.parse(text) for text in asked.fault]
    _claim(asked)
    return scenario.cluster(asked.seed, faults=broken, **more, **options), options


def _options(scenario: Scenario, asked: list[str]) -> dict[str, int]:
    options = {}
    for text in asked:
        name, _, value = text.partition("=")
        if name not in scenario.options and value:
            known = ", ".join(scenario.options) or "none"
            raise LabError(f"scenario {scenario.name!r} has no option {name!r}: it has {known}")
        try:
            options[name] = int(value)
        except ValueError:
            raise LabError(f"--set {text}: write NAME=NUMBER, such as workers=4") from None
    return options


def _claim(asked: argparse.Namespace) -> None:
    """The trace can be saved where that was asked for; OutputError otherwise."""
    if asked.trace is not None:
        claim_file(asked.trace, force=asked.force)


def know(planted: list[Fault], trace: Trace) -> None:
    """Raise WiringError if a fault names somebody who takes no part."""
    for fault in planted:
        check_names(fault, [actor.id for actor in trace.actors])


def save(trace: Trace, path: Path | None) -> None:
    """Save the trace, if that was asked for, and say so."""
    if path is not None:
        trace.save(path)
        print(f"\nThe trace is in {path}.")


def replay(asked: argparse.Namespace) -> int:
    """`pylm-lab replay TRACE`."""
    trace = Trace.load(asked.file)
    _claim(asked)
    with doing(f"{asked.file} once more"):
        again = run_again(trace)
    print(again)
    save(again.trace, asked.trace)
    return 0 if again.divergence is None else 1


def explore(asked: argparse.Namespace) -> int:
    """`pylm-lab explore SCENARIO`."""
    from pylm_lab.explore.search import explore

    scenario = get(asked.scenario)
    options: dict[str, Any] = {**_options(scenario, asked.set)}
    _claim(asked)
    found = explore(scenario, budget=asked.budget, seed=asked.seed, **options)
    print(found)
    if found.trace is None:
        return 0
    save(found.trace, asked.trace)
    return 1
