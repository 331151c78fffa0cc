"""Answers: each one reaches whoever asked, and reaches it once.

1. A message is answered by itself, or by what it became; of several descendants one suffices.
2. Who leaves before the answer comes misses none.
3. What is only the consequence of something that was found before is not found once more.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.trace.records import Hop
from pylm_lab.trace.rules.facts import PUBLISHERS, Case, Numbers
from pylm_lab.trace.rules.finding import Found, own
from pylm_lab.trace.rules.words import They, name
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import Flags

__all__ = ["Family", "answers"]


@own("answers")
def answers(case: Case) -> Found:
    """Each answer reaches its asker, and once."""
    family = Family(case)
    got = np.flatnonzero(family.got)
    question = family.question[case.hops.message[got]]
    asker, target = family.asker[question], case.hops.target[got]
    answered = np.zeros(len(case.events.ids), np.bool_)
    answered[question[asker == target]] = True
    stray: dict[tuple[int, int, bool], list[int]] = defaultdict(list)
    # Whoever asked what else came was not recorded.
    chosen = (asker >= 0) & (asker != target)
    for n, to, by in zip(
        got[chosen].tolist(), question[chosen].tolist(), asker[chosen].tolist(), strict=True
    ):
        stray[by, case.hops.target.item(n), bool(answered[to])].append(n)
    answered[question[chosen]] = True
    yield from _missing(case, family, answered)
    for (by, to, too), hops in stray.items():
        they, who = They.on(case.trace, hops), name(case.trace, case.actors[by])
        instead = f" instead of {who}, who had asked for {they.them}"
        asked = f", but {who} asked for {they.them}" if too else instead
        yield f"{they} reached {name(case.trace, case.actors[to])}{asked}.", hops
    yield from _again(case, family, got)


def _missing(case: Case, family: Family, answered: Flags) -> Found:
    """What never came back to a client that has ended."""
    if case.is_part:
        return
    over = np.array([*(id in case.over for id in case.actors), False], np.bool_)
    missing: dict[tuple[str, _Fate], list[tuple[str, int]]] = defaultdict(list)
    asked = np.flatnonzero((family.asker >= 0) & ~answered & over[family.asker])
    asked = asked[np.argsort(family.first[asked])]
    lasts = case.at(family.last[asked])
    firsts = case.at(family.first[asked])
    for question, (n, last), (_, first) in zip(asked.tolist(), lasts, firsts, strict=True):
        if n in case.named or _goes_nowhere(case, last) or _unwanted(case, first, last):
            continue
        if _left_the_record(case, last):
            continue
        if case.cut.isdisjoint(case.receivers(last)):
            fate = _fate(case, last)
            missing[first.source, fate].append((case.events.ids[question], n))
    for (asker, fate), questions in missing.items():
        they = They(case.trace, [message for message, _ in questions])
        yield (
            f"{they} never came back to {name(case.trace, asker)}: {_told(fate, they)}.",
            [n for _, n in questions],
        )


def _again(case: Case, family: Family, got: Numbers) -> Found:
    """What reached a client more than once, and oftener than a fault explains."""
    if len(got) < 2:
        return
    width = len(case.events.ids)
    keys = case.hops.target[got].astype(np.int64) * width + case.hops.message[got]
    _, which, count = np.unique(keys, return_inverse=True, return_counts=True)
    several = count[which.reshape(-1)] > 1
    found: dict[int, list[int]] = defaultdict(list)
    for n, key in zip(got[several].tolist(), keys[several].tolist(), strict=True):
        found[key].append(n)
    doubled = family.doubled if found else {}
    for key, hops in found.items():
        if len(hops) <= 1 + sum(doubled.get(one, 0) for one in case.line(key % width)):
            continue
        often = "twice" if len(hops) == 2 else f"{len(hops)} times"
        they, to = They.on(case.trace, hops[:1]), case.actors[key // width]
        yield f"{they} reached {name(case.trace, to)} {often}.", hops


class Family:
    """Which messages descend from which, and which client asked for them.

    All by a message's number, its position in `ids`; 0 is none.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        hops, count = case.hops, len(case.events.ids)
        listening = {port.actor for port in case.trace.ports if port.receives == "message"}
        askers = case.actors_that(lambda a: a.role == "client" and a.id in listening)
        #: Message → the client that asked with it, -1: none; and its first hop.
        self.asker = np.full(count, -1, np.int64)
        self.first = np.full(count, -1, np.int64)
        messages = hops.are("message")
        asks = np.flatnonzero(messages & (hops.message > 0) & askers[hops.source])[::-1]
        self.asker[hops.message[asks]] = hops.source[asks]
        self.first[hops.message[asks]] = asks
        #: Message → the question that it descends from, or is; 0: none.
        self.question = self._questions()
        #: Question → the last hop of it or of what it became.
        self.last = np.full(count, -1, np.int64)
        sent = np.flatnonzero(messages)
        self.last[self.question[hops.message[sent]]] = sent
        #: The hops by which something reached a client that asks, and was not given up by it.
        self.got: Flags = (
            messages
            & (hops.message > 0)
            & (hops.received >= 0)
            & (hops.dropped < 0)
            & askers[hops.target]
        )

    def _questions(self) -> Numbers:
        asked = self.asker >= 0
        found = np.where(asked, np.arange(len(asked)), self._case.parent)
        # Each round doubles how far back it looks; who descends from itself has no beginning.
        for _ in range(len(asked).bit_length() + 1):
            further = found[found]
            if np.array_equal(further, found):
                break
            found = further
        return np.where(asked[found], found, 0)

    @cached_property
    def doubled(self) -> dict[int, int]:
        """Message → how often a fault that was found has let it come once more."""
        found: dict[int, int] = defaultdict(int)
        doubled = self._case.trace.faults.doubled
        if doubled:
            hops = self._case.hops
            for n in np.flatnonzero(np.isin(hops.received, list(doubled))).tolist():
                if n in self._case.named:
                    found[hops.message.item(n)] += 1
        return found


