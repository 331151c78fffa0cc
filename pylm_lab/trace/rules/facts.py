"""Facts: what the invariants ask a record.

1. Whatever several of them ask is worked out once.
2. A record of a million hops is read by column; only what may be wrong is looked at one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.columns import Hops
from pylm_lab.trace.hops.faults import HOLDS
from pylm_lab.trace.records import Hop
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS, Flags, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["PUBLISHERS", "Blame", "Case", "Numbers", "to_nobody"]

PUBLISHERS = ("PUB", "XPUB")
#: Positions, or other whole numbers.
Numbers = npt.NDArray[np.integer[Any]]


def to_nobody(trace: Trace) -> Flags:
    """Which hops are publications that no subscriber was there for."""
    case = Case(trace)
    hops = case.hops
    found: Flags = (hops.sent >= 0) & (hops.target < 0) & (hops.dropped < 0)
    return found & case.of_port(hops.sent, case.ports_that(lambda port: port.socket in PUBLISHERS))


class Case:
    """A record, and what it says.

    `named` are the positions of the hops that were found fault with so far: what is only the
    consequence of that need not be found once more.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.events = trace.columns
        self.hops: Hops = trace.hops
        self.named: set[int] = set()
        self._peers: dict[tuple[int, str], tuple[str, ...]] = {}
        #: Ids of actors, by their position.
        self.actors = self.events.tables.actors
        by_id = {actor.id: actor for actor in trace.actors}
        self._actors: list[Actor | None] = [by_id.get(id) for id in self.actors]
        self._roles: dict[str, str] = {actor.id: actor.role for actor in trace.actors}
        self.ports: list[Port | None] = [
            trace.declared.ports.get(id) for id in self.events.tables.ports
        ]

    # What is there

    def actors_that(self, told: Callable[[Actor], bool]) -> Flags:
        """Of which actors it is so; never of one that is unknown."""
        found = [actor is not None and told(actor) for actor in self._actors]
        return np.array([*found, False], np.bool_)

    def ports_that(self, told: Callable[[Port], bool]) -> Flags:
        """Of which ports it is so; never of one that is unknown."""
        found = [port is not None and told(port) for port in self.ports]
        return np.array([*found, False], np.bool_)

    def of_port(self, positions: Numbers, flags: Flags) -> Flags:
        """The flag of the port at which each of these events happened; False where it is -1."""
        if not len(self.events):
            return np.zeros(len(positions), np.bool_)
        found: Flags = flags[self.events.port[positions]] & (positions >= 0)
        return found

    def port(self, event: int) -> Port | None:
        """The port at which an event happened."""
        at = self.events.port.item(event)
        return self.ports[at] if at >= 0 else None

    def role(self, actor: str) -> str:
        """The role of the actor of this id; empty if it was not declared."""
        return self._roles.get(actor, "")

    def topic(self, event: int) -> str:
        """The topic of what was published or heard."""
        at = self.events.envelope.item(event)
        return self.events.texts[self.events.envelopes.topic.item(at)] if at >= 0 else ""

    def text(self, event: int) -> str:
        """What the event says."""
        return self.events.texts[self.events.text.item(event)]

    def at(self, positions: Numbers) -> Iterator[tuple[int, Hop]]:
        """The hops at these positions, each with its own."""
        hops, ids = self.hops, self.events.ids
        ends = (hops.source, hops.target, hops.sent, hops.received, hops.dropped)
        columns = (hops.kind, hops.message, *ends)
        names = [*self.actors, ""]
        for n, kind, message, source, target, sent, received, dropped in zip(
            positions.tolist(), *(column[positions].tolist() for column in columns), strict=True
        ):
            yield (
                n,
                Hop(
                    kind=KINDS[kind] or "message",
                    message=ids[message],
                    source=names[source],
                    target=names[target],
                    sent=sent if sent >= 0 else None,
                    received=received if received >= 0 else None,
                    dropped=dropped if dropped >= 0 else None,
                ),
            )

    def hop(self, n: int) -> Hop:
        """The hop at this position."""
        return next(self.at(np.array([n])))[1]

    # What the record holds of the run

    @property
    def is_part(self) -> bool:
        """Events are missing from it: what never came may have been among them."""
        return bool(self.trace.forgotten or self.trace.left_out)

    @cached_property
    def cut(self) -> frozenset[str]:
        """The actors whose record ends early."""
        return frozenset(self.trace.cut)

    @cached_property
    def over(self) -> frozenset[str]:
        """The actors that will receive nothing more: stopped, or never run and disconnected.

        Nothing is known of those whose record ends early.
        """
        events = self.events
        start, gone = code("start"), code("disconnect")
        runs: dict[int, bool] = {}
        left: set[int] = set()
        chosen = np.flatnonzero(events.are("start", "stop", "disconnect"))
        for what, actor in zip(
            events.what[chosen].tolist(), events.actor[chosen].tolist(), strict=True
        ):
            if what == gone:
                left.add(actor)
            else:
                runs[actor] = what == start
        declared = {actor.id for actor in self.trace.actors}
        if not runs or any(runs.values()):
            over = (id for n, id in enumerate(self.actors) if not runs.get(n, n not in left))
            declared &= set(over)
        return frozenset(declared - self.cut)

    @cached_property
    def left(self) -> dict[str, list[tuple[int, str]]]:
        """When, and from which topic, each actor has unsubscribed."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for n in np.flatnonzero(self.events.are("unsubscribe")).tolist():
            found[self.actors[self.events.actor.item(n)]].append((n, self.text(n)))
        return found

    @cached_property
    def parent(self) -> npt.NDArray[np.int64]:
        """By a message's number, its position in `ids`: that of what it was made of; 0: nothing."""
        contents = self.events.contents
        found = np.zeros(len(self.events.ids), np.int64)
        born = np.flatnonzero((contents.message > 0) & (contents.parent > 0))[::-1]
        found[contents.message[born]] = contents.parent[born]
        return found

    def line(self, message: int) -> Iterator[int]:
        """A message's number, that of what it was made of, and so on."""
        seen: set[int] = set()
        while message and message not in seen:
            seen.add(message)
            yield message
            message = self.parent.item(message)

    @cached_property
    def blame(self) -> Blame:
        """Which fault it was."""
        return Blame(self.trace)

    def peers(self, port: int, kind: str) -> tuple[str, ...]:
        """The actors who could have received something of this kind from the port."""
        found = self._peers.get((port, kind))
        if found is None:
            at = self.ports[port]
            peers = self.trace.declared.peers(at.id) if at else ()
            ends = dict.fromkeys(peer.actor for peer in peers if peer.receives == kind)
            found = self._peers[port, kind] = tuple(ends)
        return found

    def receivers(self, hop: Hop) -> tuple[str, ...]:
        """Who could have received what was sent; nobody where the record does not show any."""
        if hop.target:
            return (hop.target,)
        if hop.sent is None:
            return ()
        port = self.port(hop.sent)
        if port is None or (port.socket in PUBLISHERS and hop.dropped is None):
            return ()
        return self.peers(self.events.port.item(hop.sent), hop.kind)


