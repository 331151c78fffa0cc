"""Event and Hop: what a trace is made of.

Events are what was heard. Hops are read out of them, and point back at them by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pylm_lab.hook import FaultKind, Kind

__all__ = ["HOPS", "Event", "Hop", "Link", "What"]

#: The actors at the two ends of a link, by id: (source, target).
Link = tuple[str, str]

What = Literal[
    "bind",
    "connect",
    "disconnect",
    "subscribe",
    "unsubscribe",
    "seen",
    "unseen",
    "start",
    "stop",
    "fail",
    "send",
    "receive",
    "drop",
    "fault",
]

#: What can happen to a hop. A fault that acts on frames has their fields, but is none of these.
HOPS: tuple[What, ...] = ("send", "receive", "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that one actor did.

    `at` is the step number or nanoseconds since the first event (`Trace.clock` says which). The
    fields from `kind` on are those of hops: `message` and `parent` are ids of 16 hexadecimal digits
    or empty, `sizes` the bytes of each frame, `excerpt` the payload's beginning as text, `peer` the
    routing id that a ROUTER port names, `topic` a publication's first frame. `text` is an address,
    a topic, a cause or an error, after what the event is; `fault` names what a fault does.
    """

    at: int
    what: What
    actor: str
    port: str = ""
    kind: Kind | Literal[""] = ""
    message: str = ""
    parent: str = ""
    clock: int = 0
    stage: int = 0
    function: str = ""
    sizes: tuple[int, ...] = ()
    excerpt: str = ""
    peer: str = ""
    topic: str = ""
    text: str = ""
    fault: FaultKind | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One message crossing one link, once.

    `source` and `target` are actor ids; `source` is empty when nobody is known to have sent it,
    `target` when nobody received it and the link alone does not tell who would have. `sent`,
    `received` and `dropped` are positions in `Trace.events`, or None: never sent (given up before,
    or received once more than it was sent, which is a fault's work), not received (yet), not given
    up.
    """

    kind: Kind
    message: str
    source: str
    target: str
    sent: int | None = None
    received: int | None = None
    dropped: int | None = None

    @property
    def link(self) -> Link:
        """The actors at its two ends."""
        return self.source, self.target

    @property
    def lost(self) -> bool:
        """It was given up, and nobody received it."""
        return self.dropped is not None and self.received is None

    @property
    def begins(self) -> int:
        """The position of its first event."""
        return min(n for n in (self.sent, self.received, self.dropped) if n is not None)
