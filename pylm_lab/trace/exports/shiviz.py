"""ShiViz: a log with a vector clock at each event.

1. Line 1 is the regular expression that reads the log, line 2 (blank) would tell executions apart.
   Then two lines an event: what it is, and `host {"host": 3, …}`.
2. A host is an actor. Its clock counts what is logged of it: what it sends, receives, gives up and
   suffers, its start and its end. What only wires (bind, subscribe) is left out.
3. What several receive at once is logged as one send for each.
4. A host knows of others what had happened before what it has received was sent; of a lost message
   nobody knows.

ShiViz draws an edge to the last event of another host that a clock newly knows. Its rules:
https://bitbucket.org/bestchai/shiviz/wiki/Home and `js/model/` in its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pylm_lab.trace.exports.reading import Reading, walk
from pylm_lab.trace.records import What
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.tables import FAULTS, WHATS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["PARSER", "lines"]

PARSER = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})"
#: A host's name ends at white space, as JavaScript has it.
_SPACE = re.compile(r"[\s\ufeff]")
#: What every object of JavaScript has already. ShiViz keeps hosts in an object, by name.
_TAKEN = frozenset(
    [
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    ]
)
_LOGGED: tuple[What, ...] = ("send", "receive", "drop", "fault", "start", "stop", "fail")
_SEND, _RECEIVE, _DROP, _FAULT, _START, _STOP, _FAIL = map(WHATS.index, _LOGGED)


def lines(trace: Trace) -> Iterator[str]:
    """The log, by pieces."""
    reading = Reading(trace)
    events, hops = reading.events, reading.hops
    yield f"{PARSER}\n\n"
    logged = np.flatnonzero(events.are(*_LOGGED))
    if not len(logged):
        # ShiViz reads no log without an event.
        yield 'Nothing happened.\ntrace {"trace":1}\n'
        return
    names = _hosts(reading.labels)
    keys = [f"{json.dumps(name, ensure_ascii=False)}:" for name in names]
    first = f"({' '.join(missing)}) " if (missing := gaps(trace)) else ""
    clocks = [[0] * len(names) for _ in names]
    #: Hop that will be received → what its sender knew.
    sent: dict[int, list[int]] = {}
    hop, ends, total = 0, hops.received, len(hops)
    rows = walk(
        logged,
        *(
            column[logged]
            for column in (
                events.what,
                events.actor,
                events.kind,
                reading.message,
                events.of_content(events.contents.excerpt),
                events.text,
                events.fault,
                reading.hop_of,
            )
        ),
    )
    for n, what, actor, kind, message, payload, text, fault, came in rows:
        clock = clocks[actor]
        while hop < total and hops.begins.item(hop) < n:
            hop += 1
        if what == _SEND:
            said = f": {reading.shown(payload)}" if payload else ""
            while hop < total and hops.begins.item(hop) == n:
                clock[actor] += 1
                if ends.item(hop) >= 0:
                    sent[hop] = clock.copy()
                target = reading.who(hops.target.item(hop))
                sends = f"{first}sends {reading.thing(kind, message)} to {target}{said}"
                yield _entry(sends, names[actor], keys, clock)
                first = ""
                hop += 1
            continue
        clock[actor] += 1
        if what == _RECEIVE:
            said = f": {reading.shown(payload)}" if payload else ""
            source = -1
            if came >= 0:
                source = hops.source.item(came)
                known = sent.pop(came, None)
                if known is not None:
                    clock[:] = map(max, clock, known)
            told = f"receives {reading.thing(kind, message)} from {reading.who(source)}{said}"
        elif what == _DROP:
            told = f"gives up {reading.thing(kind, message)}: {reading.shown(text)}"
        elif what == _FAULT:
            on = f" on {reading.thing(kind, message)}" if kind else ""
            told = f"fault{on}, {FAULTS[fault]}: {reading.shown(text)}"
        elif what == _FAIL:
            told = f"fails: {reading.shown(text)}"
        else:
            told = "starts" if what == _START else "stops"
        yield _entry(first + told, names[actor], keys, clock)
        first = ""


def _entry(told: str, host: str, keys: list[str], clock: list[int]) -> str:
    known = ",".join([f"{key}{count}" for key, count in zip(keys, clock, strict=True) if count])
    return f"{told}\n{host} {{{known}}}\n"


def _hosts(labels: list[str]) -> list[str]:
    """A name for each, without white space; no two are the same."""
    found: dict[str, None] = {}
    for label in labels:
        name = base = _SPACE.sub("_", label)
        count = 1
        while name in found or name in _TAKEN:
            count += 1
            name = f"{base}_{count}"
        found[name] = None
    return list(found)
