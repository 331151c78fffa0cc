"""The invariants that come with the lab; `conservation` has a module of its own.

1. Where the other end of a link was not recorded, nothing is claimed about it.
2. A sentence names the messages, the link and, where the record holds it, the cause. Several
   messages with one fate are one finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.trace import conservation
from pylm_lab.trace.excerpt import excerpt
from pylm_lab.trace.facts import Blame, ended, receivers, unsubscribed
from pylm_lab.trace.finding import INVARIANTS, invariant
from pylm_lab.trace.records import Hop, Link
from pylm_lab.trace.words import They, name

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["INVARIANTS", "conservation"]

_Found = Iterator[tuple[str, Sequence[int]]]
#: Ports that may have a connection for each request, of which none waits for another.
_SEVERAL = ("HTTP", "REQ")


@invariant("answers")
def _answers(trace: Trace) -> _Found:
    """Each answer reaches its asker, and once."""
    family = _Family(trace)
    got: dict[tuple[str, str], list[int]] = defaultdict(list)
    stray: dict[Link, list[int]] = defaultdict(list)
    answered: set[str] = set()
    for n, hop in family.arrivals():
        got[hop.target, hop.message].append(n)
        question = family.question(hop.message)
        asker = family.asked.get(question)
        if asker == hop.target:
            answered.add(question)
        elif asker is not None:
            stray[asker, hop.target].append(n)
        # else: whoever asked it was not recorded
    over = ended(trace)
    left = unsubscribed(trace)
    blame = Blame(trace)
    missing: dict[tuple[str, _Fate], list[str]] = defaultdict(list)
    for question, asker in family.asked.items():
        if question not in answered and asker in over:
            first, last = trace.hops[family.first[question]], trace.hops[family.last[question]]
            if not (_goes_nowhere(trace, last) or _unwanted(trace, first, last, left)):
                missing[asker, _fate(trace, last, blame)].append(question)
    for (asker, fate), questions in missing.items():
        they = They(trace, questions)
        yield (
            f"{they} never came back to {name(trace, asker)}: {_told(fate, they)}.",
            [family.last[question] for question in questions],
        )
    for (asker, target), hops in stray.items():
        they = They.on(trace, hops)
        yield (
            f"{they} reached {name(trace, target)}, but {name(trace, asker)} asked for"
            f" {they.them}.",
            hops,
        )
    for (target, message), hops in got.items():
        if len(hops) > 1:
            often = "twice" if len(hops) == 2 else f"{len(hops)} times"
            yield f"{They(trace, [message])} reached {name(trace, target)} {often}.", hops


@invariant("declared links")
def _declared(trace: Trace) -> _Found:
    """No hop goes where no link was declared."""
    declared = {(wire.source.actor, wire.target.actor) for wire in trace.links.wires()}
    strange: dict[Link, list[int]] = defaultdict(list)
    for n, hop in enumerate(trace.hops):
        if hop.source and hop.target and hop.link not in declared:
            strange[hop.link].append(n)
    for (source, target), hops in strange.items():
        yield (
            f"{They.on(trace, hops)} went from {name(trace, source)} to {name(trace, target)},"
            " but no link was declared between them.",
            hops,
        )


@invariant("bypass")
def _bypass(trace: Trace) -> _Found:
    """A bypass part has no wire to the router."""
    roles = {actor.id: actor.role for actor in trace.actors}

    def part(link: Link) -> str:
        ends = {roles[end]: end for end in link if end}
        return ends["bypass"] if ends.keys() == {"bypass", "router"} else ""

    wired: dict[str, list[int]] = {}
    for wire in trace.links.wires():
        if bypass := part((wire.source.actor, wire.target.actor)):
            wired.setdefault(bypass, [])
    for n, hop in enumerate(trace.hops):
        if bypass := part(hop.link):
            wired.setdefault(bypass, []).append(n)
    for bypass, hops in wired.items():
        yield f"{name(trace, bypass)} is a bypass part, but it has a wire to the router.", hops


@invariant("order")
def _order(trace: Trace) -> _Found:
    """What goes over a link is received in the order in which it was sent."""
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    overtaken: dict[Link, list[tuple[int, int]]] = defaultdict(list)
    for n, hop in enumerate(trace.hops):
        if hop.kind != "message" or hop.sent is None or hop.received is None:
            continue
        ports = trace.events[hop.sent].port, trace.events[hop.received].port
        if any(trace.links.ports[port].socket in _SEVERAL for port in ports):
            continue
        received, before = latest.get(ports, (-1, -1))
        if hop.received > received:
            latest[ports] = hop.received, n
        else:
            overtaken[hop.link].append((before, n))
    for (source, target), swaps in overtaken.items():
        before, n = swaps[0]
        slow, fast = They.on(trace, [before]), They.on(trace, [n])
        rest = f"; {len(swaps) - 1} more came out of order there" if len(swaps) > 1 else ""
        yield (
            f"{fast} overtook {slow.lower()} between {name(trace, source)} and"
            f" {name(trace, target)}{rest}.",
            sorted({position for swap in swaps for position in swap}),
        )


@invariant("failures")
def _failures(trace: Trace) -> _Found:
    """No actor's loop ends with an error."""
    if not any(event.what == "fail" for event in trace.events):
        return
    arrivals = {hop.received: n for n, hop in enumerate(trace.hops) if hop.received is not None}
    last: dict[str, int] = {}
    for position, event in enumerate(trace.events):
        if position in arrivals:
            last[event.actor] = arrivals[position]
        elif event.what == "fail":
            hops = [last[event.actor]] if event.actor in last else []
            error = excerpt(event.text, 120).rstrip(".")
            yield f"{name(trace, event.actor)} failed: {error}.", hops


