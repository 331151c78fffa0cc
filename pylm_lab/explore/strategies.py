"""Orders to try: what is chosen next, run after run.

1. First the plain order, which always does the first thing that is possible.
2. Then half of the budget at random: walks, in which everything that is possible is as likely, and
   priorities with a few changes (Burckhardt et al., "A randomized scheduler with probabilistic
   guarantees of finding bugs", ASPLOS 2010), which find what is rare because somebody has to be
   late for long.
3. Then the plain order with one delay, at each step in turn, then with two (Emmi et al.,
   "Delay-bounded scheduling", POPL 2011): whoever would have moved moves after all others from
   there on. When there are none left, at random again.

Every choice comes from `random()` of a generator with a seed, the one sequence that Python
guarantees to keep.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pylm_lab.explore.runs import Choice, Choose, Cut, Name
from pylm_lab.schedule import Operation

__all__ = [
    "Order",
    "along",
    "delayed",
    "orders",
    "plain",
    "positions",
    "priorities",
    "walk",
]

#: What half of the budget goes through, again and again; 0: a walk, else 1 + changes of priority.
CYCLE = (0, 1, 2, 0, 3, 4)
#: Pairs of delays that are made at once; more are never needed.
PAIRS = 50_000


class Order(NamedTuple):
    """An order to try, and what it is called."""

    told: str
    choose: Choose


def plain(possible: Sequence[Operation]) -> int:
    """Always the first thing that is possible."""
    return 0


def walk(rng: random.Random) -> Choose:
    """Each time anything that is possible, as likely as the rest."""
    return lambda possible: int(rng.random() * len(possible))


def priorities(rng: random.Random, changes: int, length: int, *, by_port: bool) -> Choose:
    """Who has the highest priority moves; at `changes` steps of `length` it gets the lowest.

    Priorities are drawn for each actor, or (`by_port`) for each thing that it can do.
    """
    at = {int(rng.random() * length) for _ in range(changes)}
    rank: dict[object, float] = {}
    steps = itertools.count()

    def choose(possible: Sequence[Operation]) -> int:
        lanes = [op.name if by_port else op.actor for op in possible]
        for lane in lanes:
            if lane not in rank:
                rank[lane] = rng.random()
        best = max(range(len(lanes)), key=lambda n: rank[lanes[n]])
        step = next(steps)
        if step in at:
            rank[lanes[best]] = -1.0 - step
            best = max(range(len(lanes)), key=lambda n: rank[lanes[n]])
        return best

    return choose


def delayed(steps: Sequence[int]) -> Choose:
    """The plain order, but whoever would move at one of these steps is the last from there on."""
    late: dict[str, int] = {}
    count = itertools.count()

    def first(possible: Sequence[Operation]) -> int:
        return min(range(len(possible)), key=lambda n: (late.get(possible[n].actor, 0), n))

    def choose(possible: Sequence[Operation]) -> int:
        step = next(count)
        if step in steps:
            late[possible[first(possible)].actor] = step + 1
        return first(possible)

    return choose


def positions(wanted: Sequence[int]) -> Choose:
    """These positions, one after the other, the last where there are fewer; then plain."""
    rest = iter(wanted)
    return lambda possible: min(next(rest, 0), len(possible) - 1)


def along(wanted: Sequence[Name], then: Choose | None) -> Choose:
    """These operations, one after the other, without those that are not possible at their turn.

    After the last one it goes on as `then` chooses; None: it cuts the run.
    """
    rest = iter(wanted)

    def choose(possible: Sequence[Operation]) -> int:
        names = [op.name for op in possible]
        for wished in rest:
            if wished in names:
                return names.index(wished)
        if then is None:
            raise Cut
        return then(possible)

    return choose


def orders(seed: int, budget: int, plainly: Callable[[], Sequence[Choice]]) -> Iterator[Order]:
    """The orders to try, `budget` of them.

    `plainly` tells, once the plain one was tried, what was chosen in it.
    """
    yield Order("in the plain order", plain)
    rng = random.Random(seed)
    chances = _random(rng, lambda: len(plainly()))
    yield from itertools.islice(chances, max(0, budget // 2 - 1))
    left = budget - max(1, budget // 2)
    yield from itertools.islice(itertools.chain(_systematic(rng, plainly()), chances), left)


def _random(rng: random.Random, length: Callable[[], int]) -> Iterator[Order]:
    for n, depth in enumerate(itertools.cycle(CYCLE)):
        # A generator of its own, so that an order does not depend on how long others were.
        own = random.Random(int(rng.random() * 2**53))
        if depth == 0:
            yield Order("by a random walk", walk(own))
            continue
        changes = depth - 1
        told = f"by random priorities with {_count(changes, 'change')}"
        # In turn, so that each depth meets both.
        by_port = n // len(CYCLE) % 2 == 1
        yield Order(told, priorities(own, changes, length(), by_port=by_port))


def _systematic(rng: random.Random, plainly: Sequence[Choice]) -> Iterator[Order]:
    # Where nothing else is possible, a delay comes to the same as one at a later step.
    steps = [n for n, choice in enumerate(plainly) if choice.possible > 1]
    for step in steps:
        yield Order("in the plain order with one delay", delayed([step]))
    pairs = ((one, two) for one in steps for two in range(one + 1, len(plainly)))
    for pair in sorted(itertools.islice(pairs, PAIRS), key=lambda _: rng.random()):
        yield Order("in the plain order with two delays", delayed(pair))


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
