"""Traffic: what crossed each link, and how long the queue on it was.

1. Messages, requests and answers count; credits and echoes are how a link works.
2. For every link: sent = received + in flight + dropped, unless a fault doubled something or a
   sender was not recorded. A publication counts once for each subscriber, and not at all if there
   was none.
3. In the queue of a link is what was sent on it and has neither arrived nor been given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.ask.causes import CARRIED
from pylm_lab.trace.ask.lookup import unknown
from pylm_lab.trace.records import Link
from pylm_lab.trace.rules.check import Count, counts
from pylm_lab.trace.rules.facts import to_nobody
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.grid import ROWS, Column, Grid, lasting, many, moment, name_of, unit

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Links", "Queue", "Traffic"]

_Wide = npt.NDArray[np.int64]


class Queue(Sequence[tuple[int, int]]):
    """The length of a queue over time: pairs (at, length), one for each change, in order.

    `at` is of the trace's clock; before the first pair the queue is empty.
    """

    def __init__(self, trace: Trace, at: _Wide, length: _Wide) -> None:
        self._trace = trace
        self._at, self._length = at, length

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, n: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, n: slice) -> Queue: ...
    def __getitem__(self, n: int | slice) -> tuple[int, int] | Queue:
        if isinstance(n, slice):
            return Queue(self._trace, self._at[n], self._length[n])
        return int(self._at[n]), int(self._length[n])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._at.tolist(), self._length.tolist(), strict=True))

    def at(self, time: int) -> int:
        """How many there were at this time."""
        n = int(np.searchsorted(self._at, time, "right"))
        return int(self._length[n - 1]) if n else 0

    @property
    def longest(self) -> int:
        """The greatest length; 0 if nothing was ever in it."""
        return int(self._length.max(initial=0))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it equals a list, which has none

    def _grid(self) -> Grid:
        trace = self._trace
        title = f"Queue: {many(len(self), 'change')}, {self.longest:,} at the most"
        if len(self) and self.longest:
            title += f", first at {moment(trace, self[int(self._length.argmax())][0])}"
        rows = [(moment(trace, at), f"{length:,}") for at, length in self[:ROWS]]
        left = len(self) - len(rows)
        heads = (Column(unit(trace), 14, right=True), Column("length", 12, right=True))
        return Grid(title, heads, rows, f"… {left:,} more" if left else "")

    def __repr__(self) -> str:
        return self._grid().text()

    def _repr_html_(self) -> str:
        return self._grid().html()


class Traffic:
    """What crossed one link: `source` and `target` are the ids of the actors at its ends.

    `count` is what was sent, received, in flight and dropped, and so are the properties of these
    names. `longest` is the greatest length of its queue, `wait` the mean time from a send to its
    receive in steps or nanoseconds, None if nothing arrived.
    """

    def __init__(self, trace: Trace, link: Link, hops: npt.NDArray[Any], count: Count) -> None:
        self._trace = trace
        self._hops = hops
        self.source, self.target = link
        self.count = count

    @property
    def sent(self) -> int:
        """How many were meant to go, also those that were given up before they were sent."""
        return self.count.sent

    @property
    def received(self) -> int:
        """How many arrived."""
        return self.count.received

    @property
    def in_flight(self) -> int:
        """How many had not arrived when the record ended."""
        return self.count.in_flight

    @property
    def dropped(self) -> int:
        """How many were given up and received by nobody."""
        return self.count.dropped

    @property
    def hops(self) -> list[int]:
        """The hops, as positions in `Trace.hops`, in order."""
        found: list[int] = self._hops.tolist()
        return found

    @cached_property
    def queue(self) -> Queue:
        """How many were on the link, over time."""
        hops, at = self._trace.hops, self._trace.columns.at
        begin = hops.sent[self._hops]
        end = _ends(hops)[self._hops]
        gone = end[(begin >= 0) & (end > begin)]
        begin = begin[begin >= 0]
        when = np.concatenate([begin, gone])
        order = np.argsort(when, kind="stable")
        change = np.concatenate([np.ones(len(begin), np.int64), np.full(len(gone), -1, np.int64)])
        return Queue(self._trace, at[when[order]], np.cumsum(change[order]))

    @property
    def longest(self) -> int:
        """The greatest length of its queue."""
        return self.queue.longest

    @cached_property
    def wait(self) -> float | None:
        """The mean time from a send to its receive; None if nothing was received."""
        hops, at = self._trace.hops, self._trace.columns.at
        sent, received = hops.sent[self._hops], hops.received[self._hops]
        both = (sent >= 0) & (received >= 0)
        return float((at[received[both]] - at[sent[both]]).mean()) if both.any() else None

    def __repr__(self) -> str:
        names = " → ".join(name_of(self._trace, end, 40) for end in (self.source, self.target))
        told = f"{self.sent:,} sent, {self.received:,} received, {self.in_flight:,} in flight"
        wait = "" if self.wait is None else f", mean wait {lasting(self._trace, self.wait)}"
        return (
            f"<{names}: {told}, {self.dropped:,} dropped; at most {self.longest:,} at once{wait}>"
        )


_COLUMNS = (
    Column("from", 24),
    Column("to", 24, arrow=True),
    *(Column(name, 11, right=True) for name in ("sent", "received", "in flight", "dropped")),
    Column("longest queue", 13, right=True),
    Column("mean wait", 16, right=True),
)


class Links(Mapping[Link, Traffic]):
    """What crossed each link: (source, target) → `Traffic`, in the order of first use.

    The key is the ids of the actors at both ends; one that is not known is an empty text. A link is
    also found by what the table calls its ends, where that is unique.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._links = _links(trace)

    def __getitem__(self, link: Link) -> Traffic:
        """The traffic on a link.

        Raises:
            UnknownName: nothing has crossed such a link. It is a KeyError.
        """
        try:
            return self._links[self._by_label.get(link, link)]
        except (KeyError, TypeError):
            wanted = " → ".join(map(str, link)) if isinstance(link, tuple) else link
            known = (" → ".join(end or "?" for end in link) for link in self._links)
            raise unknown("traffic on the link", wanted, known) from None

    @cached_property
    def _by_label(self) -> dict[Link, Link]:
        """What the table calls a link → its key, of those that ids do not name."""
        labels = {"": "", **self._trace.labels}
        each = (((labels.get(a, a), labels.get(b, b)), (a, b)) for a, b in self._links)
        return {called: link for called, link in each if called not in self._links}

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)

    @property
    def _grid(self) -> Grid:
        trace, all_ = self._trace, list(self._links.values())
        sums = [f"{sum(column):,}" for column in zip(*(one.count for one in all_), strict=True)]
        title = f"Links: {many(len(all_), 'link')} that something crossed"
        if sums:
            title += f"; {sums[0]} sent, {sums[1]} received, {sums[2]} in flight, {sums[3]} dropped"
        rows = [
            (
                name_of(trace, one.source, 24),
                name_of(trace, one.target, 24),
                *(f"{number:,}" for number in one.count),
                f"{one.longest:,}",
                "" if one.wait is None else lasting(trace, one.wait),
            )
            for one in all_[:ROWS]
        ]
        left = len(all_) - len(rows)
        return Grid(excerpt(title, 140), _COLUMNS, rows, f"… {left:,} more" if left else "")

    def __repr__(self) -> str:
        return self._grid.text()

    def _repr_html_(self) -> str:
        return self._grid.html()


def _ends(hops: Any) -> npt.NDArray[Any]:
    """Where each hop leaves its queue: at its receive, or where it was given up; -1 for nowhere."""
    found: npt.NDArray[Any] = np.where(hops.received >= 0, hops.received, hops.dropped)
    return found


def _links(trace: Trace) -> dict[Link, Traffic]:
    hops, names = trace.hops, [*trace.columns.tables.actors, ""]
    chosen = np.flatnonzero(hops.are(*CARRIED) & ~to_nobody(trace))
    key = (hops.source[chosen].astype(np.int64) + 1) * len(names) + hops.target[chosen] + 1
    order = np.argsort(key, kind="stable")
    groups = np.split(chosen[order], np.flatnonzero(np.diff(key[order])) + 1)
    by_link = {
        (names[hops.source[group[0]]], names[hops.target[group[0]]]): group
        for group in groups
        if len(group)
    }
    return {
        link: Traffic(trace, link, by_link[link], count)
        for link, count in counts(trace, *CARRIED).items()
    }
