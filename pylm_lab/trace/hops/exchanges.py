"""Exchanges: whose question was answered, where frames have no ids.

1. Whoever asks through a REQ waits for the answer, and a REP answers what it has just received; so
   at either end a question and its answer belong together.
2. An exchange at one end is one at the other if both say the same, and the REP had it within the
   time that the REQ waited. Of several the one that was answered first is taken.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.columns import Events
from pylm_lab.trace.records import What
from pylm_lab.trace.tables import Flags, Positions, code

__all__ = ["exchanges"]

#: What must agree at both ends: the link, and what question and answer say.
_Said = tuple[int, int, int]


class _Exchange(NamedTuple):
    """What was sent first or received first at a port, and what followed: times and positions."""

    begins: int
    ends: int
    first: int
    second: int


def exchanges(
    events: Events, rows: Positions, groups: npt.NDArray[np.int64], asks: Flags, answers: Flags
) -> Iterator[tuple[int, int]]:
    """Each arrival of a question or an answer, with the send that it came from.

    `rows` are the positions of the messages without ids. `groups` has a number for the link of each
    port; `asks` and `answers` tell which ports are a REQ or a REP.
    """
    asked = _at(events, rows[asks[events.port[rows]]], groups, "send", "receive")
    answered = _at(events, rows[answers[events.port[rows]]], groups, "receive", "send")
    for said, there in answered.items():
        waiting = sorted(asked.get(said, ()), reverse=True)
        open_: list[tuple[int, _Exchange]] = []
        for one in sorted(there):
            while waiting and waiting[-1].begins <= one.begins:
                other = waiting.pop()
                heapq.heappush(open_, (other.ends, other))
            while open_ and open_[0][0] < one.ends:
                heapq.heappop(open_)
            if open_:
                _, other = heapq.heappop(open_)
                yield one.first, other.first
                yield other.second, one.second


def _at(
    events: Events, rows: Positions, groups: npt.NDArray[np.int64], first: What, second: What
) -> dict[_Said, list[_Exchange]]:
    """The exchanges at some ports, by what they say; what is not complete is none."""
    found: dict[_Said, list[_Exchange]] = defaultdict(list)
    begun: dict[int, tuple[int, int, int]] = {}
    starts, ends = code(first), code(second)
    for n, what, port, at, said in zip(
        rows.tolist(),
        events.what[rows].tolist(),
        events.port[rows].tolist(),
        events.at[rows].tolist(),
        events.content[rows].tolist(),
        strict=True,
    ):
        if what == starts:
            begun[port] = at, n, said
        elif what == ends and port in begun:
            since, question, asked = begun.pop(port)
            key = groups.item(port), asked, said
            found[key].append(_Exchange(since, at, question, n))
    return found
