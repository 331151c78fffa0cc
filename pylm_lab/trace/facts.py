"""Facts: what the invariants ask a record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pylm_lab.trace.excerpt import excerpt
from pylm_lab.trace.faults import HOLDS
from pylm_lab.trace.records import Hop

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = [
    "Blame",
    "ended",
    "has_sender",
    "left_unread",
    "receivers",
    "to_nobody",
    "unsubscribed",
]


def to_nobody(trace: Trace, hop: Hop) -> bool:
    """A publication that no subscriber was there for."""
    if hop.sent is None or hop.target or hop.dropped is not None:
        return False
    return trace.links.ports[trace.events[hop.sent].port].socket in ("PUB", "XPUB")


def ended(trace: Trace) -> set[str]:
    """The actors that will receive nothing more: stopped, or never run and disconnected."""
    runs: dict[str, bool] = {}
    gone: set[str] = set()
    for event in trace.events:
        if event.what in ("start", "stop"):
            runs[event.actor] = event.what == "start"
        elif event.what == "disconnect":
            gone.add(event.actor)
    if runs and not any(runs.values()):
        return {actor.id for actor in trace.actors}
    return {actor.id for actor in trace.actors if not runs.get(actor.id, actor.id not in gone)}


def unsubscribed(trace: Trace) -> dict[str, list[tuple[int, str]]]:
    """When, and from which topic, each actor has unsubscribed."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for n, event in enumerate(trace.events):
        if event.what == "unsubscribe":
            found[event.actor].append((n, event.text))
    return found


def left_unread(trace: Trace, hop: Hop, unsubscribed: dict[str, list[tuple[int, str]]]) -> bool:
    """Its subscriber wanted no more of its topic before it came to it."""
    assert hop.sent is not None
    topic = trace.events[hop.sent].topic
    return any(n > hop.sent and topic.startswith(t) for n, t in unsubscribed.get(hop.target, ()))


def receivers(trace: Trace, hop: Hop) -> tuple[str, ...]:
    """Who could have received what was sent; nobody where the record does not show any."""
    if hop.target:
        return (hop.target,)
    if hop.sent is None or to_nobody(trace, hop):
        return ()
    peers = trace.links.peers(trace.events[hop.sent].port)
    return tuple(dict.fromkeys(peer.actor for peer in peers if peer.receives == hop.kind))


def has_sender(trace: Trace, hop: Hop) -> bool:
    """The record shows somebody at the other end who could have sent it."""
    assert hop.received is not None
    peers = trace.links.peers(trace.events[hop.received].port)
    return any(peer.sends == hop.kind for peer in peers)


class Blame:
    """Which fault it was that a hop was lost to."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        #: Actor → the faults that ended it; actor and message → those that held it back.
        self._ended: dict[str, list[int]] = defaultdict(list)
        self._held: dict[tuple[str, str], list[int]] = defaultdict(list)
        for n, event in enumerate(trace.events):
            if event.fault in ("stop", "crash"):
                self._ended[event.actor].append(n)
            elif event.fault in HOLDS and event.message:
                self._held[event.actor, event.message].append(n)

    def of(self, hop: Hop, ends: Sequence[str] = ()) -> str:
        """The fault in words, empty if it was none. `ends` are those who could have received it.

        It was dropped by the fault; or, for a message or a request, whoever should have received it
        was ended by it, or had it held back.
        """
        if hop.dropped is not None and hop.dropped in self._trace.faults.dropped:
            return self.why(self._trace.faults.dropped[hop.dropped])
        if hop.received is not None or hop.kind not in ("message", "request"):
            return ""
        until = len(self._trace.events) if hop.dropped is None else hop.dropped
        found = [
            n
            for end in ends or (hop.target,)
            for n in (*self._ended.get(end, ()), *self._held.get((end, hop.message), ()))
            if n < until
        ]
        return self.why(max(found)) if found else ""

    def ending(self, actor: str, since: int) -> str:
        """The fault that ended the actor after this position; empty if none did."""
        found = [n for n in self._ended.get(actor, ()) if n > since]
        return self.why(found[0]) if found else ""

    def why(self, n: int) -> str:
        """The fault at this position as a clause."""
        event = self._trace.events[n]
        return excerpt(event.text, 120).rstrip(".") or f"a fault ({event.fault})"
