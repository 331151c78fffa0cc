"""Filtering: the part of a trace that somebody asks about.

1. A hop is kept with all of its events, or not at all: it belongs to both of its ends.
2. Whatever is no hop (who was bound and connected to what, subscriptions, starts and stops, faults
   that act on an actor) is always kept, so that links and actors are what they were.
3. A part knows the trace that it is of (`Trace.whole`): messages have the numbers that they have
   there, and nothing is called lost because the rest of it was left out.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from pylm_lab.errors import LabError
from pylm_lab.trace.ask.lookup import actors, kinds, message_id, several
from pylm_lab.trace.columns import Hops
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import Flags

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["chosen", "part"]


def chosen(
    trace: Trace,
    *,
    actor: object = None,
    part: object = None,
    message: object = None,
    kind: object = None,
    between: object = None,
) -> Trace:
    """The part of a trace that `Trace.filter` describes.

    Raises:
        UnknownName: there is no such actor, part, message or kind.
        LabError: `between` is no pair of times.
    """
    if actor is part is message is kind is between is None:
        return trace
    events, hops = trace.columns, trace.hops
    all_hops, all_events = np.ones(len(hops), bool), np.ones(len(events), bool)
    for wanted, is_part in ((actor, False), (part, True)):
        if wanted is not None:
            names = {name: n for n, name in enumerate(events.tables.actors)}
            found = [actors(trace, one, parts=is_part) for one in several(wanted)]
            codes = [names[id] for ids in found for id in ids]
            all_hops &= np.isin(hops.source, codes) | np.isin(hops.target, codes)
            all_events &= np.isin(events.actor, codes)
    if message is not None:
        family = _family(trace, several(message))
        all_hops &= family[trace.messages.of_hops]
        all_events &= family[np.where(trace.causes.about > 0, trace.causes.about, events.message)]
    if kind is not None:
        codes = [kinds(one) for one in several(kind)]
        all_hops &= np.isin(hops.kind, codes)
        all_events &= np.isin(events.kind, codes)
    if between is not None:
        start, end = _times(trace, between)
        last = np.maximum(np.maximum(hops.sent, hops.received), hops.dropped)
        all_hops &= (events.at[hops.begins] <= end) & (events.at[last] >= start)
        all_events &= (events.at >= start) & (events.at <= end)
    return _kept(trace, all_hops, all_events)


def part(trace: Trace, hops: slice) -> Trace:
    """The part of a trace with these hops."""
    wanted = np.zeros(len(trace.hops), bool)
    wanted[hops] = True
    return trace if wanted.all() else _kept(trace, wanted, np.zeros(len(trace.events), bool))


def _kept(trace: Trace, wanted: Flags, lone: Flags) -> Trace:
    """The hops that are wanted; of events that belong to no hop, those in `lone`, and all that say
    nothing about frames."""
    events, hops = trace.columns, trace.hops
    crosses = events.are("send", "receive", "drop", "fault") & (events.port >= 0)
    of_a_hop, keep = np.zeros(len(events), bool), ~crosses
    for column in (hops.sent, hops.received, hops.dropped):
        of_a_hop[column[column >= 0]] = True
        own = column[wanted]
        keep[own[own >= 0]] = True
    for fault, hop in trace.struck.items():
        of_a_hop[fault] = True
        keep[fault] |= wanted[hop]
    # The frames that nobody was there for are no hop.
    keep |= crosses & ~of_a_hop & lone
    positions = np.flatnonzero(keep)
    moved = np.full(len(events) + 1, -1, np.int32)
    moved[positions] = np.arange(len(positions))
    found = replace(
        trace,
        events=events.take(positions),
        decisions=(),
        left_out=trace.left_out + len(events) - len(positions),
        whole=trace.whole or trace,
    )
    sent, received, dropped = (
        moved[column[wanted]] for column in (hops.sent, hops.received, hops.dropped)
    )
    # Matched once for the whole trace: a part is not matched anew, since half of a publication
    # would look as if the rest of it had been lost.
    found.__dict__["hops"] = Hops(
        events.tables,
        hops.kind[wanted],
        hops.message[wanted],
        hops.source[wanted],
        hops.target[wanted],
        sent,
        received,
        dropped,
    )
    return found


def _family(trace: Trace, wanted: list[object]) -> Flags:
    """Which ids of messages are those that are wanted, or descend from them."""
    made_of = trace.causes.made_of
    codes = {id: n for n, id in enumerate(trace.columns.ids)}
    found = np.zeros(len(made_of), bool)
    for one in wanted:
        found[codes[message_id(trace, getattr(one, "id", one))]] = True
    while True:
        more = found | found[made_of] & (made_of > 0)
        if (more == found).all():
            return found
        found = more


def _times(trace: Trace, between: Any) -> tuple[float, float]:
    wrong = LabError(
        f"between={excerpt(repr(between), 60)}: two times (start, end) in "
        f"{'steps' if trace.clock == 'step' else 'nanoseconds'}, either of which may be None"
    )
    if not isinstance(between, tuple | list) or len(between) != 2:
        raise wrong
    for time in between:
        if time is not None and (isinstance(time, bool) or not isinstance(time, Real)):
            raise wrong
    start, end = between
    start, end = -np.inf if start is None else start, np.inf if end is None else end
    if not start <= end:
        raise wrong
    return start, end
