"""The invariants that come with the lab.

1. What is still on its way is no loss. When those have ended who could have received it, it is.
2. Where the other end of a link was not recorded, nothing is claimed about it.
3. A sentence names the messages, the link and, where the record holds it, the cause. Several
   messages with one fate are one finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pylm_lab.trace.excerpt import excerpt
from pylm_lab.trace.finding import invariant
from pylm_lab.trace.records import Hop, Link

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["to_nobody"]

#: Messages that a sentence names; of more it tells how many.
NAMED = 8

_Found = Iterator[tuple[str, Sequence[int]]]


@invariant("conservation")
def _conservation(trace: Trace) -> _Found:
    """Sent = received + in flight + dropped for a named cause, and nothing comes from nowhere."""
    ended = _ended(trace)
    unsubscribed = _unsubscribed(trace)
    lost: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    unsent: dict[str, list[int]] = defaultdict(list)
    for n, hop in enumerate(trace.hops):
        if hop.kind != "message" or hop.dropped is not None:
            continue
        if hop.received is None:
            ends = _receivers(trace, hop)
            if ends and ended.issuperset(ends) and not _left_unread(trace, hop, unsubscribed):
                lost[hop.source, ends].append(n)
        elif hop.sent is None and _has_sender(trace, hop):
            unsent[hop.target].append(n)
    for (source, ends), hops in lost.items():
        they, sender = _They.on(trace, hops), _name(trace, source)
        yield (
            f"{they} {they.were} sent by {sender} and never received: {they.they} {they.are} lost"
            f" between {sender} and {_one_of(trace, ends)}.",
            hops,
        )
    for target, hops in unsent.items():
        they = _They.on(trace, hops)
        yield (
            f"{they} {they.were} received by {_name(trace, target)}, but nobody has sent"
            f" {they.them} there.",
            hops,
        )


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
    ended = _ended(trace)
    unsubscribed = _unsubscribed(trace)
    missing: dict[tuple[str, _Fate], list[str]] = defaultdict(list)
    for question, asker in family.asked.items():
        if question not in answered and asker in ended:
            first, last = trace.hops[family.first[question]], trace.hops[family.last[question]]
            if not _goes_nowhere(trace, last) and not _unwanted(trace, first, last, unsubscribed):
                missing[asker, _fate(trace, last)].append(question)
    for (asker, fate), questions in missing.items():
        they = _They(trace, questions)
        yield (
            f"{they} never came back to {_name(trace, asker)}: {_told(fate, they)}.",
            [family.last[question] for question in questions],
        )
    for (asker, target), hops in stray.items():
        they = _They.on(trace, hops)
        yield (
            f"{they} reached {_name(trace, target)}, but {_name(trace, asker)} asked for"
            f" {they.them}.",
            hops,
        )
    for (target, message), hops in got.items():
        if len(hops) > 1:
            often = "twice" if len(hops) == 2 else f"{len(hops)} times"
            yield f"{_They(trace, [message])} reached {_name(trace, target)} {often}.", hops


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
            f"{_They.on(trace, hops)} went from {_name(trace, source)} to {_name(trace, target)},"
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
        yield f"{_name(trace, bypass)} is a bypass part, but it has a wire to the router.", hops


@invariant("order")
def _order(trace: Trace) -> _Found:
    """What goes over a link is received in the order in which it was sent."""
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    overtaken: dict[Link, list[tuple[int, int]]] = defaultdict(list)
    for n, hop in enumerate(trace.hops):
        if hop.kind != "message" or hop.sent is None or hop.received is None:
            continue
        ports = trace.events[hop.sent].port, trace.events[hop.received].port
        received, before = latest.get(ports, (-1, -1))
        if hop.received > received:
            latest[ports] = hop.received, n
        else:
            overtaken[hop.link].append((before, n))
    for (source, target), swaps in overtaken.items():
        before, n = swaps[0]
        slow, fast = _They.on(trace, [before]), _They.on(trace, [n])
        rest = f"; {len(swaps) - 1} more came out of order there" if len(swaps) > 1 else ""
        yield (
            f"{fast} overtook {slow.lower()} between {_name(trace, source)} and"
            f" {_name(trace, target)}{rest}.",
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
            yield f"{_name(trace, event.actor)} failed: {error}.", hops


# What they ask the record


def to_nobody(trace: Trace, hop: Hop) -> bool:
    """A publication that no subscriber was there for."""
    if hop.sent is None or hop.target or hop.dropped is not None:
        return False
    return trace.links.ports[trace.events[hop.sent].port].socket in ("PUB", "XPUB")


def _ended(trace: Trace) -> set[str]:
    """The actors that will receive nothing more: stopped, or never run and disconnected."""
    runs: dict[str, bool] = {}
    gone: set[str] = set()
    for event in trace.events:
        if event.what in ("start", "stop"):
            runs[event.actor] = event.what == "start"
        elif event.what == "disconnect":
            gone.add(event.actor)
    if runs and not any(runs.values()):
        return {actor.id for actor in trace.actors}
    return {actor.id for actor in trace.actors if not runs.get(actor.id, actor.id not in gone)}


def _unsubscribed(trace: Trace) -> dict[str, list[tuple[int, str]]]:
    """When, and from which topic, each actor has unsubscribed."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for n, event in enumerate(trace.events):
        if event.what == "unsubscribe":
            found[event.actor].append((n, event.text))
    return found


