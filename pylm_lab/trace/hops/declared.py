"""Which ports are at one link, and so who may hear whom.

1. A link is what was bound or connected to one address; both spellings of a tcp address count as
   one (`tcp://0.0.0.0:5555` is what `tcp://localhost:5555` reaches).
2. Where nothing was bound yet, the ports inside a server belong to its router all the same: that is
   how it was declared.
3. Only declarations are read here, never hops.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.columns import Events

__all__ = ["Declared", "Wire"]

#: Addresses that name a host and the number of a port.
_NUMBERED = ("tcp", "http", "https")
_ANY_HOST = frozenset({"*", "0.0.0.0", "[::]", "::"})
_THIS_HOST = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


class Wire(NamedTuple):
    """One direction in which two ports can carry something: `address` is empty if none is known."""

    source: Port
    target: Port
    address: str


class Declared:
    """The ports of a run, by the addresses that they were ever bound or connected to."""

    def __init__(self, actors: Sequence[Actor], ports: Sequence[Port], events: Events) -> None:
        self.ports = {port.id: port for port in ports}
        self._addresses: dict[str, dict[str, None]] = {port.id: {} for port in ports}
        bound: dict[str, None] = {}
        for _, event in events.those("bind", "connect"):
            if event.port in self._addresses:
                self._addresses[event.port][event.text] = None
                if event.what == "bind":
                    bound[event.text] = None
        spelt = _Spelling(bound)
        #: Where each port is: addresses, or the id of the router's port where there is none.
        self._places = {
            port: tuple(dict.fromkeys(map(spelt, given))) for port, given in self._addresses.items()
        }
        self._places.update(_declared_inside(actors, self.ports.values(), self._places))
        #: Who is at a place: those that bind there, and those that connect.
        self._at: dict[tuple[str, bool], list[Port]] = defaultdict(list)
        for port in ports:
            for place in self._places[port.id]:
                self._at[place, port.binds].append(port)
        self._groups = _joined(self._places)
        self._peers: dict[str, tuple[Port, ...]] = {}

    def addresses(self, port: str) -> tuple[str, ...]:
        """Where the port was bound or connected, as it was said, in order."""
        return tuple(self._addresses.get(port, ()))

    def group(self, port: str) -> str:
        """A name for all that the port may reach, the same for all ports of a link; or nothing."""
        places = self._places.get(port)
        return self._groups[places[0]] if places else ""

    def peers(self, port: str) -> tuple[Port, ...]:
        """The ports at the other ends of the port's links, in declared order."""
        if port not in self._peers:
            binds = self.ports[port].binds
            others = (self._at.get((place, not binds), ()) for place in self._places[port])
            self._peers[port] = tuple(dict.fromkeys(peer for at in others for peer in at))
        return self._peers[port]

    def wires(self) -> Iterator[Wire]:
        """Every direction in which something can go, in the order of the sending ports."""
        for port in self.ports.values():
            if port.sends:
                for peer in self.peers(port.id):
                    if peer.receives == port.sends:
                        yield Wire(port, peer, self._shared(port.id, peer.id))

    def _shared(self, one: str, other: str) -> str:
        there = self._places[other]
        place = next(place for place in self._places[one] if place in there)
        return "" if place in self.ports else place


class _Spelling:
    """One spelling for each address: that of the port which bound it."""

    def __init__(self, bound: Iterable[str]) -> None:
        self._bound = dict.fromkeys(bound)
        self._by_number: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for address in self._bound:
            host, number = _tcp(address)
            if number:
                self._by_number[number].append((host, address))

    def __call__(self, address: str) -> str:
        if address in self._bound:
            return address
        host, number = _tcp(address)
        for other, bound in self._by_number.get(number, ()):
            if other in _ANY_HOST or (host in _THIS_HOST and other in _THIS_HOST):
                return bound
        return address


def _tcp(address: str) -> tuple[str, str]:
    """Host and port number, with what is spoken there, of a tcp address; empty if it is none."""
    spoken, _, place = address.partition("://")
    if spoken not in _NUMBERED:
        return "", ""
    # ZeroMQ lets one say where from: tcp://source;host:port
    host, _, number = place.rpartition(";")[2].rpartition(":")
    return host, f"{spoken}:{number}"


def _declared_inside(
    actors: Sequence[Actor], ports: Iterable[Port], places: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """A place at its server's router for each inner port that has none."""
    servers = {actor.id: actor.server for actor in actors}
    routers = {actor.id for actor in actors if actor.role == "router"}
    sides: dict[tuple[str, str, str], str] = {}
    found: dict[str, tuple[str, ...]] = {}
    inner = [port for port in ports if not port.outer]
    for port in inner:
        if port.actor in routers:
            found[port.id] = places[port.id] or (port.id,)
            sides[servers[port.actor], port.receives, port.sends] = found[port.id][0]
    for port in inner:
        if port.actor not in routers and not places[port.id]:
            side = sides.get((servers.get(port.actor, ""), port.sends, port.receives))
            found[port.id] = (side,) if side else ()
    return found


def _joined(places: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Place → the first of all places that are joined to it by a port which is at both."""
    parent: dict[str, str] = {}

    def root(place: str) -> str:
        parent.setdefault(place, place)
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for at in places.values():
        for place in at:
            one, other = sorted((root(at[0]), root(place)))
            parent[other] = one
    return {place: root(place) for place in parent}
