"""Evidence: all that the record proves of a hop at the moment when it is told.

`Known` reads the events in order and remembers what later sentences rest on: who gave a message to
the router, where a message came from, whose turn it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.scene import Link
from pylm_lab.draw.story.clues import Blocking, Neighbours, credits, stalls
from pylm_lab.draw.story.past import Past, names_server
from pylm_lab.hook import FaultKind, Kind, Route
from pylm_lab.trace import Event, Hop, Trace
from pylm_lab.trace.rules.facts import Blame

__all__ = ["Evidence", "FaultSeen", "Known", "names"]

#: Characters of a topic, a value or a cause that a sentence quotes.
QUOTE = 48
#: What a web worker and a web client are called that have no name of their own.
WEB = {"web worker": "the web worker", "web client": "the web client"}
_PUBLISHERS = ("PUB", "XPUB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a sentence may rest on.

    `message` and `made_of` are words (`message 3`); `source` and `target` are names, empty where
    unknown; `source_role` and `target_role` are those of `Actor`. `row` is the routing table's row
    that decided, and `routed` says whether its server has rows at all. `peers` counts those who may
    receive from a PUSH socket, `turn` says that it dealt in rounds. `other_end` names the only
    possible receivers of what was lost. `cause` is that of a loss, or of the receiver's giving up.
    `again` says why it is received once more than it was sent. `unrecorded` says who is at the
    other end of an HTTP port, where the record does not know; `returns`, that the target gave this
    very message to the source before; `own_name`, that the topic is the source's server's name.
    `ran` is the function that its server ran on it in this part, and `changed` says that the part
    made another payload of it; `answers` is what an HTTP answer answers, `message 3`.
    `worth` counts what a credit acknowledges; `unacknowledged` is not 0 if the source may not take
    more after this hop and something waits for it. `waits` says who stands still until the target
    of a blocking part answers.
    """

    kind: Kind
    message: str
    made_of: str = ""
    source: str = ""
    target: str = ""
    source_role: str = ""
    target_role: str = ""
    socket: str = ""
    row: Route | None = None
    routed: bool = False
    waiter: str = ""
    peers: int = 0
    turn: bool = False
    topic: str = ""
    subscribers: int = 0
    own_topic: bool = False
    lost: bool = False
    arrives: bool = True
    given_up: bool = False
    other_end: str = ""
    cause: str = ""
    again: str = ""
    text: str = ""
    function: str = ""
    over_http: bool = False
    unrecorded: Literal["", "client", "worker"] = ""
    returns: bool = False
    own_name: bool = False
    ran: str = ""
    changed: bool = False
    answers: str = ""
    worth: int = 0
    unacknowledged: int = 0
    waits: Literal["", "part", "server"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSeen:
    """A fault that is no loss: the message that it acts on, if any, the actor, and its cause."""

    fault: FaultKind | Literal[""]
    message: str
    actor: str
    cause: str


class Known:
    """What is known so far, event by event."""

    def __init__(self, trace: Trace) -> None:
        self.near = Neighbours(trace)
        self._trace = trace
        self._actors = {actor.id: actor for actor in trace.actors}
        self._ports = {port.id: port for port in trace.ports}
        self._rows = {(route.source, route.target): route for route in trace.routes}
        self._with_rows = frozenset(route.server for route in trace.routes)
        self._names = names(trace)
        self._blocking = Blocking(trace)
        self._worth = credits(trace)
        self._stalls = {stall.begin: stall for stall in stalls(trace)}
        self._blame = Blame(trace)
        self._stopped = {e.actor for e in trace.events if e.what in ("stop", "fail")}
        self._parents: dict[str, str] = {}
        self._origin: dict[str, str] = {}
        self._first: dict[str, int] = {}
        self._giver: dict[Link, str] = {}
        self._decided: dict[int, Route | None] = {}
        self._turn = False
        self._past = Past(trace)

    def name(self, actor: str) -> str:
        """What sentences call an actor."""
        return self._names.get(actor, clean(actor, QUOTE))

    def role(self, actor: str) -> str:
        """Its role; empty if it was never declared."""
        return self._actors[actor].role if actor in self._actors else ""

    def server(self, actor: str) -> str:
        """The server that it is a part of, or empty."""
        return self._actors[actor].server if actor in self._actors else ""

    def servers(self, actor: str) -> tuple[str, ...]:
        """The server that it is a part of, and the one that it serves."""
        found = self._actors.get(actor)
        return (found.server, found.serves) if found else ()

    def parent(self, message: str) -> str:
        """The message that this one was made of, or empty."""
        return self._parents.get(message, "")

    def number(self, message: str) -> str:
        """The message's short name, or empty."""
        return self._trace.numbers.get(message, "")

    def lost(self, hop: Hop) -> bool:
        """Nobody has it and nobody will: it was given up, or all who could take it have ended."""
        if hop.received is not None:
            return False
        if hop.dropped is not None:
            return True
        if self._trace.events[hop.begins].port in self._past.unrecorded:
            return False
        return hop.source in self._stopped and (not hop.target or hop.target in self._stopped)

    def begin(self, hop: Hop) -> None:
        """A hop begins; comes before anything else is asked of it, once for hops sent as one."""
        self._past.begin(hop)
        event = self._trace.events[hop.begins]
        if event.message and event.parent:
            self._parents.setdefault(event.message, event.parent)
        if hop.message and hop.source:
            self._first.setdefault(hop.message, hop.begins)
            root = self._origin.get(self._parents.get(hop.message, ""), hop.source)
            self._origin.setdefault(hop.message, root)
        came_to = self._came_to(hop)
        self._turn = bool(
            hop.sent is not None
            and came_to
            and event.port in self._ports
            and self._ports[event.port].socket == "PUSH"
            and self.near.deal(event.port, came_to)
        )
        if hop.message and self.role(hop.target) == "router":
            self._giver[hop.target, hop.message] = hop.source
        elif self.role(hop.source) == "router":
            self._decided[hop.begins] = self._decide(hop)
            if hop.message:
                # What the router hands on under this id from now on is this part's feedback.
                self._giver[hop.source, hop.message] = hop.target

    def _came_to(self, hop: Hop) -> str:
        """The port that received it, or at which it was dropped instead; empty if there is none."""
        end = hop.dropped if hop.received is None else hop.received
        event = None if end is None else self._trace.events[end]
        return event.port if event and event.actor == hop.target else ""

    def unrecorded(self, hop: Hop) -> str:
        """What a scene calls who is at the other end of an HTTP port, where the record doesn't."""
        port = self._trace.events[hop.begins].port
        return f"{port} peer" if port in self._past.unrecorded else ""

    def row(self, hop: Hop) -> Route | None:
        """The row of the routing table that decided where the router sent it."""
        return self._decided.get(hop.begins)

    def _decide(self, hop: Hop) -> Route | None:
        if hop.kind != "message" or not hop.target:
            return None
        giver = self._giver.get((hop.source, hop.message))
        if giver:
            return self._rows.get((giver, hop.target))
        # Who gave it is not known, as of feedback without an id: it is told if one row only can be.
        rows = [row for row in self._rows.values() if row.target == hop.target]
        rows = [row for row in rows if row.feedback == "on"] or rows
        return rows[0] if len(rows) == 1 else None

    def evidence(self, hop: Hop, *, queued: bool = False) -> Evidence:
        """All that is known of a hop that has just begun. `queued`: its source has more to take."""
        event = self._trace.events[hop.begins]
        port = self._ports.get(event.port)
        peers = self.near.peers(event.port) if port and hop.source else ()
        row = self.row(hop)
        subscribers: tuple[str, ...] = ()
        if port and hop.source and port.socket in _PUBLISHERS:
            subscribers = self.near.subscribers(event.port, event.topic)
        origin = self._origin.get(hop.message, "")
        stall = self._stalls.get(hop.begins)
        parent = self._parents.get(hop.message, "")
        return Evidence(
            kind=hop.kind,
            message=self._message(hop.kind, hop.message),
            made_of=self._message(hop.kind, parent) if parent and self._is_new(hop) else "",
            source=self.name(hop.source) if hop.source else "",
            target=self.name(hop.target) if hop.target else "",
            source_role=self.role(hop.source),
            target_role=self.role(hop.target),
            socket=port.socket if port else "",
            row=row,
            routed=self.server(hop.source) in self._with_rows,
            waiter=self.name(row.source) if row else "",
            peers=len(peers),
            turn=self._turn,
            topic=clean(event.topic, QUOTE),
            subscribers=len(subscribers),
            own_topic=subscribers == (origin,) and self.role(origin) == "client",
            lost=self.lost(hop),
            arrives=hop.received is not None,
            given_up=hop.received is not None and hop.dropped is not None,
            other_end=self._other_end(hop, tuple(peer.actor for peer in peers)),
            cause=self._cause(hop, tuple(peer.actor for peer in peers)),
            again=self._again(hop),
            text=clean(event.excerpt, QUOTE),
            function=clean(event.function, QUOTE),
            over_http=port is not None and port.socket == "HTTP",
            unrecorded=self._past.unrecorded.get(event.port, ""),
            returns=self._past.returns,
            own_name=names_server(event.topic, self.server(hop.source)),
            ran=clean(self._past.ran, QUOTE),
            changed=self._past.changed,
            answers=self._message("message", self._past.answers) if self._past.answers else "",
            worth=self._worth.get(hop.begins, 0),
            unacknowledged=stall.unacknowledged if stall and queued else 0,
            waits=self._waits(hop),
        )

    def fault(self, event: Event) -> FaultSeen:
        """All that is known of a fault that is no loss."""
        return FaultSeen(
            fault=event.fault,
            message=self._message(event.kind, event.message) if event.kind else "",
            actor=self.name(event.actor),
            cause=clean(event.text, 160),
        )

    def _again(self, hop: Hop) -> str:
        by = None if hop.received is None else self._trace.faults.doubled.get(hop.received)
        return "" if by is None else clean(self._blame.why(by), 160)

    def _message(self, kind: Kind, message: str) -> str:
        number = self.number(message)
        word = "request" if kind in ("request", "answer") else "message"
        return f"{word} {number}" if number else f"a {word}"

    def _is_new(self, hop: Hop) -> bool:
        """This hop is the message's first."""
        return self._first.get(hop.message) == hop.begins

    def _other_end(self, hop: Hop, peers: tuple[str, ...]) -> str:
        if hop.target:
            return self.name(hop.target)
        ends = tuple(dict.fromkeys(peers))
        if len(ends) == 1:
            return self.name(ends[0])
        roles = Counter(self.role(end) for end in ends)
        if len(roles) == 1 and ends:
            role = next(iter(roles))
            return f"the {role}s" if role in ("worker", "client") else ""
        return ""

    def _cause(self, hop: Hop, peers: tuple[str, ...]) -> str:
        if hop.dropped is not None:
            return clean(self._trace.events[hop.dropped].text, 160)
        if not self.lost(hop):
            return ""
        fault = self._blame.of(hop, (hop.target,) if hop.target else peers)
        return clean(fault, 160) or "everybody stops before it is taken"

    def _waits(self, hop: Hop) -> Literal["", "part", "server"]:
        actor = self._actors.get(hop.source)
        port = self._ports.get(self._trace.events[hop.begins].port)
        if not (actor and actor.blocks and actor.role == "outbound" and port and port.outer):
            return ""
        router = next(
            (a.id for a in self._trace.actors if a.role == "router" and a.server == actor.server),
            "",
        )
        if router and self._blocking.whole_server(hop.begins, actor.id, router):
            return "server"
        return "part"


def names(trace: Trace) -> dict[str, str]:
    """What sentences call each actor: its label, and routers *the router* (of their server)."""
    names = {id: clean(label, QUOTE) for id, label in trace.labels.items()}
    names = {id: WEB.get(name, name) for id, name in names.items()}
    routers = [actor for actor in trace.actors if actor.role == "router"]
    for router in routers:
        alone = len(routers) == 1
        names[router.id] = "the router" if alone else f"the router of {clean(router.server, QUOTE)}"
    return names
