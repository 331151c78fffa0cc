"""Reading: what every format reads of a trace, as columns that are walked once.

1. Columns go by chunk from numpy to Python, so that a trace of millions of events is never there
   twice.
2. A tool believes the clock: it draws no arrow to what came earlier. Where the clocks of a trace
   say that a message was received before it was sent, the receive, and what its actor did after
   it, is moved to the time of the send; a trace of one process says so nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.columns import Events, Hops
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS, Positions

if TYPE_CHECKING:
    from pylm_lab.hook import Actor
    from pylm_lab.trace.trace import Trace

__all__ = ["Group", "Reading", "walk"]

#: Rows that become Python numbers together.
_CHUNK = 8192
#: Columns of a name and of any other text.
_NAME, _TEXT = 40, 60
#: Columns of an id, which is as long as a program made it.
_ID = 200
#: What is called by a number, and what has none.
_NAMED = {"message": "message", "request": "request"}
_NAMELESS = {
    "credit": "an acknowledgement",
    "answer": "an answer",
    "ready": "an echo of a subscription",
}


def walk(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of these columns, in order."""
    for n in range(0, len(columns[0]), _CHUNK):
        yield from zip(*(column[n : n + _CHUNK].tolist() for column in columns), strict=True)


class Group(NamedTuple):
    """What tools show as one process: a server, or an actor of its own. Actors by position."""

    name: str
    server: str
    actors: list[int]


class Reading:
    """A trace as it is written down in other formats.

    `at` are the times of the events in the trace's unit, never earlier than what came before them,
    `moved` by how much one was moved at the most. `sent_of` has, for each receive, the position of
    its send, and `hop_of` the position of its hop; -1: there is none.
    """

    def __init__(self, trace: Trace) -> None:
        hops = trace.hops
        assert isinstance(hops, Hops)
        self.trace = trace
        self.events: Events = trace.columns
        self.hops = hops
        #: `events.message`, which is worked out each time that it is asked for.
        self.message: Positions = self.events.message
        self.sent_of: Positions = np.full(len(self.events), -1, np.int32)
        self.hop_of: Positions = np.full(len(self.events), -1, np.int32)
        came = hops.received >= 0
        self.sent_of[hops.received[came]] = hops.sent[came]
        self.hop_of[hops.received[came]] = np.flatnonzero(came)
        self.at = _in_order(self.events, self.sent_of)
        self.moved = int((self.at - self.events.at).max(initial=0))
        names = {actor.id: trace.labels[actor.id] for actor in trace.actors}
        #: What to call each actor, by its position.
        self.labels = [
            excerpt(names.get(id, id), _NAME, middle=True) or "(no name)"
            for id in self.events.tables.actors
        ]
        #: Their ids, fit to be shown.
        self.ids = [excerpt(id, _ID, middle=True) for id in self.events.tables.actors]
        self._shown: dict[int, str] = {}
        self._things: dict[tuple[int, int], str] = {}

    @property
    def micro(self) -> bool:
        """One step is written as a microsecond, since nothing in it took a time of its own."""
        return self.trace.clock == "step"

    def shown(self, text: int) -> str:
        """A text of the trace, fit to be shown."""
        found = self._shown.get(text)
        if found is None:
            found = self._shown[text] = excerpt(self.events.texts[text], _TEXT)
        return found

    def id(self, message: int) -> str:
        """A message's id, fit to be shown."""
        return excerpt(self.events.ids[message], _ID)

    def thing(self, kind: int, message: int) -> str:
        """What crosses, in words: `message 3`, `an answer`."""
        found = self._things.get((kind, message))
        if found is None:
            word = KINDS[kind]
            number = self.trace.numbers.get(self.events.ids[message], "")
            if word in _NAMED and number:
                found = f"{_NAMED[word]} {number}"
            elif word in _NAMED:
                # Where none has an id, as of a program's own sockets, nobody misses it.
                found = f"a {word} without an id" if self.trace.numbers else f"a {word}"
            else:
                found = _NAMELESS.get(word, "something")
            self._things[kind, message] = found
        return found

    def who(self, actor: int) -> str:
        """What to call the actor at this position; -1 is nobody who is known."""
        return self.labels[actor] if actor >= 0 else "?"

    def declared(self) -> Iterator[tuple[int, Actor | None]]:
        """Each actor's position, with what was declared of it."""
        known = {actor.id: actor for actor in self.trace.actors}
        for n, id in enumerate(self.events.tables.actors):
            yield n, known.get(id)

    def groups(self) -> list[Group]:
        """Servers with their actors, and every other actor for itself, in declared order."""
        found: dict[tuple[str, str], Group] = {}
        for n, actor in self.declared():
            server = actor.server if actor else ""
            key = ("server", server) if server else ("actor", str(n))
            name = excerpt(server, _NAME, middle=True) if server else self.labels[n]
            found.setdefault(key, Group(name, server, [])).actors.append(n)
        return list(found.values())


def _in_order(events: Events, sent_of: Positions) -> npt.NDArray[np.int64]:
    """The times, moved where a receive would come before its send."""
    at, actor = events.at, events.actor
    arrivals = np.flatnonzero(sent_of >= 0)
    by_actor = np.argsort(actor, kind="stable")
    backwards = (np.diff(at[by_actor]) < 0) & (np.diff(actor[by_actor]) == 0)
    if not backwards.any() and not (at[arrivals] < at[sent_of[arrivals]]).any():
        return at
    moved = at.copy()
    last = [0] * len(events.tables.actors)
    for n, (when, who, sent) in enumerate(walk(at, actor, sent_of)):
        last[who] = max(when, last[who], moved.item(sent) if sent >= 0 else 0)
        moved[n] = last[who]
    return moved
