"""Story: a trace told step by step, as plain data.

1. A step is one hop. Steps come in the order in which hops begin.
2. Whatever a step says was read from the record. Nothing is simulated, and a reason is named only
   where the record proves it.
3. One walk over the events tells everything; what has not changed is shared with the step before,
   so ten thousand hops are told in a fraction of a second.

No drawing library, no scene: figure, player and animation move over the same steps.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pylm_lab.draw.metrics import advance
from pylm_lab.draw.scene import Link
from pylm_lab.draw.story import sentence
from pylm_lab.draw.story.clues import departures, stalls
from pylm_lab.draw.story.evidence import Known
from pylm_lab.hook import Kind
from pylm_lab.trace import Event, Hop, Trace

__all__ = ["EVERY", "Pile", "Step", "first_server", "tell"]

#: All kinds of hops there are.
EVERY: tuple[Kind, ...] = ("message", "credit", "request", "answer", "ready")

#: Messages of a pile that are named.
_NAMED = 3
#: Pixels that a status may fill in a part's box, and the size of its type.
_ROOM, _SIZE = 108.0, 11.0


class Pile(NamedTuple):
    """Messages that rest somewhere: the numbers of the first three, and how many there are."""

    first: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One hop, and the moment at which it is on its way.

    `index` counts steps and `hop` is the position in `Trace.hops`, both from 0; `at` is the time of
    the hop's first event. `message` is the message's id, `number` its short name (`3`, `1.2`,
    `r1`), both empty for frames without an id. `source` and `target` are actor ids; one is empty
    where the record does not tell it. `row` is the row of the routing table that decided, as
    `(source, target)`, and `row_number` its number (0: none). `lost`: nobody received it, and
    nobody will; `arrives`: somebody received it. `previous` is the index of the message's own step
    before, or of its parent's where it has none.

    `status` says what each actor is doing, in words that fit into a part's box. `held` are the
    messages that each actor holds, `waiting` those that were sent to it and wait to be taken, in
    the order in which they will be; the message of this hop is in neither. `counts` are those of
    the hops before this one: of messages over each link (`(source, "?")` where the receiver is
    unknown) and each row, and with `(actor, "")` of those that an actor received, or sent where it
    receives none. `adds` names the counts that this hop adds to, once it has arrived.
    """

    index: int
    hop: int
    at: int
    kind: Kind
    message: str
    number: str
    source: str
    target: str
    row: Link | None
    row_number: int
    lost: bool
    arrives: bool
    previous: int | None
    title: str
    sentence: str
    status: Mapping[str, str]
    held: Mapping[str, Pile]
    waiting: Mapping[str, Pile]
    counts: Mapping[Link, int]
    adds: tuple[Link, ...]

    @property
    def link(self) -> Link:
        """The actors at its two ends."""
        return self.source, self.target


def tell(
    trace: Trace, *, kinds: tuple[Kind, ...] = ("message",), server: str | None = None
) -> tuple[Step, ...]:
    """The steps of a trace: its hops of these kinds, each with its moment and its sentence.

    `server` keeps to the hops that touch this server. The moments know of every hop, told or not.
    """
    return tuple(_Walk(trace, frozenset(kinds), server).steps())


def first_server(trace: Trace) -> str | None:
    """The id of the server that is declared first; None where there is none."""
    parts = ("inbound", "outbound", "bypass", "router")
    return next((actor.server for actor in trace.actors if actor.role in parts), None)


