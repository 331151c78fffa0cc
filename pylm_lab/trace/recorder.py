"""Recorder: the hook that writes a run down.

1. Rows go, undecoded, to a list of the actor's own: no lock, no global counter.
2. What is kept of a message is bounded: its sizes, its stamp and its first bytes.
3. Everything that can wait (ids, excerpts, the order between actors) waits until the trace is
   asked for.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pylm_lab import wire
from pylm_lab.hook import Actor, Decision, FaultKind, Hook, Kind, Port, Route
from pylm_lab.trace.match import READY, pairs
from pylm_lab.trace.records import Event, What
from pylm_lab.trace.tape import Row, Tape, rows
from pylm_lab.trace.trace import Trace

__all__ = ["Recorder", "merge"]

#: Characters of the payload that an event shows.
EXCERPT = 64
#: Characters of a cause or an error.
TEXT = 500

_PUBSUB = frozenset({"PUB", "XPUB", "SUB", "XSUB"})
_STAMPED = ("message", "request")
_COMES = ("receive", "fault")


class Recorder(Hook):
    """Writes down everything that it hears; `trace` tells it.

    Attach it to whatever runs, before it starts: `cluster.attach(recorder)`,
    `server.attach(recorder)`.

    Args:
        limit: keep the last so many events of each actor, for a run of any length; `dropped`
            counts the others. The trace begins where all of them are known. None: keep everything.
            Decisions are all kept, whatever the limit: without its first ones a run can't be run
            along them again.
        precise: read the clock for every hop, instead of once for what came or went together.
        schedule, seed, clock, scenario, options: what the trace says of itself.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        precise: bool = False,
        schedule: str = "free",
        seed: int | None = None,
        clock: Literal["ns", "step"] = "ns",
        scenario: str = "",
        options: Mapping[str, int] | None = None,
    ) -> None:
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or limit < 1
        ):
            raise ValueError(f"limit={limit!r}: a number of events to keep, at least 1, or None")
        self.precise = precise
        self._limit = limit
        self._about: dict[str, Any] = {
            "schedule": schedule,
            "seed": seed,
            "clock": clock,
            "scenario": scenario,
            "options": options or {},
        }
        self._actors: dict[str, Actor] = {}
        self._ports: dict[str, Port] = {}
        self._routes: dict[tuple[str, int], Route] = {}
        self._tapes: dict[str, Tape] = {}
        self._decisions: list[Decision] = []
        #: How much was heard when the trace was last told, and that trace.
        self._told: tuple[tuple[int, ...], Trace] | None = None

    def about(self, **about: Any) -> None:
        """Let the trace say this of itself: `schedule`, `seed`, `clock`, `scenario`, `options`."""
        self._about.update(about)
        self._told = None

    @property
    def trace(self) -> Trace:
        """All that was heard so far; the same object until something more is heard.

        May be asked for while the run goes on.
        """
        # Rows first: whatever they speak of has been declared by then.
        kept = {actor: tape.copy() for actor, tape in list(self._tapes.items())}
        declared = len(self._actors), len(self._ports), len(self._routes)
        dropped = self.dropped
        heard = (dropped, sum(map(len, kept.values())), len(self._decisions), *declared)
        told = self._told
        if told is None or told[0] != heard:
            found = {actor: list(rows(own)) for actor, own in kept.items()}
            told = self._told = heard, self._tell(*self._from_one_time(found, dropped))
        return told[1]

    @property
    def dropped(self) -> int:
        """How many events were forgotten to stay within the limit."""
        return sum(tape.dropped for tape in list(self._tapes.values()))

    def totals(self) -> Counter[tuple[str, What]]:
        """How many messages were sent, received and dropped at each port, forgotten ones included.

        The keys are (port id, `send` | `receive` | `drop`).
        """
        found: Counter[tuple[str, What]] = Counter()
        for tape in list(self._tapes.values()):
            found.update(tape.gone)
            found.update(
                (row.port.id, row.what)
                for row in rows(tape.copy())
                if row.port and row.frames and row.what != "fault"
            )
        return found

    def _from_one_time(
        self, kept: dict[str, list[Row]], forgotten: int
    ) -> tuple[dict[str, list[Row]], int]:
        """Let all begin where the last one begins that has forgotten something.

        What one actor remembers from before, another has forgotten: it would look lost.
        """
        begins = [
            next((row.at for row in own if row.frames), 0)
            for actor, own in kept.items()
            if self._tapes[actor].dropped
        ]
        if not begins:
            return kept, forgotten
        known: dict[str, list[Row]] = {}
        for actor, own in kept.items():
            known[actor] = [row for row in own if row.at >= max(begins) or not row.frames]
            forgotten += len(own) - len(known[actor])
        return known, forgotten

    def _tell(self, kept: dict[str, list[Row]], forgotten: int) -> Trace:
        actors = tuple(self._actors.values())
        ports = tuple(self._ports.values())
        start = 0
        if self._about["clock"] == "ns":
            start = min((row.at for own in kept.values() for row in own), default=0)
        events = [e for actor, own in kept.items() for e in _events(actor, own, start)]
        causes = pairs(ports, actors, events)
        if self._about["clock"] == "step":
            # The step number orders everything; a match that contradicts it is no match.
            causes = {n: m for n, m in causes.items() if events[m].at <= events[n].at}
        return Trace(
            actors=actors,
            ports=ports,
            routes=tuple(self._routes.values()),
            events=tuple(merge(events, causes, list(self._actors))),
            decisions=tuple(self._decisions),
            forgotten=forgotten,
            **{**self._about, "options": dict(self._about["options"])},
        )

    # What is declared

    def actor_declared(self, actor: Actor) -> None:
        self._actors[actor.id] = actor

    def port_declared(self, port: Port) -> None:
        self._ports[port.id] = port

    def route_declared(self, route: Route) -> None:
        self._routes[route.server, route.number] = route

    # What happens

    def _tape(self, actor: str) -> Tape:
        tape = self._tapes.get(actor)
        if tape is None:
            # Two threads may meet here: the one that wires, and the actor's own.
            tape = self._tapes.setdefault(actor, Tape(self._limit))
        return tape

    def _note(
        self, what: What, at: int, actor: str, port: Port | None = None, text: str = ""
    ) -> None:
        self._tape(actor).event(at, what, port, text)

    def port_bound(self, port: Port, address: str, at: int) -> None:
        self._note("bind", at, port.actor, port, address)

    def port_connected(self, port: Port, address: str, at: int) -> None:
        self._note("connect", at, port.actor, port, address)

    def port_disconnected(self, port: Port, address: str, at: int) -> None:
        self._note("disconnect", at, port.actor, port, address)

    def topic_subscribed(self, port: Port, topic: bytes, at: int) -> None:
        self._note("subscribe", at, port.actor, port, _text(topic))

    def topic_unsubscribed(self, port: Port, topic: bytes, at: int) -> None:
        self._note("unsubscribe", at, port.actor, port, _text(topic))

    def subscription_seen(self, port: Port, topic: bytes, subscribed: bool, at: int) -> None:
        self._note("seen" if subscribed else "unseen", at, port.actor, port, _text(topic))

    def actor_started(self, actor: str, at: int) -> None:
        self._note("start", at, actor)

    def actor_stopped(self, actor: str, at: int) -> None:
        self._note("stop", at, actor)

    def actor_failed(self, actor: str, error: BaseException, at: int) -> None:
        name, text = type(error).__name__, str(error)
        self._note("fail", at, actor, None, f"{name}: {text}"[:TEXT] if text else name)

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        self.hops_sent(port, [frames], at)

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        self.hops_received(port, [frames], at)

    def hops_sent(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        tape = self._tapes.get(port.actor) or self._tape(port.actor)
        if len(batch) == 1 or not tape.together("send", port, batch, at):
            tape.hops("send", port, batch, at)

    def hops_received(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        tape = self._tapes.get(port.actor) or self._tape(port.actor)
        if len(batch) == 1 or not tape.together("receive", port, batch, at):
            tape.hops("receive", port, batch, at)

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self._tape(port.actor).hops("drop", port, [frames], at, cause[:TEXT])

    def fault_struck(
        self,
        actor: str,
        port: Port | None,
        frames: list[bytes],
        fault: FaultKind,
        why: str,
        at: int,
    ) -> None:
        self._tape(actor).fault(fault, port, frames, at, why[:TEXT])

    def decided(self, decision: Decision) -> None:
        self._decisions.append(decision)


def _events(actor: str, kept: Iterable[Row], start: int) -> Iterator[Event]:
    """Decode the rows of one actor; times count from `start`."""
    #: The last frame that each port has received, or was about to receive when a fault struck it.
    received: dict[str, bytes] = {}
    for row in kept:
        at = row.at - start
        if row.port is None or not row.frames:
            port = row.port.id if row.port and row.what != "fault" else ""
            yield Event(
                at=at, what=row.what, actor=actor, port=port, text=row.text, fault=row.fault
            )
            continue
        yield _hop_event(row, row.port, at, received)
        if row.what in _COMES:
            received[row.port.id] = row.frames[-1]


def _hop_event(row: Row, port: Port, at: int, received: dict[str, bytes]) -> Event:
    *envelope, last = row.frames
    stamp = row.stamp if row.sizes else wire.read_stamp(last)
    kind = _kind(row.what, port, stamped=stamp is not None, held=received.get(port.id) == last)
    more: dict[str, Any] = {}
    if port.socket == "ROUTER":
        more["peer"] = _text(row.frames[0])
    if port.socket in _PUBSUB and envelope:
        more["topic"] = _text(row.frames[0])
        if more["topic"].startswith(READY):
            kind = "ready"
    if kind in _STAMPED:
        if stamp:
            more["message"] = f"{stamp.id:016x}"
            more["parent"] = f"{stamp.parent:016x}" if stamp.parent else ""
            more["clock"] = stamp.clock
        head = wire.fields(last if row.sizes else wire.strip_stamp(last))
        more["stage"], more["function"] = head.stage, head.function
        more["excerpt"] = _text(head.payload)[:EXCERPT]
    elif kind != "ready":
        more["excerpt"] = _text(last[:EXCERPT])
    return Event(
        at=at,
        what=row.what,
        actor=port.actor,
        port=port.id,
        kind=kind,
        sizes=row.sizes or tuple(map(len, row.frames)),
        text=row.text,
        fault=row.fault,
        **more,
    )


def _kind(what: What, port: Port, *, stamped: bool, held: bool) -> Kind:
    """What these frames are to their link.

    Those that are dropped may have been received or be about to be sent. Only messages and requests
    are stamped; and what the port has just received (`held`) is what it gives up.
    """
    if what == "send":
        return port.sends or "message"
    if what in _COMES or held:
        return port.receives or "message"
    both = (port.sends, port.receives)
    fits = [kind for kind in both if kind and (kind in _STAMPED) == stamped]
    return (fits or [kind for kind in both if kind] or ["message"])[0]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def merge(events: Sequence[Event], causes: dict[int, int], actors: Iterable[str]) -> list[Event]:
    """One order of the events of several actors, each actor's own being kept.

    `causes` maps an arrival to its send, which comes first. Among what may come next, the earliest
    comes, then the actor declared first; so the order depends on the events alone. `at` never runs
    backwards: where one clock reading stands for a whole batch, and a batch's later events came
    after something later, they take that later time.
    """
    rank = {actor: n for n, actor in enumerate(actors)}
    queues: dict[str, list[int]] = defaultdict(list)
    for n, event in enumerate(events):
        queues[event.actor].append(n)
    for queue in queues.values():
        queue.reverse()
    #: Heads that may come: (time, rank, actor). Heads that wait for their send: send → actors.
    ready: list[tuple[int, int, str]] = []
    waiting: dict[int, list[str]] = defaultdict(list)
    done: set[int] = set()
    order: list[Event] = []
    now = min((event.at for event in events), default=0)

    def place(actor: str) -> tuple[int, int, str]:
        return events[queues[actor][-1]].at, rank.get(actor, len(rank)), actor

    def offer(actor: str) -> None:
        if queues[actor]:
            cause = causes.get(queues[actor][-1])
            if cause is None or cause in done:
                heapq.heappush(ready, place(actor))
            else:
                waiting[cause].append(actor)

    for actor in queues:
        offer(actor)
    while len(order) < len(events):
        if not ready:
            # The matches contradict the actors' own orders: trust the actors.
            first = min(place(actor) for actors_ in waiting.values() for actor in actors_)
            for blocked in waiting.values():
                blocked[:] = [actor for actor in blocked if actor != first[2]]
            ready.append(first)
        _, _, actor = heapq.heappop(ready)
        n = queues[actor].pop()
        event = events[n]
        now = max(now, event.at)
        order.append(event if event.at == now else replace(event, at=now))
        done.add(n)
        offer(actor)
        for waiter in waiting.pop(n, ()):
            offer(waiter)
    return order
