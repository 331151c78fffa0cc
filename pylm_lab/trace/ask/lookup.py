"""Lookup: what the names mean that a question about a trace gives.

1. An actor is called by its id, or by its label, which may be that of several.
2. A message is called by its number, or by its id.
3. A name that means nothing is one `UnknownName`, which tells the nearest that does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from pylm_lab.errors import UnknownName
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["actors", "kinds", "message_id", "several", "unknown"]

#: What a server consists of.
_PARTS = ("inbound", "outbound", "bypass", "router")
#: Names among which the nearest is looked for, and those that are told where none is near.
_LOOKED_AT = 2_000
_TOLD = 12


def several(given: object) -> list[object]:
    """One value or several, as a list."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def unknown(
    what: str, wanted: object, known: Iterable[str], told: Sequence[str] = ()
) -> UnknownName:
    """The error: there is no such thing; did you mean the nearest, or these are all there are.

    `told` are those names that are told, where one thing has several.
    """
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(str(wanted)[:200], names[:_LOOKED_AT], n=1)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif not names:
        hint = "there is none at all"
    else:
        names = list(told or names)
        more = f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else ""
        hint = f"there are {', '.join(excerpt(name) for name in names[:_TOLD])}{more}"
    shown = repr(excerpt(wanted, 80)) if isinstance(wanted, str) else excerpt(repr(wanted), 80)
    return UnknownName(f"the trace has no {what} {shown}: {hint}")


def actors(trace: Trace, wanted: object, *, parts: bool = False) -> list[str]:
    """The ids of the actors of this id or label; only among what servers consist of, with `parts`.

    Raises:
        UnknownName: there is none.
    """
    known = [actor for actor in trace.actors if not parts or actor.role in _PARTS]
    found = [actor.id for actor in known if actor.id == wanted]
    found = found or [actor.id for actor in known if actor.label == wanted]
    if not found:
        names = [name for actor in known for name in (actor.id, actor.label)]
        told = [trace.labels[actor.id] for actor in known]
        raise unknown("part" if parts else "actor", wanted, names, told)
    return found


def kinds(wanted: object) -> int:
    """The code of a kind of hop.

    Raises:
        UnknownName: there is none of that name.
    """
    if not wanted or wanted not in KINDS:
        raise unknown("kind", wanted, KINDS[1:])
    return KINDS.index(wanted)


def message_id(trace: Trace, wanted: object) -> str:
    """The id of the message of this number (a text or a whole number) or id.

    Raises:
        UnknownName: there is none.
    """
    is_number = isinstance(wanted, Integral) and not isinstance(wanted, bool)
    name = str(wanted) if is_number else wanted
    if isinstance(name, str):
        if name in trace.ids_by_number:
            return trace.ids_by_number[name]
        if name in trace.numbers:
            return name
    raise unknown("message", wanted, trace.ids_by_number)
