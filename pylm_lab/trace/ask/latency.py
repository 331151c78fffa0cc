"""Latency: how long messages were queueing, held, worked on and crossing, all of them at once.

What the four words mean is said in `pylm_lab.trace.ask.legs`, which tells one message's time piece
by piece. Here the same is read out of columns: each event has the time since its cause, in four
parts, and a message's latency is the sum of these along its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.tables import Positions, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Latency", "latencies"]

_Wide = npt.NDArray[np.int64]
#: The four parts, by row.
_QUEUEING, _HOLDING, _WORKING, _CROSSING = range(4)


class Latency(NamedTuple):
    """How long a message was on its way, by what happened meanwhile; in steps or nanoseconds.

    See `pylm_lab.trace.ask.legs`.
    """

    queueing: int = 0
    holding: int = 0
    working: int = 0
    crossing: int = 0

    @property
    def total(self) -> int:
        """From its first event to the arrival of its answer, or to its last event."""
        return sum(self)


def latencies(trace: Trace, first: Positions, ends: Positions) -> _Wide:
    """The latency of each message from its `first` event to where it `ends`, as four rows."""
    causes, at = trace.causes, trace.columns.at
    steps = _steps(trace)
    found: _Wide = np.zeros((4, len(first)), np.int64)
    open_ = np.flatnonzero((first >= 0) & (ends != first))
    event = ends[open_].copy()
    while len(open_):
        before = causes.cause[event]
        goes_on = before >= first[open_]
        # Where no cause leads to its beginning, somebody in between was not recorded.
        lone = open_[~goes_on]
        found[_CROSSING, lone] += at[event[~goes_on]] - at[first[lone]]
        open_, event, before = open_[goes_on], event[goes_on], before[goes_on]
        found[:, open_] += steps[:, event]
        more = before != first[open_]
        open_, event = open_[more], before[more]
    return found


def _steps(trace: Trace) -> _Wide:
    """The time from the cause of each event to itself, as four rows."""
    events, causes = trace.columns, trace.causes
    at, actor, cause = events.at, events.actor, causes.cause
    found: _Wide = np.zeros((4, len(events)), np.int64)
    event = np.flatnonzero(cause >= 0)
    since = cause[event]
    unseen = causes.unseen[event]
    crosses = ~unseen & (actor[event] != actor[since])
    resent = ~unseen & ~crosses & (events.what[since] == code("send"))
    took = at[event] - at[since]
    found[_CROSSING, event[unseen]] = took[unseen]
    found[_HOLDING, event[resent]] = took[resent]

    one, took = event[crosses], took[crosses]
    busy = _busy(trace)[one]
    begins = at[cause[one]]
    free = np.where(busy >= 0, at[busy], begins)
    queueing = np.minimum(np.maximum(free - begins, 0), np.maximum(took, 0))
    found[_QUEUEING, one] = queueing
    found[_CROSSING, one] = took - queueing

    stays = ~unseen & ~crosses & ~resent
    one, since = event[stays], since[stays]
    receives, leaves, own = _sums(trace)
    found[_HOLDING, one] = receives[one] - receives[since]
    found[_WORKING, one] = own[one]
    found[_QUEUEING, one] = leaves[one] - leaves[since] - own[one]
    return found


def _by_actor(trace: Trace) -> npt.NDArray[Any]:
    """All events at which something was sent, received or dropped, actor by actor."""
    crosses = np.flatnonzero(trace.columns.are("send", "receive", "drop"))
    return crosses[np.argsort(trace.columns.actor[crosses], kind="stable")]


def _busy(trace: Trace) -> Positions:
    """For each event the last one of its actor at an earlier moment; -1 if there is none."""
    events, order = trace.columns, _by_actor(trace)
    found: Positions = np.full(len(events), -1, np.int32)
    if not len(order):
        return found
    actor, at = events.actor[order], events.at[order]
    moment = np.ones(len(order), bool)
    moment[1:] = (actor[1:] != actor[:-1]) | (at[1:] != at[:-1])
    begin = np.flatnonzero(moment)[np.cumsum(moment) - 1]
    known = (begin > 0) & (actor[begin - 1] == actor)
    found[order[known]] = order[begin[known] - 1]
    return found


def _sums(trace: Trace) -> tuple[_Wide, _Wide, _Wide]:
    """Sums of the time between each two events of an actor, up to each event.

    Of the pieces that end with a receive, of those that end otherwise, and of these only those that
    end with something that came of the same event as this.
    """
    events, causes, order = trace.columns, trace.causes, _by_actor(trace)
    span: _Wide = np.zeros(len(events), np.int64)
    follows = order[1:][events.actor[order[1:]] == events.actor[order[:-1]]]
    span[follows] = events.at[follows] - events.at[causes.before[follows]]
    receives = events.what == code("receive")
    sums = []
    for chosen in (receives, ~receives):
        column: _Wide = np.zeros(len(events), np.int64)
        column[order] = np.cumsum(np.where(chosen, span, 0)[order])
        sums.append(column)
    own: _Wide = np.zeros(len(events), np.int64)
    leaves = np.flatnonzero(~receives & (causes.cause >= 0))
    leaves = leaves[np.argsort(causes.cause[leaves], kind="stable")]
    if len(leaves):
        total = np.cumsum(span[leaves])
        cause = causes.cause[leaves]
        begins = np.ones(len(leaves), bool)
        begins[1:] = cause[1:] != cause[:-1]
        begin = np.flatnonzero(begins)[np.cumsum(begins) - 1]
        own[leaves] = total - total[begin] + span[leaves[begin]]
    return sums[0], sums[1], own
