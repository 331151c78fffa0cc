"""Chains: which hop led to which.

1. A hop comes from the one that brought what it carries: the same message, the message that it was
   made of, the request that it answers. It also comes from the answer that was waited for, where a
   message goes on after its actor has asked somebody about it.
2. Across somebody who was not recorded it comes from the hop on which the message was seen last.
3. An earlier hop always begins before a later one, so nothing comes from itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.ask.causes import CARRIED, latest
from pylm_lab.trace.tables import KINDS, Flags, Positions, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Chains", "chains"]

_Many = npt.NDArray[Any]


class Chains(NamedTuple):
    """Pairs of hops, as columns, in the order of the later ones.

    `earlier` and `later` are positions in `Trace.hops`; `since` and `until` the positions in
    `Trace.events` of what ended the one and began the other. `unseen`: somebody in between was not
    recorded.
    """

    earlier: Positions
    later: Positions
    since: Positions
    until: Positions
    unseen: Flags


def chains(trace: Trace) -> Chains:
    """Which hop of a message, a request or an answer led to which."""
    causes, hops = trace.causes, trace.hops
    later = np.flatnonzero(hops.are(*CARRIED))
    until = hops.begins[later]
    since = causes.cause[until]
    later, until, since = later[since >= 0], until[since >= 0], since[since >= 0]
    earlier = _hop_of(trace)[since]
    asked, went_on = _asked(trace)
    # A publication goes on in several hops, which begin with one event.
    begins = hops.begins
    order = np.argsort(begins, kind="stable")
    left, right = (np.searchsorted(begins[order], went_on, side) for side in ("left", "right"))
    times = right - left
    more = order[np.repeat(left, times) + _counted(times)]
    asked = np.repeat(asked, times)
    columns = [
        np.concatenate([earlier, _hop_of(trace)[asked]]),
        np.concatenate([later, more]),
        np.concatenate([since, asked]),
        np.concatenate([until, begins[more]]),
        np.concatenate([causes.unseen[until], np.zeros(len(more), bool)]),
    ]
    good = (columns[0] >= 0) & (columns[0] != columns[1])
    order = np.lexsort((columns[0], columns[1]))
    order = order[good[order]]
    return Chains(*(column[order] for column in columns))


def _counted(times: _Many) -> _Many:
    """0, 1, … up to each of these, one after the other."""
    found: _Many = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    return found


def _hop_of(trace: Trace) -> Positions:
    """The hop of each event: where it ends, else the first that it begins; -1 for none."""
    hops = trace.hops
    found: Positions = np.full(len(trace.events), -1, np.int32)
    for column in (hops.sent, hops.dropped, hops.received):
        known = np.flatnonzero(column >= 0)[::-1]
        found[column[known]] = known
    return found


def _asked(trace: Trace) -> tuple[_Many, _Many]:
    """Where an answer arrived, and where its asker then went on with what it had asked for."""
    events, causes = trace.columns, trace.causes
    about, made_of = causes.about, causes.made_of
    told = causes.told
    arrived = told[
        (events.what[told] == code("receive")) & (events.kind[told] == KINDS.index("answer"))
    ]
    arrived = arrived[made_of[about[arrived]] > 0]
    leaves = told[events.what[told] != code("receive")]
    made = leaves[made_of[about[leaves]] > 0]
    at = np.concatenate([leaves, made])
    key = np.concatenate([about[leaves], made_of[about[made]]])
    # The first that comes after is the last that comes before, read backwards.
    end = len(events)
    order = np.argsort(-at, kind="stable")
    found = latest(
        (events.actor[at[order]], key[order]),
        end - at[order],
        (events.actor[arrived], made_of[about[arrived]]),
        end - arrived,
    )
    there = found >= 0
    return arrived[there], end - found[there]
