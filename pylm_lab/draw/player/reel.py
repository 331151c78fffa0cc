"""Reel: a story on its scene as plain data, for the player's script.

1. Any step can be shown at once: what an actor does and holds is kept as changes in order of steps,
   in which script looks up; nothing must be played from the start.
2. It stays small: columns instead of objects, every text once, sentences without their number.
3. What is left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.moment import (
    counters,
    is_lost_on,
    losses,
    midway,
    places,
    run_of,
    wires_under,
)
from pylm_lab.draw.player.frames import frames
from pylm_lab.draw.scene import Box, Link, Pill, Point, Scene, Text
from pylm_lab.draw.story import HeldBack, Pile, Step, names
from pylm_lab.draw.svg import identity
from pylm_lab.trace import Event, Hop, Trace

__all__ = ["NUMBER", "reel"]

#: Stands in a sentence for the number of the step's own message; no clean text holds it.
NUMBER = "\0"
_KINDS = ("message", "credit", "request", "answer", "ready")


def reel(trace: Trace, scene: Scene, steps: Sequence[Step], *, limit: int) -> dict[str, Any]:
    """All that the player's script knows of the first `limit` steps, ready for `json.dumps`."""
    after = steps[limit] if limit < len(steps) else None
    return _Reel(trace, scene, steps[:limit], after).data()


