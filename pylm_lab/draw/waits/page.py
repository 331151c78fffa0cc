"""Page: the wait-for view, from waits to a scene."""

from __future__ import annotations

from collections.abc import Iterable
from math import dist, hypot
from typing import Literal

from pylm_lab.draw.metrics import advance, clean, fit, shorten
from pylm_lab.draw.router.sheet import Sheet
from pylm_lab.draw.scene import Badge, Line, Mark, Point, Scene
from pylm_lab.draw.style import Sizes, format_named
from pylm_lab.draw.waits import words
from pylm_lab.draw.waits.place import LOOP, Places, Spot
from pylm_lab.draw.waits.plan import Card, Plan, plan
from pylm_lab.draw.waits.wires import Wires
from pylm_lab.graph import waits as graph_of
from pylm_lab.waits import Wait

__all__ = ["waits_scene"]

#: From the edge of the page.
_EDGE = 12.0
#: Names of idle actors side by side, and shown at the most.
_BESIDE, _NAMES = 4, 40
#: Width of the arrows of the circle, of the others, and of the paper on both sides of these.
_CIRCLE_W, _ARROW_W, _CASING = 4.5, 1.8, 2.0
#: What the marks mean, and how wide they are.
_LEGEND = {
    "blocks": (12, "blocked: is owed something"),
    "circle": (42, "waits for, in the circle"),
    "arrow": (28, "waits for"),
    "idle": (26, "idle: only waits for work"),
    "away": (26, "does not wait"),
}


def waits_scene(
    waits: Iterable[Wait],
    *,
    title: str | None = None,
    subtitle: str | None = None,
    format: Literal["column", "slide"] = "column",
) -> Scene:
    """Who waits for whom: the circle as a ring, others in rows, idle ones below.

    `title` and `subtitle` replace those that the waits suggest; a slide shows neither, and no
    legend.

    Raises:
        TypeError: something in it is no Wait.
        ValueError: an actor is in it twice.
        LabError: there is no such format.
    """
    sizes = format_named(format)
    graph = graph_of(waits)
    title = words.title(graph) if title is None else title
    subtitle = words.subtitle(graph) if subtitle is None else subtitle
    page = _Page(plan(graph), sizes)
    height = page.draw(title, subtitle)
    return page.sheet.scene(
        width=page.width,
        height=max(sizes.height, height),
        title=clean(title),
        subtitle=clean(subtitle),
        alt=words.alt(graph),
    )


