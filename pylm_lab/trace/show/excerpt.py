"""Excerpt: how text of unknown origin is shown.

1. Every payload, function, name, cause or error that reaches a table, a picture or a sentence goes
   through `excerpt`.
2. What comes out is one line of bounded width that reads from left to right and that XML accepts;
   it is not yet escaped for HTML.
3. Which characters are harmful is written down here, not asked of Python's Unicode tables, so every
   version of Python shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["columns", "excerpt"]

#: Controls; what is invisible or changes the direction of writing; line and paragraph separators;
#: surrogates; tags; what is no character.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: East Asian and pictorial characters, which take two columns.
_WIDE = re.compile(
    "[\u1100-\u115e\u231a\u231b\u23e9-\u23f3\u2614\u2615\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f"
    "\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6"
    "\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001faff\U00020000-\U0003fffd]"
)
#: Marks that stand on the character before them.
_MARK = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)
#: More marks than this on one character belong to no language, and would grow out of the line.
_MARKS = 3


def excerpt(text: str | bytes, limit: int = 40, *, middle: bool = False) -> str:
    """The text on one line, harmless, and at most `limit` columns wide.

    Bytes are read as UTF-8. A control character, a change of writing direction and what cannot be
    seen become `\\n`, `\\x07`, `\\u202e`, …; what is too long is cut at its end, or in its middle,
    and has an ellipsis there.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    # Of a long text only what may be shown is looked at.
    reach = limit * (1 + _MARKS) + 1
    shown = list(_tokens(text[:reach]))
    if len(text) <= reach and sum(width for _, width in shown) <= limit:
        return "".join(token for token, _ in shown)
    room = max(limit - 1, 0)
    behind = room // 2 if middle else 0
    start = _fit(shown, room - behind)
    end = _fit(reversed(list(_tokens(text[-reach:]))), behind)
    while end and not end[-1][1]:
        del end[-1]  # a mark whose character was cut off
    return "".join(t for t, _ in start) + "…" + "".join(t for t, _ in reversed(end))


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if _WIDE.match(c) else 0 if _MARK.match(c) else 1 for c in text)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """What each character is shown as, and how wide that is."""
    marks = 0
    for character in text:
        is_mark = _MARK.match(character) is not None
        marks = marks + 1 if is_mark else 0
        if marks > _MARKS or _HARMFUL.match(character):
            token = _NAMED.get(character) or _escape(ord(character))
            yield token, len(token)
        else:
            yield character, 0 if is_mark else 2 if _WIDE.match(character) else 1


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _fit(tokens: Iterable[tuple[str, int]], room: int) -> list[tuple[str, int]]:
    """The first of the tokens, as many as there is room for."""
    kept = []
    for token, width in tokens:
        room -= width
        if room < 0:
            break
        kept.append((token, width))
    return kept
