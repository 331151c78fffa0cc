"""Naming: one name for each actor, port, address and message of several traces.

1. What two processes call alike is not the same: the second `client` becomes `client#2`, with its
   ports and routes, and a second server with all its parts.
2. It is the same where two records tell the same send, which has an id that nobody else gives.
3. An address of the network is everybody's; one inside a process (`inproc://…`) is its own.
4. A controlled run makes the same ids every time, so the same id in two of them means nothing, and
   the second gets others.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pylm_lab.hook import Actor, Port, Route
from pylm_lab.trace.tables import code
from pylm_lab.trace.trace import Trace

__all__ = ["Names", "Twin", "names", "twins"]

#: What is spoken within one process only.
_INSIDE = "inproc://"
#: An id as a recorder tells it.
_ID = re.compile("[0-9a-f]{16}")
#: Actor, port, message, clock.
_Send = tuple[str, str, str, int]


class Names:
    """What one trace's own names have become."""

    def __init__(self) -> None:
        #: Servers, and actors that are part of none.
        self.units: dict[str, str] = {}
        self.actors: dict[str, str] = {}
        self.ports: dict[str, str] = {}
        self.places: dict[str, str] = {}
        #: What every message id is changed by.
        self.salt = 0

    def actor(self, actor: Actor) -> Actor:
        """The actor under its new name."""
        server = self.units.get(actor.server, actor.server)
        serves = self.units.get(actor.serves, actor.serves)
        return replace(actor, id=self.actors[actor.id], server=server, serves=serves)

    def port(self, port: Port) -> Port:
        """The port under its new name."""
        actor = self.actors.get(port.actor, port.actor)
        return replace(port, id=self.ports[port.id], actor=actor)

    def route(self, route: Route) -> Route:
        """The row of a routing table under its new names."""
        source, target = (self.actors.get(end, end) for end in (route.source, route.target))
        server = self.units.get(route.server, route.server)
        return replace(route, server=server, source=source, target=target)

    def message(self, id: str) -> str:
        """The message's id."""
        if not id or not self.salt:
            return id
        if _ID.fullmatch(id):
            return f"{int(id, 16) ^ self.salt:016x}"
        # In a file that somebody wrote by hand an id may be any text.
        told = f"{self.salt:016x}{id}".encode("utf-8", "backslashreplace")
        return hashlib.blake2b(told, digest_size=8).hexdigest()


def names(traces: Sequence[Trace], twins: dict[int, Twin]) -> list[Names]:
    """The names of each trace; a twin has those of the trace that it is a twin of."""
    taken = _Taken()
    found: list[Names] = []
    for n, trace in enumerate(traces):
        own = Names()
        twin = found[twins[n].of] if n in twins else Names()
        for actor in trace.actors:
            unit = actor.server or actor.id
            if unit not in own.units:
                own.units[unit] = twin.units.get(unit) or taken.name(unit)
        for actor in trace.actors:
            own.actors[actor.id] = twin.actors.get(actor.id) or taken.inner(
                actor.id, actor.server, own.units
            )
        for port in trace.ports:
            own.ports[port.id] = twin.ports.get(port.id) or taken.inner(
                port.id, port.actor, own.actors
            )
        for place in _inside(trace):
            own.places[place] = twin.places.get(place) or taken.name(place)
        own.salt = twin.salt if n in twins else taken.salt(trace, n)
        found.append(own)
    return found


def _inside(trace: Trace) -> Iterator[str]:
    events = trace.columns
    wired = events.are("bind", "connect", "disconnect")
    for text in dict.fromkeys(events.text[wired].tolist()):
        if events.texts[text].startswith(_INSIDE):
            yield events.texts[text]


class _Taken:
    """Names that somebody has."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._ids: set[str] = set()
        self._controlled: set[str] = set()

    def name(self, wanted: str) -> str:
        """The name, or with a number where it is taken."""
        chosen, number = wanted, 1
        while chosen in self._names:
            number += 1
            chosen = f"{wanted}#{number}"
        self._names.add(chosen)
        return chosen

    def inner(self, wanted: str, owner: str, owners: dict[str, str]) -> str:
        """The name of something that bears its owner's first."""
        new = owners.get(owner)
        if wanted == owner or (not owner and wanted in owners):
            return owners[wanted]
        if new is not None and wanted.startswith(owner):
            return self.name(new + wanted[len(owner) :])
        return self.name(wanted)

    def salt(self, trace: Trace, n: int) -> int:
        """What a trace's ids have to be changed by: 0 where nobody else may have the same."""
        ids = set(trace.columns.ids[1:])
        controlled = trace.clock == "step"
        clash = not ids.isdisjoint(self._ids if controlled else self._controlled)
        (self._controlled if controlled else self._ids).update(ids)
        self._ids.update(ids)
        if not clash:
            return 0
        return int.from_bytes(hashlib.blake2b(str(n).encode(), digest_size=8).digest(), "big")


class Twin(NamedTuple):
    """A record of a process of which there is an earlier one.

    `of` is the first one's position; `shift` is what to add to the times, so that they count as
    that one's do.
    """

    of: int
    shift: int


def twins(traces: Sequence[Trace]) -> dict[int, Twin]:
    """The records that tell of the same process as an earlier one: some send is in both."""
    first: dict[_Send, Twin] = {}
    found: dict[int, Twin] = {}
    count = Counter(actor.id for trace in traces for actor in trace.actors)
    for n, trace in enumerate(traces):
        if trace.clock == "step":
            continue
        own = dict(_sends(trace, [count[id] > 1 for id in trace.columns.tables.actors]))
        for send, at in own.items():
            if send in first:
                of, when = first[send]
                found[n] = Twin(of, when - at)
                break
        of, shift = found.get(n, Twin(n, 0))
        for send, at in own.items():
            first.setdefault(send, Twin(of, at + shift))
    return found


def _sends(trace: Trace, wanted: Sequence[bool]) -> Iterator[tuple[_Send, int]]:
    """What was sent by the actors that are wanted, and when."""
    events = trace.columns
    chosen = (events.what == code("send")) & (events.message > 0)
    chosen &= np.array([*wanted, False], np.bool_)[events.actor]
    clock = events.of_content(events.contents.clock)
    actors, ports, ids = events.tables.actors, events.tables.ports, events.ids
    columns = (events.actor, events.port, events.message, clock, events.at)
    for actor, port, message, told, at in zip(
        *(column[chosen].tolist() for column in columns), strict=True
    ):
        yield (actors[actor], ports[port], ids[message], told), at
