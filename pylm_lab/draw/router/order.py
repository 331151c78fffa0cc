"""Order: in which rows the parts stand, so that few wires of the routing table cross.

Parts come in ranks that keep their order; within a rank they may change places. Where several
orders are equally good, the one that is nearest to the declared order wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations, product
from math import factorial, prod

from pylm_lab.draw.router.survey import Part, Survey

__all__ = ["Ranks", "ordered"]

Ranks = list[list[Part]]

#: Orders that are tried one by one; with more, each part moves to the height of its wires.
_TRIES = 3000


def ordered(found: Survey, left: Ranks, right: Ranks) -> tuple[list[Part], list[Part]]:
    """Both columns from the top."""
    orders: Iterable[tuple[list[Part], list[Part]]]
    if prod(factorial(len(rank)) for rank in (*left, *right)) <= _TRIES:
        orders = product(_arrangements(left), _arrangements(right))
    else:
        orders = _settling(found, left, right)
    return min(orders, key=lambda order: _cost(found, *order))


def _arrangements(ranks: Ranks) -> list[list[Part]]:
    return [_flat(order) for order in product(*(permutations(rank) for rank in ranks))]


def _flat(ranks: Sequence[Sequence[Part]]) -> list[Part]:
    return [part for rank in ranks for part in rank]


def _settling(found: Survey, left: Ranks, right: Ranks) -> Iterator[tuple[list[Part], list[Part]]]:
    """Orders in which each part moves to the mean height of what it is wired to, in turn."""
    left, right = [list(rank) for rank in left], [list(rank) for rank in right]
    yield _flat(left), _flat(right)
    for _ in range(4):
        for moving, still in ((right, left), (left, right)):
            place = {part.id: n for n, part in enumerate(_flat(still))}
            heights = {part.id: _height(found, part.id, place) for part in _flat(moving)}
            for rank in moving:
                rank.sort(key=lambda part: heights[part.id])
            yield _flat(left), _flat(right)


def _height(found: Survey, part: str, place: dict[str, int]) -> float:
    pairs = [(row.source, row.target) for row in found.rows]
    ends = [place[b] for a, b in pairs if a == part and b in place]
    ends += [place[a] for a, b in pairs if b == part and a in place]
    return sum(ends) / len(ends) if ends else len(place) / 2


def _cost(found: Survey, left: Sequence[Part], right: Sequence[Part]) -> tuple[int, float]:
    """Crossings, then how far wires climb."""
    a = {part.id: n - len(left) / 2 for n, part in enumerate(left)}
    b = {part.id: n - len(right) / 2 for n, part in enumerate(right)}
    pairs = [(row.source, row.target) for row in found.rows]
    wires = [(a[s], b[t]) for s, t in pairs if s in a and t in b]
    hooks = [(b[s], b[t]) for s, t in pairs if s in b and t in b]
    crossings = sum(
        (p - r) * (q - s) < 0 for n, (p, q) in enumerate(wires) for r, s in wires[n + 1 :]
    )
    # A wire that ends between a hook's ends crosses it.
    crossings += sum(min(p, q) < end < max(p, q) for p, q in hooks for _, end in wires)
    return crossings, sum(abs(p - q) for p, q in (*wires, *hooks))
