"""Order: one order of the events of several actors.

1. Each actor's own order is kept, and a send comes before its arrivals.
2. Among what may come next, the earliest comes, then the actor declared first; so the order depends
   on the events alone.
3. Time never runs backwards: where one clock reading stands for a whole batch, and what came before
   has a later time, an event takes that later time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.columns import Events
from pylm_lab.trace.hops.match import Matching
from pylm_lab.trace.tables import Positions

__all__ = ["in_order", "merged"]

_Numbers = npt.NDArray[np.int64]
#: How often times and levels may be handed on before the record counts as one that contradicts
#: itself. Each turn hands them over one more link.
TURNS = 200


def merged(
    events: Events, ports: Sequence[Port], actors: Sequence[Actor], *, clock: str = "ns"
) -> Events:
    """The events of several actors, each in its own order, in one order.

    `clock` tells what their times count. Steps order everything; a match that contradicts them is
    no match.
    """
    found = Matching(ports, actors, events)
    came_from = found.came_from.copy()
    for n, send in _struck(found):
        came_from[n] = send
    if clock == "step":
        came_from = np.where(events.at[came_from] <= events.at, came_from, -1)
    return in_order(events, came_from)


def _struck(found: Matching) -> Iterator[tuple[int, int]]:
    """Faults that act on a message, which has come when they do, each with its send."""
    events, message = found.events, found.events.message
    faults = np.flatnonzero(events.are("fault") & (message > 0))
    sends = np.flatnonzero(events.are("send") & np.isin(message, message[faults]))
    known: dict[tuple[int, int, int], list[int]] = defaultdict(list)

    def key(n: int) -> tuple[int, int, int]:
        return found.groups.item(events.port.item(n)), events.kind.item(n), message.item(n)

    for n in sends.tolist():
        known[key(n)].append(n)
    clock = events.of_content(events.contents.clock)
    for n in faults.tolist():
        same = known.get(key(n), [])
        alike = [send for send in same if clock[send] == clock[n]]
        if same:
            yield n, (alike or same)[0]


def in_order(events: Events, came_from: Positions) -> Events:
    """These events in one order, from those of each actor in its own.

    `came_from` is the position of each arrival's send, or -1. Actors rank as their positions in
    `events.tables.actors`.
    """
    if not len(events):
        return events
    own = np.argsort(events.actor, kind="stable")
    place = np.empty(len(own), np.int64)
    place[own] = np.arange(len(own))
    arrivals = np.flatnonzero(came_from[own] >= 0)
    sends = place[came_from[own[arrivals]]]
    actor = events.actor[own]
    at, level = _settled(events.at[own], actor, sends, arrivals)
    if level is None:
        chosen, at = _one_by_one(
            events.at[own], actor, dict(zip(arrivals.tolist(), sends.tolist(), strict=True))
        )
    else:
        chosen = np.lexsort((actor, level, at))
        at = at[chosen]
    return events.take(own[chosen], at)


def _settled(
    at: _Numbers, actor: Positions, sends: _Numbers, arrivals: _Numbers
) -> tuple[_Numbers, _Numbers | None]:
    """Times that never run backwards; and, among equal times, how many links come before.

    No levels: an arrival would come before its send, or there is no end to it.
    """
    begins = np.ones(len(at), np.bool_)
    begins[1:] = actor[1:] != actor[:-1]
    which = np.cumsum(begins, dtype=np.int64)
    time = at
    for _ in range(TURNS):
        time = _risen(time, which)
        late = time[sends] > time[arrivals]
        if not late.any():
            break
        time = time.copy()
        np.maximum.at(time, arrivals[late], time[sends[late]])
    else:
        return at, None
    # Equal times of one actor are a stretch within which levels only rise.
    stretch = begins.copy()
    stretch[1:] |= time[1:] != time[:-1]
    which = np.cumsum(stretch, dtype=np.int64)
    same = time[sends] == time[arrivals]
    sends, arrivals = sends[same], arrivals[same]
    level = np.zeros(len(at), np.int64)
    for _ in range(TURNS):
        level = _risen(level, which)
        late = level[sends] >= level[arrivals]
        if not late.any():
            return time, level
        np.maximum.at(level, arrivals[late], level[sends[late]] + 1)
    return at, None


def _risen(values: _Numbers, which: _Numbers) -> _Numbers:
    """The greatest value so far, within each group; groups stand together, in rising order."""
    least = int(values.min())
    span = int(values.max()) - least + 1
    if span < (1 << 62) // (int(which[-1]) + 1):
        lifted = np.maximum.accumulate(values - least + which * span)
        return lifted - which * span + least
    found = values.copy()
    for group in np.split(found, np.flatnonzero(np.diff(which)) + 1):
        np.maximum.accumulate(group, out=group)
    return found


def _one_by_one(
    at: _Numbers, actor: Positions, causes: dict[int, int]
) -> tuple[_Numbers, _Numbers]:
    """The same for a record that may contradict itself: then the actors' own orders are trusted."""
    queues: dict[int, list[int]] = defaultdict(list)
    for n, own in enumerate(actor.tolist()):
        queues[own].append(n)
    for queue in queues.values():
        queue.reverse()
    times = at.tolist()
    #: Heads that may come: (time, actor). Heads that wait for their send: send → actors.
    ready: list[tuple[int, int]] = []
    waiting: dict[int, list[int]] = defaultdict(list)
    done: set[int] = set()
    order: list[int] = []
    told: list[int] = []
    now = min(times)

    def offer(own: int) -> None:
        if queues[own]:
            head = queues[own][-1]
            if causes.get(head, -1) < 0 or causes[head] in done:
                heapq.heappush(ready, (times[head], own))
            else:
                waiting[causes[head]].append(own)

    for own in queues:
        offer(own)
    while len(order) < len(times):
        if not ready:
            first = min(
                (times[queues[own][-1]], own) for blocked in waiting.values() for own in blocked
            )
            for blocked in waiting.values():
                blocked[:] = [own for own in blocked if own != first[1]]
            ready.append(first)
        _, own = heapq.heappop(ready)
        n = queues[own].pop()
        now = max(now, times[n])
        order.append(n)
        told.append(now)
        done.add(n)
        offer(own)
        for waiter in waiting.pop(n, ()):
            offer(waiter)
    return np.array(order, np.int64), np.array(told, np.int64)