class _Page:
    """Puts everything on a sheet, from the top down; `y` is how far it has come."""

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self.plan = plan
        self.sizes = sizes
        self.unit = sizes.text / 11
        self.sheet = Sheet(sizes)
        self.places = Places(plan, sizes)
        self.wires = Wires(self.places)
        self.width = max(sizes.width, 2 * (self.wires.half + _EDGE))
        self.middle = self.width / 2
        self.y = sizes.top + 16 * self.unit
        self.seen: dict[str, None] = {}

    def draw(self, title: str, subtitle: str) -> float:
        """Everything; returns the height of the page."""
        s, room = self.sizes, self.width - 2 * _EDGE
        if s.heading:
            text = self.sheet.text
            title = shorten(clean(title), room, s.title, True)
            text("title", _EDGE, 28, title, s.title, "title", bold=True)
            text(
                "subtitle",
                _EDGE,
                47,
                shorten(clean(subtitle), room, s.subtitle),
                s.subtitle,
                "muted",
            )
        self._net()
        self._ring()
        for card in self.plan.cards.values():
            self._card(card)
        self.y += self.wires.height
        self._idle()
        if not s.heading and not self.plan.cards and not self.plan.idle:
            self.y += 18
            self.sheet.text(
                "nobody", self.middle, self.y, "Nobody waits.", s.name, "muted", anchor="middle"
            )
        if s.heading and self.seen:
            self._legend()
        return self.y + _EDGE

    def _at(self, point: Point) -> Point:
        return point[0] + self.middle, point[1] + self.y

    # Arrows

    def _net(self) -> None:
        """The arrows that are not of the ring: those to one card share their last stretch."""
        by_target: dict[str, dict[str, tuple[Point, ...]]] = {}
        for (source, target), way in self.wires.ways.items():
            by_target.setdefault(target, {})[source] = tuple(map(self._at, way))
        for n, (_, ways) in enumerate(sorted(by_target.items())):
            self.seen["arrow"] = None
            net, wire = f"net{n:03}", self.sheet.wire
            for source, way in ways.items():
                paper = _shortened(way, 4)
                wire(f"{net}.{source}.casing", paper, "paper", width=_ARROW_W + 2 * _CASING)
            if len(ways) == 1:
                ((source, way),) = ways.items()
                wire(f"{net}.{source}", way, "muted", width=_ARROW_W, end=9)
                continue
            ends = [(way[-2], way[-1]) for way in ways.values()]
            last = min(ends, key=lambda ends: dist(*ends))
            for source, way in ways.items():
                # It goes on along the last stretch, so that the corner is a round join.
                branch = (*way[:-1], _between(last[0], last[1], 0.5))
                wire(f"{net}.{source}", branch, "muted", width=_ARROW_W)
            wire(f"{net}.way", last, "muted", width=_ARROW_W, end=9)

    def _ring(self) -> None:
        """The circle: thick arrows from card to card, with their numbers."""
        ring = self.plan.ring
        for n, (source, target) in enumerate(zip(ring, (*ring[1:], *ring[:1]), strict=True), 1):
            self.seen["circle"] = None
            a, b = self.places.spots[source], self.places.spots[target]
            if a is b:
                points = self._loop(a)
            else:
                # Two that wait for each other have an arrow above and one below.
                aside = 0.0 if len(ring) > 2 else (-13 if n == 1 else 13) * self.unit
                points = tuple(self._at((x, y + aside)) for x, y in _from_edge_to_edge(a, b))
            self.sheet.wire(f"circle.{n}", points, "blocks", width=_CIRCLE_W, end=15)
            x, y = _between(points[-2], points[-1], 0.42)
            self._number(f"circle.{n}.number", x, y, n)

    def _loop(self, spot: Spot) -> tuple[Point, ...]:
        """From a card's right side back to it."""
        top, bottom = spot.y + spot.h * 0.25, spot.y + spot.h * 0.75
        out = spot.right + LOOP * self.unit
        corners = ((spot.right, top), (out, top), (out, bottom), (spot.right + 3, bottom))
        return tuple(map(self._at, corners))

    def _number(self, id: str, x: float, y: float, n: int) -> None:
        text, s = str(n), self.sizes
        size = s.badge if len(text) == 1 else s.badge - 2
        self.sheet.signs.append(
            Badge(id=id, x=x, y=y, text=text, role="blocks", r=s.badge_r, size=size)
        )

    # Cards

    def _card(self, card: Card) -> None:
        spot, s, u = self.places.spots[card.id], self.sizes, self.unit
        left, top = self._at((spot.left, spot.y))
        down = (spot.h - self.places.card) / 2
        id = f"card.{card.id}"
        if len(card.names) > 1:
            self._stack(id, left, top, spot)
        if card.state == "stuck":
            self.sheet.box(id, left, top, spot.w, spot.h)
            self.sheet.blocks(f"{id}.blocks", left + 15 * u, top + down + 15 * u)
            self.seen["blocks"] = None
        else:
            dashed = card.state == "away"
            self.sheet.ground(id, left, top, spot.w, spot.h, "field", dashed=dashed)
            self.seen[card.state] = None
        x = left + (27 if card.state == "stuck" else 12) * u
        room = left + spot.w - 8 * u - x
        colour = "ink" if card.state == "stuck" else "muted"
        tail = f" and {len(card.names) - 1:,} more" if len(card.names) > 1 else ""
        size = s.name if advance(f"{clean(card.id)}{tail}", s.name, True) <= room else s.small_name
        name = shorten(clean(card.id), room - advance(tail, size, True), size, True) + tail
        self.sheet.text(f"{id}.name", x, top + down + 20 * u, name, size, colour, bold=True)
        for n, line in enumerate(filter(None, spot.lines)):
            shown, size = fit(line, room, (s.text, s.text - 1))
            self.sheet.text(
                f"{id}.line{n + 1}", x, top + down + (36 + 15 * n) * u, shown, size, "muted"
            )

    def _stack(self, id: str, left: float, top: float, spot: Spot) -> None:
        """The edge of more cards behind one."""
        d, right, bottom = 5.0, left + spot.w, top + spot.h
        points = (
            (right, top + d),
            (right + d, top + d),
            (right + d, bottom + d),
            (left + d, bottom + d),
            (left + d, bottom),
        )
        self.sheet.grounds.append(Line(id=f"{id}.more", points=points, role="line", width=1.4))

    # Below

    def _idle(self) -> None:
        """The names of those who are idle and in nobody's way."""
        idle, s, u = self.plan.idle, self.sizes, self.unit
        if not idle:
            return
        self.seen["idle"] = None
        if self.plan.cards:
            self.y += 22 * u
            ends = ((_EDGE, self.y), (self.width - _EDGE, self.y))
            self.sheet.rule("idle.rule", *ends, dashed=True)
        self.y += 20 * u
        rest = len(idle) - _NAMES if len(idle) > _NAMES else 0
        caption = "Idle: each only waits for its next piece of work"
        if rest:
            caption += f". {_NAMES} of {len(idle):,} are shown"
        self.sheet.text("idle.caption", _EDGE, self.y, caption, s.text, "muted")
        self.y += 10 * u
        gap, h = 10 * u, 26 * u
        w = (self.width - 2 * _EDGE - gap * (_BESIDE - 1)) / _BESIDE
        for n, actor in enumerate(idle[:_NAMES]):
            row, place = divmod(n, _BESIDE)
            x, y = _EDGE + place * (w + gap), self.y + row * (h + 8 * u)
            self.sheet.ground(f"idle.{actor}", x, y, w, h, "field")
            name, size = fit(clean(actor), w - 16 * u, (s.text, s.text - 1))
            self.sheet.text(
                f"idle.{actor}.name",
                x + w / 2,
                y + h / 2 + size * 0.36,
                name,
                size,
                "muted",
                anchor="middle",
            )
        rows = (min(len(idle), _NAMES) - 1) // _BESIDE + 1
        self.y += rows * h + (rows - 1) * 8 * u

    def _legend(self) -> None:
        """What the marks mean, those that occur, in as many lines as they need."""
        t = self.sizes.text
        self.y += 22
        self.sheet.rule("legend.rule", (_EDGE, self.y), (self.width - _EDGE, self.y))
        self.y += 17
        x = _EDGE
        for key in (key for key in _LEGEND if key in self.seen):
            mark, meaning = _LEGEND[key]
            width = mark + 8 + advance(meaning, t)
            if x + width > self.width - _EDGE:
                x, self.y = _EDGE, self.y + 20
            self._sign(key, x, self.y, mark)
            self.sheet.text(f"legend.{key}", x + mark + 8, self.y + t * 0.36, meaning, t)
            x += width + 22

    def _sign(self, key: str, x: float, y: float, w: float) -> None:
        """The mark itself, small."""
        id = f"legend.{key}.mark"
        if key == "blocks":
            self.sheet.signs.append(Mark(id=id, x=x + w / 2, y=y, kind="blocks", size=11))
        elif key == "circle":
            self.sheet.wire(id, ((x, y), (x + w, y)), "blocks", width=_CIRCLE_W, end=13)
            number = f"legend.{key}.number"
            self.sheet.signs.append(
                Badge(id=number, x=x + 14, y=y, text="1", role="blocks", r=7.5, size=9.5)
            )
        elif key == "arrow":
            self.sheet.wire(id, ((x, y), (x + w, y)), "muted", width=_ARROW_W, end=9)
        else:
            self.sheet.ground(
                id, x + 1, y - 6.5, w - 2, 13, "field", radius=3, dashed=key == "away"
            )


def _from_edge_to_edge(a: Spot, b: Spot) -> tuple[Point, Point]:
    """The straight way from one card to another, as far as it is between them."""
    start, end = (a.x, a.y + a.h / 2), (b.x, b.y + b.h / 2)
    return _leaving(start, end, a, 1), _leaving(end, start, b, 4)


def _leaving(start: Point, end: Point, spot: Spot, gap: float) -> Point:
    """Where the way from a card's middle leaves it, and a gap more."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    across = spot.w / 2 / abs(dx) if dx else float("inf")
    down = spot.h / 2 / abs(dy) if dy else float("inf")
    part = min(across, down) + gap / hypot(dx, dy)
    return start[0] + dx * part, start[1] + dy * part


def _between(a: Point, b: Point, part: float) -> Point:
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part


def _shortened(way: tuple[Point, ...], by: float) -> tuple[Point, ...]:
    """The way less a piece at both of its ends, so that the paper beside it cuts no card."""
    start = _between(way[0], way[1], by / dist(way[0], way[1]))
    end = _between(way[-1], way[-2], by / dist(way[-1], way[-2]))
    return (start, *way[1:-1], end)
