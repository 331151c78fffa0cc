"""What a scene's roles look like: colours of the two themes, and the sizes of the two formats.

1. Roles and sizes are decided in scenes, colours only here; every painter asks here.
2. Colours are Okabe and Ito's, told apart by the colour-blind; none says anything alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pylm_lab.draw.metrics import advance
from pylm_lab.errors import LabError

__all__ = [
    "ARROW_ASPECT",
    "BORDERS",
    "CASING",
    "CUT",
    "DASHES",
    "DIGIT_HEIGHT",
    "FORMATS",
    "THEMES",
    "Sizes",
    "Theme",
    "format_named",
    "theme_named",
]

#: Paper on both sides of a cased line, px.
CASING: Final = 3.0
#: Width of the strokes of a cut, px.
CUT: Final = 1.8
#: Width of an arrow head ÷ its length.
ARROW_ASPECT: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours as `#RRGGBB`.

    `strokes` colours lines, borders and rings by role, `fills` the ground of boxes and discs,
    `texts` the texts. `moving`, `glow` and `lit` are of the step by step views: the moving message,
    the run it takes, the row that decided.
    """

    name: str
    paper: str
    box: str
    ink: str
    muted: str
    line: str
    rows: tuple[str, str, str, str]
    moving: str
    glow: str
    lit: str
    alarm: str

    @property
    def strokes(self) -> Mapping[str, str]:
        """Role → colour of a line, a border or a ring."""
        return {
            "row1": self.rows[0],
            "row2": self.rows[1],
            "row3": self.rows[2],
            "row4": self.rows[3],
            "ink": self.ink,
            "muted": self.muted,
            "line": self.line,
            "frame": self.line,
            "field": self.line,
            "part": self.ink,
            "bar": self.ink,
            "program": self.ink,
            "count": self.line,
            "lost": self.alarm,
            "blocks": self.alarm,
            "paper": self.paper,
        }

    @property
    def fills(self) -> Mapping[str, str]:
        """Role → ground of a box, a disc or a pill; a role that is absent has none."""
        return {
            "part": self.box,
            "bar": self.box,
            "program": self.box,
            "lit": self.lit,
            "paper": self.paper,
            "count": self.paper,
            "lost": self.paper,
        }

    @property
    def texts(self) -> Mapping[str, str]:
        """Role → colour of a text."""
        return {"ink": self.ink, "muted": self.muted, "title": self.ink}


THEMES: Final[Mapping[str, Theme]] = {
    "light": Theme(
        name="light",
        paper="#FFFFFF",
        box="#EEF2F6",
        ink="#1A1F24",
        muted="#56606B",
        line="#8A949E",
        rows=("#0072B2", "#009E73", "#CC79A7", "#1A1F24"),
        moving="#E69F00",
        glow="#F7CF7A",
        lit="#FDF0D2",
        alarm="#D55E00",
    ),
    "dark": Theme(
        name="dark",
        paper="#12161B",
        box="#232B34",
        ink="#EDF1F5",
        muted="#A9B4BF",
        line="#6F7B87",
        rows=("#56B4E9", "#009E73", "#CC79A7", "#EDF1F5"),
        moving="#E69F00",
        glow="#7A5A12",
        lit="#3A2F14",
        alarm="#D55E00",
    ),
}

#: Width of a border by the role of what it surrounds, px.
BORDERS: Final[Mapping[str, float]] = {
    "frame": 1.5,
    "field": 1.1,
    "part": 1.8,
    "bar": 1.8,
    "program": 1.8,
    "count": 1.1,
    "lost": 1.4,
}


#: Pixels on and off, by kind of line and by the role of what is dashed.
DASHES: Final[Mapping[str, tuple[float, float]]] = {
    "dotted": (2, 3),
    "dashed": (6, 3.5),
    "field": (2.5, 2.5),
    "part": (6.5, 4),
}

#: Height of a digit and of a capital ÷ the size of the type.
DIGIT_HEIGHT: Final = 0.729


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The measures of a format of the router view, px.

    `width` and `height` are the least of the page, `top` is where the content begins. `lane` is the
    x of the outer lane, `part_x` that of the inbound parts, `wall` how far parts stand out of the
    frame; what is on the right mirrors the left. `row` is the least distance of two rows of parts,
    `line` that of two rows of the text table. Of type, `name` and `small_name` are for parts,
    `text` for captions, `program` for peers, `count` for pills, `badge` for the numbers of rows.
    """

    width: float = 700
    height: float = 0
    top: float = 56
    heading: bool = True
    lane: float = 44
    lane_gap: float = 26
    part_x: float = 96
    wall: float = 12
    part_w: float = 116
    part_h: float = 46
    row: float = 66
    gap: float = 22
    bar: float = 28
    bus_gap: float = 20
    stem: float = 17
    drop: float = 17
    below_bus: float = 26
    to_caption: float = 23
    to_bar: float = 7
    bar_over: float = 30
    to_table: float = 26
    line: float = 19
    to_band: float = 16
    in_band: float = 16
    link: float = 44
    end: float = 20
    name: float = 13
    small_name: float = 11
    text: float = 11
    program: float = 12
    count: float = 12
    badge: float = 10.5
    badge_r: float = 8.5
    pill_h: float = 20
    mark: float = 9
    worker_r: float = 17
    client_r: float = 20
    title: float = 16
    subtitle: float = 12

    def pill_w(self, text: str) -> float:
        """Width of a pill with this count."""
        return max(2 * self.count, advance(text, self.count, True) + 12)

    def lost_w(self, text: str) -> float:
        """Width of a pill that tells a loss."""
        return advance(text, self.count - 1, True) + 28


COLUMN: Final = Sizes()
SLIDE: Final = Sizes(
    width=800,
    height=450,
    top=3,
    heading=False,
    part_w=132,
    row=54,
    bar=30,
    bus_gap=22,
    stem=17,
    drop=13,
    below_bus=22,
    to_caption=20,
    to_bar=6,
    bar_over=26,
    to_table=17,
    line=21,
    to_band=10,
    in_band=12,
    link=34,
    end=4,
    name=15.3,
    small_name=13,
    text=13,
    program=14.2,
    count=14.2,
    badge=12,
    badge_r=9.5,
    pill_h=23,
    worker_r=16,
    client_r=19,
)

FORMATS: Final[Mapping[str, Sizes]] = {"column": COLUMN, "slide": SLIDE}


def theme_named(name: str) -> Theme:
    """The theme of this name; LabError, naming those there are, for another."""
    if name not in THEMES:
        raise LabError(f"no theme {name!r}: choose one of {_list(THEMES)}")
    return THEMES[name]


def format_named(name: str) -> Sizes:
    """The sizes of the format of this name; LabError, naming those there are, for another."""
    if name not in FORMATS:
        raise LabError(f"no format {name!r}: choose one of {_list(FORMATS)}")
    return FORMATS[name]


def _list(known: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in known)