class _Walk:
    """What every actor does, moved on event by event."""

    def __init__(self, trace: Trace, kinds: frozenset[Kind], server: str | None) -> None:
        self.trace = trace
        self.kinds = kinds
        self.server = server
        self.known = Known(trace)
        self.takes = {port.actor for port in trace.ports if port.receives == "message"}
        self.gives = {port.actor for port in trace.ports if port.sends == "message"}
        self.index = 0
        self.told: dict[str, int] = {}
        # Who says that it starts; a client that is called by the main program does not.
        self.away = {event.actor: "not started" for event in trace.events if event.what == "start"}
        self.asks: dict[str, str] = {}
        self.stalled: dict[str, None] = {}
        self.unanswered: dict[str, int] = defaultdict(int)
        self.held = _Piles()
        self.waiting = _Piles()
        self.counts: dict[Link, int] = {}
        self.status: dict[str, str] = {}
        self.changed: dict[str, None] = dict.fromkeys(actor.id for actor in trace.actors)

    def steps(self) -> Iterator[Step]:
        """The steps that were asked for, in order."""
        hops = self.trace.hops
        begins: dict[int, list[int]] = defaultdict(list)
        arrives: dict[int, Hop] = {}
        for n, hop in enumerate(hops):
            begins[hop.begins].append(n)
            if hop.received is not None:
                arrives[hop.received] = hop
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
            for position in begins.get(n, ()):
                self.known.begin(hops[position])
                if hops[position].kind in self.kinds and self._touches(hops[position]):
                    yield self._step(position, hops[position], event)
            for position in begins.get(n, ()):
                self._sent(hops[position])
            if n in arrives:
                self._arrived(arrives[n], n)

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
        if hop.source == "":
            return
        self._count(self._by_sending(hop))
        self.changed[hop.source] = None
        if hop.kind == "message" and self.known.role(hop.source) == "client":
            self.unanswered[hop.source] += 1
        if hop.kind in ("message", "request") and hop.target and not self.known.lost(hop):
            self.waiting.add(hop.target, self._turn(hop), self.known.number(hop.message))
            self.changed[hop.target] = None

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
        return keys

    def _by_arriving(self, hop: Hop) -> list[Link]:
        """The counts to which it adds as it is taken."""
        gives, takes = hop.target in self.gives, hop.target in self.takes
        counts = (takes or not gives) and hop.kind == ("message" if takes else "request")
        return [(hop.target, "")] if counts and self._touches(hop) else []

    def _adds(self, hop: Hop) -> tuple[Link, ...]:
        arrives = [] if hop.received is None else self._by_arriving(hop)
        return (*(self._by_sending(hop) if hop.source else ()), *arrives)

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
        index, self.index = self.index, self.index + 1
        previous = self.told.get(hop.message, self.told.get(self.known.parent(hop.message)))
        if hop.message:
            self.told[hop.message] = index
        return Step(
            index=index,
            hop=position,
            at=event.at,
            kind=hop.kind,
            message=hop.message,
            number=number,
            source=hop.source,
            target=hop.target,
            row=(row.source, row.target) if row else None,
            row_number=row.number if row else 0,
            lost=self.known.lost(hop),
            arrives=hop.received is not None,
            previous=previous,
            title=sentence.title(number, seen),
            sentence=sentence.tell(seen),
            status=self._statuses(hop, number),
            held=self.held.snapshot(),
            waiting=self.waiting.snapshot(),
            counts=dict(self.counts),
            adds=self._adds(hop),
        )

    def _statuses(self, hop: Hop, number: str) -> Mapping[str, str]:
        new = dict(self.status)
        for actor in self.changed:
            new[actor] = self._status(actor)
        self.changed.clear()
        self.status = new
        if hop.target and not self.known.lost(hop) and hop.kind in ("message", "request"):
            coming = self._status(hop.target, (self._turn(hop), _named(hop.kind, number)))
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
            return _fit(verb, held)
        if actor in self.asks:
            return _short(f"waits for {self.known.name(self.asks[actor])}", "waits for answer")
        if actor in self.stalled:
            return "waits for ack"
        first = self.waiting.first(actor)
        if coming and (first is None or coming[0] < first):
            return _short(f"next: {coming[1]}", coming[1])
        if waiting:
            return _fit("next:", waiting._replace(size=1))
        if self.unanswered[actor]:
            return "waits for answer" + ("s" if self.unanswered[actor] > 1 else "")
        return "idle"


class _Piles:
    """The piles of all actors, each in the order of its keys; only the fronts are shown."""

    def __init__(self) -> None:
        self.shown: dict[str, Pile] = {}
        self._all: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._given: Mapping[str, Pile] | None = None

    def first(self, actor: str) -> int | None:
        """The key of the message on top."""
        pile = self._all[actor]
        return pile[0][0] if pile else None

    def add(self, actor: str, key: int, number: str) -> None:
        insort(self._all[actor], (key, number))
        self._show(actor)

    def drop(self, actor: str, key: int) -> None:
        pile = self._all[actor]
        at = bisect_left(pile, (key, ""))
        if at < len(pile) and pile[at][0] == key:
            del pile[at]
            self._show(actor)

    def snapshot(self) -> Mapping[str, Pile]:
        """The piles of now; the same object as before where nothing has changed."""
        if self._given is None:
            self._given = dict(self.shown)
        return self._given

    def _show(self, actor: str) -> None:
        pile = self._all[actor]
        self._given = None
        if pile:
            self.shown[actor] = Pile(tuple(number for _, number in pile[:_NAMED]), len(pile))
        else:
            self.shown.pop(actor, None)


def _named(kind: Kind, number: str) -> str:
    word = "request" if kind == "request" else "message"
    return f"{word} {number}" if number else f"a {word}"


def _fit(verb: str, pile: Pile) -> str:
    """`holds message 3`, `holds 4 messages`, as far as the box has room."""
    if pile.size > 1:
        return _short(f"{verb} {pile.size} messages", f"{verb} {pile.size}")
    number = pile.first[0]
    kind: Kind = "request" if number.startswith("r") else "message"
    return _short(f"{verb} {_named(kind, number)}", f"{verb} {number}")


def _short(text: str, shorter: str) -> str:
    return text if advance(text, _SIZE) <= _ROOM else shorter
