"""Causes: what each event of a message came from.

1. What arrives was sent: the cause of a receive is its send.
2. What an actor sends it has received before: the cause of a send is the latest receive of the same
   message by the same actor; failing that, of the message that it was made of.
3. Frames without an id that answer a request belong to that request; what a REP socket sends is the
   answer to what it received.
4. Where somebody in between was not recorded, the cause is the last that was seen of the message
   before, by the trace's order; it is told that this is so.
5. A cause always stands before its effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Kind
from pylm_lab.trace.tables import KINDS, Flags, Positions, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["CARRIED", "Causes", "latest"]

#: What is a message, or asked for one; the rest is how a link works.
CARRIED: tuple[Kind, ...] = ("message", "request", "answer")

_Wide = npt.NDArray[np.int64]


class Causes:
    """For each event, by position: what it is about and what it came from.

    `about` indexes the ids of messages (0: it has none), for an answer its request; `made_of` is
    the message that this one was made of, by that index. `cause` is the position of an event, -1
    where there is none; `unseen` are those where somebody in between was not recorded. `before` is
    the latest event before it, of the same actor, at which something was sent, received or dropped;
    -1 if there is none. `first` is where each message appears, by its index, -1 if it doesn't.
    """

    def __init__(self, trace: Trace) -> None:
        events, hops = trace.columns, trace.hops
        size, ids = len(events), len(events.ids)
        self._crosses = events.are("send", "receive", "drop")
        carried = np.zeros(size, bool)
        for kind in CARRIED:
            carried |= events.kind == KINDS.index(kind)
        carried &= self._crosses
        self.about = events.message.copy()
        asked = self._answers(trace)
        self.about[~carried] = 0
        self.before = self._before(events.actor)
        #: The events that are about a message.
        self.told = np.flatnonzero(self.about > 0)
        backwards = self.told[::-1]
        self.first: Positions = np.full(ids, -1, np.int32)
        self.first[self.about[backwards]] = backwards
        parents = events.of_content(events.contents.parent)
        self.made_of: Positions = np.zeros(ids, np.int32)
        own = backwards[events.message[backwards] > 0]
        self.made_of[self.about[own]] = parents[own]
        self.cause: Positions = np.full(size, -1, np.int32)
        self.unseen: Flags = np.zeros(size, bool)
        self.cause[asked[0]] = asked[1]
        self._arrivals(trace, hops)
        self._departures(trace, hops)
        self._gaps(hops)

    def _answers(self, trace: Trace) -> tuple[Positions, Positions]:
        """An answer belongs to the request that its port was last concerned with.

        Returns those that answer a request without an id, and where that was received.
        """
        events = trace.columns
        replies = {port.id for port in trace.ports if port.socket == "REP"}
        replies_there = np.array([*(port in replies for port in events.tables.ports), False])
        # A program's own frames, of which nobody but the socket tells what they are.
        bare = replies_there[events.port] & (events.kind == KINDS.index("message"))
        bare &= self.about == 0
        is_request = events.kind == KINDS.index("request")
        is_request |= bare & events.are("receive")
        answers = (events.kind == KINDS.index("answer")) | (bare & events.are("send"))
        asks = is_request & (events.what != code("drop"))
        at = np.flatnonzero(self._crosses & (asks | answers))
        order = at[np.argsort(events.port[at], kind="stable")]
        asked = np.where(asks[order], np.arange(len(order)), -1)
        asked = np.maximum.accumulate(asked) if len(order) else asked
        found = (asked >= 0) & ~is_request[order] & (self.about[order] == 0)
        found &= events.port[order] == events.port[order[asked]] if len(order) else found
        answers, requests = order[found], order[asked[found]]
        self.about[answers] = self.about[requests]
        bare = (self.about[answers] == 0) & (events.what[answers] == code("send"))
        bare &= events.what[requests] == code("receive")
        return answers[bare].astype(np.int32), requests[bare].astype(np.int32)

    def _before(self, actor: Positions) -> Positions:
        found: Positions = np.full(len(actor), -1, np.int32)
        at = np.flatnonzero(self._crosses)
        order = at[np.argsort(actor[at], kind="stable")]
        same = actor[order[1:]] == actor[order[:-1]]
        found[order[1:][same]] = order[:-1][same]
        return found

    def _arrivals(self, trace: Trace, hops: Any) -> None:
        came = (hops.sent >= 0) & (hops.received > hops.sent)
        self.cause[hops.received[came]] = hops.sent[came]
        for second, first in trace.faults.first.items():
            # What a fault doubled came from where it was sent.
            self.cause[second] = self.cause[first] if self.cause[first] >= 0 else first
        since = np.where(hops.received >= 0, hops.received, hops.sent)
        lost = (since >= 0) & (hops.dropped > since)
        self.cause[hops.dropped[lost]] = since[lost]

    def _departures(self, trace: Trace, hops: Any) -> None:
        events, about = trace.columns, self.about
        at = self.told
        got = at[events.what[at] == code("receive")]
        open_ = at[(self.cause[at] < 0) & (events.what[at] != code("receive"))]
        for since in (got, at):
            for key in (about, self.made_of[about]):
                open_ = open_[self.cause[open_] < 0]
                asked = open_[key[open_] > 0]
                there, wanted = (
                    (events.actor[since], about[since]),
                    (events.actor[asked], key[asked]),
                )
                self.cause[asked] = latest(there, since, wanted, asked)

    def _gaps(self, hops: Any) -> None:
        """Across somebody who was not recorded."""
        about, at = self.about, self.told
        heads = at[(self.cause[at] < 0) & (self.first[about[at]] != at)]
        if not len(heads):
            return
        arrived = hops.sent[(hops.received >= 0) | (hops.dropped >= 0)]
        ends = np.zeros(len(about), bool)
        ends[hops.sent[hops.sent >= 0]] = True
        ends[arrived[arrived >= 0]] = False
        tails = at[ends[at]]
        self.cause[heads] = latest((about[tails],), tails, (about[heads],), heads)
        self.unseen[heads] = self.cause[heads] >= 0


def latest(
    keys: tuple[npt.NDArray[Any], ...],
    at: npt.NDArray[Any],
    wanted: tuple[npt.NDArray[Any], ...],
    until: npt.NDArray[Any],
) -> _Wide:
    """For each that is wanted: the last of `at` that is before it and has its keys; -1 for none.

    `at` rises. `keys` and `wanted` are columns: several numbers make up one key.
    """
    found = np.full(len(until), -1, np.int64)
    if not len(at) or not len(until):
        return found
    code: _Wide = np.zeros(len(at) + len(until), np.int64)
    for own, other in zip(keys, wanted, strict=True):
        column = np.concatenate([own, other]).astype(np.int64)
        code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1]
    reach = int(max(at[-1], until.max())) + 1
    there = code[: len(at)] * reach + at
    order = np.argsort(there, kind="stable")
    asked = code[len(at) :] * reach + until
    place = np.searchsorted(there[order], asked) - 1
    last = order[np.maximum(place, 0)]
    hit = (place >= 0) & (code[last] == code[len(at) :])
    found[hit] = at[last[hit]]
    return found
