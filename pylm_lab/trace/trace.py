"""Trace: the immutable record of a run, and the hops that it tells of.

1. A trace is what the hook heard, in one order in which causes come before effects; nothing in it
   was worked out by simulating.
2. Whatever can be derived (hops, links, message numbers) is derived here, once, from the events.
3. A hop's two ends are matched by the message's id; frames without an id are matched as the answer
   to their request, or in order on their link.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pylm_lab.hook import Actor, Decision, Kind, Port, Route
from pylm_lab.trace import table
from pylm_lab.trace.check import Finding, check
from pylm_lab.trace.faults import Faults, struck
from pylm_lab.trace.links import Links
from pylm_lab.trace.match import match
from pylm_lab.trace.numbers import Numbers
from pylm_lab.trace.records import Event, Hop

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Event", "Hop", "Trace"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Trace:
    """The immutable record of a run.

    `schedule` is `free`, `stepped`, `seeded` or `replayed`, `seed` the generator's seed or None,
    `clock` what `Event.at` counts (`ns` or `step`), `scenario` the name of the ready-made cluster
    or empty and `options` the numbers that it was made with. `decisions` are what a controlled run
    chose, step by step, in the order in which it did; a free run has none. `forgotten` counts
    events that its recorder has not kept: then it tells the end of what every actor did.
    """

    actors: tuple[Actor, ...] = ()
    ports: tuple[Port, ...] = ()
    routes: tuple[Route, ...] = ()
    events: tuple[Event, ...] = ()
    schedule: str = "free"
    seed: int | None = None
    clock: Literal["ns", "step"] = "ns"
    scenario: str = ""
    options: dict[str, int] = field(default_factory=dict, hash=False)
    decisions: tuple[Decision, ...] = ()
    forgotten: int = 0

    @property
    def how(self) -> str:
        """How the run was scheduled, in words: `seeded 1`, `stepped`, `free`."""
        # Who steps or chooses, and names no seed, has 0.
        chosen = self.schedule in ("stepped", "chosen") and not self.seed
        return self.schedule if self.seed is None or chosen else f"{self.schedule} {self.seed}"

    @cached_property
    def hops(self) -> tuple[Hop, ...]:
        """Every hop, in the order in which they begin."""
        return match(self.ports, self.actors, self.events)

    @cached_property
    def faults(self) -> Faults:
        """Which drops and which receives are the work of a fault."""
        return Faults.of(self.events)

    @cached_property
    def struck(self) -> dict[int, int]:
        """Position in `events` of each fault that acts on frames → position in `hops` of theirs."""
        return struck(self.events, self.hops)

    @cached_property
    def links(self) -> Links:
        """Which ports were at one link, as far as was declared."""
        return Links(self.actors, self.ports, self.events)

    def hops_of(self, *kinds: Kind) -> Iterator[Hop]:
        """The hops of these kinds, in order."""
        return (hop for hop in self.hops if hop.kind in kinds)

    @cached_property
    def numbers(self) -> dict[str, str]:
        """A short name for each message id, in order of first appearance.

        `1`, `2`, … for messages, `1.1`, `1.2`, … for the children of 1, `r1`, `r2`, … for requests.
        """
        return number(self.events)

    def actor(self, id: str) -> Actor:
        """The actor of this id; KeyError if there is none."""
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[str, Actor]:
        return {actor.id: actor for actor in self.actors}

    @cached_property
    def labels(self) -> dict[str, str]:
        """What to call each actor: its own label where that is unique, else its id."""
        count = Counter(actor.label for actor in self.actors)
        return {a.id: a.label if count[a.label] == 1 else a.id for a in self.actors}

    def path(self, message: str) -> list[str]:
        """The actors that a message id visited, in order; for one that went one way only."""
        path: list[str] = []
        for hop in self.hops:
            if hop.message == message and hop.kind == "message" and hop.source:
                path.extend(a for a in hop.link if a and (not path or path[-1] != a))
        return path

    @property
    def graph(self) -> nx.MultiDiGraph[str]:
        """What was observed: a networkx.MultiDiGraph with an edge per hop (see pylm_lab.graph)."""
        return importlib.import_module("pylm_lab.graph").graph(self)  # type: ignore[no-any-return]

    @property
    def wiring(self) -> nx.MultiDiGraph[str]:
        """What was declared: an edge for each direction in which a link can carry something."""
        return importlib.import_module("pylm_lab.graph").wiring(self)  # type: ignore[no-any-return]

    def check(self) -> list[Finding]:
        """What this run did that no run should: an empty list when all is well."""
        return check(self)

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON Lines; the same trace gives the same bytes. Returns the path.

        It is compressed if the name ends in `.gz`. What `pylm_lab.trace.store` says of the format
        is all there is to it.

        Raises:
            OutputError: the file can't be written.
        """
        from pylm_lab.trace import store  # it makes traces, so it imports this module

        return store.save(self, path)

    @staticmethod
    def load(path: str | Path) -> Trace:
        """Read a trace that `save` wrote.

        Raises:
            TraceFileError: the file can't be read, is no trace, of a newer version, or broken (the
                text says where).
        """
        from pylm_lab.trace import store  # as above

        return store.load(path)

    def __repr__(self) -> str:
        return table.text(self)

    def _repr_html_(self) -> str:
        return table.html(self)


def number(events: Iterable[Event]) -> dict[str, str]:
    """Message id → short name, in order of first appearance."""
    numbers = Numbers()
    for event in events:
        numbers.see(event.kind, event.message, event.parent)
    return numbers