class _Family:
    """Which messages descend from which, and which client asked for them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        listening = {port.actor for port in trace.ports if port.receives == "message"}
        self._askers = {a.id for a in trace.actors if a.role == "client" and a.id in listening}
        self._parents: dict[str, str] = {}
        for event in trace.events:
            if event.message and event.parent:
                self._parents.setdefault(event.message, event.parent)
        #: Question → who asked it.
        self.asked: dict[str, str] = {}
        #: Question → its first hop.
        self.first: dict[str, int] = {}
        for n, hop in enumerate(trace.hops):
            if hop.kind == "message" and hop.message and hop.source in self._askers:
                self.asked.setdefault(hop.message, hop.source)
                self.first.setdefault(hop.message, n)
        self._questions: dict[str, str] = {}
        #: Question → the last hop of it or of what it became.
        self.last: dict[str, int] = {}
        for n, hop in enumerate(trace.hops):
            if hop.kind == "message":
                self.last[self.question(hop.message)] = n

    def question(self, message: str) -> str:
        """The message of a client that this one descends from, or is; empty if there is none."""
        way: list[str] = []
        found = message
        while found and found not in self.asked and found not in self._questions:
            way.append(found)
            self._questions[found] = ""  # a message that descends from itself has no beginning
            found = self._parents.get(found, "")
        question = found if found in self.asked else self._questions.get(found, "")
        for descendant in way:
            self._questions[descendant] = question
        return question

    def arrivals(self) -> Iterator[tuple[int, Hop]]:
        """What reached a client that asks, and was not given up by it."""
        for n, hop in enumerate(self._trace.hops):
            if hop.received is None or hop.dropped is not None or not hop.message:
                continue
            if hop.kind == "message" and hop.target in self._askers:
                yield n, hop


class _Fate(NamedTuple):
    """How a message ended: what happened, by whom, the cause if one is named, and on the way where.

    A fault is a cause as well.
    """

    what: str
    by: str
    cause: str = ""
    to: str = ""


def _fate(trace: Trace, last: Hop, blame: Blame) -> _Fate:
    """What became of a message, from its last hop."""
    if last.dropped is not None:
        fault = blame.of(last)
        if fault and last.source:
            return _Fate("lost", last.source, fault, last.target)
        by = last.source if last.lost and last.source else last.target
        return _Fate("given up", by, fault or trace.events[last.dropped].text)
    if last.received is None:
        return _Fate("sent", last.source, blame.of(last, receivers(trace, last)))
    role = trace.actor(last.target).role
    what = "unanswered" if role == "worker" else "kept"
    return _Fate(what, last.target, blame.ending(last.target, last.received))


def _goes_nowhere(trace: Trace, last: Hop) -> bool:
    """Nothing is to come of it.

    A function of the user's gave nothing for it; or the router took it from a part that no row
    sends on: it is acknowledged, and at its end.
    """
    if last.dropped is not None and trace.events[last.dropped].text == GAVE_NOTHING:
        return True
    if last.received is None or trace.actor(last.target).role != "router":
        return False
    return all(route.source != last.source for route in trace.routes)


def _unwanted(trace: Trace, first: Hop, last: Hop, left: dict[str, list[tuple[int, str]]]) -> bool:
    """It came as far as its publisher or its asker, who had unsubscribed since asking."""
    if last.received is not None and last.dropped is None:
        return False
    end = max(n for n in (last.sent, last.dropped) if n is not None)
    at = trace.links.ports[trace.events[end].port]
    if at.actor != first.source and at.socket not in ("PUB", "XPUB"):
        return False
    # Who unsubscribes because nothing came any more has wanted it until then.
    until = end if last.dropped in trace.faults.dropped else len(trace.events)
    return any(first.begins < n < until for n, _ in left.get(first.source, ()))


def _told(fate: _Fate, they: They) -> str:
    what, by, cause, to = fate
    who, why = name(they.trace, by), excerpt(cause, 120)
    if what == "given up":
        return f"{who} gave {they.them} up ({why or 'no cause is recorded'})"
    because = f" ({why})" if why else ""
    if what == "lost":
        return f"{they.they} {they.are} lost between {who} and {name(they.trace, to)}{because}"
    if what == "sent":
        return f"{who} sent {they.them}, but nobody received {they.them}{because}"
    if what == "unanswered":
        return f"{who} received {they.them} and never answered{because}"
    return f"{who} received {they.them} and handed {they.them} to nobody{because}"