class _Table:
    """Gives each different thing a number, in order of appearance."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._index: dict[Any, int] = {}

    def __call__(self, item: Any) -> int:
        if item not in self._index:
            self._index[item] = len(self.items)
            self.items.append(item)
        return self._index[item]


class _Reel:
    def __init__(
        self, trace: Trace, scene: Scene, steps: Sequence[Step], after: Step | None
    ) -> None:
        self.after = after
        self.trace = trace
        self.scene = scene
        self.steps = steps
        self.ports = {port.id: port for port in trace.ports}
        self.actors = {actor.id: n for n, actor in enumerate(trace.actors)}
        self.called = names(trace)
        self.texts = _Table()
        self.texts("")
        self.numbers = _Table()
        self.numbers("")
        self.ways = _Table()
        self.framings = _Table()
        self.rows = {link: n for n, link in enumerate(scene.rows)}

    def data(self) -> dict[str, Any]:
        columns = self._columns()
        delayed = self._delayed()
        changes = {
            "status": self._changes(lambda s: s.status, self.texts),
            "held": self._changes(lambda s: s.held, self._pile),
            "waiting": self._changes(lambda s: s.waiting, self._pile),
        }
        counts = self._counts()
        return {
            "clock": self.trace.clock,
            "kinds": list(_KINDS),
            "texts": self.texts.items,
            "numbers": self.numbers.items,
            "actors": [self._actor(actor.id) for actor in self.trace.actors],
            "ways": [[round(v, 1) for point in way for v in point] for way in self.ways.items],
            "stops": [midway(self.scene, way) for way in self.ways.items],
            "wires": [self._wires(way) for way in self.ways.items],
            "framings": self.framings.items,
            "rows": [self._row(row) for row in self.rows],
            "steps": columns,
            "changes": changes,
            "delayed": delayed,
            "counts": counts,
            "losses": self._losses(),
        }

    # Columns

    def _columns(self) -> dict[str, list[int]]:
        # Of no step too the script asks how many there are.
        columns: dict[str, list[int]] = {"kind": []}
        for step in self.steps:
            for name, value in self._cells(step):
                columns.setdefault(name, []).append(value)
        return columns

    def _cells(self, step: Step) -> Iterable[tuple[str, int]]:
        hop = None if step.hop is None else self.trace.hops[step.hop]
        sent, taken = (None, None) if hop is None else self._ends(hop)
        event = taken if step.fault == "corrupt" and taken else sent or taken
        yield "kind", _KINDS.index(step.kind)
        yield "minor", int(not self._is_major(step, sent or taken))
        yield "number", self.numbers(step.number)
        yield "source", self.actors.get(step.source, -1)
        yield "target", self.actors.get(step.target, -1)
        yield "way", self._way(step)
        yield "row", self.rows.get(step.row, -1) if step.row else -1
        yield "previous", -1 if step.previous is None else step.previous
        yield "fate", 2 if step.lost else 0 if step.arrives and not step.held_back else 1
        yield "fault", self.texts(step.fault)
        yield "title", self.texts(_template(step.title, step.number))
        yield "sentence", self.texts(_template(step.sentence, step.number))
        yield "at", step.at
        yield "sent", self._framing(sent)
        yield "taken", self._framing(taken)
        yield "function", self.texts(clean(event.function) if event else "")
        yield "stage", event.stage if event else 0
        yield "payload", self.texts(clean(event.excerpt) if event else "")
        yield "clock", event.clock if event else 0
        yield "parent", self.numbers(self.trace.numbers.get(event.parent, "") if event else "")
        yield "id", self.texts(event.message if event else "")

    def _is_major(self, step: Step, event: Event | None) -> bool:
        """It is told at once: a message on its way, also as the answer of a web worker."""
        if step.kind == "answer" and event is not None and event.port in self.ports:
            return self.ports[event.port].socket == "HTTP"
        return step.kind == "message"

    def _ends(self, hop: Hop) -> tuple[Event | None, Event | None]:
        first = hop.sent if hop.sent is not None else hop.dropped if not hop.received else None
        return (
            None if first is None else self.trace.events[first],
            None if hop.received is None else self.trace.events[hop.received],
        )

    def _way(self, step: Step | HeldBack) -> int:
        run = run_of(self.scene, step)
        return self.ways(run) if len(run) > 1 else -1

    def _framing(self, event: Event | None) -> int:
        """The frames of one end: a flat list of what, size, text; the socket first."""
        if event is None:
            return -1
        port = self.ports.get(event.port)
        flat: list[int] = [self.texts(port.socket if port else "")]
        for frame in frames(event, port):
            flat += [self.texts(frame.what), frame.size, self.texts(frame.text)]
        return self.framings(tuple(flat))

    # What changes

    def _changes(
        self, field: Callable[[Step], Mapping[str, Any]], value: Callable[[Any], Any]
    ) -> list[list[Any]]:
        """For each actor that ever changes: its index, the steps, and the value from each on."""
        found: dict[str, tuple[list[int], list[Any]]] = {}
        last: Mapping[str, Any] = {}
        for step in self.steps:
            now = field(step)
            if now is last:
                continue
            for actor in {**last, **now}:
                if now.get(actor) != last.get(actor):
                    at, values = found.setdefault(actor, ([], []))
                    at.append(step.index)
                    values.append(value(now.get(actor)))
            last = now
        return [[self.actors[a], *found[a]] for a in self.actors if a in found]

    def _pile(self, pile: Pile | None) -> list[int]:
        """How many, then the numbers of the first."""
        if pile is None:
            return [0]
        return [pile.size, *map(self.numbers, pile.first)]

    def _delayed(self) -> list[list[int]]:
        """What faults hold back: way, number, the first step at which it is, the step after."""
        since: dict[HeldBack, int] = {}
        over: list[tuple[HeldBack, int, int]] = []
        for step in self.steps:
            if since.keys() != set(step.delayed):
                gone = [late for late in since if late not in step.delayed]
                over += [(late, since.pop(late), step.index) for late in gone]
                for late in step.delayed:
                    since.setdefault(late, step.index)
        over += [(late, n, len(self.steps)) for late, n in since.items()]
        found = [[self._way(late), self.numbers(late.number), n, end] for late, n, end in over]
        return [late for late in found if late[0] >= 0]

    def _counts(self) -> list[list[Any]]:
        """For each counter: its element, and the steps from which it shows one more."""
        shown = {item: n for n, item in enumerate(dict.fromkeys(self.scene.counts.values()))}
        grows: list[list[int]] = [[] for _ in shown]
        last: Mapping[Link, int] = {}
        keys = counters(self.scene)
        for step in (*self.steps, *([self.after] if self.after else [])):
            for key, count in step.counts.items():
                if key in keys and count != last.get(key, 0):
                    grows[shown[keys[key]]] += [step.index] * (count - last.get(key, 0))
            last = step.counts
        if self.after is None:
            self._finish(shown, grows)
        return [[identity(item), grows[n]] for item, n in shown.items()]

    def _finish(self, shown: Mapping[str, int], grows: list[list[int]]) -> None:
        """What the scene itself shows is how a run ends."""
        ends = {item.id: item.text for item in self.scene.items if isinstance(item, Pill | Text)}
        for item, n in shown.items():
            text = ends.get(item, "").replace(",", "")
            missing = int(text) - len(grows[n]) if text.isdigit() else 0
            grows[n] += [len(self.steps)] * missing

    def _losses(self) -> list[list[Any]]:
        """For each pill that counts losses: its element, and the steps after which one more."""
        return [
            [identity(item), [s.index + 1 for s in self.steps if is_lost_on(s, links)]]
            for item, links in losses(self.scene).items()
        ]

    # The scene

    def _actor(self, actor: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": clean(self.trace.labels[actor], 80)}
        if self.called[actor] != found["name"]:
            found["called"] = self.called[actor]
        place = places(self.scene).get(actor)
        if place:
            found["rest"] = [round(v, 1) for v in place]
        if actor in self.scene.status:
            item = self.scene.status[actor]
            found["status"] = identity(item)
            found["blocks"] = identity(f"{item}.blocks")
            box = next((b for b in self.scene.items if isinstance(b, Box) and b.id == actor), None)
            if box:
                found["middle"] = round(box.x + box.w / 2, 1)
        return found

    def _row(self, row: Link) -> list[int | str]:
        """Its number, and the elements of its texts."""
        numbers = [r.number for r in self.trace.routes if (r.source, r.target) == row]
        return [*numbers[:1], *map(identity, self.scene.rows[row])]

    def _wires(self, way: Sequence[Point]) -> list[str]:
        return list(map(identity, wires_under(self.scene, way)))


def _template(text: str, number: str) -> str:
    """The text with its own message's number taken out, so that equal sentences are one."""
    if not number:
        return text
    return re.sub(rf"(?:(?<=message )|(?<=request )|^){re.escape(number)}", NUMBER, text)
