"""Activity: what each actor did, and how much of the time it worked.

1. What an actor received, sent and gave up counts in messages, requests and answers; credits and
   echoes are how a link works.
2. Its time goes from its start, or the first thing that it sent or received, to its stop, or the
   last thing that is heard of it. It is cut at each event of its own. What ends with something
   that came from outside (a receive, a subscription seen, its stop) was *waiting*; the rest, which
   ends with something that it did, was *working*.

Where the clock is read once for a whole batch, what was received together took no time. In a
controlled run, waiting for one's turn counts as what is done with the turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pylm_lab.trace.ask.causes import CARRIED
from pylm_lab.trace.ask.lookup import actors
from pylm_lab.trace.show.grid import ROWS, Column, Grid, lasting, many, name_of
from pylm_lab.trace.tables import KINDS, WHATS, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Activities", "Activity"]


class Activity(NamedTuple):
    """What one actor did: counts, and times in steps or nanoseconds.

    `actor` is its id; `working` and `waiting` add up to `lasting`.
    """

    actor: str
    received: int
    sent: int
    dropped: int
    working: int
    waiting: int

    @property
    def lasting(self) -> int:
        """From its beginning to its end, as far as it was recorded."""
        return self.working + self.waiting

    @property
    def busy(self) -> float:
        """Which part of its time it worked, from 0 to 1."""
        return self.working / self.lasting if self.lasting else 0.0


_COLUMNS = (
    Column("actor", 24),
    Column("role", 9),
    *(Column(name, 11, right=True) for name in ("received", "sent", "dropped")),
    *(Column(name, 18, right=True) for name in ("working", "waiting")),
    Column("busy", 6, right=True),
)


class Activities(Mapping[str, Activity]):
    """What each actor did: id → `Activity`, in declared order; a label finds one as well.

    Of a part of a trace, only what is in the part counts, and what was left out cuts no time.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._all = _activities(trace)

    def __getitem__(self, actor: str) -> Activity:
        """What this actor did.

        Raises:
            UnknownName: there is none of this id or label. It is a KeyError.
        """
        if actor in self._all:
            return self._all[actor]
        return self._all[actors(self._trace, actor)[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def _grid(self) -> Grid:
        trace, all_ = self._trace, list(self._all.values())
        rows = [
            (
                name_of(trace, one.actor, 24),
                trace.actor(one.actor).role,
                *(f"{number:,}" for number in (one.received, one.sent, one.dropped)),
                lasting(trace, one.working),
                lasting(trace, one.waiting),
                f"{one.busy:.0%}",
            )
            for one in all_[:ROWS]
        ]
        left = len(all_) - len(rows)
        title = f"Activity of {many(len(all_), 'actor')}"
        if all_:
            busiest = max(all_, key=lambda one: one.busy)
            title += f"; the busiest was {name_of(trace, busiest.actor, 40)}"
        return Grid(title, _COLUMNS, rows, f"… {left:,} more" if left else "")

    def __repr__(self) -> str:
        return self._grid.text()

    def _repr_html_(self) -> str:
        return self._grid.html()


#: What comes to an actor, rather than from it.
_COMES = np.isin(WHATS, ("receive", "stop", "seen", "unseen", "fault"))
#: What is heard before an actor runs.
_RUNS = np.isin(WHATS, ("start", "send", "receive", "drop"))


def _activities(trace: Trace) -> dict[str, Activity]:
    events = trace.columns
    size = len(events.tables.actors)
    counted = np.isin(events.kind, [KINDS.index(kind) for kind in CARRIED])
    counts = [
        np.bincount(events.actor[counted & (events.what == code(what))], minlength=size).tolist()
        for what in ("receive", "send", "drop")
    ]
    order = np.argsort(events.actor, kind="stable")
    actor, at = events.actor[order], events.at[order]
    what = events.what[order]
    # From the first event at which it runs: bind and connect may be long before.
    begins = np.full(size, len(order))
    runs = np.flatnonzero(_RUNS[what])[::-1]
    begins[actor[runs]] = runs
    same = np.zeros(len(order), bool)
    same[1:] = actor[1:] == actor[:-1]
    same &= np.arange(len(order)) > begins[actor] if len(order) else same
    span = np.zeros(len(order), np.int64)
    span[1:] = at[1:] - at[:-1]
    times = []
    for chosen in (same & ~_COMES[what], same & _COMES[what]):
        sums = np.zeros(size, np.int64)
        np.add.at(sums, actor[chosen], span[chosen])
        times.append(sums.tolist())
    names = {name: n for n, name in enumerate(events.tables.actors)}
    return {
        one.id: Activity(one.id, *(column[names[one.id]] for column in (*counts, *times)))
        for one in trace.actors
    }
