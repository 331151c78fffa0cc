"""Chrome: the trace event format, which Perfetto and chrome://tracing open.

1. A process is a server, or an actor of its own; a thread is an actor.
2. What an actor did at one reading of its clock is one slice: a moment long, or until its next, if
   that is sooner. Around it lies `work on message 3` if the next thing that the actor did was to
   send on what it had received: until then it worked.
3. A message's flow goes through every slice that it was received or sent in, and ends where it was
   received last. Where it goes several ways, each further way is a flow of its own. Requests,
   answers and acknowledgements are flows of one hop; `cat` tells them apart.
4. Whatever else an actor did is an instant; one of its process, where it is in the middle of a
   slice: a flow is bound to what began last on its thread.
5. Times are microseconds; a step of a controlled run is written as one.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU and
https://perfetto.dev/docs/getting-started/other-formats
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pylm_lab.trace.exports.reading import Reading, walk
from pylm_lab.trace.records import What
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.tables import FAULTS, KINDS, WHATS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["lines"]

_SLICED: tuple[What, ...] = ("send", "receive", "drop", "fault")
_SEND, _RECEIVE, _DROP, _FAULT = map(WHATS.index, _SLICED)
_VERBS = {_SEND: "send", _RECEIVE: "receive", _DROP: "give up", _FAULT: "fault"}
_MESSAGE = KINDS.index("message")
#: How long a slice is that has no end of its own: in ns, and in steps.
_MOMENT = {"ns": 1000, "step": 1}
#: Messages that a slice names.
_NAMED = 8

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quote = json.encoder.encode_basestring


def lines(trace: Trace) -> Iterator[str]:
    """The document, by pieces."""
    reading = Reading(trace)
    about = {
        "clock": "one step of the controlled run is written as 1 µs" if reading.micro else "ns",
        "schedule": trace.how,
        "scenario": trace.scenario,
        "gaps": " ".join(gaps(trace)),
        "moved": f"{reading.moved} ns at the most, since clocks disagree" if reading.moved else "",
    }
    about = {name: told for name, told in about.items() if told}
    yield f'{{"displayTimeUnit":"ns","otherData":{_encode(about)},"traceEvents":[\n'
    before = ""
    for event in _events(reading):
        yield f"{before}{event}"
        before = ",\n"
    yield "\n]}\n"


def _events(reading: Reading) -> Iterator[str]:
    tracks: dict[int, str] = {}
    groups = reading.groups()
    for number, group in enumerate(groups, 1):
        process = f'"pid":{number}'
        yield _meta("process_name", process, {"name": group.name})
        yield _meta("process_sort_index", process, {"sort_index": number})
        for actor in group.actors:
            # A thread with its process's number would be taken for its main thread.
            thread = len(groups) + 1 + actor
            tracks[actor] = f'{process},"tid":{thread}'
            yield _meta("thread_name", tracks[actor], {"name": reading.labels[actor]})
            yield _meta("thread_sort_index", tracks[actor], {"sort_index": thread})
    yield from _happenings(reading, tracks)


def _meta(name: str, track: str, args: dict[str, Any]) -> str:
    return f'{{"ph":"M","name":"{name}",{track},"args":{_encode(args)}}}'


def _happenings(reading: Reading, tracks: dict[int, str]) -> Iterator[str]:
    events, hops, trace = reading.events, reading.hops, reading.trace
    written = _MOMENT[trace.clock]
    slices = _Slices(reading)
    flows = _Flows(reading, tracks)
    begun = bytearray(len(slices.until))
    hop, total = 0, len(hops)
    rows = walk(
        np.arange(len(events)),
        reading.at,
        events.what,
        events.actor,
        events.kind,
        reading.message,
        events.text,
        slices.of,
        reading.hop_of,
    )
    for n, at, what, actor, kind, message, text, which, came in rows:
        track, ts = tracks[actor], _us(trace.clock, at)
        if which < 0:
            told = f"{WHATS[what]}: {reading.shown(text)}" if text else WHATS[what]
            cat = "life" if WHATS[what] in ("start", "stop", "fail") else "wiring"
            of = "t"
            if (actor, at) in slices.beside:
                of, told = "p", f"{reading.labels[actor]}: {told}"
            yield f'{{"ph":"i","s":"{of}","cat":"{cat}","name":{_quote(told)},"ts":{ts},{track}}}'
            continue
        if not begun[which]:
            begun[which] = 1
            until, work = slices.until[which], slices.work[which]
            lasts = until - at if until >= 0 else written
            if work >= 0:
                yield slices.work_on(work, ts, _us(trace.clock, lasts), track)
            dur = _us(trace.clock, min(written, lasts))
            yield f'{{"ph":"X","cat":"hop",{slices.told(which)},"ts":{ts},"dur":{dur},{track}}}'
        if what == _SEND:
            while hop < total and hops.begins.item(hop) < n:
                hop += 1
            while hop < total and hops.begins.item(hop) == n:
                if hops.received.item(hop) >= 0:
                    yield from flows.sent(hop, kind, message, actor, at, ts)
                hop += 1
        elif what == _RECEIVE and came >= 0:
            yield from flows.received(came, message, actor, at, ts)
    yield from flows.ended()


def _us(clock: str, at: int) -> str:
    return str(at) if clock == "step" else f"{at // 1000}.{at % 1000:03d}"


class _Slices:
    """What each actor did at each reading of its clock.

    `of` has, for each event, the number of its slice, or -1. For each slice, `until` is the time of
    its actor's next, or -1, and `work` the position of the send that its actor worked for until
    then, or -1. `beside` are actors and times of slices that other events share.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        events = self._events = reading.events
        self._function = events.of_content(events.contents.function)
        self.of = np.full(len(events), -1, np.int32)
        self.until, self.work = array("q"), array("i")
        sliced = events.are(*_SLICED)
        others = np.flatnonzero(~sliced)
        beside = set(walk(events.actor[others], reading.at[others]))
        self.beside: set[tuple[int, int]] = set()
        chosen = np.flatnonzero(sliced)
        # Actor by actor, each in its own order.
        chosen = self._chosen = chosen[np.argsort(events.actor[chosen], kind="stable")]
        parents = events.of_content(events.contents.parent)
        columns = (events.actor, reading.at, events.what, events.kind, reading.message, parents)
        #: Where each slice begins among the chosen.
        self._begins = array("i")
        #: What the actor has received so far, and not sent on.
        at_hand: set[int] = set()
        whose, when, last = -1, -1, -1
        rows = walk(np.arange(len(chosen)), chosen, *(column[chosen] for column in columns))
        for position, n, actor, at, what, kind, message, parent in rows:
            if actor != whose or at != when:
                if actor != whose:
                    at_hand.clear()
                else:
                    # The one before lasts until this one.
                    self.until[-1] = at
                    if what == _SEND and (
                        last == _RECEIVE or message in at_hand or parent in at_hand
                    ):
                        self.work[-1] = n
                self.until.append(-1)
                self.work.append(-1)
                self._begins.append(position)
                whose, when = actor, at
                if (actor, at) in beside:
                    self.beside.add((actor, at))
            if kind == _MESSAGE and message:
                if what == _RECEIVE:
                    at_hand.add(message)
                elif what == _SEND:
                    at_hand.discard(message)
            last = what
        begins = np.zeros(len(chosen), np.int32)
        begins[self._begins] = 1
        self.of[chosen] = np.cumsum(begins) - 1
        self._begins.append(len(chosen))

    def work_on(self, n: int, ts: str, dur: str, track: str) -> str:
        """The slice of work for the send at this position."""
        reading, events = self._reading, self._events
        thing = reading.thing(events.kind.item(n), reading.message.item(n))
        args = self._args({"function": self._function.item(n)})
        return (
            f'{{"ph":"X","cat":"work","name":{_quote(f"work on {thing}")},'
            f'"ts":{ts},"dur":{dur},{track}{args}}}'
        )

    def told(self, which: int) -> str:
        """Name and arguments of a slice."""
        events, reading = self._events, self._reading
        begin, end = self._begins[which], self._begins[which + 1]
        n = self._chosen.item(begin)
        if end - begin == 1:
            return self._one(n, events.what.item(n))
        counts: dict[int, int] = {}
        things: dict[tuple[int, int], None] = {}
        for n in self._chosen[begin:end].tolist():
            what = events.what.item(n)
            counts[what] = counts.get(what, 0) + 1
            if len(things) <= _NAMED:
                things[events.kind.item(n), reading.message.item(n)] = None
        shown = [reading.thing(*thing) for thing in things if thing[0]]
        if len(shown) == 1 and len(counts) == end - begin:
            done = " and ".join(_VERBS[what] for what in counts)
            return f'"name":{_quote(f"{done} {shown[0]}")}'
        name = ", ".join(f"{_VERBS[what]} {count}" for what, count in counts.items())
        listed = ", ".join(shown[:_NAMED]) + ", …" * (len(shown) > _NAMED)
        return f'"name":{_quote(name)},"args":{{"what":{_quote(listed)}}}'

    def _one(self, n: int, what: int) -> str:
        reading, events = self._reading, self._events
        kind, message, content = (
            events.kind.item(n),
            reading.message.item(n),
            events.content.item(n),
        )
        thing = f" {reading.thing(kind, message)}" if kind else ""
        does = f"fault: {FAULTS[events.fault.item(n)]}" if what == _FAULT else _VERBS[what]
        texts = {"why": events.text.item(n)}
        if content >= 0:
            texts["function"] = self._function.item(n)
            texts["payload"] = events.contents.excerpt.item(content)
        return f'"name":{_quote(does + thing)}{self._args(texts)}'

    def _args(self, texts: dict[str, int]) -> str:
        told = [
            f'"{name}":{_quote(self._reading.shown(text))}' for name, text in texts.items() if text
        ]
        return f',"args":{{{",".join(told)}}}' if told else ""


