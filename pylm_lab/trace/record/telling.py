"""Telling: what a recorder has on its tapes, as a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pylm_lab.hook import Actor
from pylm_lab.trace.columns import Events
from pylm_lab.trace.hops.order import merged
from pylm_lab.trace.record.decoding import Decoding
from pylm_lab.trace.tables import code
from pylm_lab.trace.trace import Trace

if TYPE_CHECKING:
    from pylm_lab.trace.record.recorder import Told
    from pylm_lab.trace.record.tape import Taped

__all__ = ["is_raw", "tell"]


def tell(told: Told, kept: Mapping[str, Taped], about: Mapping[str, Any]) -> Trace:
    """The trace of what was declared and of what each actor's tape has kept.

    `about` is what the trace says of itself.
    """
    actors = {actor.id: actor for actor in told.actors}
    decoding = Decoding(actors, (port.id for port in told.ports))
    for actor in [*actors, *(kept.keys() - actors.keys())]:
        if actor in kept:
            decoding.add(actor, kept[actor], raw=is_raw(actors.get(actor)))
    dropped = {actor: own.dropped for actor, own in kept.items() if own.dropped}
    events, more = _from_one_time(decoding.events(), set(dropped))
    if about["clock"] == "ns" and len(events):
        events = events.later(-int(events.at.min()))
    return Trace(
        actors=told.actors,
        ports=told.ports,
        routes=told.routes,
        events=merged(events, told.ports, told.actors, clock=about["clock"]),
        decisions=told.decisions,
        forgotten=sum(dropped.values()) + more,
        cut=_not_stopped(actors, events) if told.failed else (),
        **{**about, "options": dict(about["options"])},
    )


def is_raw(actor: Actor | None) -> bool:
    """Its messages are what a program of somebody's makes of them."""
    return actor is not None and actor.role == "program"


def _not_stopped(actors: Mapping[str, Actor], events: Events) -> tuple[str, ...]:
    """Whose record ends early, since their recorder has failed: all who had not stopped."""
    stops = events.actor[events.what == code("stop")]
    stopped = {events.tables.actors[n] for n in stops.tolist()}
    # If all have, it missed something that came later.
    return tuple(id for id in actors if id not in stopped) or tuple(actors)


def _from_one_time(events: Events, forgetful: set[str]) -> tuple[Events, int]:
    """Let all begin where the last one begins that has forgotten something; and what that costs.

    What one actor remembers from before, another has forgotten: it would look lost.
    """
    hops = events.kind > 0
    begins = 0
    for n, actor in enumerate(events.tables.actors):
        if actor in forgetful:
            own = events.at[hops & (events.actor == n)]
            begins = max(begins, int(own[0]) if len(own) else 0)
    if not begins:
        return events, 0
    known = np.flatnonzero((events.at >= begins) | ~hops)
    return events.take(known), len(events) - len(known)