def _left_unread(trace: Trace, hop: Hop, unsubscribed: dict[str, list[tuple[int, str]]]) -> bool:
    """Its subscriber wanted no more of its topic before it came to it."""
    assert hop.sent is not None
    topic = trace.events[hop.sent].topic
    return any(n > hop.sent and topic.startswith(t) for n, t in unsubscribed.get(hop.target, ()))


def _receivers(trace: Trace, hop: Hop) -> tuple[str, ...]:
    """Who could have received what was sent; nobody where the record does not show any."""
    if hop.target:
        return (hop.target,)
    if hop.sent is None or to_nobody(trace, hop):
        return ()
    peers = trace.links.peers(trace.events[hop.sent].port)
    return tuple(dict.fromkeys(peer.actor for peer in peers if peer.receives == hop.kind))


def _has_sender(trace: Trace, hop: Hop) -> bool:
    """The record shows somebody at the other end who could have sent it."""
    assert hop.received is not None
    peers = trace.links.peers(trace.events[hop.received].port)
    return any(peer.sends == hop.kind for peer in peers)


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


#: How a message ended: what happened, by whom, and the cause if one is named.
_Fate = tuple[str, str, str]


def _fate(trace: Trace, last: Hop) -> _Fate:
    """What became of a message, from its last hop."""
    if last.dropped is not None:
        by = last.source if last.lost and last.source else last.target
        return "given up", by, trace.events[last.dropped].text
    if last.received is None:
        return "sent", last.source, ""
    role = trace.actor(last.target).role
    return "unanswered" if role == "worker" else "kept", last.target, ""


def _goes_nowhere(trace: Trace, last: Hop) -> bool:
    """The router took it from a part that no row sends on: it is acknowledged, and at its end."""
    if last.received is None or trace.actor(last.target).role != "router":
        return False
    return all(route.source != last.source for route in trace.routes)


def _unwanted(
    trace: Trace, first: Hop, last: Hop, unsubscribed: dict[str, list[tuple[int, str]]]
) -> bool:
    """It came as far as its publisher or its asker, who had unsubscribed since asking."""
    if last.received is not None and last.dropped is None:
        return False
    end = max(n for n in (last.sent, last.dropped) if n is not None)
    at = trace.links.ports[trace.events[end].port]
    if at.actor != first.source and at.socket not in ("PUB", "XPUB"):
        return False
    return any(first.begins < n for n, _ in unsubscribed.get(first.source, ()))


def _told(fate: _Fate, they: _They) -> str:
    what, by, cause = fate
    who = _name(they.trace, by)
    if what == "given up":
        return f"{who} gave {they.them} up ({excerpt(cause, 120) or 'no cause is recorded'})"
    if what == "sent":
        return f"{who} sent {they.them}, but nobody received {they.them}"
    if what == "unanswered":
        return f"{who} received {they.them} and never answered"
    return f"{who} received {they.them} and handed {they.them} to nobody"


# What they say


class _They:
    """Some messages, and the words that go with one or with several."""

    def __init__(self, trace: Trace, messages: Iterable[str]) -> None:
        self.trace = trace
        self._names = [trace.numbers.get(message, "") for message in messages]
        one = len(self._names) == 1
        self.were = "was" if one else "were"
        self.are = "is" if one else "are"
        self.they = "it" if one else "they"
        self.them = "it" if one else "them"

    @classmethod
    def on(cls, trace: Trace, hops: Iterable[int]) -> _They:
        """The messages of these hops."""
        return cls(trace, [trace.hops[n].message for n in hops])

    def __str__(self) -> str:
        names = [name for name in self._names if name]
        if len(self._names) == 1:
            return f"Message {names[0]}" if names else "A message without an id"
        shown, more = names[:NAMED], len(self._names) - min(len(names), NAMED)
        if not shown:
            return f"{more} messages without an id"
        last = f"{more:,} more" if more else shown.pop()
        return f"Messages {', '.join(shown)} and {last}"

    def lower(self) -> str:
        """The same in the middle of a sentence."""
        words = str(self)
        return words[:1].lower() + words[1:]


def _name(trace: Trace, actor: str) -> str:
    label = trace.labels[actor]
    if label == "router" and trace.actor(actor).role == "router":
        return "the router"
    return excerpt(label, 40, middle=True)


def _one_of(trace: Trace, actors: Sequence[str]) -> str:
    names = [_name(trace, actor) for actor in actors]
    if len(names) == 1:
        return names[0]
    if len(names) > NAMED:
        return f"one of {len(names)} others"
    return f"one of {', '.join(names[:-1])} and {names[-1]}"
