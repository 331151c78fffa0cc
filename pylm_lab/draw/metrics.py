"""How wide a text is, without a drawing library.

1. Widths are those of DejaVu Sans, which matplotlib ships; `dejavu.py` holds them, and
   `python tests/dejavu_widths.py` writes it anew.
2. An estimate may be too wide, never too narrow: unknown characters count as wide ones.
3. Whatever is drawn goes through `clean` first, so no name or payload can break a picture.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from pylm_lab.draw.dejavu import BOLD, REGULAR, UNITS

__all__ = ["advance", "clean", "fit", "shorten"]

#: Characters of a text that are looked at; more can never be shown.
LIMIT = 400
#: Advance of a character that the table does not know, in em.
_UNKNOWN = 1.6

Widths = dict[str, float]


def _widths(table: dict[int, str]) -> Widths:
    found: Widths = {}
    for first, advances in table.items():
        for n, advance in enumerate(advances.split()):
            if advance != "-":
                found[chr(first + n)] = int(advance) / UNITS
    return found


_REGULAR, _BOLD = _widths(REGULAR), _widths(BOLD)


def advance(text: str, size: float, bold: bool = False) -> float:
    """The width of the text in px at a font size in px."""
    widths = _BOLD if bold else _REGULAR
    return size * sum(widths.get(c, _UNKNOWN) for c in text)


def clean(text: str, limit: int = LIMIT) -> str:
    """The text on one line, safe to draw.

    Control and format characters (bidi overrides among them), lone surrogates and line breaks show
    as the escapes that Python writes; marks that stack on a character are kept one high. Longer
    than `limit` characters, it is cut in its middle.
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}…{text[-half:]}"
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    stacked = False
    for c in unicodedata.normalize("NFC", text):
        category = unicodedata.category(c)
        if category[0] == "M":
            if not stacked and out:
                out.append(c)
            stacked = True
            continue
        stacked = False
        if category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            out.append(c.encode("unicode_escape").decode("ascii"))
        else:
            out.append(" " if category == "Zs" else c)
    return "".join(out)


def shorten(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, with an ellipsis in the place of its middle where it is wider than `width` px."""
    if advance(text, size, bold) <= width:
        return text
    room = (width - advance("…", size, bold)) / 2
    head = _upto(text, room, lambda part: advance(part, size, bold))
    tail = _upto(text[::-1], room, lambda part: advance(part, size, bold))[::-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def _upto(text: str, room: float, measure: Callable[[str], float]) -> str:
    used = 0.0
    for n, c in enumerate(text):
        used += measure(c)
        if used > room:
            return text[:n]
    return text


def fit(text: str, width: float, sizes: Iterable[float], bold: bool = False) -> tuple[str, float]:
    """The text and the first of the sizes at which it fits, or shortened at the last of them."""
    size = 0.0
    for size in sizes:
        if advance(text, size, bold) <= width:
            return text, size
    return shorten(text, width, size, bold), size
