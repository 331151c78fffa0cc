"""Divergence: the first event in which two traces differ, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.records import Event, What
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.grid import many, name_of

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Codes", "parting"]

_Wide = npt.NDArray[np.int64]

#: What an actor does in an event.
_VERBS: dict[What, str] = {
    "bind": "binds",
    "connect": "connects",
    "disconnect": "disconnects",
    "subscribe": "subscribes",
    "unsubscribe": "unsubscribes",
    "seen": "learns of a subscription",
    "unseen": "learns that a subscription is over",
    "start": "starts",
    "stop": "stops",
    "fail": "fails",
    "send": "sends",
    "receive": "receives",
    "drop": "gives up",
    "fault": "meets a fault",
}
#: What has no number.
_NAMELESS = {
    "message": "a message without an id",
    "request": "a request without an id",
    "credit": "an acknowledgement",
    "answer": "an answer",
    "ready": "an echo",
}
#: Fields in which events may differ that are told alike, and what they are called.
_FIELDS = {
    "excerpt": "payload",
    "function": "function",
    "stage": "stage",
    "sizes": "number of bytes",
    "port": "port",
    "text": "cause",
}


class Codes:
    """The same number for the same thing in both traces."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}

    def __call__(self, values: Iterable[Any]) -> _Wide:
        codes = self._codes
        return np.array([codes.setdefault(value, len(codes)) for value in values], np.int64)


def _told(trace: Trace, code: Codes) -> _Wide:
    """What each event says, as rows of numbers that are the same for the same in both traces."""
    events, numbers = trace.columns, trace.numbers
    actors, ports = code(events.tables.actors), code([*events.tables.ports, ""])
    texts = code(events.texts)
    ids = code(numbers.get(id, "") for id in events.ids)
    contents = events.contents
    said = [
        ids[contents.message],
        ids[contents.parent],
        texts[contents.function],
        texts[contents.excerpt],
        contents.stage,
        contents.size,
    ]
    columns: list[npt.NDArray[Any]] = [
        actors[events.actor],
        ports[events.port],
        events.what,
        events.kind,
        events.fault,
        # Addresses and topics are never the same in free runs.
        np.where(events.are("drop", "fail", "fault"), texts[events.text], -1),
        *(events.of_content(column, -1) for column in said),
    ]
    return np.stack([column.astype(np.int64) for column in columns], axis=1)


def parting(here: Trace, there: Trace) -> tuple[str, int | None]:
    """A sentence about the first difference, and the position of its event here.

    The sentence is empty, and the position None, if there is no difference.
    """
    code = Codes()
    ours, theirs = _told(here, code), _told(there, code)
    if here.clock == there.clock == "step":
        found = _apart(ours, theirs)
        if found is None:
            return "", None
        agree = f"The first {many(found, 'event')} agree" if found > 1 else "They differ at once"
        return f"{agree}: {_both(here, there, found, found)}.", found
    earliest: tuple[int, int, int] | None = None
    names = (name for trace in (here, there) for name in trace.columns.tables.actors)
    for actor in dict.fromkeys(code(names).tolist()):
        own, other = (np.flatnonzero(rows[:, 0] == actor) for rows in (ours, theirs))
        alike = _apart(ours[own], theirs[other])
        if alike is not None:
            n = int(own[alike]) if alike < len(own) else len(ours)
            m = int(other[alike]) if alike < len(other) else len(theirs)
            earliest = min(earliest or (n, m, alike), (n, m, alike))
    if earliest is None:
        return "", None
    n, m, alike = earliest
    event = here.events[n] if n < len(ours) else there.events[m]
    who, both = name_of(here, event.actor, 40), _both(here, there, n, m)
    if not alike:
        return f"{who} begins otherwise: {both}.", n
    return f"{who} did {many(alike, 'thing')} alike; then {both}.", n


def _apart(ours: _Wide, theirs: _Wide) -> int | None:
    """The first row in which they differ; None if they don't."""
    both = min(len(ours), len(theirs))
    differ = np.flatnonzero((ours[:both] != theirs[:both]).any(axis=1))
    if len(differ):
        return int(differ[0])
    return both if len(ours) != len(theirs) else None


def _both(here: Trace, there: Trace, n: int, m: int) -> str:
    """What happens at these positions here and there, as clauses."""
    one = here.events[n] if n < len(here.events) else None
    other = there.events[m] if m < len(there.events) else None
    said = _event(here, n) if one else "nothing more happens"
    instead = _event(there, m) if other else "nothing more happens"
    if one and other and said == instead:
        return f"{said} {_inside(one, other)}"
    when = f" at step {one.at}" if one and here.clock == "step" else ""
    then = f" at step {other.at}" if other and there.clock == "step" else ""
    return f"here{when} {said}, there{then} {instead}"


def _inside(one: Event, other: Event) -> str:
    """In which field two events differ that are told alike."""
    for field, word in _FIELDS.items():
        values = (getattr(event, field) for event in (one, other))
        shown = [
            excerpt("+".join(map(str, value)) if isinstance(value, tuple) else str(value), 60)
            for value in values
        ]
        if shown[0] != shown[1]:
            return f"with another {word}: {shown[0]!r} here, {shown[1]!r} there"
    return "otherwise than there"


def _event(trace: Trace, n: int) -> str:
    """What happens in an event, as a clause."""
    event, hops = trace.events[n], trace.hops
    does = f"{name_of(trace, event.actor, 40)} {_VERBS[event.what]}"
    if not event.kind:
        return f"{does} ({excerpt(event.text, 60)})" if event.what in ("fail", "fault") else does
    number = trace.numbers.get(event.message, "")
    thing = f"{event.kind} {number}" if number else _NAMELESS[event.kind]
    if event.what == "fault":
        return f"{does} with {thing} ({excerpt(event.text, 60)})"
    does += f" {thing}"
    if event.what == "send":
        ends = {hops[k].target for k in np.flatnonzero(hops.sent == n).tolist()} - {""}
        word = "to"
    else:
        ends = {hops[k].source for k in np.flatnonzero(hops.received == n).tolist()} - {""}
        word = "from"
    names = " and ".join(name_of(trace, end, 40) for end in sorted(ends))
    return f"{does} {word} {names}" if names else does
