"""What touches in a scene that must not, measured with the fonts that matplotlib draws with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import hypot
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text as Words

from pylm_lab.draw.figure.picture import Picture, plain
from pylm_lab.draw.scene import Badge, Box, Disc, Line, Mark, Pill, Point, Scene, Text
from pylm_lab.draw.style import ARROW_ASPECT, BORDERS, DIGIT_HEIGHT, THEMES

#: Paper that must be left between two things, and between a thing and the edge of the page.
GAP, EDGE = 1.0, 2.0
#: Radius of a message at rest (see `Scene.homes`).
RESTING = 8.5


class Rect(NamedTuple):
    """Left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    def grown(self, d: float) -> Rect:
        return Rect(self.x0 - d, self.y0 - d, self.x1 + d, self.y1 + d)

    def meets(self, other: Rect) -> bool:
        return (
            self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1
        )

    def within(self, other: Rect) -> bool:
        return (
            self.x0 >= other.x0
            and self.y0 >= other.y0
            and self.x1 <= other.x1
            and self.y1 <= other.y1
        )

    def in_disc(self, x: float, y: float, r: float) -> bool:
        corners = [(a, b) for a in (self.x0, self.x1) for b in (self.y0, self.y1)]
        return all((a - x) ** 2 + (b - y) ** 2 <= r * r for a, b in corners)

    def meets_disc(self, x: float, y: float, r: float) -> bool:
        dx = max(self.x0 - x, 0, x - self.x1)
        dy = max(self.y0 - y, 0, y - self.y1)
        return dx * dx + dy * dy < r * r

    def meets_segment(self, a: Point, b: Point, half: float) -> bool:
        """Whether a line of this half width from `a` to `b` enters."""
        box = self.grown(half)
        lo, hi = 0.0, 1.0
        for p, q, low, high in ((a[0], b[0], box.x0, box.x1), (a[1], b[1], box.y0, box.y1)):
            d = q - p
            if d == 0:
                if not low < p < high:
                    return False
                continue
            near, far = sorted(((low - p) / d, (high - p) / d))
            lo, hi = max(lo, near), min(hi, far)
        return lo < hi


def words(scene: Scene) -> dict[str, Rect]:
    """Where each text is, by the id of its item."""
    picture = Picture(scene, THEMES["light"])
    canvas = picture.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    with plain():
        found = [a.get_window_extent(renderer) for a in picture.artists if isinstance(a, Words)]
    items = [i for i in scene.items if isinstance(i, (Text, Pill, Badge)) and i.text]
    assert len(found) == len(items)
    h = scene.height
    return {
        item.id: Rect(box.x0, h - box.y1, box.x1, h - box.y0)
        for item, box in zip(items, found, strict=True)
    }


def box(item: Box | Disc | Mark | Pill | Badge) -> Rect:
    """What an item covers, its border included."""
    match item:
        case Box():
            return Rect(item.x, item.y, item.x + item.w, item.y + item.h).grown(
                BORDERS.get(item.role, 0) / 2
            )
        case Pill():
            x, y = item.x, item.y
            return Rect(x - item.w / 2, y - item.h / 2, x + item.w / 2, y + item.h / 2).grown(
                BORDERS[item.role] / 2
            )
        case Mark():
            r = item.size / 2
        case _:
            r = item.r
    return Rect(item.x - r, item.y - r, item.x + r, item.y + r)


def segments(line: Line) -> Iterator[tuple[Point, Point, float]]:
    """The pieces of a line with half their width; heads as pieces of their own."""
    for a, b in zip(line.points, line.points[1:], strict=False):
        yield a, b, line.width / 2
    for length, tip, back in ((line.start, 0, 1), (line.end, -1, -2)):
        if length:
            (x, y), (u, v) = line.points[tip], line.points[back]
            d = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
            base = (x + (u - x) / d * length, y + (v - y) / d * length)
            yield (x, y), base, length * ARROW_ASPECT / 2


def crosses_border(text: Rect, item: Box) -> bool:
    """Whether a text meets the border of a box without lying inside it."""
    half = BORDERS.get(item.role, 0) / 2
    outer = Rect(item.x, item.y, item.x + item.w, item.y + item.h)
    return text.meets(outer.grown(half + GAP)) and not text.within(outer.grown(-half - GAP))


