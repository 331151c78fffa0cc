"""Controlled clusters that tests move, and the ways in which a cluster can be run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pylm_lab as lab
from pylm_lab.moves import Move, Moves
from pylm_lab.scenarios import Greeter
from pylm_lab.tasks import Task

__all__ = ["MODES", "finish", "kinds", "make", "sentences", "walk"]

#: Options of `Cluster` for each way to run it.
MODES: dict[str, dict[str, Any]] = {
    "free": {},
    "seeded": {"seed": 3},
    "stepped": {"schedule": "stepped"},
    "stepped with a seed": {"schedule": "stepped", "seed": 3},
    "chosen": {"schedule": lambda possible: len(possible) - 1},
}


def make(mode: str = "stepped", *, workers: int = 1, **more: Any) -> lab.Cluster:
    """A master and some workers, not started; `more` are options of the cluster."""
    cluster = lab.Cluster(**{**MODES[mode], **more})
    cluster.add(lab.Master("server"))
    for n in range(1, workers + 1):
        cluster.add(Greeter(f"worker{n}"))
    return cluster


def finish(cluster: lab.Cluster, task: Task) -> Any:
    """The result of a task, let to its end however the cluster is run."""
    if cluster.trace.schedule == "stepped":
        cluster.run()
    return task.result(20)


def walk(cluster: lab.Cluster, chance: random.Random, each: Callable[[Move, Moves], None]) -> int:
    """Let everything move in a random order, to the end; returns how many steps that took.

    `each` is given what was chosen, and what has happened.
    """
    steps = 0
    while pending := cluster.pending:
        chosen = pending[int(chance.random() * len(pending))]
        each(chosen, cluster.step(choice=chosen if steps % 2 else chosen.number))
        steps += 1
    return steps


def sentences(moves: Moves) -> list[str]:
    return [move.sentence for move in moves]


def kinds(cluster: lab.Cluster) -> list[str]:
    """What the chooser has been asked for so far: actor and operation of each step."""
    return [f"{decision.actor} {decision.kind}" for decision in cluster.trace.decisions]
