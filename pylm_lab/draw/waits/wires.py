"""Wires: the ways of the arrows that are not of the ring.

1. All arrows to one card are one net: they join, and enter it with one head.
2. A wire leaves a card of a row below and enters one above; a card of the ring it leaves and enters
   on its outer side. Between two levels it keeps to a track of its own, past a level to a lane of
   its own beside them: so none runs through a card, and no two nets run on top of each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pylm_lab.draw.scene import Point
from pylm_lab.draw.waits.place import PORT, Flank, Places, Spot
from pylm_lab.draw.waits.plan import Edge

__all__ = ["Wires"]

#: Paper between cards and the first track, between tracks, between the last track and a head.
_ABOVE, _TRACK, _BELOW = 13.0, 11.0, 22.0
#: Of a channel without tracks.
_PLAIN = 34.0
#: From the tip of a head to the card.
_TIP = 3.0
#: From the cards to the first lane, and between lanes.
_TO_LANE, _LANE = 20.0, 11.0


@dataclass(slots=True)
class _Net:
    """The arrows to one card.

    By source, `stems` are the channel and the x, `flanks` the side and the y of where it leaves.
    """

    target: Spot
    #: The channel from which it enters, and at which x; or the side of the ring.
    channel: int | None = None
    x: float = 0
    flank: Flank | None = None
    stems: dict[str, tuple[int, float]] = field(default_factory=dict)
    flanks: dict[str, tuple[Flank, float]] = field(default_factory=dict)
    #: The sides on which it has a lane, in order of use; and the lanes' x.
    sides: list[Flank] = field(default_factory=list)
    lanes: dict[Flank, float] = field(default_factory=dict)
    #: Which track it has in each channel, and its y.
    tracks: dict[int, int] = field(default_factory=dict)
    track_y: dict[int, float] = field(default_factory=dict)

    @property
    def channels(self) -> set[int]:
        """Where it runs between levels."""
        own = {channel for channel, _ in self.stems.values()}
        return own if self.channel is None else own | {self.channel}

    def span(self, channel: int) -> tuple[float, float]:
        """From where to where it runs along a channel."""
        xs = [x for at, x in self.stems.values() if at == channel]
        if channel == self.channel:
            xs.append(self.x)
            sides = self.sides
        else:
            sides = self.sides[:1]
        xs += [float("-inf") if side == "left" else float("inf") for side in sides]
        return min(xs), max(xs)


class Wires:
    """The ways of all arrows beside those of the ring, among cards that have their place.

    It gives the cards their y. `ways` is, by `(source, target)`, the polyline from edge to edge;
    `half` half the width that cards and lanes need, `height` the height of all.
    """

    def __init__(self, places: Places) -> None:
        self._spots = places.spots
        self._count = len(places.heights) + 1
        self._nets = self._made(places.plan.edges)
        for net in self._nets:
            self._choose_sides(net)
        for channel in range(self._count):
            self._choose_entries(channel)
        heights = [self._tracks(channel) for channel in range(self._count)]
        self.height = places.stack(heights)
        self._place_tracks(places, heights)
        self.half = self._place_lanes(places.half)
        self.ways = dict(sorted(self._all()))

    # Which net uses what

    def _made(self, edges: Iterable[Edge]) -> list[_Net]:
        nets: dict[str, _Net] = {}
        by_source: dict[str, list[Spot]] = defaultdict(list)
        for source, target in edges:
            by_source[source].append(self._spots[target])
            net = nets.setdefault(target, _Net(self._spots[target]))
            entry = net.target.entry
            net.flank = None if entry == "top" else entry
            net.channel = net.target.level if entry == "top" else None
        # What comes out at the top of the ring gives way to what comes down to it.
        for source in sorted(by_source, key=lambda source: self._spots[source].side == "top"):
            spot, targets = self._spots[source], by_source[source]
            targets.sort(key=lambda spot: (spot.x, spot.level, spot.id))
            for n, net in enumerate(nets[aim.id] for aim in targets):
                if spot.side == "top":
                    taken = [x for other in nets.values() for _, x in other.stems.values()]
                    free = (x for x in _aside(spot) if all(abs(x - at) >= PORT - 1 for at in taken))
                    net.stems[source] = spot.level, next(free, spot.right)
                elif spot.side is not None:
                    net.flanks[source] = spot.side, spot.h / 2 + _beside(n)
                else:
                    x = spot.left + spot.w * (n + 1) / (len(targets) + 1)
                    net.stems[source] = spot.level + 1, x
        return sorted(nets.values(), key=lambda net: (net.target.level, net.target.x))

    def _choose_sides(self, net: _Net) -> None:
        """Where it needs lanes: where it must, else where it has the shorter way."""
        must = [net.flank] if net.flank else sorted({side for side, _ in net.flanks.values()})
        net.sides = list(must)
        if not must and len(net.channels) > 1:
            xs = [net.target.x, *(x for _, x in net.stems.values())]
            net.sides = ["left" if sum(xs) < 0 else "right"]

    def _choose_entries(self, channel: int) -> None:
        """Let each net enter in the middle of its card, or beside it where something else comes."""
        taken = {
            (x, net.target.id)
            for net in self._nets
            for at, x in net.stems.values()
            if at == channel
        }
        for net in self._nets:
            if net.channel != channel:
                continue
            own = [x for at, x in net.stems.values() if at == channel]
            for x in _entries(net.target, own if len(net.stems) == 1 else []):
                near = (other for at, other in taken if abs(at - x) < PORT - 1)
                if all(other == net.target.id for other in near):
                    net.x = x
                    break
            taken.add((net.x, net.target.id))

    def _tracks(self, channel: int) -> float:
        """Give each net its track in a channel; returns how high the channel is."""
        ends: list[float] = []
        spans = [(net.span(channel), net) for net in self._nets if channel in net.channels]
        for (start, end), net in sorted(spans, key=lambda item: item[0]):
            if start == end:
                continue  # straight down
            track = next((n for n, used in enumerate(ends) if used + PORT < start), len(ends))
            ends[track : track + 1] = [end]
            net.tracks[channel] = track
        if not spans:
            outer = channel in (0, self._count - 1)
            return 0.0 if outer else _PLAIN
        return _ABOVE + _TRACK * max(0, len(ends) - 1) + _BELOW

    # Where that is

    def _place_tracks(self, places: Places, heights: list[float]) -> None:
        tops, y = [], 0.0
        for height, level in zip(heights, [*places.heights, 0.0], strict=True):
            tops.append(y)
            y += height + level
        for net in self._nets:
            for channel, track in net.tracks.items():
                net.track_y[channel] = tops[channel] + _ABOVE + _TRACK * track

    def _place_lanes(self, half: float) -> float:
        """Give each lane its x; returns how far the outmost reaches."""
        outmost = half
        flanks: tuple[Flank, Flank] = ("left", "right")
        for flank in flanks:
            sign = -1 if flank == "left" else 1
            used: list[float] = []
            wanted = [(self._reach(net, flank), net) for net in self._nets if flank in net.sides]
            for (start, end), net in sorted(wanted, key=lambda item: item[0]):
                slot = next((n for n, low in enumerate(used) if low + PORT < start), len(used))
                used[slot : slot + 1] = [end]
                net.lanes[flank] = sign * (half + _TO_LANE + _LANE * slot)
                outmost = max(outmost, half + _TO_LANE + _LANE * slot)
        return outmost

    def _reach(self, net: _Net, flank: Flank) -> tuple[float, float]:
        """From where to where a lane runs."""
        ys = [self._spots[s].y + y for s, (side, y) in net.flanks.items() if side == flank]
        if flank == net.sides[0]:
            ys += net.track_y.values()
        elif net.channel is not None:
            ys.append(net.track_y[net.channel])
        if net.flank:
            ys.append(net.target.y + net.target.h / 2)
        return min(ys), max(ys)

    def _all(self) -> Iterator[tuple[Edge, tuple[Point, ...]]]:
        for net in self._nets:
            for source in (*net.stems, *net.flanks):
                way = [*self._out(net, source), *self._into(net)]
                yield (source, net.target.id), _straightened(way)

    def _out(self, net: _Net, source: str) -> Iterator[Point]:
        """From the source to where its wire meets the last stretch."""
        spot = self._spots[source]
        if source in net.flanks:
            side, y = net.flanks[source]
            lane = net.lanes[side]
            yield (spot.left if side == "left" else spot.right), spot.y + y
            yield lane, spot.y + y
        else:
            channel, x = net.stems[source]
            yield x, spot.y if spot.side == "top" else spot.y + spot.h
            if channel in net.track_y:
                yield x, net.track_y[channel]
            if channel == net.channel:
                return
            lane = net.lanes[net.sides[0]]
            yield lane, net.track_y[channel]
        if net.channel is not None:
            yield lane, net.track_y[net.channel]

    def _into(self, net: _Net) -> Iterator[Point]:
        """The last stretch, which all of a net share."""
        target = net.target
        if net.flank:
            y = target.y + target.h / 2
            yield net.lanes[net.flank], y
            yield (target.left - _TIP if net.flank == "left" else target.right + _TIP), y
            return
        assert net.channel is not None
        if net.channel in net.track_y:
            yield net.x, net.track_y[net.channel]
        yield net.x, target.y - _TIP


def _beside(n: int) -> float:
    """The places beside the middle of an edge, which is for what comes in, after and before it."""
    return PORT * (n // 2 + 1) * (-1 if n % 2 else 1)


def _aside(spot: Spot) -> Iterator[float]:
    """Where something could come out beside the middle of a card's upper edge."""
    return (spot.x + _beside(n) for n in range(2 * int(spot.w / 2 / PORT)))


def _entries(target: Spot, own: Iterable[float]) -> Iterator[float]:
    """Where a net could enter a card from above, the best first: straight from its only source."""
    room = target.w / 2 - 12
    yield from (x for x in own if abs(x - target.x) < room)
    yield target.x
    for n in range(1, int(room / PORT) + 1):
        yield target.x + n * PORT
        yield target.x - n * PORT


def _straightened(way: Iterable[Point]) -> tuple[Point, ...]:
    """The way without points that it does not need."""
    kept: list[Point] = []
    for point in way:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1 and any(kept[-2][n] == kept[-1][n] == point[n] for n in (0, 1)):
            kept[-1] = point
        else:
            kept.append(point)
    return tuple(kept)
