"""Stage: what is seen at each moment of a film, as marks to be put on one background.

`score` says which marks are seen, in painting order; `paint` paints every mark that is in any
score, once; `compose` puts them in their places.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pylm_lab.draw.animation.gif import Pixels, Window
from pylm_lab.draw.animation.pace import Film
from pylm_lab.draw.animation.plates import Plate, Sprite, mixed, paint, paint_all, put
from pylm_lab.draw.metrics import advance, clean, fit
from pylm_lab.draw.moment import (
    Place,
    counters,
    is_lost_on,
    length,
    losses,
    midway,
    places,
    point_at,
    run_of,
    wires_under,
)
from pylm_lab.draw.scene import Badge, Box, Item, Line, Link, Pill, Point, Scene, Text
from pylm_lab.draw.style import DIGIT_HEIGHT, THEMES, Theme

__all__ = ["Mark", "Stage"]

#: Pixels of the glow's width, and how much of it is left on the way that a message came.
_GLOW, _FAINT = 13.0, 0.42
#: Seconds for which a cross shows where a message was lost.
_MOURNING = 1.5


class _Way(NamedTuple):
    """A run that glows."""

    run: tuple[Point, ...]
    faint: bool


class _Row(NamedTuple):
    """A row of the text table, lit."""

    link: Link


class _Whole(NamedTuple):
    """The picture of the whole run, which ends the film."""

    caption: str


_What = Plate | _Way | _Row | _Whole


class Mark(NamedTuple):
    """Something that is seen, and how far it is moved."""

    what: _What
    dx: int = 0
    dy: int = 0


class Stage:
    """A film's scene and everything that is put on it."""

    def __init__(self, scene: Scene, theme: Theme, film: Film) -> None:
        self.scene, self.theme, self.film = scene, theme, film
        self.items = {item.id: item for item in scene.items}
        self.places = places(scene)
        self.runs = [run_of(scene, move.step) for move in film.moves]
        self.last_followed = max((n for n, m in enumerate(film.moves) if m.followed), default=-1)
        self.counted = self._counting()
        self.lost = self._losing()
        self._stops: dict[tuple[Point, ...], float] = {}
        self.middles = self._middles()
        self._looks = {
            "moving": replace(theme, paper=theme.moving, line=theme.paper, ink=THEMES["light"].ink),
            "held": replace(theme, paper=theme.lit, line=theme.ink),
            "waiting": replace(theme, line=theme.muted),
        }
        self._layers()

    @property
    def colours(self) -> list[str]:
        """The colours that a frame is mostly made of."""
        t = self.theme
        own = [t.paper, t.box, t.ink, t.muted, t.line, *t.rows, t.moving, t.glow, t.lit, t.alarm]
        return [*own, mixed(t.glow, t.paper, _FAINT)]

    # What is seen

    def score(self, at: float) -> tuple[Mark, ...]:
        """The marks that are seen at a second of the film."""
        said = [text for since, text in self.film.captions if since <= at]
        said = said or [text for _, text in self.film.captions[:1]]
        if at >= self.film.over:
            return (Mark(_Whole(said[-1] if said else "")),)
        begun = [n for n, move in enumerate(self.film.moves) if move.begin <= at]
        under_way = [n for n in begun if at < self.film.moves[n].end]
        marks = list(self._light(begun, under_way))
        marks += self._describe(begun, at)
        marks += self._rest(begun, under_way)
        marks += [m for n in dict.fromkeys([*begun[-1:], *under_way]) for m in self._travel(n, at)]
        marks += self._mourn(begun, at)
        if said and "subtitle" in self.items:
            marks.append(Mark(self._caption(said[-1])))
        return tuple(marks)

    def _light(self, begun: list[int], under_way: list[int]) -> Iterator[Mark]:
        """The ways of what moves glow, the way that the followed one came faintly."""
        moves = self.film.moves
        followed = [n for n in begun if moves[n].followed]
        still = followed and (followed[-1] != self.last_followed or followed[-1] in under_way)
        leads = followed[-1:] if still else []
        for n in followed[:-1] if leads else ():
            if self.runs[n]:
                yield Mark(_Way(self.runs[n], faint=True))
        for n in (*(n for n in under_way if n not in leads), *leads):
            if self.runs[n]:
                yield Mark(_Way(self.runs[n], faint=False))
            row = moves[n].step.row
            if row is not None and row in self.scene.rows:
                yield Mark(_Row(row))

    def _describe(self, begun: list[int], at: float) -> Iterator[Mark]:
        """What everybody does, and how many have passed."""
        if self.film.moves:
            step = self.film.moves[begun[-1] if begun else 0].step
            for actor, item in self.scene.status.items():
                yield Mark(self._words(item, step.status.get(actor, "")))
        for item, times in self.counted.items():
            yield Mark(self._words(item, f"{bisect_right(times, at):,}"))
        for item, times in self.lost.items():
            lost = bisect_right(times, at)
            if lost:
                yield Mark(self._words(item, f"{lost:,} lost"))

    def _rest(self, begun: list[int], under_way: list[int]) -> Iterator[Mark]:
        """Who holds what, and what waits to be taken, as small discs."""
        if not begun:
            return
        moves = self.film.moves
        step = moves[begun[-1]].step
        moving = {(moves[n].step.target, moves[n].step.number) for n in under_way}
        here: dict[Place, list[tuple[str, str]]] = {}
        more: dict[Place, int] = {}
        for look, piles in (("held", step.held), ("waiting", step.waiting)):
            for actor, pile in piles.items():
                place = self.places.get(actor)
                if place:
                    shown = [(n, look) for n in pile.first if (actor, n) not in moving]
                    here.setdefault(place, []).extend(shown)
                    more[place] = more.get(place, 0) + pile.size - len(pile.first)
        for late in step.delayed:
            way = run_of(self.scene, late)
            if len(way) > 1 and (late.target, late.number) not in moving:
                x, y = self._midway(way)
                yield Mark(self._disc(late.number, "waiting"), round(x), round(y))
        for place, discs in here.items():
            named = discs[: 2 if any(len(number) > 2 for number, _ in discs) else 3]
            rest = more[place] + len(discs) - len(named)
            tail = [(f"+{rest}", "waiting")] if rest else []
            at = 0.0
            for number, look in [*named, *tail]:
                plate = self._disc(number, look)
                wider = (plate.item.w - 16) / 16 if isinstance(plate.item, Pill) else 0.0
                wider = wider if place.dx else 0.0
                at += wider / 2
                x, y = place.x + place.dx * at, place.y + place.dy * at
                yield Mark(plate, round(x), round(y))
                at += 1 + wider / 2

    def _travel(self, n: int, at: float) -> Iterator[Mark]:
        """The message of a move, where it is by now."""
        run, move = self.runs[n], self.film.moves[n]
        if len(run) < 2:
            return
        part = min(1.0, (at - move.begin) / (move.end - move.begin))
        part *= part * (3 - 2 * part)
        # It stops short of the edge, where the socket's mark is; what does not arrive, half-way.
        far = length(run)
        goes_on = move.step.arrives and not move.step.held_back
        stop = max(far * 0.6, far - 18) if goes_on else far * self._stop(run)
        x, y = point_at(run, stop * part)
        yield Mark(self._disc(move.step.number, "moving"), round(x), round(y))

    def _mourn(self, begun: list[int], at: float) -> Iterator[Mark]:
        """A cross for a while where a message was lost."""
        cross = Pill(id="cross", x=0, y=0, text="", role="lost", w=19, h=17)
        for n in begun:
            move, run = self.film.moves[n], self.runs[n]
            if move.step.lost and len(run) > 1 and move.end <= at < move.end + _MOURNING:
                x, y = self._midway(run)
                yield Mark(Plate(cross, self.theme), round(x), round(y))

    def _stop(self, run: tuple[Point, ...]) -> float:
        if run not in self._stops:
            self._stops[run] = midway(self.scene, run)
        return self._stops[run]

    def _midway(self, run: tuple[Point, ...]) -> Point:
        return point_at(run, length(run) * self._stop(run))

    # Plates

    def _words(self, item: str, text: str) -> Plate:
        """A text in the place of one of the scene's."""
        place = self.items[item]
        if isinstance(place, Pill) and place.role == "count":
            y = place.y + place.size * DIGIT_HEIGHT / 2
            size = place.size
            place = Text(id=item, x=place.x, y=y, text="", size=size, bold=True, anchor="middle")
        assert isinstance(place, Text | Pill)
        moved = replace(place, text=text, x=self.middles.get(item, place.x))
        return Plate(moved, self.theme)

    def _caption(self, text: str) -> Plate:
        place = self.items["subtitle"]
        assert isinstance(place, Text)
        shown, size = fit(clean(text), self.scene.width - 24, (12, 11, 10))
        return Plate(replace(place, text=shown, size=size, role="ink"), self.theme)

    def _disc(self, number: str, look: str) -> Plate:
        """A message that is moving, held, or waiting."""
        radius, size = (10.0, 10.5) if look == "moving" else (8.0, 8.0)
        disc: Badge | Pill
        if len(number) < 3:
            disc = Badge(id="disc", x=0, y=0, text=number, role="line", r=radius, size=size)
        else:
            # What does not fit into a disc gets a lozenge.
            wide = advance(number, size, True) + 9
            disc = Pill(id="disc", x=0, y=0, text=number, w=wide, h=2 * radius - 2, size=size)
        return Plate(disc, self._looks[look])

    # Looked up

    def _counting(self) -> dict[str, list[float]]:
        """For each counter, when it shows one more."""
        keys = counters(self.scene)
        times: dict[str, list[float]] = {item: [] for item in self.scene.counts.values()}
        for move in self.film.moves:
            for key in move.step.adds:
                if key in keys:
                    times[keys[key]].append(move.end)
        return {item: sorted(found) for item, found in times.items()}

    def _losing(self) -> dict[str, list[float]]:
        """The same for the pills that count what was lost."""
        return {
            item: sorted(move.end for move in self.film.moves if is_lost_on(move.step, links))
            for item, links in losses(self.scene).items()
        }

    def _middles(self) -> dict[str, float]:
        """Where a status is centred: on its box, whatever mark stood before it."""
        found = {}
        for actor, item in self.scene.status.items():
            box = self.items.get(actor)
            if isinstance(box, Box):
                found[item] = box.x + box.w / 2
        return found

    # Painting

    def _layers(self) -> None:
        """The background: what never changes, in the two layers between which ways are lit."""
        moving = {*self.scene.status.values(), *self.scene.counts.values(), *self.lost, "subtitle"}
        moving |= {f"{item}.blocks" for item in self.scene.status.values()}
        kept: list[Item] = []
        for item in self.scene.items:
            if item.id not in moving:
                kept.append(item)
            elif isinstance(item, Pill) and item.role == "count":
                kept.append(replace(item, text=""))
        split = max((n + 1 for n, item in enumerate(kept) if isinstance(item, Line)), default=0)
        self._lower = self._ground(kept[:split])
        self._upper = self._paint(kept[split:])
        self.background = self._lower.copy()
        put(self.background, Sprite(0, 0, self._upper))

    def _paint(self, items: Iterable[Item], theme: Theme | None = None) -> Pixels:
        return paint(items, theme or self.theme, self.scene.width, self.scene.height)

    def _ground(self, items: Iterable[Item]) -> Pixels:
        """The items on paper, as RGB."""
        size = math.ceil(self.scene.height), math.ceil(self.scene.width)
        ground = np.empty((*size, 3), dtype=np.uint8)
        ground[:] = tuple(bytes.fromhex(self.theme.paper[1:]))
        put(ground, Sprite(0, 0, self._paint(items)))
        return ground

    def paint(self, marks: Iterable[Mark]) -> None:
        """Paint what these marks show."""
        self._sprites: dict[_What, Sprite] = {}
        wanted = list(dict.fromkeys(mark.what for mark in marks))
        plates = [what for what in wanted if isinstance(what, Plate)]
        for plate, sprite in paint_all(plates, self.scene.width).items():
            self._sprites[plate] = sprite
        for what in wanted:
            if isinstance(what, _Way):
                self._sprites[what] = self._lit(what)
            elif isinstance(what, _Row):
                self._sprites[what] = self._row(what.link)
            elif isinstance(what, _Whole):
                self._sprites[what] = self._end(what.caption)

    def _lit(self, way: _Way) -> Sprite:
        """A way that glows, with the wires on it and what stands there: opaque."""
        share = _FAINT if way.faint else 1.0
        glow = replace(self.theme, line=mixed(self.theme.glow, self.theme.paper, share))
        light = self._paint([Line(id="", points=way.run, role="line", width=_GLOW)], glow)
        wires = [self.items[id] for id in wires_under(self.scene, way.run)]
        # Without the paper on both sides, which would cut the wire's own glow.
        bare = [replace(wire, casing=False) for wire in wires if isinstance(wire, Line)]
        window = _painted(light)
        pixels = self._lower[window].copy()
        for layer in (light, self._paint(bare), self._upper):
            put(pixels, Sprite(0, 0, layer[window]))
        shown = np.where(light[window][..., 3:] > 0, 255, 0).astype(np.uint8)
        return Sprite(window[1].start, window[0].start, np.dstack([pixels, shown]))

    def _row(self, row: Link) -> Sprite:
        """A row of the text table: its ground lit, its texts bold."""
        counts = set(self.scene.counts.values())
        items = [self.items[id] for id in self.scene.rows[row] if id not in counts]
        # A lit ground is left out by the painter of figures; a count's is not.
        ground = [replace(item, role="count") for item in items if isinstance(item, Box)]
        lit = replace(self.theme, paper=self.theme.lit, line=self.theme.lit)
        light = self._paint(ground, lit)
        window = _painted(light)
        pixels = light[window][..., :3].copy()
        bold = [replace(item, bold=True) if isinstance(item, Text) else item for item in items]
        put(pixels, Sprite(0, 0, self._paint(bold)[window]))
        shown = np.dstack([pixels, light[window][..., 3:]])
        return Sprite(window[1].start, window[0].start, shown)

    def _end(self, caption: str) -> Sprite:
        """The whole run, as a figure shows it."""
        items = [item for item in self.scene.items if item.id != "subtitle"]
        if caption and "subtitle" in self.items:
            items.append(self._caption(caption).item)
        whole = self._ground(items)
        return Sprite(0, 0, np.dstack([whole, np.full(whole.shape[:2], 255, dtype=np.uint8)]))

    def samples(self) -> Iterator[Pixels]:
        """Pictures in which all colours of the film occur, about as often as in it."""
        yield self.background
        for what, sprite in self._sprites.items():
            for colour in (self.theme.paper, self.theme.box):
                ground = np.empty((*sprite.pixels.shape[:2], 3), dtype=np.uint8)
                ground[:] = tuple(bytes.fromhex(colour[1:]))
                put(ground, sprite._replace(x=0, y=0))
                yield ground
                if not isinstance(what, Plate):
                    break

    def changed(self, before: Sequence[Mark], now: Sequence[Mark]) -> Window:
        """Where two scores differ."""
        windows = [self._sprites[mark.what].window(mark.dx, mark.dy) for mark in {*before} ^ {*now}]
        if not windows:
            return slice(0, 0), slice(0, 0)
        height, width = self.background.shape[:2]
        rows = slice(min(w[0].start for w in windows), min(height, max(w[0].stop for w in windows)))
        return rows, slice(
            min(w[1].start for w in windows), min(width, max(w[1].stop for w in windows))
        )

    def compose(self, picture: Pixels, marks: Sequence[Mark], window: Window) -> None:
        """Put the marks on the background, as far as the window shows it, in place."""
        view = picture[window]
        view[:] = self.background[window]
        for mark in marks:
            put(
                view, self._sprites[mark.what], mark.dx - window[1].start, mark.dy - window[0].start
            )


def _painted(pixels: Pixels) -> Window:
    """The rows and columns in which RGBA has anything."""
    rows = np.flatnonzero(pixels[..., 3].any(axis=1))
    columns = np.flatnonzero(pixels[..., 3].any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
