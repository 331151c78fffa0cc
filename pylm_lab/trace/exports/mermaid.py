"""Mermaid: a sequence diagram as text, for a README, an issue or a wiki.

1. An arrow is a hop, in the order in which hops begin; Mermaid draws it as if it took no time. One
   that ends in a cross was lost, an open dotted one was not received while the record lasts.
2. A box is a server. Who has no part in what is shown is not shown.
3. A diagram is for people: of a long trace its beginning is drawn, and a note says how much is
   missing. The text stays below what Mermaid accepts by default.
4. No text of a message or a name is ever grammar: whatever could be is written as a character
   reference.

The grammar: https://mermaid.js.org/syntax/sequenceDiagram.html
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.exports.reading import Reading
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.tables import KINDS, WHATS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["LIMIT", "lines"]

#: Hops that are drawn unless more are asked for.
LIMIT = 200
#: Characters that Mermaid accepts by default (maxTextSize), less room for the last notes.
_SIZE = 50_000 - 1_500
#: What the grammar, its comments and directives, line breaks, markup and formulas begin with, and
#: all that is not surely harmless.
_SPECIAL = re.compile(r"[^\w .,/()\[\]'!?=*|+@^·…-]")
#: A word that ends a box or a loop where older versions of Mermaid find it.
_END = re.compile(r"\bend\b", re.IGNORECASE)
_CREDIT = KINDS.index("credit")
_LIFE = tuple(map(WHATS.index, ("fault", "fail")))


def lines(trace: Trace, *, limit: int | None = LIMIT, credits: bool = False) -> Iterator[str]:
    """The diagram, by lines.

    Hops beyond the limit are counted in a note; with None there is none, and Mermaid has to be told
    to accept a text of that size. With `credits` acknowledgements are drawn as well.
    """
    reading = Reading(trace)
    hops = reading.hops
    wanted = np.flatnonzero(np.ones(len(hops), bool) if credits else hops.kind != _CREDIT)
    shown = wanted if limit is None else wanted[:limit]
    told, used = _arrows(reading, shown, len(shown) < len(wanted), limit is None)
    yield "sequenceDiagram\n"
    names = yield from _participants(reading, used)
    first, last = names[0], names[-1]
    over = first if first == last else f"{first},{last}"
    for gap in gaps(trace):
        yield f"    Note over {over}: {escape(gap)}\n"
    if not used:
        yield f"    Note over {over}: {escape('Nothing was sent.')}\n"
    drawn = 0
    for is_hop, line in told:
        drawn += is_hop
        yield line
    left = len(wanted) - drawn
    if left:
        more = "1 more hop is not drawn" if left == 1 else f"{left:,} more hops are not drawn"
        yield f"    Note over {over}: {escape(more)}\n"


def escape(text: str) -> str:
    """The text as Mermaid shows it and reads nothing into it."""
    safe = _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)
    return _END.sub(lambda found: f"{found[0][:2]}#{ord(found[0][2])};", safe)


def _arrows(
    reading: Reading, shown: npt.NDArray[Any], cut: bool, any_size: bool
) -> tuple[list[tuple[bool, str]], set[int]]:
    """What happens, each told as a line and whether it is a hop; and who takes part."""
    events, hops = reading.events, reading.hops
    begins = hops.begins[shown]
    until = int(begins[-1]) if cut and len(shown) else len(events)
    life = np.flatnonzero(np.isin(events.what, _LIFE) & (events.port < 0))
    rows = [(n, -1) for n in life.tolist() if n <= until]
    rows += zip(begins.tolist(), shown.tolist(), strict=True)
    rows.sort(key=lambda row: row[0])
    told: list[tuple[bool, str]] = []
    used: set[int] = set()
    size = 40 * len(reading.labels)
    for n, hop in rows:
        if hop < 0:
            who = [events.actor.item(n)]
            line = f"    Note over {_id(who[0])}: {escape(_event(reading, n))}\n"
        else:
            who = [hops.source.item(hop), hops.target.item(hop)]
            line = _arrow(reading, hop, n)
        size += len(line)
        if size > _SIZE and not any_size:
            break
        used.update(who)
        told.append((hop >= 0, line))
    return told, used


def _arrow(reading: Reading, hop: int, n: int) -> str:
    events, hops = reading.events, reading.hops
    source, target, dropped = hops.source.item(hop), hops.target.item(hop), hops.dropped.item(hop)
    kind, content = hops.kind.item(hop), events.content.item(n)
    text = reading.thing(kind, hops.message.item(hop))
    if content >= 0 and (payload := events.contents.excerpt.item(content)):
        text = f"{text} · {reading.shown(payload)}"
    arrow = "->>"
    if hops.received.item(hop) < 0:
        arrow = "-->" if dropped < 0 else "-x"
        text += " (not received)" if dropped < 0 else ""
    if dropped >= 0:
        what = "given up" if hops.received.item(hop) >= 0 else "lost"
        text += f" ({what}: {reading.shown(events.text.item(dropped))})"
    return f"    {_id(source)}{arrow}{_id(target)}: {escape(text)}\n"


def _event(reading: Reading, n: int) -> str:
    events = reading.events
    why = reading.shown(events.text.item(n))
    event = events[n]
    return f"{event.fault or 'fails'}: {why}" if why else event.fault or "fails"


def _id(actor: int) -> str:
    return f"a{actor + 1}"


def _participants(reading: Reading, used: set[int]) -> Generator[str, None, list[str]]:
    """Lines for those who take part; their names in the diagram, from left to right."""
    names: list[str] = []
    for group in reading.groups():
        there = [n for n in group.actors if n in used]
        indent = "    "
        if group.server and there:
            yield f"    box transparent {escape(group.name)}\n"
            indent = "        "
        for n in there:
            names.append(_id(n))
            yield f"{indent}participant {_id(n)} as {escape(reading.labels[n])}\n"
        if group.server and there:
            yield "    end\n"
    if -1 in used or not names:
        names.append(_id(-1))
        yield f"    participant {_id(-1)} as {escape('?' if used else 'trace')}\n"
    return names
