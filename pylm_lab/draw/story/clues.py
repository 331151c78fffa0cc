"""Clues: what a record proves that no single event says.

When a message leaves who took it, when a part is out of credit, whether a whole server waits, who
is connected to whom just now. Each is read from the order of the events; where they leave it open,
nothing is claimed.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container
from typing import NamedTuple

from pylm_lab.hook import Port
from pylm_lab.trace import Event, Trace
from pylm_lab.trace.records import HOPS

__all__ = ["Blocking", "Neighbours", "Stall", "credits", "departures", "stalls"]

_TRAVELS = ("message", "request", "answer")


def departures(trace: Trace) -> dict[int, int]:
    """Position of each receive → position of the event with which the message leaves again.

    It leaves with its own last send (or drop) by the same actor, or with the last send of a message
    that was made of it. One that goes nowhere leaves when its holder turns to another message; one
    that is not here stays to the end.
    """
    leaves: dict[int, int] = {}
    visits: dict[tuple[str, str], int] = {}
    asked: dict[str, int] = {}
    after: dict[str, list[int]] = defaultdict(list)
    for n, event in enumerate(trace.events):
        if event.what not in HOPS or event.kind not in _TRAVELS or n in trace.faults.dropped:
            continue
        after[event.actor].append(n)
        if event.what == "receive":
            visits[event.actor, event.message] = n
            if event.kind == "request":
                asked[event.port] = n
        elif event.kind == "answer":
            if event.port in asked:
                leaves[asked[event.port]] = n
        else:
            for message in (event.message, event.parent):
                visit = visits.get((event.actor, message)) if message else None
                if visit is not None:
                    leaves[visit] = n
    for positions in after.values():
        for n, following in itertools.pairwise(positions):
            if trace.events[n].what == "receive":
                leaves.setdefault(n, following)
    return leaves


def credits(trace: Trace) -> dict[int, int]:
    """Position of each credit → how many messages it acknowledges.

    Parts of one server acknowledge by the number; anybody else by any reply, each for one message.
    Credits are taken for numbers if all of a flow are numbers, and none acknowledges more than had
    been handed over and not acknowledged by then.
    """
    ports = {port.id: port for port in trace.ports}
    open_: dict[tuple[str, str], int] = defaultdict(int)
    flows: dict[tuple[str, str], list[int]] = defaultdict(list)
    single: dict[tuple[str, str], None] = {}
    for n, event in enumerate(trace.events):
        if event.what not in ("send", "receive") or event.port not in ports:
            continue
        flow = event.port, event.peer
        if event.kind == "message" and not ports[event.port].outer:
            open_[flow] += 1
        elif event.kind == "credit":
            worth = _number(event.excerpt)
            if not 0 < worth <= open_[flow]:
                single[flow] = None
            open_[flow] -= worth
            flows[flow].append(n)
    return {
        n: 1 if flow in single else _number(trace.events[n].excerpt)
        for flow, positions in flows.items()
        for n in positions
    }


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


class Stall(NamedTuple):
    """An actor that may take no more between two positions: `end` is None if it never could again.

    `unacknowledged` is how many of its messages the router had not acknowledged.
    """

    actor: str
    begin: int
    end: int | None
    unacknowledged: int


def stalls(trace: Trace) -> list[Stall]:
    """When each inbound part was out of credit.

    A record does not hold the windows, so this takes proof: every time that a part had as many
    messages unacknowledged as it ever had, the next thing that it did was to take a credit, and at
    least twice it did so although another message lay waiting for it.
    """
    worth = credits(trace)
    sent = {hop.received: hop.sent for hop in trace.hops if hop.kind == "message"}
    own: dict[str, list[int]] = defaultdict(list)
    for n, event in enumerate(trace.events):
        if event.what in ("send", "receive"):
            own[event.actor].append(n)
    found: list[Stall] = []
    for port in trace.ports:
        if port.outer or port.socket == "ROUTER" or port.receives != "credit":
            continue
        full = _fullest(trace, port, own[port.actor], worth)
        ends = [stall.end for stall in full if stall.end is not None]
        patient = 0
        for end in ends:
            before = sent.get(_next_taken(own[port.actor], end, sent))
            patient += before is not None and before < end
        if patient > 1 and all(trace.events[end].kind == "credit" for end in ends):
            found.extend(full)
    return found


def _fullest(trace: Trace, port: Port, own: list[int], worth: dict[int, int]) -> list[Stall]:
    """From when to when the port had as many messages unacknowledged as it ever had."""
    levels: list[tuple[int, int]] = []
    level = 0
    for n in own:
        event = trace.events[n]
        if event.port == port.id and event.what == "send":
            level += 1
            levels.append((n, level))
        elif event.port == port.id:
            level = max(0, level - worth.get(n, 1))
    most = max((level for _, level in levels), default=0)
    return [Stall(port.actor, n, _after(own, n), most) for n, level in levels if level == most]


def _next_taken(own: list[int], n: int, taken: Container[int | None]) -> int | None:
    """The position of the first message that is taken after `n`."""
    for k in range(bisect_right(own, n), len(own)):
        if own[k] in taken:
            return own[k]
    return None


class Blocking:
    """Tells whether a whole server waits for the answer to one of its blocking parts."""

    def __init__(self, trace: Trace) -> None:
        self._any: dict[str, list[int]] = defaultdict(list)
        self._messages: dict[str, list[int]] = defaultdict(list)
        for n, event in enumerate(trace.events):
            if event.what == "send":
                self._any[event.actor].append(n)
                if event.kind == "message":
                    self._messages[event.actor].append(n)

    def whole_server(self, n: int, part: str, router: str) -> bool:
        """After event `n` the router hands nothing on before the part has sent something more."""
        feedback = _after(self._any[part], n)
        forward = _after(self._messages[router], n)
        return feedback is not None and (forward is None or feedback < forward)


def _after(positions: list[int], n: int) -> int | None:
    at = bisect_right(positions, n)
    return positions[at] if at < len(positions) else None


class Neighbours:
    """Who is connected to whom, whose turn it is, and who has subscribed to what: just now."""

    def __init__(self, trace: Trace) -> None:
        self._declared = trace.declared
        self._addresses: dict[str, dict[str, None]] = defaultdict(dict)
        self._topics: dict[str, dict[str, None]] = defaultdict(dict)
        self._dealt: dict[str, dict[str, int]] = defaultdict(dict)
        self._peers: dict[str, tuple[Port, ...]] = {}
        self._subscribers: dict[tuple[str, str], tuple[str, ...]] = {}

    def read(self, event: Event) -> None:
        """Take note of an event about wiring."""
        if event.what in ("bind", "connect"):
            self._addresses[event.port][event.text] = None
        elif event.what == "disconnect":
            self._addresses[event.port].pop(event.text, None)
        elif event.what == "subscribe":
            self._topics[event.port][event.text] = None
        elif event.what == "unsubscribe":
            self._topics[event.port].pop(event.text, None)
        else:
            return
        self._peers.clear()
        self._subscribers.clear()

    def peers(self, port: str) -> tuple[Port, ...]:
        """The ports that are now at the other ends of a port's links, in declared order."""
        if port not in self._declared.ports:
            return ()
        if port not in self._peers:
            found = self._declared.peers(port)
            self._peers[port] = tuple(peer for peer in found if self._addresses[peer.id])
        return self._peers[port]

    def subscribers(self, port: str, topic: str) -> tuple[str, ...]:
        """The actors that get what this port now publishes under the topic."""
        if (port, topic) not in self._subscribers:
            found = [
                peer.actor
                for peer in self.peers(port)
                if any(topic.startswith(text) for text in self._topics[peer.id])
            ]
            self._subscribers[port, topic] = tuple(dict.fromkeys(found))
        return self._subscribers[port, topic]

    def deal(self, port: str, to: str) -> bool:
        """Note that `port` gave a message to the port `to`; was it, dealing in rounds, its turn?

        True only among several peers, for the one that has waited longest.
        """
        peers = [peer.id for peer in self.peers(port)]
        dealt = self._dealt[port]
        turn = (
            len(peers) > 1
            and to in peers
            and dealt.get(to, -1) <= min(dealt.get(peer, -1) for peer in peers)
        )
        dealt[to] = max(dealt.values(), default=-1) + 1
        return turn
