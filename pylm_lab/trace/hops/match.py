"""Which receive belongs to which send.

1. A message is known by its id, and, should it cross one link more than once, by the part and the
   clock that its bytes tell at both ends. Frames without an id are the answer to their request; or
   they are known by what they say, and come in order on their link.
2. A publication is one send with a receive at each subscriber.
3. A fault is no hop. What it dropped never came; what it doubled came from where it was sent, once
   more than that.
4. Events are read by column; only what is rare is looked at one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pylm_lab import wire
from pylm_lab.hook import Actor, Port
from pylm_lab.trace.columns import Events
from pylm_lab.trace.hops.declared import Declared
from pylm_lab.trace.hops.exchanges import exchanges
from pylm_lab.trace.hops.faults import Faults
from pylm_lab.trace.tables import KINDS, Flags, Positions, code

__all__ = ["READY", "Matching"]

#: How the topic of a subscription's echo begins, as text.
READY = wire.text(wire.READY)

_SUBSCRIBERS = ("SUB", "XSUB")
_CREDIT, _ANSWER = KINDS.index("credit"), KINDS.index("answer")
_MESSAGE = KINDS.index("message")
_SEND, _RECEIVE, _DROP = code("send"), code("receive"), code("drop")
_Numbers = npt.NDArray[np.int64]
#: A number below this fits into a column with room to spare.
_ROOM = 1 << 62


class Matching:
    """Which sends, receives and drops are the ends of one hop.

    Only the order of each actor's events is relied on, so `events` may be the merely concatenated
    record of several threads; then the actors should come as they were declared.

    `came_from` has, for each event, the position of the send that it came from, or -1: it is no
    arrival, or nobody is known to have sent it. An arrival is a receive, or a drop at the receiving
    port of what was not received before. `given_up` maps a receive to the drop by which its
    receiver gave it up. `at_receiver` are the drops at a receiving port, `after_receive` those of
    them that follow a receive. `keys` has, for each event at a port where something was dropped,
    what must agree at both ends.
    """

    def __init__(self, ports: Sequence[Port], actors: Sequence[Actor], events: Events) -> None:
        self.events = events
        self.faults = Faults.of(events)
        self.declared = Declared(actors, ports, events)
        self.labels = {actor.id: actor.label for actor in actors}
        self.came_from: Positions = np.full(len(events), -1, np.int32)
        self.given_up: dict[int, int] = {}
        self.at_receiver: set[int] = set()
        self.after_receive: set[int] = set()
        self.keys: dict[int, int] = {}
        known = self.declared.ports
        self.ports = [known[id] for id in events.tables.ports]
        groups: dict[str, int] = {"": 0}
        #: For each port, a number for all that it may reach; 0: nothing.
        self.groups = np.array(
            [
                *(groups.setdefault(self.declared.group(p.id), len(groups)) for p in self.ports),
                0,
            ],
            np.int64,
        )
        self._at = np.flatnonzero(events.are("send", "receive", "drop"))
        if len(self._at):
            self._match()

    def of_ports(self, told: Callable[[Port], Any], kind: Any = np.bool_) -> npt.NDArray[Any]:
        """Something that is told of each port, as a column; for no port (-1) there is 0."""
        return np.array([*map(told, self.ports), 0], kind)

    # From here on columns have a row for each send, receive and drop.

    def _match(self) -> None:
        events, at = self.events, self._at
        self._what, self._kind, self._port = events.what[at], events.kind[at], events.port[at]
        self._message = events.message[at]
        self._part = self._parts()
        arrives = self._what == _RECEIVE
        if self.faults.doubled:
            arrives &= ~np.isin(at, list(self.faults.doubled))
        leaves = self._what == _SEND
        keys = self._keys(leaves)
        if (self._what == _DROP).any():
            receives = self.of_ports(lambda port: KINDS.index(port.receives), np.uint8)
            gone = (self._what == _DROP) & (self._kind != receives[self._port])
            keys = self._keys(leaves | gone)
            self._drops(keys, arrives)
        alike = self._alike()
        when = np.argsort(events.at[at], kind="stable")
        when = when[~self._exchanged()[when]]
        answers = self._kind == _ANSWER
        first = when[~answers[when]]
        self._join(keys, alike, first[leaves[first]], first[arrives[first]])
        if answers.any():
            keys[answers] = self._combined(keys, self._asked())[answers]
            rest = when[answers[when]]
            self._join(keys, alike, rest[leaves[rest]], rest[arrives[rest]])

    def _exchanged(self) -> Flags:
        """Match what REQ and REP say to each other without ids; which rows that were."""
        asks = self.of_ports(lambda port: port.socket == "REQ")
        gives = self.of_ports(lambda port: port.socket == "REP")
        done = np.zeros(len(self.events), np.bool_)
        nameless = (self._message == 0) & (self._kind == _MESSAGE) & (self._what != _DROP)
        rows = self._at[nameless & (asks | gives)[self._port]]
        for arrival, send in exchanges(self.events, rows, self.groups, asks, gives):
            self.came_from[arrival] = send
            done[[arrival, send]] = True
        return done[self._at]

    def _keys(self, leaves: Flags) -> _Numbers:
        """What must agree at both ends: link, kind, message (or what stands for it), topic."""
        binds = self.of_ports(lambda port: port.binds)[self._port]
        group = self.groups[self._port]
        # What an end has sent that binds, one has received that connects; and the reverse.
        link = np.where(group > 0, group * 2 + (leaves == binds), 0)
        credit = self._kind == _CREDIT
        unnamed = credit | (self._kind == _ANSWER)
        who = np.where(credit, self._part, np.where(unnamed, 0, self._message))
        # No topic is none, with an envelope or without: a ROUTER adds one to what a REQ sent.
        topics = np.unique(np.append(0, self.events.envelopes.topic), return_inverse=True)[1][1:]
        topic = np.where(unnamed, 0, self.events.of_envelope(topics)[self._at])
        return self._combined(link, self._kind, who, topic)

    def _parts(self) -> _Numbers:
        """Which part each event is about, between it and its router; 0 on an outer link."""
        events, at = self.events, self._at
        peers = np.unique(events.envelopes.peer)
        known = {events.texts[peer]: peer for peer in peers.tolist()}
        free = len(events.texts)
        own = np.array(
            [
                known.setdefault(self.labels.get(actor, ""), free + n)
                for n, actor in enumerate(events.tables.actors)
            ],
            np.int64,
        )
        peer = events.of_envelope(events.envelopes.peer)[at]
        outer = self.of_ports(lambda port: port.outer)[self._port]
        return np.where(outer, 0, np.where(peer > 0, peer, own[events.actor[at]]))

    def _alike(self) -> _Numbers:
        """What tells apart several messages of one key: part and clock, or what they say."""
        events = self.events
        clocks = np.unique(events.contents.clock, return_inverse=True)[1]
        clock = events.of_content(clocks + 1)[self._at]
        says = events.content[self._at].astype(np.int64) + len(clocks) + 2
        return self._combined(self._part, np.where(self._message > 0, clock, says))

    def _asked(self) -> _Numbers:
        """For each answer, which request it answers: the last one at its port."""
        answers = self._kind == _ANSWER
        ours = np.flatnonzero(np.isin(self._port, np.unique(self._port[answers])))
        ours = ours[np.argsort(self._port[ours], kind="stable")]
        port = self._port[ours]
        asks = ~answers[ours] & (self._what[ours] != _DROP)
        last = np.maximum.accumulate(np.where(asks, np.arange(len(ours)), -1))
        asked = (last >= 0) & (port[last] == port)
        at = self._at[ours[last]]
        sender = np.where(self.came_from[at] >= 0, self.came_from[at], at)
        message = self._message[ours[last]]
        # Two ends know a request by its id; one without, by the send that both go back to.
        who = np.where(message > 0, message, len(self.events.ids) + sender)
        found = np.zeros(len(self._at), np.int64)
        found[ours] = np.where(asked, who, 0)
        return found

    def _drops(self, keys: _Numbers, arrives: Flags) -> None:
        """Tell drops of what was received, or about to be, from drops of what was to be sent."""
        leaving = self._keys(np.ones(len(keys), np.bool_))
        places = np.isin(self._port, np.unique(self._port[self._what == _DROP]))
        chosen = np.flatnonzero(places)
        peers = self.events.of_envelope(self.events.envelopes.peer)[self._at]
        # At a router the same message may come from two parts.
        received: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for j in chosen.tolist():
            n, what, port = self._at.item(j), self._what.item(j), self._port.item(j)
            before = received[port, keys.item(j), peers.item(j)]
            if what == _RECEIVE:
                before.append(n)
            elif what == _DROP and n in self.faults.dropped:
                self.at_receiver.add(n)
                arrives[j] = True
            elif what == _DROP:
                end, kind = self.ports[port], KINDS[self._kind.item(j)]
                if kind == end.receives and (before or kind != end.sends):
                    self.at_receiver.add(n)
                    if before:
                        self.given_up[before.pop()] = n
                        self.after_receive.add(n)
                    else:
                        arrives[j] = True
                else:
                    keys[j] = leaving[j]
            self.keys[n] = keys.item(j)

    def _join(self, keys: _Numbers, alike: _Numbers, sends: Positions, arrivals: Positions) -> None:
        """The n-th send of what is alike belongs to its n-th arrival; the rest in order.

        Every subscriber has an arrival of its own.
        """
        if not len(sends) or not len(arrivals):
            return
        hears = self.of_ports(lambda port: port.socket in _SUBSCRIBERS)
        ear = np.where(hears[self._port], self._port + 1, 0)
        same = self._combined(keys, alike)
        sends = sends[np.argsort(same[sends], kind="stable")]
        by_ear = self._combined(same, ear) if ear.any() else same
        arrivals = arrivals[np.argsort(by_ear[arrivals], kind="stable")]
        sent, came = same[sends], same[arrivals]
        place = np.searchsorted(sent, came) + _ranks(by_ear[arrivals])
        found = place < np.searchsorted(sent, came, side="right")
        self.came_from[self._at[arrivals[found]]] = self._at[sends[place[found]]]
        rest = arrivals[~found]
        rest = rest[np.isin(keys[rest], keys[sends])]
        if len(rest):
            self._join_rest(keys, ear, np.sort(sends), arrivals, rest)

    def _join_rest(
        self,
        keys: _Numbers,
        ear: Positions,
        sends: Positions,
        arrivals: Positions,
        rest: Positions,
    ) -> None:
        """Sends and arrivals of one key that are not alike, in order."""
        events, at = self.events, self._at

        def in_order(chosen: Positions) -> list[int]:
            wanted = chosen[np.isin(keys[chosen], keys[rest])]
            return wanted[np.lexsort((wanted, events.at[at[wanted]]))].tolist()  # type: ignore[no-any-return]

        used: dict[int, set[int]] = defaultdict(set)
        for j in in_order(arrivals):
            used[ear.item(j)].add(self.came_from.item(at.item(j)))
        left: dict[int, list[int]] = defaultdict(list)
        for j in in_order(sends):
            left[keys.item(j)].append(at.item(j))
        queues: dict[tuple[int, int], list[int]] = {}
        for j in in_order(rest):
            key, by = keys.item(j), ear.item(j)
            if (key, by) not in queues:
                queues[key, by] = [n for n in reversed(left[key]) if n not in used[by]]
            if queues[key, by]:
                self.came_from[at[j]] = queues[key, by].pop()

    @staticmethod
    def _combined(first: npt.NDArray[Any], *more: npt.NDArray[Any]) -> _Numbers:
        """One number for each combination of numbers, none of which is negative."""
        found = first.astype(np.int64)
        for column in more:
            size = int(column.max(initial=0)) + 1
            if (int(found.max(initial=0)) + 1) * size >= _ROOM:
                found = np.unique(found, return_inverse=True)[1].astype(np.int64)
            found = found * size + column
        return found


def _ranks(groups: _Numbers) -> _Numbers:
    """The how-many-th of its group each is, from 0; equal ones stand together."""
    places = np.arange(len(groups))
    begins = np.ones(len(groups), np.bool_)
    begins[1:] = groups[1:] != groups[:-1]
    return places - np.maximum.accumulate(np.where(begins, places, 0))
