"""Survey: what the router view shows of a server and its surroundings, as plain facts.

`reading` finds them in a trace, `tally` counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pylm_lab.hook import Port

__all__ = ["SIDES", "Flow", "Part", "Peer", "Row", "Side", "Survey", "Wire", "asker", "socket_name"]

Flow = Literal["in", "out", "both"]
Side = Literal["inbound", "outbound", "bypass"]

SIDES: tuple[Side, ...] = ("inbound", "outbound", "bypass")
_SHOWN = {"XPUB": "PUB", "XSUB": "SUB"}


def socket_name(port: Port) -> str:
    """What a socket is called in the docs: an XPUB is how a PUB is made."""
    return _SHOWN.get(port.socket, port.socket)


def _asks(port: Port) -> bool:
    """Whether the port sends something to get an answer."""
    return bool(port.sends) and port.receives == "answer"


def asker(port: Port, other: Port) -> Port | None:
    """Which of two joined ports asks the other; None if neither does.

    Where messages go both ways, as at a gateway, it is the one that connects.
    """
    for one in (port, other):
        if _asks(one):
            return one
    if all(one.sends == one.receives == "message" for one in (port, other)):
        return other if port.binds else port
    return None


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the server, with its ports to the outside in declared order."""

    id: str
    label: str
    kind: str
    side: Side
    blocks: bool
    ports: tuple[Port, ...]

    @property
    def socket_line(self) -> str:
        """`PULL binds`, `PUSH, PULL bind`, or empty where no port is declared."""
        if not self.ports:
            return ""
        sockets = ", ".join(socket_name(port) for port in self.ports)
        if len(self.ports) == 1:
            return f"{sockets} {'binds' if self.ports[0].binds else 'connects'}"
        ways = {port.binds for port in self.ports}
        return sockets if len(ways) == 2 else f"{sockets} {'bind' if True in ways else 'connect'}"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another program: a worker, a client, or another server with all its parts.

    One that the record does not know, as curl, has no `actors`. `count` is what it received
    of the drawn server; where nothing reaches it, what it sent; else how often it asked or was
    asked.
    """

    id: str
    label: str
    role: Literal["worker", "client", "server"]
    actors: tuple[str, ...]
    count: int = 0


@dataclass(kw_only=True)
class Wire:
    """What joins a part's port to a peer's, and how many messages crossed it.

    `flow` is seen from the server, `other` is the peer's port. `inner` marks a wire between two
    parts of the server that does not touch the router; the peer is then the other part. `lost` and
    `waiting` (on the way) are among `count`; `answers` came back. `doubled` were received once more
    than they were sent, and are not among them. `topics` are those that one server subscribed to at
    another, but for their names: under its own a server publishes unless told otherwise.
    """

    part: str
    port: Port
    peer: str
    other: Port
    flow: Flow
    inner: bool = False
    count: int = 0
    lost: int = 0
    waiting: int = 0
    answers: int = 0
    doubled: int = 0
    topics: tuple[str, ...] = ()

    @property
    def asked(self) -> bool:
        """The peer asks and the part answers."""
        return asker(self.port, self.other) is self.other

    def carries(self, port: str) -> bool:
        """Whether messages go along it from the port of this id, which is at one of its ends."""
        return self.flow == "both" or (port == self.port.id) is (self.flow == "out")

    def is_answer(self, hop: tuple[str, str]) -> bool:
        """Whether what goes from one port (or from nobody knows where) to the other answers."""
        if self.flow != "both":
            return False
        asking, asked = (self.other, self.port) if self.asked else (self.port, self.other)
        return hop[0] == asked.id or hop[1] == asking.id

    @property
    def pair(self) -> str:
        """`PUSH → PULL`, in the direction of the message; `REQ ⇄ REP` for question and answer."""
        mine, theirs = socket_name(self.port), socket_name(self.other)
        if self.flow == "both":
            if self.asked:
                mine, theirs = theirs, mine
            return mine if mine == theirs else f"{mine} ⇄ {theirs}"
        return f"{theirs} → {mine}" if self.flow == "in" else f"{mine} → {theirs}"


@dataclass(kw_only=True)
class Row:
    """A row of the routing table; how many messages followed it, and were lost doing so."""

    number: int
    source: str
    target: str
    feedback: Literal["", "waits", "on"]
    count: int = 0
    lost: int = 0

    @property
    def role(self) -> str:
        """Its colour: four, then again."""
        return f"row{(self.number - 1) % 4 + 1}"


@dataclass(kw_only=True)
class Survey:
    """The server as the router view shows it.

    `name` is the server's, `kind` what such a server is called (`master`), `others` how many more
    servers the trace has. `ran` says that messages moved. `ended` counts, for each part without a
    route, the messages that it handed over. `losses` counts what was lost between two actors or
    peers (the second empty: it is not known who, or nobody was there), `astray` what a port sent
    that did not arrive, where several could have received it: port id → (not arrived, lost).
    `forgotten` counts earlier events that the record has not kept, `left_out` those that somebody
    has filtered out of it, `cut` has the ids of actors
    and peers whose record ends early, `early` what to call them.
    """

    server: str
    name: str
    kind: str
    router: str
    parts: tuple[Part, ...]
    rows: tuple[Row, ...]
    peers: tuple[Peer, ...]
    wires: tuple[Wire, ...]
    others: int
    ran: bool
    ended: dict[str, int] = field(default_factory=dict)
    losses: dict[tuple[str, str], int] = field(default_factory=dict)
    astray: dict[str, tuple[int, int]] = field(default_factory=dict)
    forgotten: int = 0
    left_out: int = 0
    cut: frozenset[str] = frozenset()
    early: tuple[str, ...] = ()

    def side(self, side: Side) -> list[Part]:
        """The parts on one side, in declared order."""
        return [part for part in self.parts if part.side == side]

    @property
    def lost(self) -> int:
        """Messages that nobody received and that are on their way no longer."""
        return sum(self.losses.values())

    @property
    def waiting(self) -> int:
        """Messages that are on their way to or from the outside."""
        astray = sum(gone - lost for gone, lost in self.astray.values())
        return astray + sum(wire.waiting for wire in self.wires if not wire.inner)
