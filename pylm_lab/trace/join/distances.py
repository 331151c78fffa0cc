"""Distances: how far the clocks of several records are apart.

1. A message does not come before it was sent: each one that went from one process to another bounds
   how far their clocks are apart, from one side.
2. Where messages went both ways, the middle of the bounds is taken. Where they went one way only,
   the fastest took no time. The best known pairs come first, and the others follow from them.
3. Between those that never exchanged anything, nothing is known: they begin together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["distances"]

_Numbers = npt.NDArray[np.int64]


class _Gap(NamedTuple):
    """What to add to the times of `other` so that they count as those of `one` do."""

    doubt: tuple[bool, int]
    one: int
    other: int
    nanoseconds: int


def distances(
    count: int, whose: _Numbers, at: _Numbers, sends: _Numbers, arrivals: _Numbers
) -> tuple[list[int], list[list[int]]]:
    """What to add to the times of each record, and which of them ever exchanged something.

    Args:
        count: how many records there are.
        whose: for each event, the record that it is in.
        at: its time, as that record tells it.
        sends, arrivals: positions of events that belong together.
    """
    bounds = _bounds(count, whose, at, sends, arrivals)
    gaps = sorted(_gap(pair, bounds) for pair in {tuple(sorted(pair)) for pair in bounds})
    joined = _Joined(count)
    near: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _, one, other, away in gaps:
        if joined.join(one, other):
            near[one].append((other, away))
            near[other].append((one, -away))
    added = [0] * count
    groups = joined.groups()
    for group in groups:
        seen, todo = {group[0]}, [group[0]]
        for one in todo:
            for other, away in sorted(near[one]):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
                    added[other] = added[one] + away
        _begin_at_zero(group, added, whose, at)
    return added, groups


def _bounds(
    count: int, whose: _Numbers, at: _Numbers, sends: _Numbers, arrivals: _Numbers
) -> dict[tuple[int, int], int]:
    """(sender, receiver) → the least that has to be added to the receiver's times."""
    between = whose[sends] != whose[arrivals]
    sends, arrivals = sends[between], arrivals[between]
    pairs = whose[sends] * count + whose[arrivals]
    found: dict[tuple[int, int], int] = {}
    for pair in np.unique(pairs).tolist():
        these = pairs == pair
        least = (at[sends[these]] - at[arrivals[these]]).max()
        found[divmod(pair, count)] = int(least)
    return found


def _gap(pair: tuple[int, ...], bounds: dict[tuple[int, int], int]) -> _Gap:
    one, other = pair
    least, most = bounds.get((one, other)), bounds.get((other, one))
    if least is not None and most is not None:
        return _Gap((False, abs(-most - least)), one, other, (least - most) // 2)
    if least is not None:
        return _Gap((True, 0), one, other, least)
    assert most is not None
    return _Gap((True, 0), one, other, -most)


def _begin_at_zero(group: list[int], added: list[int], whose: _Numbers, at: _Numbers) -> None:
    """Let the first event of all be at 0."""
    begins = [
        int(at[whose == one].min()) + added[one] for one in group if bool((whose == one).any())
    ]
    for one in group:
        added[one] -= min(begins, default=0)


class _Joined:
    """Which belong together."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def _root(self, one: int) -> int:
        while self._parent[one] != one:
            self._parent[one] = one = self._parent[self._parent[one]]
        return one

    def join(self, one: int, other: int) -> bool:
        """These do; False if that was known."""
        first, second = sorted((self._root(one), self._root(other)))
        self._parent[second] = first
        return first != second

    def groups(self) -> list[list[int]]:
        """All of them, by who belongs together, in order."""
        found: dict[int, list[int]] = defaultdict(list)
        for one in range(len(self._parent)):
            found[self._root(one)].append(one)
        return list(found.values())
