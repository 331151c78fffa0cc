"""One controlled run: a play, in a cluster of its own, along the order that somebody chooses.

1. Every run is a real one, with threads and sockets of its own, and ends before the next begins.
2. What came of it is looked at where it happened: if the play raises, or the order ends before the
   play does, the record is taken there, before anything is stopped.
3. The same choices make the same run: ids come from the seed, and nothing here looks at a clock.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pylm_lab.cluster import Cluster
from pylm_lab.hook import Decision, Hook
from pylm_lab.schedule import Operation
from pylm_lab.trace import Trace
from pylm_lab.witness import unwitnessed

__all__ = [
    "Choice",
    "Choose",
    "Cut",
    "Delay",
    "Name",
    "Outcome",
    "Play",
    "Setting",
    "delays",
    "fingerprint",
]

#: Builds what takes part in the cluster, and drives it.
Play = Callable[..., Any]
#: Says which of the operations that are possible comes next, by its position.
Choose = Callable[[Sequence[Operation]], int]
#: What an operation is called: its actor, its kind, and the id of its port or nothing.
Name = tuple[str, str, str]


class Choice(NamedTuple):
    """What was chosen once: at which step, what, past which that come first, and of how many."""

    at: int
    name: Name
    passed: tuple[Name, ...]
    possible: int


class Delay(NamedTuple):
    """Something that was possible, and first in order, at step `since`, and done at `until`.

    `until` is None if it was not done any more.
    """

    name: Name
    since: int
    until: int | None

    def __str__(self) -> str:
        actor, kind, port = self.name
        label = actor.rpartition(".")[2]
        who = "the router" if label == "router" else label
        where = f" at its port {port.rpartition(':')[2]}" if port else ""
        end = "and never did" if self.until is None else f"and did at step {self.until}"
        return f"{who} could {kind}{where} from step {self.since} on, {end}."


class Cut(Exception):  # noqa: N818 - it ends a run and reports nothing
    """Raised by a `Choose` to end the run here."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its record, its choices, and what the play raised, if anything.

    `cut`: it was ended before the play was through.
    """

    trace: Trace
    choices: tuple[Choice, ...]
    error: Exception | None = None
    cut: bool = False

    @property
    def names(self) -> tuple[Name, ...]:
        """What was chosen, in order."""
        return tuple(choice.name for choice in self.choices)


def delays(choices: Iterable[Choice]) -> list[Delay]:
    """What had to wait, in comparison with the plain order, in which the first of all comes next.

    An operation that several others pass has to wait once.
    """
    found: list[Delay] = []
    waiting: dict[Name, int] = {}
    for choice in choices:
        place = waiting.pop(choice.name, None)
        if place is not None:
            found[place] = found[place]._replace(until=choice.at)
        for name in choice.passed:
            if name not in waiting:
                waiting[name] = len(found)
                found.append(Delay(name, choice.at, None))
    return found


@dataclass(frozen=True)
class Setting:
    """What all runs of an exploration share: the play and all that is not the order.

    `limit` is the number of steps after which a run is given up as endless.
    """

    play: Play
    scenario: str
    seed: int
    limit: int

    def run(self, choose: Choose, options: Mapping[str, int]) -> Outcome:
        """Run the play once along this order."""
        watch = _Watch(choose)
        cluster = Cluster(
            self.seed,
            schedule=watch.choose,
            limit=self.limit,
            scenario=self.scenario,
            options=options,
        )
        watch.look_at(cluster)
        error: Exception | None = None
        try:
            with unwitnessed(), cluster:
                try:
                    self.play(cluster, **options)
                except BaseException:
                    watch.keep()
                    raise
        except Exception as raised:  # noqa: BLE001 - a play is anybody's code; it is reported
            error = None if watch.cut else raised
        trace = watch.kept or cluster.trace
        return Outcome(trace, tuple(watch.choices), error, watch.cut)


class _Watch(Hook):
    """Asks `choose`, and notes what it says, and at which step it was done."""

    def __init__(self, choose: Choose) -> None:
        self.choices: list[Choice] = []
        #: The record at the moment that counts, if that is not the end.
        self.kept: Trace | None = None
        self.cut = False
        self._choose = choose
        self._chosen: tuple[list[Name], int] | None = None
        self._cluster: Cluster

    def look_at(self, cluster: Cluster) -> None:
        """The cluster that asks; it has not started."""
        self._cluster = cluster.attach(self)

    def keep(self) -> None:
        """Now is the moment that counts, unless there was one before."""
        self.kept = self.kept or self._cluster.trace

    def choose(self, possible: Sequence[Operation]) -> int:
        """What the cluster calls."""
        try:
            position = self._choose(possible)
        except Cut:
            self.cut = True
            self.keep()
            raise
        self._chosen = [operation.name for operation in possible[: position + 1]], len(possible)
        return position

    def decided(self, decision: Decision) -> None:
        # Not everything that happens is a choice.
        if self._chosen is not None:
            (*passed, chosen), count = self._chosen
            self._chosen = None
            self.choices.append(Choice(decision.at, chosen, tuple(passed), count))


def fingerprint(trace: Trace) -> bytes:
    """Two runs have the same one if each actor did the same things with the same messages in order.

    In which order those things happened that did not touch each other makes no difference.
    """
    did: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for event in trace.events:
        what = event.what, event.port, event.kind, event.message, event.peer, event.topic
        did[event.actor].append((*what, event.fault, event.text))
    told = repr(sorted(did.items())).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(told, digest_size=16).digest()
