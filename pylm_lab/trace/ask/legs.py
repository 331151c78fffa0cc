"""Legs: where the time of a message went.

A message's way is a chain of events, each the cause of the next: its first send, the receive of
that, the next send, and so on to the arrival of its answer. Every moment of it is in one leg, so
the legs add up to exactly the time from the first event to the last. There are four kinds:

1. *crossing*: on a link, between a send and its receive (or its drop). Also the time that it spent
   with somebody who was not recorded.
2. *queueing*: others came first. On a link: for as long after the send as its receiver was still
   busy, which is until the last thing that the receiver did before the moment of the receive.
   With an actor that has received it: until the actor has sent (or given up) something else.
3. *holding*: an actor has it, and waits at its ports: until it receives something else, such as a
   credit, the feedback of a blocking part, or the answer to a request of its own. Also until its
   sender gives it up.
4. *working*: what is left of the time with an actor: until it does something that came of this
   message, which is to send it on, to send what it made of it, to ask somebody about it, or to give
   it up.

So an actor's time is cut at each thing that it sent, received or gave up, and the end of a piece
says what the piece was. Where the clock is read once for a whole batch, all of the batch's time is
the first one's work; for those behind it, it is queueing. In a controlled run, waiting for one's
turn counts as what is done with the turn.

Times are of the trace's clock: steps, or nanoseconds. Where clocks of several processes disagree,
a crossing may be negative; the sum is right all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from pylm_lab.trace.tables import code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Leg", "What", "legs", "way"]

What = Literal["queueing", "holding", "working", "crossing"]


class Leg(NamedTuple):
    """One piece of a message's way.

    `actor` has the message; on a link, it is the one who receives it, and `source` the one who has
    sent it (else empty). `begins` and `ends` are times. `unseen`: somebody in between was not
    recorded.
    """

    what: What
    actor: str
    begins: int
    ends: int
    source: str = ""
    unseen: bool = False

    @property
    def lasting(self) -> int:
        """How long it took."""
        return self.ends - self.begins


def way(trace: Trace, first: int, end: int) -> tuple[int, ...]:
    """The events from `first` to `end`, each the cause of the next, by position.

    Where the chain of causes does not come from `first`, that stands before it.
    """
    cause = trace.causes.cause
    found = [end]
    while found[-1] != first and (before := cause.item(found[-1])) >= first:
        found.append(before)
    if found[-1] != first:
        found.append(first)
    return tuple(reversed(found))


def legs(trace: Trace, way: tuple[int, ...]) -> tuple[Leg, ...]:
    """The pieces of a way; those that lasted no time are left out, and neighbours alike are one."""
    found: list[Leg] = []
    for since, until in itertools.pairwise(way):
        for leg in _between(trace, since, until):
            last = found[-1] if found else None
            if last and last[:2] == leg[:2] and last[4:] == leg[4:] and not leg.source:
                found[-1] = last._replace(ends=leg.ends)
            elif leg.lasting:
                found.append(leg)
    return tuple(found)


def _between(trace: Trace, since: int, until: int) -> Iterator[Leg]:
    events, causes = trace.columns, trace.causes
    begins, ends = events.at.item(since), events.at.item(until)
    source, actor = events.actor.item(since), events.actor.item(until)
    name, other = events.tables.actors[actor], events.tables.actors[source]
    if causes.unseen[until] or causes.cause[until] != since:
        yield Leg("crossing", name, begins, ends, other, unseen=True)
    elif source != actor:
        free = min(max(_busy(trace, until, begins), begins), max(begins, ends))
        yield Leg("queueing", name, begins, free, other)
        yield Leg("crossing", name, free, ends, other)
    elif events.what[since] == code("send"):
        # Given up by who has sent it; or sent once more.
        yield Leg("holding", name, begins, ends)
    else:
        yield from _stay(trace, name, since, until)


def _busy(trace: Trace, receive: int, begins: int) -> int:
    """When the receiver did something for the last time before the moment at which it received."""
    at, before = trace.columns.at, trace.causes.before
    last = before.item(receive)
    while last >= 0 and at[last] == at[receive]:
        last = before.item(last)
    return at.item(last) if last >= 0 else begins


def _stay(trace: Trace, actor: str, since: int, until: int) -> Iterator[Leg]:
    """The time from a receive to what came of it, cut at whatever the actor did meanwhile."""
    events, causes = trace.columns, trace.causes
    cuts = [until]
    while (before := causes.before.item(cuts[-1])) > since:
        cuts.append(before)
    begins = events.at.item(since)
    for n in reversed(cuts):
        ends = events.at.item(n)
        what: What = "queueing"
        if events.what[n] == code("receive"):
            what = "holding"
        elif causes.cause[n] == since:
            what = "working"
        yield Leg(what, actor, begins, ends)
        begins = ends
