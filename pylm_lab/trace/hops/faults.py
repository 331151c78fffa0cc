"""Faults: which events of a record are the work of a fault.

1. A fault is told at the port that was about to receive. What it drops is the drop that the same
   actor tells next, of the same message at the same port.
2. What it doubles is received once as it was sent, and once more: that second receive has no send
   of its own.
3. Only the order of each actor's events is relied on.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from typing import NamedTuple

import numpy as np

from pylm_lab.trace.columns import Events, Hops
from pylm_lab.trace.tables import FAULTS, WHATS, Positions

__all__ = ["DROPS", "HOLDS", "Faults", "struck"]

#: Faults that make a message disappear.
DROPS = ("drop", "part")
#: Faults that hold a message back; it may be received later.
HOLDS = ("delay", "reorder")
#: By what a message is known at one port: one without an id by all that it says.
_Same = tuple[int, int, int, int, int]
#: Who was about to receive a message, its kind, and its id, which may be none.
_Struck = tuple[int, int, int]


class Faults(NamedTuple):
    """What faults did, by positions in `Trace.events`."""

    #: A drop → the fault that dropped it.
    dropped: dict[int, int]
    #: The second receive of what was sent once → the fault that doubled it.
    doubled: dict[int, int]
    #: The same second receive → the first.
    first: dict[int, int]

    @classmethod
    def of(cls, events: Events) -> Faults:
        """What faults did in these events; each actor's are in its own order."""
        found = cls({}, {}, {})
        are_faults = events.are("fault")
        if not are_faults.any():
            return found
        last: dict[int, int] = {}
        #: Of what is doubled: the faults that wait for the first receive; those that wait for the
        #: second one, with the first.
        once: dict[_Same, list[int]] = defaultdict(list)
        twice: dict[_Same, deque[tuple[int, int]]] = defaultdict(deque)
        message = events.message
        # Where no fault has acted nothing is the work of one.
        near = np.isin(events.actor, np.unique(events.actor[are_faults]))
        for n in np.flatnonzero(near).tolist():
            what, actor = WHATS[events.what.item(n)], events.actor.item(n)
            if what == "fault" and FAULTS[events.fault.item(n)] == "duplicate":
                once[_same(events, message, n)].append(n)
            elif what == "receive":
                same = _same(events, message, n)
                if twice.get(same):
                    found.doubled[n], found.first[n] = twice[same].popleft()
                elif once.get(same):
                    twice[same].extend((fault, n) for fault in once.pop(same))
            elif what == "drop":
                before = last.get(actor, n)
                if FAULTS[events.fault.item(before)] in DROPS and _same(
                    events, message, before
                ) == _same(events, message, n):
                    found.dropped[n] = before
            last[actor] = n
        return found


def struck(events: Events, hops: Hops) -> dict[int, int]:
    """Position of each fault that acts on frames → position of their hop, where there is one."""
    faults = np.flatnonzero(events.are("fault") & (events.port >= 0)).tolist()
    if not faults:
        return {}
    message = events.message
    struck_at = {n: (events.actor.item(n), events.kind.item(n), message.item(n)) for n in faults}
    wanted = set(struck_at.values())
    #: By who was about to receive what: hops that begin later, the next one last; and those that
    #: are under way, as a heap. Each with where it ends.
    later: dict[_Struck, list[tuple[int, int, int]]] = defaultdict(list)
    under_way: dict[_Struck, list[tuple[int, int]]] = defaultdict(list)
    never = len(events)
    received, dropped = (np.where(end < 0, never, end) for end in (hops.received, hops.dropped))
    columns = (hops.begins, np.minimum(received, dropped), hops.sent)
    keys = zip(hops.target.tolist(), hops.kind.tolist(), hops.message.tolist(), strict=True)
    rows = zip(keys, *(column.tolist() for column in columns), strict=True)
    for position, (key, begins, end, sent) in enumerate(rows):
        if key in wanted and sent < 0:
            heapq.heappush(under_way[key], (end, position))
        elif key in wanted:
            later[key].append((begins, end, position))
    for left in later.values():
        left.sort(reverse=True)
    found: dict[int, int] = {}
    for n, key in struck_at.items():
        left, open_ = later[key], under_way[key]
        while left and left[-1][0] < n:
            _, end, position = left.pop()
            heapq.heappush(open_, (end, position))
        while open_ and open_[0][0] <= n:
            heapq.heappop(open_)
        if open_:
            found[n] = open_[0][1]
    return found


def _same(events: Events, message: Positions, n: int) -> _Same:
    port, kind = events.port.item(n), events.kind.item(n)
    if message.item(n):
        return port, kind, message.item(n), -1, -1
    return port, kind, 0, events.content.item(n), events.envelope.item(n)
