"""Gaps: what a record does not tell, in words.

1. Whoever shows a trace shows these sentences with it: a record with a gap never looks whole.
2. A server whose every actor ends early is named once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pylm_lab.trace.show.excerpt import excerpt

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["early", "ended", "forgotten", "gaps", "left_out"]

#: Columns of a name, and names that a sentence has.
_WIDE, NAMED = 40, 8


def gaps(trace: Trace, most: int = NAMED) -> list[str]:
    """A sentence for each thing that the record does not tell; none of a record that is whole.

    `most` is how many names a sentence has; of more it says how many.
    """
    found = [forgotten(trace.forgotten)] if trace.forgotten else []
    found += [left_out(trace.left_out)] if trace.left_out else []
    return [*found, ended(early(trace), most)] if trace.cut else found


def forgotten(count: int) -> str:
    """The sentence about events that the recorder has not kept."""
    if count == 1:
        return "1 earlier event is forgotten."
    return f"{count:,} earlier events are forgotten."


def left_out(count: int) -> str:
    """The sentence about events that somebody has filtered out."""
    return f"{count:,} {'event is' if count == 1 else 'events are'} left out."


def early(trace: Trace) -> list[str]:
    """What to call those whose record ends early, in declared order."""
    cut = set(trace.cut)
    servers: dict[str, bool] = {}
    for actor in trace.actors:
        if actor.server:
            servers[actor.server] = servers.get(actor.server, True) and actor.id in cut
    names: dict[str, None] = {}
    for actor in trace.actors:
        if actor.id in cut:
            names[actor.server if servers.get(actor.server) else trace.labels[actor.id]] = None
    known = {actor.id for actor in trace.actors}
    names.update(dict.fromkeys(id for id in trace.cut if id not in known))
    return [excerpt(name, _WIDE, middle=True) for name in names]


def ended(names: Sequence[str], most: int = NAMED) -> str:
    """The sentence about those whose record ends early."""
    shown, more = list(names[:most]), len(names) - most
    last = f"{more:,} more" if more > 0 else shown.pop()
    who = f"{', '.join(shown)} and {last}" if shown else last
    if len(names) == 1:
        return f"The record of {who} ends early."
    return f"The records of {who} end early."
