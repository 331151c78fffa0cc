"""Waiting: nobody waits for ever.

1. Who asks through a REQ port does nothing else until it is answered; a blocking part that deals to
   its pair does nothing else until something comes back.
2. Who waits for its next piece of work is owed nothing. What was lost on the way, or given up for a
   named cause, has been told of elsewhere.
3. A free run may be stopped at any moment: who has waited for a moment only might have been
   answered. A controlled one ends when nothing can move any more.
4. Where the pair was not recorded, nothing is claimed about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.rules.facts import Case, Numbers
from pylm_lab.trace.rules.finding import Found, own
from pylm_lab.trace.rules.words import They, name
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS, code

__all__ = ["waiting"]

_ANSWER = KINDS.index("answer")
#: Nanoseconds after which nobody takes it for a moment.
_LONG = 200_000_000


@own("waiting")
def waiting(case: Case) -> Found:
    """Nobody waits for ever: who asks is answered, and who waits for its pair hears from it."""
    if case.trace.left_out:
        return
    vain = _Vain(case)
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n, asker in vain.unanswered():
        asked[asker, vain.end(n, "what was asked", "gave no answer")].append(n)
    for (asker, end), hops in asked.items():
        they, who = They.on(case.trace, hops), name(case.trace, asker)
        yield f"{who} waited in vain for an answer to {they.lower()}: {end}.", hops
    for n, part in vain.unheard():
        they, who = They.on(case.trace, [n]), name(case.trace, part)
        end = vain.end(n, "it", "sent nothing back")
        yield f"{who} waited in vain for what was to come back for {they.lower()}: {end}.", [n]


class _Vain:
    """Who waited in vain: the hop by which it asked, and who it is."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._moves = np.flatnonzero(case.events.are("send", "receive", "drop"))

    def unanswered(self) -> Iterator[tuple[int, str]]:
        """Those who asked through a REQ port."""
        case = self._case
        events = case.events
        asking = case.ports_that(lambda port: port.socket == "REQ")
        rows = self._moves[case.of_port(self._moves, asking)]
        if not len(rows):
            return
        rows = rows[np.argsort(events.port[rows], kind="stable")]
        sent = events.what[rows] == code("send")
        last = np.append(events.port[rows[1:]] != events.port[rows[:-1]], True)
        asks_again = np.append(sent[1:], True)
        for event in np.sort(rows[sent & (last | asks_again)]).tolist():
            n = self._hop(event)
            if n >= 0 and self._is_owed(n, event):
                received = case.hops.received.item(n)
                if received < 0 or not self._answers(received):
                    asker = case.actors[events.actor.item(event)]
                    yield n, asker

    def unheard(self) -> Iterator[tuple[int, str]]:
        """Those who dealt to their pair and wait for what it sends back."""
        case = self._case
        events = case.events
        asking = {port.actor for port in case.trace.ports if port.socket == "REQ"}
        outer = case.ports_that(lambda port: port.outer)
        parts = case.actors_that(lambda a: a.blocks and a.role == "outbound" and a.id not in asking)
        rows = self._moves[case.of_port(self._moves, outer) & parts[events.actor[self._moves]]]
        for actor in np.unique(events.actor[rows]).tolist():
            event = int(rows[events.actor[rows] == actor][-1])
            n = self._hop(event) if events.what.item(event) == code("send") else -1
            if n >= 0 and self._is_owed(n, event):
                yield n, case.actors[actor]

    @cached_property
    def _hops(self) -> Numbers:
        """For each event that sent something, one hop of it."""
        hops = self._case.hops
        found: Numbers = np.full(len(self._case.events), -1, np.int32)
        sent = np.flatnonzero(hops.sent >= 0)
        found[hops.sent[sent]] = sent
        return found

    def _hop(self, event: int) -> int:
        return self._hops.item(event)

    @cached_property
    def _failed(self) -> dict[str, int]:
        return {event.actor: n for n, event in self._case.events.those("fail")}

    def end(self, n: int, what: str, did: str) -> str:
        """What became of it, in words; `did` is what was done by whoever received it."""
        case = self._case
        hop = case.hop(n)
        if hop.received is None:
            return f"nobody received {what}"
        why = "" if hop.dropped is None else f" ({excerpt(case.text(hop.dropped), 120)})"
        return f"{name(case.trace, hop.target)} received {what} and {did}{why}"

    def _is_owed(self, n: int, event: int) -> bool:
        """It came there, or should have; both have ended, and nothing else tells why."""
        case = self._case
        hop = case.hop(n)
        if n in case.named or hop.lost or hop.source not in case.over:
            return False
        if self._failed.get(hop.source, -1) > event or (case.is_part and hop.received is None):
            return False
        ends = case.receivers(hop)
        if not ends or not case.over.issuperset(ends):
            return False
        # What was to come back was lost on its way.
        return self._lasts(event) and self._lost.get(hop.source, -1) < event

    def _answers(self, received: int) -> bool:
        """Something was sent back from the port that had received it."""
        events = self._case.events
        port = events.port.item(received)
        at = int(np.searchsorted(self._back, port * len(events) + received))
        return at < len(self._back) and int(self._back[at]) // len(events) == port

    @cached_property
    def _back(self) -> npt.NDArray[np.int64]:
        """Ports and positions at which something was sent, or an answer given up, in order."""
        events, moves = self._case.events, self._moves
        what = events.what[moves]
        back = (what == code("send")) | ((what == code("drop")) & (events.kind[moves] == _ANSWER))
        chosen = moves[back & (events.port[moves] >= 0)]
        return np.sort(events.port[chosen].astype(np.int64) * len(events) + chosen)

    @cached_property
    def _lost(self) -> dict[str, int]:
        """When the last thing was lost, as was found, that was for each actor."""
        named = self._case.at(np.array(sorted(self._case.named), np.int64))
        return {hop.target: hop.begins for _, hop in named}

    @cached_property
    def _ends(self) -> dict[int, int]:
        """When each actor has ended."""
        events = self._case.events
        ends = np.flatnonzero(events.are("stop", "disconnect"))
        return dict(zip(events.actor[ends].tolist(), events.at[ends].tolist(), strict=True))

    def _lasts(self, event: int) -> bool:
        """Whoever asked then waited for more than a moment until it ended."""
        events = self._case.events
        if self._case.trace.clock == "step":
            return True
        end = self._ends.get(events.actor.item(event))
        return end is not None and end - events.at.item(event) >= _LONG
