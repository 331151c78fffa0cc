"""Story: a trace told step by step, as plain data.

1. A step is one hop, or a fault that is no loss. Steps come in the order in which they begin.
2. Whatever a step says was read from the record. Nothing is simulated, and a reason is named only
   where the record proves it.
3. One walk over the events tells everything; what has not changed is shared with the step before,
   so ten thousand hops are told in a fraction of a second.

No drawing library, no scene: figure, player and animation move over the same steps.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pylm_lab.draw.scene import Link
from pylm_lab.draw.story import sentence
from pylm_lab.draw.story.clues import departures, stalls
from pylm_lab.draw.story.evidence import Known
from pylm_lab.draw.story.piles import Piles, fit, named, short
from pylm_lab.draw.story.step import HeldBack, Step
from pylm_lab.hook import Kind, Port
from pylm_lab.trace import Event, Hop, Trace
from pylm_lab.trace.hops.faults import DROPS, HOLDS

__all__ = ["EVERY", "first_server", "tell"]

#: All kinds of hops there are.
EVERY: tuple[Kind, ...] = ("message", "credit", "request", "answer", "ready")


def tell(
    trace: Trace,
    *,
    kinds: tuple[Kind, ...] = ("message",),
    server: str | None = None,
    faults: bool = True,
    most: int | None = None,
) -> tuple[Step, ...]:
    """The steps of a trace: its hops of these kinds, each with its moment and its sentence.

    `server` keeps to the hops that touch this server. `faults` tells what faults do as well, as far
    as it is no loss, which the hop itself tells. The moments know of all of it, told or not. Of
    more steps than `most` the first so many are told.
    """
    steps = _Walk(trace, frozenset(kinds), server, faults=faults).steps()
    return tuple(itertools.islice(steps, most))


def first_server(trace: Trace) -> str | None:
    """The id of the server that is declared first; None where there is none."""
    parts = ("inbound", "outbound", "bypass", "router")
    return next((actor.server for actor in trace.actors if actor.role in parts), None)


class _Walk:
    """What every actor does, moved on event by event."""

    def __init__(
        self, trace: Trace, kinds: frozenset[Kind], server: str | None, *, faults: bool
    ) -> None:
        self.trace = trace
        self.kinds = kinds
        self.server = server
        self.faults = faults
        self.known = Known(trace)
        here = [port for port in trace.ports if self._is_here(port)]
        self.takes = {port.actor for port in here if port.receives == "message"}
        self.gives = {port.actor for port in here if port.sends == "message"}
        self.index = 0
        self.told: dict[str, int] = {}
        # Who says that it starts; a client that is called by the main program does not.
        self.away = {event.actor: "not started" for event in trace.events if event.what == "start"}
        self.asks: dict[str, str] = {}
        self.stalled: dict[str, None] = {}
        self.unanswered: dict[str, int] = defaultdict(int)
        self.held = Piles()
        self.waiting = Piles()
        #: The hops that faults hold back: those that ever are, and those that are now.
        self.holding = {hop for n, hop in trace.struck.items() if trace.events[n].fault in HOLDS}
        self.held_back: dict[int, HeldBack] = {}
        self.delayed: tuple[HeldBack, ...] = ()
        self.counts: dict[Link, int] = {}
        self.status: dict[str, str] = {}
        self.changed: dict[str, None] = dict.fromkeys(actor.id for actor in trace.actors)

    def steps(self) -> Iterator[Step]:
        """The steps that were asked for, in order."""
        hops = self.trace.hops
        begins: dict[int, list[int]] = defaultdict(list)
        arrives: dict[int, int] = {}
        for n, hop in enumerate(hops):
            begins[hop.begins].append(n)
            if hop.received is not None:
                arrives[hop.received] = n
        leaving: dict[int, list[int]] = defaultdict(list)
        for receive, leave in departures(self.trace).items():
            leaving[leave].append(receive)
        begin_stall = {stall.begin for stall in stalls(self.trace)}
        end_stall = {stall.end for stall in stalls(self.trace)}
        for n, event in enumerate(self.trace.events):
            self._read(event)
            if n in end_stall:
                self.stalled.pop(event.actor, None)
            if n in begin_stall:
                self.stalled[event.actor] = None
            for receive in leaving.get(n, ()):
                self.held.drop(event.actor, receive)
            self.changed[event.actor] = None
            if event.what == "fault" and event.fault not in DROPS:
                yield from self._strikes(n, event)
            for position in begins.get(n, ()):
                self.known.begin(hops[position])
                if hops[position].kind in self.kinds and self._touches(hops[position]):
                    yield self._step(position, hops[position], event)
            for position in begins.get(n, ()):
                self._sent(hops[position])
            if n in arrives:
                if self.held_back.pop(arrives[n], None):
                    self.delayed = tuple(self.held_back.values())
                self._arrived(hops[arrives[n]], n)

    def _is_here(self, port: Port) -> bool:
        """The port is at a link of the server that is told of, if it is one only."""
        if self.server is None or self.known.server(port.actor) == self.server:
            return True
        peers = self.trace.declared.peers(port.id)
        return any(self.known.server(peer.actor) == self.server for peer in peers)

    def _touches(self, hop: Hop) -> bool:
        if self.server is None:
            return True
        return self.server in (self.known.server(hop.source), self.known.server(hop.target))

    # What moves

    def _read(self, event: Event) -> None:
        """What an event says of its own actor, other than by being a hop's end."""
        if event.kind:
            return
        news = {"start": "", "stop": "stopped", "fail": "failed"}.get(event.what)
        if news is None:
            self.known.near.read(event)
        elif self.away.get(event.actor) != "failed":
            self.away[event.actor] = news

    def _sent(self, hop: Hop) -> None:
        """The hop is under way: it counts, and waits at its target until it is taken."""
        if hop.source == "" or self._doubled(hop):
            return
        self._count(self._by_sending(hop))
        self.changed[hop.source] = None
        if hop.kind == "message" and self.known.role(hop.source) == "client":
            self.unanswered[hop.source] += 1
        if hop.kind in ("message", "request") and hop.target and not self.known.lost(hop):
            self.waiting.add(hop.target, self._turn(hop), self.known.number(hop.message))
            self.changed[hop.target] = None

    def _strikes(self, n: int, event: Event) -> Iterator[Step]:
        """A fault acts, on a message that has come to its receiver, or on an actor."""
        position = self.trace.struck.get(n)
        hop = None if position is None else self.trace.hops[position]
        waits = hop is not None and hop.kind in ("message", "request") and not self.known.lost(hop)
        if hop is not None and waits:
            self.waiting.drop(hop.target, self._turn(hop))
            self.changed[hop.target] = None
        if self.faults and self._concerns(event, hop):
            yield self._fault(event, position, hop)
        if hop is None or position is None or not waits:
            return
        number = self.known.number(hop.message)
        if event.fault in HOLDS:
            self.held_back[position] = HeldBack(number, *hop.link, self._row(hop))
            self.delayed = tuple(self.held_back.values())
        else:
            self.waiting.add(hop.target, self._turn(hop), number)
            self.changed[hop.target] = None

    def _concerns(self, event: Event, hop: Hop | None) -> bool:
        """It is to be told of what this fault does."""
        if event.kind and event.kind not in self.kinds:
            return False
        if hop is not None:
            return self._touches(hop)
        return self.server is None or self.server in self.known.servers(event.actor)

    def _doubled(self, hop: Hop) -> bool:
        """Nobody has sent it a second time."""
        return hop.received in self.trace.faults.doubled

    def _arrived(self, hop: Hop, n: int) -> None:
        """The hop's message is in its receiver's hands."""
        self.waiting.drop(hop.target, n)
        self._count(self._by_arriving(hop))
        if hop.kind == "answer":
            self.asks.pop(hop.target, None)
        elif self.known.role(hop.target) == "client":
            self.unanswered[hop.target] = max(0, self.unanswered[hop.target] - 1)
        elif hop.kind in ("message", "request"):
            self.held.add(hop.target, n, self.known.number(hop.message))

    def _by_sending(self, hop: Hop) -> list[Link]:
        """The counts to which a hop adds as it begins."""
        keys: list[Link] = []
        if not self._touches(hop):
            return keys
        if hop.kind in ("message", "request", "answer"):
            keys.append((hop.source, hop.target or "?"))
        row = self.known.row(hop)
        if row:
            keys.append((row.source, row.target))
        gives, takes = hop.source in self.gives, hop.source in self.takes
        if not takes and hop.kind == ("message" if gives else "request"):
            keys.append((hop.source, ""))
        if hop.kind == "message" and self.known.unrecorded(hop):
            keys.append((self.known.unrecorded(hop), ""))
        return keys

    def _by_arriving(self, hop: Hop) -> list[Link]:
        """The counts to which it adds as it is taken."""
        gives, takes = hop.target in self.gives, hop.target in self.takes
        counts = (takes or not gives) and hop.kind == ("message" if takes else "request")
        keys = [(hop.target, "")] if counts and self._touches(hop) else []
        if hop.kind == "message" and not hop.source and self.known.unrecorded(hop):
            keys.append((self.known.unrecorded(hop), ""))
        return keys

    def _adds(self, hop: Hop) -> tuple[Link, ...]:
        arrives = [] if hop.received is None else self._by_arriving(hop)
        sends = hop.source and not self._doubled(hop)
        return (*(self._by_sending(hop) if sends else ()), *arrives)

    def _count(self, keys: list[Link]) -> None:
        for key in keys:
            self.counts[key] = self.counts.get(key, 0) + 1

    def _turn(self, hop: Hop) -> int:
        """By what waiting messages are sorted: when they will be taken, if ever."""
        return len(self.trace.events) + hop.begins if hop.received is None else hop.received

    # What is told

    def _step(self, position: int, hop: Hop, event: Event) -> Step:
        if hop.kind == "request":
            self.asks[hop.source] = hop.target
        row = self.known.row(hop)
        number = self.known.number(hop.message)
        seen = self.known.evidence(hop, queued=hop.source in self.waiting.shown)
        if seen.waits and seen.over_http:
            self.asks[hop.source] = hop.target
        index, previous = self._next(hop.message)
        unrecorded = self.known.unrecorded(hop)
        return Step(
            index=index,
            hop=position,
            at=event.at,
            kind=hop.kind,
            message=hop.message,
            number=number,
            source=hop.source or unrecorded,
            target=hop.target or unrecorded,
            row=self._row(hop),
            row_number=row.number if row else 0,
            lost=self.known.lost(hop),
            arrives=hop.received is not None or (bool(unrecorded) and not self.known.lost(hop)),
            previous=previous,
            title=sentence.title(number, seen),
            sentence=sentence.tell(seen),
            status=self._statuses(hop, number),
            held=self.held.snapshot(),
            waiting=self.waiting.snapshot(),
            delayed=self.delayed,
            held_back=position in self.holding,
            counts=dict(self.counts),
            adds=self._adds(hop),
        )

    def _fault(self, event: Event, position: int | None, hop: Hop | None) -> Step:
        """What a fault does, as a step: its message, if it has one, is half-way."""
        number = self.known.number(event.message)
        index, previous = self._next(event.message)
        row = None if hop is None else self.known.row(hop)
        assert event.fault
        seen = self.known.fault(event)
        return Step(
            index=index,
            hop=position,
            fault=event.fault,
            at=event.at,
            kind=event.kind or "message",
            message=event.message,
            number=number,
            source=hop.source if hop else "",
            target=event.actor,
            row=self._row(hop) if hop else None,
            row_number=row.number if row else 0,
            lost=False,
            arrives=False,
            previous=previous,
            title=sentence.fault_title(number, seen),
            sentence=sentence.tell_fault(seen),
            status=self._statuses(None, number),
            held=self.held.snapshot(),
            waiting=self.waiting.snapshot(),
            delayed=self.delayed,
            counts=dict(self.counts),
            adds=(),
        )

    def _next(self, message: str) -> tuple[int, int | None]:
        """The index of the message's next step, and that of its last one or of its parent's."""
        index, self.index = self.index, self.index + 1
        previous = self.told.get(message, self.told.get(self.known.parent(message)))
        if message:
            self.told[message] = index
        return index, previous

    def _row(self, hop: Hop) -> Link | None:
        row = self.known.row(hop)
        return (row.source, row.target) if row else None

    def _statuses(self, hop: Hop | None, number: str) -> Mapping[str, str]:
        new = dict(self.status)
        for actor in self.changed:
            new[actor] = self._status(actor)
        self.changed.clear()
        self.status = new
        if hop is None:
            return new
        if hop.target and not self.known.lost(hop) and hop.kind in ("message", "request"):
            coming = self._status(hop.target, (self._turn(hop), named(hop.kind, number)))
            if coming != new.get(hop.target):
                return {**new, hop.target: coming}
        return new

    def _status(self, actor: str, coming: tuple[int, str] | None = None) -> str:
        """What the actor is doing; `coming` is on its way to it: its turn, and what it is."""
        if self.away.get(actor):
            return self.away[actor]
        held, waiting = self.held.shown.get(actor), self.waiting.shown.get(actor)
        role = self.known.role(actor)
        if held:
            verb = {"worker": "works on", "bypass": "answers"}.get(role, "holds")
            return fit(verb, held)
        if actor in self.asks:
            return short(f"waits for {self.known.name(self.asks[actor])}", "waits for answer")
        if actor in self.stalled:
            return "waits for ack"
        first = self.waiting.first(actor)
        if coming and (first is None or coming[0] < first):
            return short(f"next: {coming[1]}", coming[1])
        if waiting:
            return fit("next:", waiting._replace(size=1))
        if self.unanswered[actor]:
            return "waits for answer" + ("s" if self.unanswered[actor] > 1 else "")
        return "idle"