def run_of(id: str) -> str:
    """What a pill, a badge and their wire have in common."""
    return id.rpartition(".")[0]


def collisions(scene: Scene) -> list[str]:
    """Each pair of things that touch, in words; none is as it should be."""
    where = words(scene)
    return sorted({*_page(scene, where), *_texts(scene, where), *_signs(scene), *_wires(scene)})


def _page(scene: Scene, where: dict[str, Rect]) -> Iterator[str]:
    page = Rect(0, 0, scene.width, scene.height).grown(-EDGE)
    for id, rect in where.items():
        if not rect.within(page):
            yield f"{id} leaves the page"
    for item in scene.items:
        if isinstance(item, Line):
            for x, y in item.points:
                if not Rect(x, y, x, y).within(page):
                    yield f"{item.id} leaves the page"
        elif not isinstance(item, Text) and not box(item).within(page):
            yield f"{item.id} leaves the page"
    for actor, (x, y) in scene.homes.items():
        if not Rect(x, y, x, y).grown(RESTING).within(page):
            yield f"what {actor[:80]} holds leaves the page"


def _texts(scene: Scene, where: dict[str, Rect]) -> Iterator[str]:
    papers = {i.id: i for i in scene.items if isinstance(i, Box) and i.role == "paper"}
    signed = {i.id for i in scene.items if isinstance(i, (Pill, Badge))}
    parts = [i for i in scene.items if isinstance(i, Box) and i.role == "part"]
    discs = [i for i in scene.items if isinstance(i, Disc)]
    for (a, p), (b, q) in combinations(where.items(), 2):
        if p.grown(GAP / 2).meets(q.grown(GAP / 2)):
            yield f"{a} touches {b}"
    for id, rect in where.items():
        paper = papers.get(f"{id}.paper")
        if paper and not paper.x + GAP <= rect.x0 <= rect.x1 <= paper.x + paper.w - GAP:
            yield f"{id} overflows its paper"
        # What lies on a ground of its own hides what is painted before it.
        hidden = (
            id in signed
            or any(rect.within(box(part).grown(-2 * GAP)) for part in parts)
            or any(within_disc(rect, disc) for disc in discs)
        )
        for item in scene.items:
            if item.id == id:
                if isinstance(item, Pill) and not fits_pill(rect, item):
                    yield f"{id} overflows its pill"
                if isinstance(item, Badge) and not fits_badge(rect, item):
                    yield f"{id} overflows its ring"
            elif isinstance(item, Box):
                ground = item.role in ("frame", "field", "paper", "lit", "bar")
                if item.role in ("paper", "lit") or (ground and (hidden or paper)):
                    continue
                if crosses_border(rect, item):
                    yield f"{id} touches the border of {item.id}"
            elif isinstance(item, Disc):
                apart = not rect.meets_disc(item.x, item.y, item.r + 0.9 + GAP)
                behind = id == f"{run_of(item.id)}.count"
                if not apart and not within_disc(rect, item) and not behind:
                    yield f"{id} touches the disc {item.id}"
            elif isinstance(item, Line) and item.role != "paper":
                rule = paper and item.id == run_of(id)
                if not hidden and not rule and meets_line(rect, item):
                    yield f"{id} touches the line {item.id}"
            elif isinstance(item, (Mark, Pill, Badge)) and rect.meets(box(item).grown(GAP)):
                yield f"{id} touches {item.id}"
    for actor, (x, y) in scene.homes.items():
        for id, rect in where.items():
            if rect.meets_disc(x, y, RESTING + 0.5):
                yield f"what {actor[:80]} holds touches {id}"


def meets_line(rect: Rect, line: Line) -> bool:
    return any(rect.meets_segment(a, b, half + GAP) for a, b, half in segments(line))


def within_disc(text: Rect, disc: Disc) -> bool:
    """Whether the ink of a line of digits lies in a disc (the line's box is higher than they)."""
    return Rect(text.x0, text.y0 + 2, text.x1, text.y1 - 2).in_disc(disc.x, disc.y, disc.r - 1)