class Blame:
    """Which fault it was that a hop was lost to."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        #: Actor → the faults that ended it; actor and message → those that held it back, or
        #: changed it.
        self._ended: dict[str, list[int]] = defaultdict(list)
        self._held: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._changed: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.any = False
        for n, event in trace.columns.those("fault"):
            self.any = True
            if event.fault in ("stop", "crash"):
                self._ended[event.actor].append(n)
            elif event.fault in HOLDS and event.message:
                self._held[event.actor, event.message].append(n)
            elif event.fault == "corrupt":
                self._changed[event.actor, event.message].append(n)

    def of(self, hop: Hop, ends: Sequence[str] = ()) -> str:
        """The fault in words, empty if it was none. `ends` are those who could have received it.

        It was dropped by the fault; or, for a message or a request, whoever should have received it
        was ended by it, or had it held back.
        """
        if hop.dropped is not None and hop.dropped in self._trace.faults.dropped:
            return self.why(self._trace.faults.dropped[hop.dropped])
        if hop.received is not None or hop.kind not in ("message", "request"):
            return ""
        until = len(self._trace.events) if hop.dropped is None else hop.dropped
        found = [
            n
            for end in ends or (hop.target,)
            for n in (*self._ended.get(end, ()), *self._held.get((end, hop.message), ()))
            if n < until
        ]
        return self.why(max(found)) if found else ""

    def ending(self, actor: str, since: int) -> str:
        """The fault that ended the actor after this position; empty if none did."""
        found = [n for n in self._ended.get(actor, ()) if n > since]
        return self.why(found[0]) if found else ""

    def changed(self, target: str, message: str, received: int) -> str:
        """The fault that changed a message before its receiver had it; empty if none did."""
        found = [n for n in self._changed.get((target, message), ()) if n < received]
        return self.why(found[-1]) if found else ""

    def why(self, n: int) -> str:
        """The fault at this position as a clause."""
        event = self._trace.events[n]
        return excerpt(event.text, 120).rstrip(".") or f"a fault ({event.fault})"
