"""Waits: who waits where, for what, and for whom, when nothing moves.

1. A `Wait` is what one actor can say of itself; `Waits` are all of them at one moment.
2. An idle actor waits for its next piece of work: nobody owes it anything. In a server at rest such
   waits always go round, so only those who are owed something can make a deadlock.
3. The same waits give the same circle and the same sentences, whatever the hash seed.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

__all__ = ["Wait", "Waits", "lasting", "left_to_themselves"]

#: What a report names at the most: sentences or rows, names in a list, chains.
_ROWS, _NAMES, _CHAINS = 20, 12, 3
#: Characters of a name or a wish that are shown.
_LONG = 120


def lasting(amount: float, unit: str) -> str:
    """How long, in words: `0.3 s`, `1 step`, `212 steps`."""
    if unit == "s":
        return f"{amount:.1f} s"
    if amount == 0:
        return "less than a step"
    return f"{amount:.0f} step{'' if amount == 1 else 's'}"


@dataclass(frozen=True)
class Wait:
    """Somebody who waits: `actor` for `what`, at these `ports` (ids).

    `lasting` is how long by now, in seconds, or in steps (`unit`) where the run is controlled. `on`
    are the ids of the actors who could end the wait; any one of them would do. Who is `idle` only
    waits for its next piece of work, and nobody owes it anything.
    """

    actor: str
    what: str
    ports: tuple[str, ...]
    lasting: float
    unit: Literal["s", "steps"]
    on: tuple[str, ...] = ()
    idle: bool = False

    def __str__(self) -> str:
        return f"{self.actor} waits for {self.what}, for {lasting(self.lasting, self.unit)}"

    __repr__ = __str__


def left_to_themselves(names: Iterable[str], waits: Iterable[Wait], seconds: float) -> str:
    """Who has not ended within so many seconds, and for what each waits, as far as that is known.

    `names` are ids of actors, or what else runs.
    """
    known = {wait.actor: f" (waits for {wait.what})" for wait in waits}
    told = ", ".join(f"{name}{known.get(name, '')}" for name in names)
    return f"still running after {seconds:g} s, and left to themselves: {told}"


class Waits(tuple[Wait, ...]):
    """All who wait at one moment, each once; printed, it tells who waits for whom.

    Raises:
        TypeError: something in it is no Wait.
        ValueError: an actor is in it twice.
    """

    def __new__(cls, waits: Iterable[Wait] = ()) -> Self:
        found = super().__new__(cls, waits)
        actors: set[str] = set()
        for wait in found:
            if not isinstance(wait, Wait):
                raise TypeError(
                    f"{wait!r} is no Wait: give what `waiting()` of a cluster or an actor returns"
                )
            if wait.actor in actors:
                raise ValueError(
                    f"{wait.actor!r} waits twice: an actor does one thing at a time,"
                    " so two of them have one id. Give them different names"
                )
            actors.add(wait.actor)
        return found

    def of(self, actor: str) -> Wait | None:
        """What the actor of this id waits for; None if it does not wait."""
        return self._by_actor.get(actor)

    @property
    def blocked(self) -> tuple[Wait, ...]:
        """Those who are owed something."""
        return tuple(wait for wait in self if not wait.idle)

    @property
    def idle(self) -> tuple[Wait, ...]:
        """Those who only wait for their next piece of work."""
        return tuple(wait for wait in self if wait.idle)

    @cached_property
    def cycle(self) -> tuple[str, ...]:
        """The ids of actors who wait for each other in a circle, each for the next.

        Idle ones are not looked at. Of several circles it is the shortest, and of those the first
        by its ids; it begins with its smallest id. An actor that waits for itself is a circle of
        one. Empty if there is none.
        """
        owed = {wait.actor: sorted(set(wait.on)) for wait in self if not wait.idle}
        shortest: list[str] = []
        for start in sorted(owed):
            found = _way_back(start, owed)
            if found and (not shortest or len(found) < len(shortest)):
                shortest = found
        return tuple(shortest)

    @property
    def graph(self) -> Any:
        """The wait-for graph, a networkx.MultiDiGraph (see `pylm_lab.graph.waits`)."""
        return importlib.import_module("pylm_lab.graph").waits(self)

    @cached_property
    def _by_actor(self) -> dict[str, Wait]:
        return {wait.actor: wait for wait in self}

    def _in_order(self) -> list[Wait]:
        """Those in the circle, in its order, then the other blocked ones, then the idle ones."""
        place = {actor: n for n, actor in enumerate(self.cycle)}
        return sorted(self, key=lambda wait: (wait.idle, place.get(wait.actor, len(place))))

    def __str__(self) -> str:
        if not self:
            return "Nobody waits."
        blocked = [wait for wait in self._in_order() if not wait.idle]
        lines = [_sentence(wait) for wait in blocked[:_ROWS]]
        if len(blocked) > _ROWS:
            lines.append(f"And {len(blocked) - _ROWS:,} more wait.")
        lines += self._why()
        if self.idle:
            lines.append(f"Idle: {_names([wait.actor for wait in self.idle])}.")
        return "\n".join(lines)

    __repr__ = __str__

    def _why(self) -> Iterator[str]:
        """The circle, or where the chains end."""
        cycle = self.cycle
        if cycle:
            yield _round(cycle)
            if behind := self._behind():
                wait = "waits" if len(behind) == 1 else "wait"
                yield f"Behind the circle {wait}: {_names(behind)}."
        elif self.blocked:
            chains = [self._chain(start) for start in self._starts()]
            follow = "chain" if len(chains) == 1 else "chains"
            told = [f"{self._told(chain)}." for chain in chains[:_CHAINS]]
            yield f"Nobody waits in a circle. Follow the {follow}: {' '.join(told)}"
            if len(chains) > _CHAINS:
                yield f"And {len(chains) - _CHAINS:,} more chains."
            if any(self._is_idle(chain[-1]) for chain in chains):
                yield "So something was lost on the way, never answered, or never sent."
        else:
            yield "Nobody is owed anything: all wait for their next piece of work."

    def _behind(self) -> list[str]:
        """Blocked actors that would go on if somebody in the circle did."""
        reached = set(self.cycle)
        waiters: dict[str, list[str]] = {}
        for wait in self.blocked:
            for other in wait.on:
                waiters.setdefault(other, []).append(wait.actor)
        todo = list(self.cycle)
        while todo:
            new = [actor for actor in waiters.get(todo.pop(), ()) if actor not in reached]
            reached.update(new)
            todo += new
        return [w.actor for w in self if w.actor in reached and w.actor not in self.cycle]

    def _starts(self) -> list[str]:
        """Blocked actors for whom no blocked one waits; without a circle there are some."""
        owing = {other for wait in self.blocked for other in wait.on}
        return [wait.actor for wait in self.blocked if wait.actor not in owing]

    def _chain(self, start: str) -> list[str]:
        """The shortest way from a blocked actor to somebody who waits for no other one.

        That is an idle actor, one that does not wait, or one whose wait no actor can end.
        """
        ways = [[start]]
        seen = {start}
        while True:  # without a circle, every way ends
            way = ways.pop(0)
            wait = self.of(way[-1])
            if wait is None or wait.idle or not wait.on:
                return way
            new = sorted(set(wait.on) - seen)
            seen.update(new)
            ways += [[*way, other] for other in new]

    def _told(self, chain: Sequence[str]) -> str:
        """`a waits for b, which waits for c, which …`."""
        last = self.of(chain[-1])
        if last is None:
            end = "does not wait: it is at work, or it has ended"
        elif last.idle:
            end = f"has nothing to do and waits for {_plain(last.what)}"
        else:
            end = f"waits for {_plain(last.what)}, and no other actor can end that"
        links = [f"waits for {_plain(actor)}" for actor in chain[1:]]
        return f"{_plain(chain[0])} {', which '.join([*links, end])}"

    def _is_idle(self, actor: str) -> bool:
        wait = self.of(actor)
        return wait is not None and wait.idle

    def _repr_html_(self) -> str:
        """A table, those in the circle first and the idle ones last, below what it comes to."""
        if not self:
            return "<p>Nobody waits.</p>"
        rows = self._in_order()
        place = {actor: f"circle {n}" for n, actor in enumerate(self.cycle, 1)}
        lines = [f"<table>{_caption(' '.join(self._why()))}", _head()]
        lines += [_row(wait, place.get(wait.actor, "")) for wait in rows[:_ROWS]]
        lines.append("</tbody></table>")
        if len(rows) > _ROWS:
            lines.append(f"<p>… {len(rows) - _ROWS:,} more</p>")
        return "\n".join(lines)


def _way_back(start: str, owed: dict[str, list[str]]) -> list[str]:
    """The shortest way along which an actor waits for itself; empty if there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for other in owed[way[-1]]:
            if other == start:
                return way
            if other in owed and other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


