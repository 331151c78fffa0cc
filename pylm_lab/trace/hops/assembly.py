"""From events to hops.

1. A receive is never matched to a later send. What matches nothing is a hop of its own: nothing is
   explained away.
2. A publication is a hop to each subscriber that it was for, whether it came there or not.
3. Hops come in the order in which they begin; those that begin together, by their target.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.columns import Events, Hops
from pylm_lab.trace.hops.faults import HOLDS
from pylm_lab.trace.hops.match import Matching
from pylm_lab.trace.records import Event, What
from pylm_lab.trace.tables import KINDS, Positions, code

__all__ = ["hops"]

_PUBLISHERS = ("PUB", "XPUB")
_SUBSCRIPTIONS: tuple[What, ...] = ("subscribe", "unsubscribe", "disconnect", "seen", "unseen")
_SEND, _RECEIVE, _DROP = code("send"), code("receive"), code("drop")
_INT = np.int32


class _Row(NamedTuple):
    """A hop that is worked out by itself: positions of actors and events, -1 where there is none.

    `told` is the event that tells what it is.
    """

    told: int
    source: int = -1
    target: int = -1
    sent: int = -1
    received: int = -1
    dropped: int = -1


def hops(ports: Sequence[Port], actors: Sequence[Actor], events: Events) -> Hops:
    """The hops of a run, in the order in which they begin, from its events in their final order."""
    found = Matching(ports, actors, events)
    came_from = found.came_from
    arrived = (came_from >= 0) & (came_from < np.arange(len(events)))
    arrivals = np.flatnonzero(arrived).astype(_INT)
    sends = came_from[arrivals]
    received, dropped = _ends(found, arrivals)
    rest = _Rest(found, arrivals, sends).rows
    told, source, target, sent, got, gone = (
        np.array([row[n] for row in rest], _INT) for n in range(len(_Row._fields))
    )
    columns = [
        np.concatenate([sends, told]),
        np.concatenate([events.actor[sends], source]),
        np.concatenate([events.actor[arrivals], target]),
        np.concatenate([sends, sent]),
        np.concatenate([received, got]),
        np.concatenate([dropped, gone]),
    ]
    told, _, target, _, got, gone = columns
    names = events.tables.actors
    by_name = np.empty(len(names) + 1, _INT)
    by_name[[-1, *sorted(range(len(names)), key=names.__getitem__)]] = np.arange(len(names) + 1)
    arrival = np.where(got >= 0, got, gone)
    order = np.lexsort((arrival, by_name[target], told))
    told, source, target, sent, got, gone = (column[order].astype(_INT) for column in columns)
    return Hops(
        events.tables, events.kind[told], events.message[told], source, target, sent, got, gone
    )


def _ends(found: Matching, arrivals: Positions) -> tuple[Positions, Positions]:
    """Of each arrival, the receive and the drop."""
    is_drop = found.events.what[arrivals] == _DROP
    received = np.where(is_drop, -1, arrivals)
    dropped = np.where(is_drop, arrivals, -1)
    if found.given_up:
        given_up = found.given_up.get
        dropped = np.array(
            [
                n if n >= 0 else given_up(m, -1)
                for m, n in zip(arrivals.tolist(), dropped.tolist(), strict=True)
            ],
            _INT,
        )
    return received.astype(_INT), dropped.astype(_INT)


class _Rest:
    """Hops that lack an end: `rows`."""

    def __init__(self, found: Matching, arrivals: Positions, sends: Positions) -> None:
        self._found = found
        self._events = events = found.events
        self._audience = _Audience(found)
        self.rows: list[_Row] = []
        matched = np.zeros(len(events), np.bool_)
        matched[arrivals] = True
        reached = np.zeros(len(events), np.bool_)
        reached[sends] = True
        publishes = found.of_ports(lambda port: port.socket in _PUBLISHERS)
        is_send = events.what == _SEND
        publishing = is_send & publishes[events.port]
        unmatched_drops = (events.what == _DROP) & ~matched
        for n in np.flatnonzero((events.what == _RECEIVE) & ~matched).tolist():
            self._received(n)
        late: set[int] = set()
        for n in np.flatnonzero(unmatched_drops).tolist():
            if n not in found.at_receiver:
                late.add(n)
            elif n not in found.after_receive:
                self.rows.append(_Row(n, target=events.actor.item(n), dropped=n))
        #: Sends that nobody has received so far as is known: port and key → positions in `rows`.
        self._open: dict[tuple[int, int], deque[list[int]]] = defaultdict(deque)
        self._reached: dict[int, set[int]] = defaultdict(set)
        heard = publishes[events.port[sends]]
        for send, arrival in zip(sends[heard].tolist(), arrivals[heard].tolist(), strict=True):
            self._reached[send].add(events.port.item(arrival))
        lone = is_send & ~publishes[events.port] & ~reached
        turns = publishing | lone | events.are(*_SUBSCRIPTIONS)
        turns[list(late)] = True
        for n in np.flatnonzero(turns).tolist():
            if n in late:
                self._given_up(n)
            elif is_send[n]:
                self._sent(n, self._reached.get(n, ()))
            else:
                self._audience.read(events[n])

    def _received(self, n: int) -> None:
        found = self._found
        twin = found.came_from.item(found.faults.first[n]) if n in found.faults.first else -1
        self.rows.append(
            _Row(
                n,
                source=self._events.actor.item(twin) if twin >= 0 else -1,
                target=self._events.actor.item(n),
                received=n,
                dropped=found.given_up.get(n, -1),
            )
        )

    def _sent(self, n: int, reached: Collection[int]) -> None:
        missed = self._audience.missed(n, reached)
        if missed == [-1]:
            missed = [self._audience.came_to(n)]
        if not missed:
            return
        key = self._found.keys.get(n)
        if key is not None:
            first = len(self.rows)
            self._open[self._events.port.item(n), key].append([*range(first, first + len(missed))])
        source = self._events.actor.item(n)
        names = self._events.tables.actors
        for target in sorted(missed, key=lambda one: names[one] if one >= 0 else ""):
            self.rows.append(_Row(n, source=source, target=target, sent=n))

    def _given_up(self, n: int) -> None:
        """A drop of what was sent before, or was to be sent."""
        before = self._open.get((self._events.port.item(n), self._found.keys[n]))
        if before:
            for place in before.popleft():
                self.rows[place] = self.rows[place]._replace(dropped=n)
            return
        source = self._events.actor.item(n)
        for target in self._audience.missed(n, ()):
            self.rows.append(_Row(n, source=source, target=target, dropped=n))


class _Audience:
    """Who a send was for, where nobody has received it, from what was known at that moment."""

    def __init__(self, found: Matching) -> None:
        self._events = found.events
        self._declared = found.declared
        self._labels = found.labels
        self._ports = found.ports
        tables = found.events.tables
        self._actor = {id: n for n, id in enumerate(tables.actors)}
        self._port = {id: n for n, id in enumerate(tables.ports)}
        self._groups = found.groups
        #: Topic → the ports that have asked for it; and the other way round.
        self._subscribed: dict[str, dict[str, None]] = defaultdict(dict)
        self._topics: dict[str, dict[str, None]] = defaultdict(dict)
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lengths: Counter[int] = Counter()
        #: Of publishers, for as long as nobody subscribes or unsubscribes.
        self._heard: dict[tuple[int, int], list[int]] = {}
        self._only: dict[tuple[int, int], int] = {}
        events = found.events
        #: Who a message had come to when a fault held it back: link, kind, message → actor.
        self._held = {
            self._known(n): events.actor.item(n)
            for n, event in events.those("fault")
            if event.fault in HOLDS and event.message
        }

    def read(self, event: Event) -> None:
        """Take note of subscriptions."""
        self._heard.clear()
        what = event.what
        if what == "subscribe":
            if event.port not in self._subscribed[event.text]:
                self._subscribed[event.text][event.port] = None
                self._topics[event.port][event.text] = None
                self._lengths[len(event.text)] += 1
        elif what == "unsubscribe":
            self._forget(event.text, event.port)
        elif what == "disconnect":
            for topic in list(self._topics[event.port]):
                self._forget(topic, event.port)
        elif what == "seen":
            self._seen[event.port, event.text] += 1
        elif what == "unseen":
            self._seen[event.port, event.text] -= 1

    def _forget(self, topic: str, port: str) -> None:
        ports = self._subscribed.get(topic, {})
        if port in ports:
            del ports[port]
            del self._topics[port][topic]
            self._lengths[len(topic)] -= 1
            if not ports:
                del self._subscribed[topic]

    def missed(self, n: int, reached: Collection[int]) -> list[int]:
        """The actors that the event's frames were for, without those at the `reached` ports.

        -1 stands for somebody unknown; it comes only if nobody was reached.
        """
        events = self._events
        port = self._ports[events.port.item(n)]
        if port.socket in _PUBLISHERS:
            subscribers = self._subscribers(n, port)
            if subscribers or reached:
                return [self._actor[self._ports[p].actor] for p in subscribers if p not in reached]
            return [-1]
        return [] if reached else [self._one(n, port)]

    def _subscribers(self, n: int, port: Port) -> list[int]:
        """Ports that asked for the topic, if the publisher knew of it; a PUB never tells."""
        events = self._events
        envelope = events.envelope.item(n)
        topic = events.envelopes.topic.item(envelope) if envelope >= 0 else 0
        place = events.port.item(n)
        known = self._heard.get((place, topic))
        if known is not None:
            return known
        text = events.texts[topic]
        topics = [text[:size] for size, count in self._lengths.items() if count > 0]
        topics = list(dict.fromkeys(topics))
        if port.socket == "XPUB":
            topics = [topic for topic in topics if self._seen[port.id, topic] > 0]
        asked = {self._port[p]: None for t in topics for p in self._subscribed.get(t, ())}
        found = [p for p in asked if self._groups[p] == self._groups[place]]
        self._heard[place, topic] = found
        return found

    def _one(self, n: int, port: Port) -> int:
        """The only actor that could have received it; the named one from a ROUTER port."""
        events = self._events
        envelope = events.envelope.item(n)
        peer = events.envelopes.peer.item(envelope) if envelope >= 0 else 0
        known = self._only.get((events.port.item(n), peer))
        if known is None:
            kind, name = KINDS[events.kind.item(n)], events.texts[peer]
            ends = {
                other.actor: None
                for other in self._declared.peers(port.id)
                if other.receives == kind and (not name or self._labels.get(other.actor) == name)
            }
            known = self._actor[next(iter(ends))] if len(ends) == 1 else -1
            self._only[events.port.item(n), peer] = known
        return known

    def came_to(self, n: int) -> int:
        """Who held back what was sent and never received, because of a fault; or nobody."""
        return self._held.get(self._known(n), -1) if self._held else -1

    def _known(self, n: int) -> tuple[int, int, int]:
        events = self._events
        content = events.content.item(n)
        message = events.contents.message.item(content) if content >= 0 else 0
        return self._groups.item(events.port.item(n)), events.kind.item(n), message