class _Fate(NamedTuple):
    """How a message ended: what happened, by whom, the cause if one is named, and on the way where.

    A fault is a cause as well.
    """

    what: str
    by: str
    cause: str = ""
    to: str = ""


def _fate(case: Case, last: Hop) -> _Fate:
    """What became of a message, from its last hop."""
    blame = case.blame
    if last.dropped is not None:
        fault = blame.of(last)
        if fault and last.source:
            return _Fate("lost", last.source, fault, last.target)
        by = case.actors[case.events.actor.item(last.dropped)]
        return _Fate("given up", by, fault or case.text(last.dropped))
    if last.received is None:
        return _Fate("sent", last.source, blame.of(last, case.receivers(last)))
    what = "unanswered" if case.role(last.target) == "worker" else "kept"
    return _Fate(what, last.target, blame.ending(last.target, last.received))


def _goes_nowhere(case: Case, last: Hop) -> bool:
    """Nothing is to come of it.

    A function of the user's gave nothing for it; or the router took it from a part that no row
    sends on: it is acknowledged, and at its end.
    """
    if last.dropped is not None and case.text(last.dropped) == GAVE_NOTHING:
        return True
    if last.received is None or case.role(last.target) != "router":
        return False
    return all(route.source != last.source for route in case.trace.routes)


def _left_the_record(case: Case, last: Hop) -> bool:
    """It was sent to somebody who was not recorded: a socket without a peer sends nothing."""
    if last.sent is None or last.received is not None or last.dropped is not None:
        return False
    port = case.port(last.sent)
    return port is not None and port.socket not in PUBLISHERS and not case.receivers(last)


def _unwanted(case: Case, first: Hop, last: Hop) -> bool:
    """It came as far as its publisher or its asker, who had unsubscribed since asking."""
    if last.received is not None and last.dropped is None:
        return False
    end = max(n for n in (last.sent, last.dropped) if n is not None)
    at = case.port(end)
    if at is None or (at.actor != first.source and at.socket not in PUBLISHERS):
        return False
    # Who unsubscribes because nothing came any more has wanted it until then.
    until = end if last.dropped in case.trace.faults.dropped else len(case.events)
    # What was published under another topic was not for it.
    topic = case.topic(end)
    return any(
        first.begins < n < until and topic.startswith(gone)
        for n, gone in case.left.get(first.source, ())
    )


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
