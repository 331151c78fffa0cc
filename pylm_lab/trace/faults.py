"""Faults: which events of a record are the work of a fault.

1. A fault is told at the port that was about to receive. What it drops is the drop that the same
   actor tells next, of the same message at the same port.
2. What it doubles is received once as it was sent, and once more: that second receive has no send
   of its own.
3. Only the order of each actor's events is relied on.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

from pylm_lab.trace.records import Event, Hop

__all__ = ["DROPS", "HOLDS", "Faults", "struck"]

#: Faults that make a message disappear.
DROPS = ("drop", "part")
#: Faults that hold a message back; it may be received later.
HOLDS = ("delay", "reorder")
#: By what a message is known at one port: one without an id by its bytes.
_Same = tuple[str, str, str, tuple[int, ...], str]


class Faults(NamedTuple):
    """What faults did, by positions in `Trace.events`."""

    #: A drop → the fault that dropped it.
    dropped: dict[int, int]
    #: The second receive of what was sent once → the fault that doubled it.
    doubled: dict[int, int]
    #: The same second receive → the first.
    first: dict[int, int]

    @classmethod
    def of(cls, events: Sequence[Event]) -> Faults:
        """What faults did in these events; each actor's are in its own order."""
        found = cls({}, {}, {})
        if not any(event.what == "fault" for event in events):
            return found
        last: dict[str, int] = {}
        #: Of what is doubled: the faults that wait for the first receive; those that wait for the
        #: second one, with the first.
        once: dict[_Same, list[int]] = defaultdict(list)
        twice: dict[_Same, deque[tuple[int, int]]] = defaultdict(deque)
        for n, event in enumerate(events):
            if event.what == "fault" and event.fault == "duplicate":
                once[_same(event)].append(n)
            elif event.what == "receive":
                same = _same(event)
                if twice.get(same):
                    found.doubled[n], found.first[n] = twice[same].popleft()
                elif once.get(same):
                    twice[same].extend((fault, n) for fault in once.pop(same))
            elif event.what == "drop":
                before = last.get(event.actor, n)
                struck = events[before]
                if struck.fault in DROPS and _same(struck) == _same(event):
                    found.dropped[n] = before
            last[event.actor] = n
        return found


def struck(events: Sequence[Event], hops: Sequence[Hop]) -> dict[int, int]:
    """Position of each fault that acts on frames → position of their hop, where there is one."""
    faults = [n for n, event in enumerate(events) if event.what == "fault" and event.port]
    if not faults:
        return {}
    #: By who was about to receive what: hops with the position at which they end.
    there: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for position, hop in enumerate(hops):
        ends = [n for n in (hop.received, hop.dropped) if n is not None]
        end = min(ends, default=len(events))
        there[hop.target, hop.kind, hop.message].append((end, position))
    found: dict[int, int] = {}
    for n in faults:
        event = events[n]
        open_ = [
            (end, position)
            for end, position in there.get((event.actor, event.kind, event.message), ())
            if end > n and (hops[position].begins < n or hops[position].sent is None)
        ]
        if open_:
            found[n] = min(open_)[1]
    return found


def _same(event: Event) -> _Same:
    if event.message:
        return event.port, event.kind, event.message, (), ""
    return event.port, event.kind, "", event.sizes, event.excerpt
