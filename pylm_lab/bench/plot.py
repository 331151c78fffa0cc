"""Plot: what was found as one picture, a bar for each figure.

1. Bars of one group and unit share a scale that begins at zero; a thin line spans the rounds.
2. Where a bar would leave no room for several others it is cut, and shows it; its figure stands
   beside it.
3. No text is cut: the page is as wide as its texts need.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from pylm_lab.bench.report import circumstances, count_text, figure_text, ratio_text
from pylm_lab.bench.suite import Found, Measured
from pylm_lab.draw.figure import Picture
from pylm_lab.draw.metrics import advance
from pylm_lab.draw.scene import Item, Line, Scene, Text
from pylm_lab.draw.style import theme_named
from pylm_lab.errors import LabError

__all__ = ["SUFFIXES", "check_suffix", "plot", "scene"]

SUFFIXES = (".svg", ".png", ".pdf")
_TITLE = "pylm_lab beside raw pyzmq"
#: Sizes in px: of type, of a row and a bar, of the margins, and the length of the longest bar.
_TEXT, _HEADING = 11.0, 12.0
_ROW, _BAR = 20.0, 11.0
_MARGIN, _GAP = 24.0, 10.0
_LONGEST = 260.0
#: A bar that is so many times as long as the next one is cut.
_CUT = 3
#: A shorter line than this, in px, would look like a speck.
_SEEN = 3.0


def check_suffix(path: Path) -> None:
    """Raise LabError where the path doesn't end as a picture does."""
    if path.suffix.lower() not in SUFFIXES:
        raise LabError(f"--plot {path}: end the name in {', '.join(SUFFIXES)}")


def plot(found: Found, path: Path) -> Path:
    """Draw what was found, and write it; returns the path."""
    return Picture(scene(found), theme_named("light")).save(path)


def scene(found: Found) -> Scene:
    """The picture as pure data."""
    every = [one for _, measured in found.groups for one in measured]
    left = _MARGIN + max(advance(one.figure.what, _TEXT) for one in every) + _GAP
    right = left + _LONGEST + _GAP + max(advance(_value(one), _TEXT) for one in every)
    versions, how = circumstances(found)
    key = "grey: what the others are compared with"
    if found.rounds > 1:
        key += "; thin line: from the lowest to the highest round"
    key += "; //: the bar is cut"
    items: list[Item] = [
        Text(id="title", x=_MARGIN, y=36, text=_TITLE, size=16, role="title", bold=True)
    ]
    for number, text in enumerate((f"{versions}; {how}", key)):
        items.append(
            Text(id=f"about{number}", x=_MARGIN, y=56 + 16 * number, text=text, role="muted")
        )
    y = 84.0
    for group, measured in found.groups:
        heading = f"{group.title}{count_text(group, found)}"
        note = f"× {group.ratio}" if group.ratio else ""
        items.append(
            Text(id=group.name, x=_MARGIN, y=y + 18, text=heading, size=_HEADING, bold=True)
        )
        y += 18
        if note:
            y += 15
            items.append(Text(id=f"{group.name}.ratio", x=_MARGIN, y=y, text=note, role="muted"))
        y += 8
        for _, alike in itertools.groupby(measured, lambda one: one.figure.unit):
            bars = list(alike)
            scale = _scale(bars)
            y += 0 if bars[0] is measured[0] else 8
            for one in bars:
                y += _ROW
                items += _bar(f"{group.name}.{one.figure.what}", one, left, y, scale)
        y += 12
    texts = [item for item in items if isinstance(item, Text)]
    widest = max(t.x + advance(t.text, t.size, t.bold) for t in texts)
    return Scene(
        width=max(right, widest) + _MARGIN,
        height=y + _MARGIN - 12,
        title=_TITLE,
        subtitle=versions,
        alt=_told(found),
        items=tuple(items),
    )


def _scale(bars: list[Measured]) -> float:
    """Pixels for each unit."""
    *others, second, longest = sorted([0.0, *(max(one.rounds) for one in bars)])
    if len(others) > 1 and longest > _CUT * second > 0:
        longest = second
    return _LONGEST / (longest or 1)


def _bar(name: str, one: Measured, left: float, y: float, scale: float) -> Iterable[Item]:
    """Label, bar and value on the baseline `y`."""
    middle = y - _TEXT * 0.36
    compared = one.figure.what.startswith("raw") or one.figure.what == one.figure.base
    # What costs nothing may be measured as a little less than nothing.
    low, end, high = (max(0.0, v) * scale for v in (min(one.rounds), one.value, max(one.rounds)))
    is_cut = high > _LONGEST * 1.01
    if is_cut:
        end = high = _LONGEST
    yield Text(id=f"{name}.what", x=left - _GAP, y=y, text=one.figure.what, anchor="end")
    yield Line(
        id=f"{name}.bar",
        points=((left, middle), (left + max(1.0, end), middle)),
        role="line" if compared else "row1",
        width=_BAR,
    )
    if is_cut:
        for number, x in enumerate((left + end - 22, left + end - 16)):
            slash = (x - 3, middle + _BAR / 2 + 2), (x + 3, middle - _BAR / 2 - 2)
            yield Line(id=f"{name}.cut{number}", points=slash, role="paper", width=2.5)
    elif high - low > _SEEN:
        yield Line(
            id=f"{name}.spread",
            points=((left + low, middle), (left + high, middle)),
            role="ink",
            width=1.2,
        )
    yield Text(id=f"{name}.value", x=left + max(end, high) + _GAP, y=y, text=_value(one))


def _value(one: Measured) -> str:
    value = f"{figure_text(one.value, one.figure.unit)} {one.figure.unit}"
    return f"{value}   {ratio_text(one)}".rstrip()


def _told(found: Found) -> str:
    """The picture in words."""
    versions, how = circumstances(found)
    sentences = [f"Bar chart: {_TITLE}. {versions}; {how}."]
    for group, measured in found.groups:
        figures = "; ".join(f"{one.figure.what}: {_value(one)}" for one in measured)
        sentences.append(f"{group.title}{count_text(group, found)}. {figures}.")
    return " ".join(sentences)