def _sentence(wait: Wait) -> str:
    whom = _names(sorted(set(wait.on)), "or")
    if not whom or "feedback of" in wait.what:  # that says from whom
        source = ""
    elif "room to send" in wait.what:
        source = f", which only {whom} can give"
    else:
        source = f" from {whom}"
    how_long = lasting(wait.lasting, wait.unit)
    return f"{_plain(wait.actor)} waits for {_plain(wait.what)}{source}, for {how_long}."


def _round(cycle: Sequence[str]) -> str:
    names = [_plain(actor) for actor in cycle]
    if len(names) == 1:
        return f"Round and round: {names[0]} waits for itself."
    pairs = zip(names, [*names[1:], names[0]], strict=True)
    return f"Round and round: {', '.join(f'{a} waits for {b}' for a, b in pairs)}."


def _names(actors: Sequence[str], word: str = "") -> str:
    """`a, b, c`, with a word `a, b or c`; past a dozen `… and 3 more`."""
    names = [_plain(actor) for actor in actors]
    if len(names) > _NAMES:
        return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES:,} more"
    if word and len(names) > 1:
        return f"{', '.join(names[:-1])} {word} {names[-1]}"
    return ", ".join(names)


def _plain(text: str) -> str:
    """The text on one line; what can't be seen as the escapes that Python writes."""
    if len(text) > _LONG:
        text = f"{text[: _LONG // 2]}…{text[-_LONG // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_LEFT = ' style="text-align: left"'


def _caption(text: str) -> str:
    return f'<caption style="caption-side: top; text-align: left">{html.escape(text)}</caption>'


def _head() -> str:
    names = ("who", "waits for", "from", "how long", "")
    cells = "".join(f'<th scope="col"{_LEFT}>{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>\n<tbody>"


def _row(wait: Wait, place: str) -> str:
    texts = (
        _plain(wait.what),
        _names(sorted(set(wait.on)), "or"),
        lasting(wait.lasting, wait.unit),
    )
    # Names of foreign letters may run from right to left; they must not take their row along.
    cells = [f"<bdi>{html.escape(text)}</bdi>" for text in texts]
    name = f"<bdi>{html.escape(_plain(wait.actor))}</bdi>"
    if wait.idle:
        style, state = ' style="opacity: 0.65"', "idle"
    else:
        style, state = "", f"<b>{place}</b>" if place else ""
    body = "".join(f"<td{_LEFT}>{cell}</td>" for cell in (*cells, state))
    return f'<tr{style}><th scope="row"{_LEFT}>{name}</th>{body}</tr>'
