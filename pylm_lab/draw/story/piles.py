"""Piles: messages that rest somewhere, and the words for them that fit into a part's box."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from pylm_lab.draw.metrics import advance
from pylm_lab.hook import Kind

__all__ = ["Pile", "Piles", "fit", "named", "short"]

#: Messages of a pile that are named.
_NAMED = 3
#: Pixels that a status may fill in a part's box, and the size of its type.
_ROOM, _SIZE = 108.0, 11.0


class Pile(NamedTuple):
    """Messages that rest somewhere: the numbers of the first three, and how many there are."""

    first: tuple[str, ...]
    size: int


class Piles:
    """The piles of all actors, each in the order of its keys; only the fronts are shown."""

    def __init__(self) -> None:
        self.shown: dict[str, Pile] = {}
        self._all: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._given: Mapping[str, Pile] | None = None

    def first(self, actor: str) -> int | None:
        """The key of the message on top."""
        pile = self._all[actor]
        return pile[0][0] if pile else None

    def add(self, actor: str, key: int, number: str) -> None:
        """A message has come to rest at the actor."""
        insort(self._all[actor], (key, number))
        self._show(actor)

    def drop(self, actor: str, key: int) -> None:
        """It rests there no more."""
        pile = self._all[actor]
        at = bisect_left(pile, (key, ""))
        if at < len(pile) and pile[at][0] == key:
            del pile[at]
            self._show(actor)

    def snapshot(self) -> Mapping[str, Pile]:
        """The piles of now; the same object as before where nothing has changed."""
        if self._given is None:
            self._given = dict(self.shown)
        return self._given

    def _show(self, actor: str) -> None:
        pile = self._all[actor]
        self._given = None
        if pile:
            self.shown[actor] = Pile(tuple(number for _, number in pile[:_NAMED]), len(pile))
        else:
            self.shown.pop(actor, None)


def named(kind: Kind, number: str) -> str:
    """`message 3`, `request r1`, `a message`."""
    word = "request" if kind == "request" else "message"
    return f"{word} {number}" if number else f"a {word}"


def fit(verb: str, pile: Pile) -> str:
    """`holds message 3`, `holds 4 messages`, as far as the box has room."""
    if pile.size > 1:
        return short(f"{verb} {pile.size} messages", f"{verb} {pile.size}")
    number = pile.first[0]
    kind: Kind = "request" if number.startswith("r") else "message"
    return short(f"{verb} {named(kind, number)}", f"{verb} {number}")


def short(text: str, shorter: str) -> str:
    """The text, or the shorter one where the box has no room for it."""
    return text if advance(text, _SIZE) <= _ROOM else shorter
