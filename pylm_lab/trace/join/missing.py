"""Missing: what a record of several processes does not tell, in sentences.

1. Who was not recorded shows by what others did with it: they connected to where nobody is bound,
   sent what nobody received, or received what nobody sent.
2. It is told where that happened and how much it was; what became of it is not guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pylm_lab.hook import Kind, Port
from pylm_lab.trace.rules.words import name
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.gaps import gaps

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["missing"]

_PUBLISHERS = ("PUB", "XPUB")
#: What is counted, and what one and several are called.
_WORDS: dict[Kind, tuple[str, str]] = {
    "message": ("message", "messages"),
    "request": ("request", "requests"),
}


def missing(trace: Trace) -> list[str]:
    """A sentence for each thing that is known to be missing; none where the record is whole."""
    return [*gaps(trace), *_Others(trace).sentences()]


class _Others:
    """Those who were not recorded, as the others met them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._cut = set(trace.cut)
        #: Port, kind → how much was sent that nobody recorded could receive, or the other way.
        self._sent: Counter[tuple[str, str]] = Counter()
        self._received: Counter[tuple[str, str]] = Counter()
        #: Port, kind → how much was sent that those may have received whose record ends early.
        self._open: Counter[tuple[str, str]] = Counter()
        self._count()

    def _count(self) -> None:
        events, hops = self._trace.columns, self._trace.hops
        declared = self._trace.declared
        for kind in _WORDS:
            these = hops.are(kind)
            on_its_way = these & (hops.sent >= 0) & (hops.received < 0) & (hops.dropped < 0)
            ports = Counter(events.port[hops.sent[on_its_way]].tolist())
            for number, count in ports.items():
                port = declared.ports[events.tables.ports[number]]
                ends = [peer.actor for peer in declared.peers(port.id) if peer.receives == kind]
                if not ends and port.socket not in _PUBLISHERS:
                    self._sent[port.id, kind] += count
                elif self._cut.intersection(ends):
                    self._open[port.id, kind] += count
            doubled = np.isin(hops.received, list(self._trace.faults.doubled))
            strange = these & (hops.received >= 0) & (hops.sent < 0) & (hops.source < 0) & ~doubled
            for number, count in Counter(events.port[hops.received[strange]].tolist()).items():
                self._received[events.tables.ports[number], kind] += count

    def sentences(self) -> Iterator[str]:
        """What there is to say of them, port by port."""
        bound = self._bound()
        for port in self._trace.ports:
            if not port.outer:
                continue
            sent = self._told(self._sent, port)
            received = self._told(self._received, port)
            places = self._trace.declared.addresses(port.id)
            where = " and ".join(excerpt(place, 60, middle=True) for place in places)
            who = _named(self._trace, port)
            if not port.binds and places and bound.isdisjoint(self._trace.declared.peers(port.id)):
                did = [f"sent {sent}"] * bool(sent) + [f"received {received}"] * bool(received)
                what = f": it {' and '.join(did)} there" if did else ""
                nobody = "where nobody is bound who was recorded"
                yield f"{who} was connected to {where}, {nobody}{what}."
                continue
            at = f" at {where}" if where else ""
            if sent:
                yield f"{who} sent {sent}{at} to somebody who was not recorded."
            if received:
                ends = self._late(port)
                whom = f", or from {ends} after the record's end" if ends else ""
                yield f"{who} received {received}{at} from somebody who was not recorded{whom}."
            if late := self._told(self._open, port):
                ends = self._late(port)
                yield f"Of what {who} sent, {late} may have come to {ends} after the record's end."

    def _late(self, port: Port) -> str:
        """Those at the other end of its links whose record ends early."""
        ends = {peer.actor for peer in self._trace.declared.peers(port.id)} & self._cut
        return " and ".join(sorted(_actor(self._trace, end) for end in ends))

    def _bound(self) -> set[Port]:
        return {port for port in self._trace.ports if port.binds}

    def _told(self, counts: Counter[tuple[str, str]], port: Port) -> str:
        """How much it is, in words."""
        found = []
        for kind, words in _WORDS.items():
            count = counts[port.id, kind]
            if count:
                found.append(f"{count:,} {words[count > 1]}")
        return " and ".join(found)


def _actor(trace: Trace, actor: str) -> str:
    """What to call an actor; a part goes with its server."""
    server = trace.actor(actor).server
    return excerpt(actor, 40, middle=True) if server else name(trace, actor)


def _named(trace: Trace, port: Port) -> str:
    return _actor(trace, port.actor)