class _Flows:
    """The arrows between slices."""

    def __init__(self, reading: Reading, tracks: dict[int, str]) -> None:
        self._reading = reading
        self._tracks = tracks
        self._count = 0
        #: Message and actor → number of the flow that has come there, with where and when.
        self._open: dict[tuple[int, int], tuple[int, int, str, str]] = {}
        #: Hop on its way → number of its flow, its name, and whether it may go on from there.
        self._on_its_way: dict[int, tuple[int, str, bool]] = {}

    def sent(
        self, hop: int, kind: int, message: int, actor: int, at: int, ts: str
    ) -> Iterator[str]:
        goes_on = kind == _MESSAGE and message > 0
        came = self._open.pop((message, actor), None) if goes_on else None
        if came is None:
            self._count += 1
            number = self._count
            name = self._name(number, kind, message)
            yield f'{{"ph":"s",{name},"ts":{ts},{self._tracks[actor]}}}'
        else:
            number, then, when, name = came
            yield f'{{"ph":"t",{name},"ts":{when},{self._tracks[actor]}}}'
            if then != at:
                yield f'{{"ph":"t",{name},"ts":{ts},{self._tracks[actor]}}}'
        self._on_its_way[hop] = number, name, goes_on

    def received(self, hop: int, message: int, actor: int, at: int, ts: str) -> Iterator[str]:
        found = self._on_its_way.pop(hop, None)
        if found is None:
            return
        number, name, goes_on = found
        if goes_on:
            yield from self._end(self._open.pop((message, actor), None), actor)
            self._open[message, actor] = number, at, ts, name
        else:
            yield from self._end((number, at, ts, name), actor)

    def ended(self) -> Iterator[str]:
        for (_, actor), came in self._open.items():
            yield from self._end(came, actor)

    def _end(self, came: tuple[int, int, str, str] | None, actor: int) -> Iterator[str]:
        if came is not None:
            _, _, ts, name = came
            yield f'{{"ph":"f","bp":"e",{name},"ts":{ts},{self._tracks[actor]}}}'

    def _name(self, number: int, kind: int, message: int) -> str:
        name = _quote(self._reading.thing(kind, message))
        return f'"id":{number},"cat":"{KINDS[kind]}","name":{name}'