def fits_pill(text: Rect, pill: Pill) -> bool:
    inner, left = box(pill), 16 if pill.role == "lost" else 2
    return text.within(Rect(inner.x0 + left, inner.y0, inner.x1 - 2, inner.y1))


def fits_badge(text: Rect, badge: Badge) -> bool:
    half = badge.size * DIGIT_HEIGHT / 2
    ink = Rect(text.x0, badge.y - half, text.x1, badge.y + half)
    return ink.in_disc(badge.x, badge.y, badge.r - 1.5)


def _signs(scene: Scene) -> Iterator[str]:
    """Pills, badges, marks and discs among each other, and on wires that are not theirs."""
    signs = [i for i in scene.items if isinstance(i, (Pill, Badge, Mark))]
    for a, b in combinations(signs, 2):
        if box(a).grown(GAP / 2).meets(box(b).grown(GAP / 2)):
            yield f"{a.id} touches {b.id}"
    discs = [i for i in scene.items if isinstance(i, Disc)]
    for c, d in combinations(discs, 2):
        stack = c.id.startswith(d.id) or run_of(c.id) == run_of(d.id)
        if not stack and hypot(c.x - d.x, c.y - d.y) < c.r + d.r + 2:
            yield f"the discs {c.id} and {d.id} touch"
    for sign in signs:
        if isinstance(sign, Mark):
            continue
        for item in scene.items:
            if isinstance(item, Line) and run_of(item.id) != run_of(sign.id):
                if item.role == "paper":
                    continue
                if sign.id.startswith(f"{run_of(item.id)}.") or item.id.startswith(
                    f"{run_of(sign.id)}."
                ):
                    continue
                if any(box(sign).meets_segment(a, b, h) for a, b, h in segments(item)):
                    yield f"{sign.id} lies on {item.id}"
            elif isinstance(item, Box) and item.role in ("part", "bar", "frame"):
                if crosses_border(box(sign), item):
                    yield f"{sign.id} touches the border of {item.id}"
            elif isinstance(item, Disc) and box(sign).meets_disc(item.x, item.y, item.r + 1):
                yield f"{sign.id} touches the disc {item.id}"


def _wires(scene: Scene) -> Iterator[str]:
    """Wires through boxes and discs, and wires that run on top of each other."""
    lines = [i for i in scene.items if isinstance(i, Line) and i.role != "paper"]
    runs = [run_of(i.id) for i in lines if i.id.endswith(".way")]
    for line in lines:
        for item in scene.items:
            if isinstance(item, Box) and item.role == "part":
                inner = box(item).grown(-2.5)
                if any(inner.meets_segment(a, b, 0) for a, b, _ in segments(line)):
                    yield f"{line.id} runs through {item.id}"
            if isinstance(item, Disc):
                for a, b, _ in segments(line):
                    if _distance((item.x, item.y), a, b) < item.r - 1.5:
                        yield f"{line.id} runs through the disc {item.id}"
    for p, q in combinations(lines, 2):
        if any(p.id.startswith(run) and q.id.startswith(run) for run in runs):
            continue
        for a, b, _ in segments(p):
            for c, d, _ in segments(q):
                if _overlap(a, b, c, d) > 4:
                    yield f"{p.id} and {q.id} run on top of each other"


def _distance(p: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / ((dx * dx + dy * dy) or 1)
    t = min(1, max(0, t))
    return hypot(a[0] + t * dx - p[0], a[1] + t * dy - p[1])


def _overlap(a: Point, b: Point, c: Point, d: Point) -> float:
    """How far two pieces run along each other, nearer than 3 px."""
    ux, uy = b[0] - a[0], b[1] - a[1]
    n = hypot(ux, uy)
    if n == 0:
        return 0
    ux, uy = ux / n, uy / n
    ends = []
    for x, y in (c, d):
        if abs((x - a[0]) * uy - (y - a[1]) * ux) > 3:
            return 0
        ends.append((x - a[0]) * ux + (y - a[1]) * uy)
    return min(n, max(ends)) - max(0, min(ends))
