"""Place: where the cards of a plan stand, in rows and on the ring; and the room that wires need.

1. x is counted from the middle of the page; y is given when all wires have their tracks.
2. Levels lie below each other: a row of cards, or the ring. Between them are channels, in which
   wires run; beside them lanes, for those that pass a level.
3. The ring goes round with the clock: down on the right, up on the left. Its outer sides are free
   for wires from elsewhere, and the upper edges of its first row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

from pylm_lab.draw.metrics import advance, clean
from pylm_lab.draw.style import Sizes
from pylm_lab.draw.waits.plan import Card, Plan
from pylm_lab.waits import lasting

__all__ = ["LOOP", "PORT", "Flank", "Places", "Spot"]

#: Cards of a row at the most.
_PER_ROW = 3
#: Least distance of two wires at a card, px.
PORT = 9.0

#: Of a card, and what of it is left beside its texts.
_WIDTH, _MARGIN = 190.0, 35.0
#: How far the arrow of a card that waits for itself reaches out on its right.
LOOP = 70.0

Flank = Literal["left", "right"]
Side = Literal["top", "left", "right"]


@dataclass(slots=True)
class Spot:
    """A card's place: the middle of its top edge is at `x`, `y`.

    `level` counts from the top. `entry` is where wires come in; they go out on the `side` of a card
    of the ring, below a card of a row (None).
    """

    id: str
    level: int
    x: float
    w: float
    h: float
    entry: Side = "top"
    side: Side | None = None
    #: Below the top of its level, px.
    down: float = 0
    y: float = 0
    #: What stands under its name.
    lines: tuple[str, ...] = ()

    @property
    def left(self) -> float:
        """Its left edge."""
        return self.x - self.w / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.w / 2


class Places:
    """The places of all cards, by their id; `unit` is the scale of the format.

    `card` is the height of a card, `heights` are those of the levels, `half` half the width of all.
    """

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self.plan = plan
        self.sizes = sizes
        self.unit = sizes.text / 11
        self.spots: dict[str, Spot] = {}
        self.heights: list[float] = []
        self._exits = Counter(source for source, _ in plan.edges)
        self._near: dict[str, list[str]] = defaultdict(list)
        for a, b in plan.edges:
            self._near[a].append(b)
            self._near[b].append(a)
        lines = {id: _lines(card, self.unit, sizes) for id, card in plan.cards.items()}
        self.card = (30 + 15 * max((len(each) for each in lines.values()), default=0)) * self.unit
        rows_above = [list(part) for row in plan.above for part in _wrapped(row)]
        rows_below = [list(part) for row in plan.below for part in _wrapped(row)]
        first = len(rows_above)
        if plan.ring:
            self._stand_on_ring(first)
        # From the ring and from the ends upwards: who waits stands near whom it waits for.
        for n in reversed(range(first)):
            self._stand_in_row(rows_above[n], n)
        after = first + bool(plan.ring)
        for n in reversed(range(len(rows_below))):
            self._stand_in_row(rows_below[n], after + n)
        for id, spot in self.spots.items():
            spot.lines = lines[id]
        ring = [self._ring_height] if plan.ring else []
        self.heights = [*[self.card] * first, *ring, *[self.card] * len(rows_below)]
        edges = [abs(edge) for spot in self.spots.values() for edge in (spot.left, spot.right)]
        self.half = max(edges, default=0.0)
        if len(plan.ring) == 1:
            self.half = max(self.half, self.spots[plan.ring[0]].right + LOOP * self.unit)

    def stack(self, channels: Sequence[float]) -> float:
        """Give every card its y, the first channel beginning at 0; returns the height of all."""
        tops, y = [], 0.0
        for channel, height in zip(channels, [*self.heights, 0.0], strict=True):
            y += channel
            tops.append(y)
            y += height
        for spot in self.spots.values():
            spot.y = tops[spot.level] + spot.down
        return y

    def _stand_in_row(self, row: list[str], level: int) -> None:
        placed = self.spots

        def over(card: str) -> float:
            near = [placed[other].x for other in self._near[card] if other in placed]
            return sum(near) / len(near) if near else 0.0

        order = sorted(row, key=lambda card: (over(card), card))
        widths = [max(_WIDTH * self.unit, PORT * (self._exits[card] + 1)) for card in order]
        gap = 20 * self.unit
        x = -(sum(widths) + gap * (len(order) - 1)) / 2
        for card, w in zip(order, widths, strict=True):
            self.spots[card] = Spot(card, level, x + w / 2, w, self.card)
            x += w + gap

    def _stand_on_ring(self, level: int) -> None:
        """Two columns, as wide as a circle would be, and where the number is odd one at the top."""
        ring, u = self.plan.ring, self.unit
        most = max((self._exits[card] for card in ring), default=0)
        h = max(self.card, 2 * PORT * (ceil(most / 2) + 1))
        pitch = h + 54 * u
        for card, row, side in _around(ring):
            rows = ceil(len(ring) / 2) if len(ring) > 1 else 1
            at = 2 * row / (rows - 1) - 1 if rows > 1 else 0.0
            out = 190.0 if rows == 1 else 150 + 45 * sqrt(max(0.0, 1 - at * at))
            x = {"top": 0.0, "left": -out * u, "right": out * u}[side]
            entry: Side = side if row else "top"
            self.spots[card] = Spot(card, level, x, _WIDTH * u, h, entry, side, row * pitch)
        self._ring_height = max(self.spots[card].down for card in ring) + h


#: Where a wish that is too long for a line begins the second one.
_BREAKS = ("or ", "(", "forwards ")


def _lines(card: Card, unit: float, sizes: Sizes) -> tuple[str, ...]:
    """What a card says under its name: the wish on one line or two, and how long."""
    many = len(card.names) > 1
    if card.state == "away":
        return ("do not wait" if many else "does not wait", "")
    what = clean(card.what)
    wish = [what]
    if advance(what, sizes.text) > (_WIDTH - _MARGIN) * unit:
        for words in _BREAKS:
            first, found, second = what.partition(f" {words}")
            if found:
                wish = [first.removesuffix(" and").rstrip(","), words + second]
                break
    idle = "idle " if card.state == "idle" else ""
    to = "up to " if many else ""
    return (*wish, f"{idle}for {to}{lasting(card.lasting, card.unit)}")


def _around(ring: Sequence[str]) -> Iterator[tuple[str, int, Side]]:
    """Each card of the ring with its row and its side, in their order."""
    pairs, alone = divmod(len(ring), 2)
    if alone:
        yield ring[0], 0, "top"
        rest = ring[1:]
    else:
        # The first is the upper left one, so that the first arrow leads to the right.
        rest = [*ring[1:], ring[0]]
    for n, card in enumerate(rest[:pairs]):
        yield card, alone + n, "right"
    for n, card in enumerate(rest[pairs:]):
        yield card, alone + pairs - 1 - n, "left"


def _wrapped(row: Sequence[str]) -> Iterator[Sequence[str]]:
    """The row in as many parts as it needs, of nearly one length."""
    parts = ceil(len(row) / _PER_ROW)
    for n in range(parts):
        yield row[len(row) * n // parts : len(row) * (n + 1) // parts]
