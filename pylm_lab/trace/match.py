"""Which receive belongs to which send.

1. A message is known by its id, and, should it cross one link more than once, by the part and the
   clock that its bytes tell at both ends. Frames without an id are the answer to their request, or
   come in order on their link.
2. A publication is one send with a receive at each subscriber; the count is kept for each.
3. A receive is never matched to a later send. What matches nothing is a hop of its own: nothing is
   explained away.
4. A fault is no hop. What it dropped never came; what it doubled came from where it was sent, once
   more than that.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.faults import HOLDS, Faults
from pylm_lab.trace.links import Links
from pylm_lab.trace.records import HOPS, Event, Hop

__all__ = ["READY", "match", "pairs"]

#: How the topic of a subscription's echo begins, as text.
READY = b"\xffready:".decode("utf-8", "backslashreplace")

_PUBLISHERS = frozenset({"PUB", "XPUB"})
#: What must agree at both ends: link, kind, message (or what stands for it), topic.
_Key = tuple[str, str, str, str]


def pairs(
    ports: Sequence[Port], actors: Sequence[Actor], events: Sequence[Event]
) -> dict[int, int]:
    """Position of each arrival → position of its send.

    An arrival is a receive, or a drop at the receiving port of what was not received before. Only
    the order of each actor's events is relied on, so `events` may be the merely concatenated record
    of several threads.
    """
    return _Reading(ports, actors, events).pairs()


def match(
    ports: Sequence[Port], actors: Sequence[Actor], events: Sequence[Event]
) -> tuple[Hop, ...]:
    """The hops of a run, in the order in which they begin, from its events in their final order."""
    reading = _Reading(ports, actors, events)
    arrivals: dict[int, list[int]] = defaultdict(list)
    came_from = reading.pairs()
    for arrival, send in came_from.items():
        if send < arrival:
            arrivals[send].append(arrival)
    matched = {n for group in arrivals.values() for n in group}
    audience = _Audience(reading)
    hops: list[Hop] = []
    #: Sends that nobody has received so far as is known: port and key → positions in `hops`.
    open_: dict[tuple[str, _Key], deque[list[int]]] = defaultdict(deque)
    for n, event in enumerate(events):
        audience.read(event)
        if event.what not in HOPS or n in matched:
            continue
        if event.what == "send":
            got = arrivals.get(n, ())
            reached = {events[a].port for a in got}
            ends = [(events[a].actor, a) for a in got]
            missed = audience.missed(event, reached)
            if missed == [""]:
                missed = [reading.came_to(event)]
            ends += [(actor, -1) for actor in missed]
            unreceived = []
            for target, a in sorted(ends):
                if a < 0:
                    unreceived.append(len(hops))
                hops.append(_sent(events, n, target, a, reading.given_up))
            if unreceived and n in reading.keys:
                open_[event.port, reading.keys[n]].append(unreceived)
        elif event.what == "receive":
            dropped = reading.given_up.get(n)
            twin = came_from.get(reading.faults.first.get(n, -1))
            source = "" if twin is None else events[twin].actor
            hops.append(_hop(event, source=source, target=event.actor, received=n, dropped=dropped))
        elif n in reading.at_receiver:
            if n not in reading.after_receive:
                hops.append(_hop(event, target=event.actor, dropped=n))
        elif before := open_.get((event.port, reading.keys[n])):
            for position in before.popleft():
                hops[position] = replace(hops[position], dropped=n)
        else:
            hops.extend(
                _hop(event, source=event.actor, target=target, dropped=n)
                for target in sorted(audience.missed(event, ()))
            )
    return tuple(hops)


def _hop(
    event: Event,
    *,
    source: str = "",
    target: str = "",
    sent: int | None = None,
    received: int | None = None,
    dropped: int | None = None,
) -> Hop:
    assert event.kind
    return Hop(
        kind=event.kind,
        message=event.message,
        source=source,
        target=target,
        sent=sent,
        received=received,
        dropped=dropped,
    )


def _sent(
    events: Sequence[Event], n: int, target: str, arrival: int, given_up: dict[int, int]
) -> Hop:
    event = events[n]
    if arrival < 0:
        return _hop(event, source=event.actor, target=target, sent=n)
    if events[arrival].what == "drop":
        return _hop(event, source=event.actor, target=target, sent=n, dropped=arrival)
    dropped = given_up.get(arrival)
    return _hop(event, source=event.actor, target=target, sent=n, received=arrival, dropped=dropped)


class _Reading:
    """Every send, receive and drop, with what it must agree in with its other end."""

    def __init__(
        self, ports: Sequence[Port], actors: Sequence[Actor], events: Sequence[Event]
    ) -> None:
        self.links = Links(actors, ports, events)
        self.ports = self.links.ports
        self.labels = {actor.id: actor.label for actor in actors}
        self._rank = {actor.id: n for n, actor in enumerate(actors)}
        self._events = events
        self._links = {port.id: self.links.group(port.id) for port in ports}
        self._asked: dict[str, str] = {}
        self.sends: dict[_Key, list[int]] = defaultdict(list)
        self.arrivals: dict[_Key, list[int]] = defaultdict(list)
        #: The key of every event at a port where something was dropped.
        self.keys: dict[int, _Key] = {}
        #: Receive → the drop by which its receiver gave it up.
        self.given_up: dict[int, int] = {}
        #: Drops at the receiving port, and those among them that follow a receive.
        self.at_receiver: set[int] = set()
        self.after_receive: set[int] = set()
        self.faults = Faults.of(events)
        #: Who a message had come to when a fault held it back: link, kind, message → actor.
        self._held = {
            (self._links[event.port], event.kind, event.message): event.actor
            for event in events
            if event.fault in HOLDS and event.message
        }
        self._read()

    def _read(self) -> None:
        dropping = {event.port for event in self._events if event.what == "drop"}
        # At a router the same message may come from two parts.
        received: dict[tuple[str, _Key, str], list[int]] = defaultdict(list)
        for n, event in enumerate(self._events):
            if event.what not in HOPS:
                continue
            port = self.ports[event.port]
            leaves = event.what == "send" or (event.what == "drop" and event.kind != port.receives)
            key = self._key(event, leaves=leaves)
            if event.port in dropping:
                self.keys[n] = key
            if event.what == "send":
                self.sends[key].append(n)
            elif event.what == "receive":
                if n not in self.faults.doubled:
                    self.arrivals[key].append(n)
                if event.port in dropping:
                    received[event.port, key, event.peer].append(n)
            elif n in self.faults.dropped:
                self.at_receiver.add(n)
                self.arrivals[key].append(n)
            else:
                before = received[event.port, key, event.peer]
                if event.kind == port.receives and (before or event.kind != port.sends):
                    self.at_receiver.add(n)
                    if before:
                        self.given_up[before.pop()] = n
                        self.after_receive.add(n)
                    else:
                        self.arrivals[key].append(n)
                else:
                    self.keys[n] = self._key(event, leaves=True)

    def _key(self, event: Event, *, leaves: bool) -> _Key:
        port, link = self.ports[event.port], self._links[event.port]
        if link:
            # What an end has sent that binds, one has received that connects; and the reverse.
            link = f"{'<' if leaves is port.binds else '>'}{link}"
        if event.what != "drop" and event.kind != "answer":
            self._asked[event.port] = event.message
        if event.kind == "answer":
            return link, "answer", self._asked.get(event.port, ""), ""
        if event.kind == "credit":
            return link, "credit", self.part(event), ""
        return link, event.kind, event.message, event.topic

    def came_to(self, send: Event) -> str:
        """Who held back what was sent and never received, because of a fault; or nobody."""
        return self._held.get((self._links[send.port], send.kind, send.message), "")

    def part(self, event: Event) -> str:
        """Which part it is between that part and its router; empty on an outer link."""
        if self.ports[event.port].outer:
            return ""
        return event.peer or self.labels.get(event.actor, "")

    def pairs(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for key, arrivals in self.arrivals.items():
            sends = self.sends.get(key)
            if not sends:
                continue
            if len(sends) == len(arrivals) == 1:
                found[arrivals[0]] = sends[0]
            elif self.ports[self._events[sends[0]].port].socket in _PUBLISHERS:
                by_port: dict[str, list[int]] = defaultdict(list)
                for n in arrivals:
                    by_port[self._events[n].port].append(n)
                for heard in by_port.values():
                    self._pair(sends, heard, found)
            else:
                self._pair(sends, arrivals, found)
        return found

    def _pair(self, sends: Sequence[int], arrivals: Sequence[int], found: dict[int, int]) -> None:
        """The n-th send of the same bytes belongs to their n-th arrival; the rest in order."""
        alike: dict[tuple[str, int], deque[int]] = defaultdict(deque)
        for n in sorted(sends, key=self._when):
            alike[self._bytes(n)].append(n)
        rest = []
        for n in sorted(arrivals, key=self._when):
            same = alike.get(self._bytes(n))
            if same:
                found[n] = same.popleft()
            else:
                rest.append(n)
        if rest:
            left = sorted((n for same in alike.values() for n in same), key=self._when)
            found.update(zip(rest, left, strict=False))

    def _when(self, n: int) -> tuple[int, int, str, int]:
        event = self._events[n]
        return event.at, self._rank.get(event.actor, len(self._rank)), event.actor, n

    def _bytes(self, n: int) -> tuple[str, int]:
        event = self._events[n]
        return self.part(event), event.clock


class _Audience:
    """Who a send was for, where nobody has received it, from what was known at that moment."""

    def __init__(self, reading: _Reading) -> None:
        self._links = reading.links
        self._ports = reading.ports
        self._labels = reading.labels
        #: Topic → the ports that have asked for it.
        self._subscribed: dict[str, dict[str, None]] = defaultdict(dict)
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lengths: Counter[int] = Counter()
        self._only: dict[tuple[str, str], str] = {}

    def read(self, event: Event) -> None:
        """Take note of subscriptions."""
        what = event.what
        if what == "subscribe":
            if event.port not in self._subscribed[event.text]:
                self._subscribed[event.text][event.port] = None
                self._lengths[len(event.text)] += 1
        elif what == "unsubscribe":
            self._forget(event.text, event.port)
        elif what == "disconnect":
            for topic in list(self._subscribed):
                self._forget(topic, event.port)
        elif what == "seen":
            self._seen[event.port, event.text] += 1
        elif what == "unseen":
            self._seen[event.port, event.text] -= 1

    def _forget(self, topic: str, port: str) -> None:
        ports = self._subscribed.get(topic, {})
        if port in ports:
            del ports[port]
            self._lengths[len(topic)] -= 1
            if not ports:
                del self._subscribed[topic]

    def missed(self, event: Event, reached: Collection[str]) -> list[str]:
        """The actors that the event's frames were for, without those at the `reached` ports.

        An empty name stands for somebody unknown; it comes only if nobody was reached.
        """
        if self._ports[event.port].socket in _PUBLISHERS:
            subscribers = self._subscribers(event)
            if subscribers or reached:
                return [self._ports[p].actor for p in subscribers if p not in reached]
            return [""]
        return [] if reached else [self._one(event)]

    def _subscribers(self, event: Event) -> list[str]:
        """Ports that asked for the topic, if the publisher knew of it; a PUB never tells."""
        topics = [event.topic[:size] for size, count in self._lengths.items() if count > 0]
        topics = list(dict.fromkeys(topics))
        if self._ports[event.port].socket == "XPUB":
            topics = [topic for topic in topics if self._seen[event.port, topic] > 0]
        link = self._links.group(event.port)
        asked = {p: None for topic in topics for p in self._subscribed.get(topic, ())}
        return [p for p in asked if self._links.group(p) == link]

    def _one(self, event: Event) -> str:
        """The only actor that could have received it; the named one from a ROUTER port."""
        known = self._only.get((event.port, event.peer))
        if known is None:
            ends = {
                peer.actor: None
                for peer in self._links.peers(event.port)
                if peer.receives == event.kind
                and (not event.peer or self._labels.get(peer.actor) == event.peer)
            }
            known = next(iter(ends)) if len(ends) == 1 else ""
            self._only[event.port, event.peer] = known
        return known
