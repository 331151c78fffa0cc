"""Plan: who stands where in the router view, before anything is measured.

1. Peers have a zone: workers at the top, clients at the bottom; who talks to one part only stands
   beside it.
2. A run is all wires of one port into one zone; it has a lane of its own.
3. Parts that face the top stand on top, those that face the bottom at the bottom; within that, rows
   are ordered so that few wires of the routing table cross.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from pylm_lab.draw.router.order import Ranks, ordered
from pylm_lab.draw.router.survey import Flow, Part, Peer, Row, Survey, Wire
from pylm_lab.hook import Port

__all__ = ["Group", "Plan", "Run", "Zone", "plan"]

Zone = Literal["top", "side", "bottom"]

#: More discs than this at the top are drawn as the first three and a stack.
MOST_WORKERS, FIRST_WORKERS = 6, 3
MOST_CLIENTS, FIRST_CLIENTS = 3, 2
#: More than this beside one part are a stack.
MOST_BESIDE = 3

_ACROSS = {"inbound", "outbound"}


@dataclass(frozen=True, kw_only=True)
class Group:
    """What one disc stands for: a peer, or a stack of several."""

    peers: tuple[Peer, ...]
    label: str
    stack: bool = False

    @property
    def id(self) -> str:
        """The first peer's id, marked where it is a stack."""
        return f"{self.peers[0].id}.stack" if self.stack else self.peers[0].id

    @property
    def count(self) -> int:
        """That of its peers together."""
        return sum(peer.count for peer in self.peers)

    def holds(self, peer: str) -> bool:
        """Whether the disc stands for this peer."""
        return any(each.id == peer for each in self.peers)


@dataclass(kw_only=True)
class Run:
    """All wires of one port into one zone.

    `lane` counts from the wall outwards. `sent` and `lost` are messages.
    """

    part: Part
    port: Port
    zone: Zone
    flow: Flow
    wires: list[Wire]
    groups: list[Group]
    lane: int = 0
    sent: int = 0
    lost: int = 0

    @property
    def id(self) -> str:
        """The port's id and the zone: what its wires, count and label begin with."""
        return f"{self.port.id}.{self.zone}"

    @property
    def to_part(self) -> bool:
        """Messages arrive at the part."""
        return self.flow != "out"

    @property
    def to_peer(self) -> bool:
        """Messages arrive at the peer."""
        return self.flow != "in"

    def topics(self, group: Group) -> str:
        """The topics that are worth telling of the group's wires."""
        return ", ".join(dict.fromkeys(t for wire in self.reaching(group) for t in wire.topics))

    def reaching(self, group: Group) -> list[Wire]:
        """The wires that end at one of the group's peers."""
        return [wire for wire in self.wires if group.holds(wire.peer)]


@dataclass(kw_only=True)
class Plan:
    """Where everything stands: the columns from the top, the discs of the zones in order.

    `slots` are bypass parts that ask a part of the server, by id: they stand below it, in the same
    wall. `backs` are wires from one part to another that pass the router by.
    """

    found: Survey
    inbound: list[Part]
    outbound: list[Part]
    bypass: list[Part]
    top: list[Group]
    bottom: list[Group]
    runs: list[Run]
    slots: dict[str, Wire]
    backs: list[Wire]

    @property
    def columns(self) -> tuple[list[Part], list[Part]]:
        """Inbound and outbound parts."""
        return self.inbound, self.outbound

    @property
    def unrouted(self) -> list[Part]:
        """Inbound parts whose messages go nowhere."""
        routed = {row.source for row in self.found.rows}
        return [part for part in self.inbound if part.id not in routed]

    @property
    def drawn(self) -> list[Row]:
        """The rows of which both ends are there to be joined."""
        ids = {part.id for column in self.columns for part in column}
        return [row for row in self.found.rows if row.source in ids and row.target in ids]

    def is_hook(self, row: Row) -> bool:
        """Whether both ends of the row are at the same ROUTER bar."""
        return all(
            (row.source in ids) == (row.target in ids)
            for column in self.columns
            for ids in [{part.id for part in column}]
        )

    def into(self, zone: Zone) -> list[Run]:
        """The runs into a zone."""
        return [run for run in self.runs if run.zone == zone]

    def wires_of(self, port: Port) -> list[Wire]:
        """The wires of a bypass part's port to the outside."""
        return [w for w in self.found.wires if w.port.id == port.id and not w.inner]


def plan(found: Survey) -> Plan:
    """Decide who stands where."""
    slots = _slots(found)
    zones = _zones(found, slots)
    top = _groups(found, zones, "top", MOST_WORKERS, FIRST_WORKERS)
    bottom = _groups(found, zones, "bottom", MOST_CLIENTS, FIRST_CLIENTS)
    runs = _runs(found, zones, [*top, *bottom], slots)
    inbound, outbound = ordered(
        found, _ranks(found, runs, "inbound"), _ranks(found, runs, "outbound")
    )
    _lanes(runs, inbound)
    _lanes(runs, outbound)
    sides = {part.id: part.side for part in found.parts}
    return Plan(
        found=found,
        inbound=inbound,
        outbound=outbound,
        bypass=found.side("bypass"),
        top=top,
        bottom=bottom,
        runs=runs,
        slots=slots,
        backs=[
            wire
            for wire in found.wires
            if wire.inner and wire.flow == "out" and {sides[wire.part], sides[wire.peer]} == _ACROSS
        ],
    )


def _slots(found: Survey) -> dict[str, Wire]:
    """The first bypass part that asks a part on each side, with that wire."""
    sides = {part.id: part.side for part in found.parts}
    slots: dict[str, Wire] = {}
    taken: set[str] = set()
    for wire in found.wires:
        side = sides.get(wire.peer, "")
        asks = wire.inner and wire.flow == "both" and sides[wire.part] == "bypass"
        if asks and side in _ACROSS and side not in taken and wire.part not in slots:
            taken.add(side)
            slots[wire.part] = wire
    return slots


def _zones(found: Survey, slots: Collection[str]) -> dict[str, Zone]:
    bypass = {part.id for part in found.side("bypass")} - set(slots)
    main = [wire for wire in found.wires if not wire.inner and wire.part not in bypass]
    zones: dict[str, Zone] = {}
    for peer in found.peers:
        wires = [wire for wire in main if wire.peer == peer.id]
        alone = len({wire.port.id for wire in wires}) == 1
        asks = all(wire.flow == "both" for wire in wires)
        if alone and (asks or peer.role == "server"):
            zones[peer.id] = "side"
        elif wires or peer.role != "server":
            zones[peer.id] = "top" if peer.role == "worker" else "bottom"
    # Beside a part that clients or workers reach as well, or at several ports, there is no room:
    # stand with those.
    crowded = {wire.part for wire in main if zones[wire.peer] != "side"}
    crowded |= {w.part for w in main for v in main if w.part == v.part and w.port is not v.port}
    for wire in main:
        if zones[wire.peer] == "side" and wire.part in crowded:
            role = next(peer.role for peer in found.peers if peer.id == wire.peer)
            zones[wire.peer] = "top" if role == "worker" else "bottom"
    return zones


def _groups(
    found: Survey, zones: dict[str, Zone], zone: Zone, most: int, first: int
) -> list[Group]:
    peers = [peer for peer in found.peers if zones.get(peer.id) == zone]
    peers.sort(key=lambda peer: peer.role == "server")
    shown = peers if len(peers) <= most else peers[:first]
    groups = [Group(peers=(peer,), label=peer.label) for peer in shown]
    rest = tuple(peers[len(shown) :])
    if rest:
        groups.append(Group(peers=rest, label=f"{len(rest):,} more", stack=True))
    return groups


def _beside(peers: Sequence[Peer], most: int) -> list[Group]:
    """Who stands beside a part, from the top."""
    if len(peers) <= most:
        return [Group(peers=(peer,), label=peer.label) for peer in peers]
    role = peers[0].role if len({peer.role for peer in peers}) == 1 else "peer"
    return [Group(peers=tuple(peers), label=f"{len(peers):,} {role}s", stack=True)]


def _runs(
    found: Survey, zones: dict[str, Zone], groups: Sequence[Group], slots: Collection[str]
) -> list[Run]:
    parts = {part.id: part for part in found.parts}
    runs: dict[tuple[str, Zone], Run] = {}
    for wire in found.wires:
        part = parts[wire.part]
        if wire.inner or (part.side == "bypass" and part.id not in slots):
            continue
        key = wire.port.id, zones[wire.peer]
        if key not in runs:
            runs[key] = Run(
                part=part, port=wire.port, zone=key[1], flow=wire.flow, wires=[], groups=[]
            )
        run = runs[key]
        run.wires.append(wire)
        run.sent += wire.count
        run.lost += wire.lost
    for run in runs.values():
        if run.zone == "side":
            ids = {wire.peer for wire in run.wires}
            beside = [peer for peer in found.peers if peer.id in ids]
            run.groups = _beside(beside, 1 if run.part.id in slots else MOST_BESIDE)
        else:
            run.groups = [group for group in groups if run.reaching(group)]
    for port, (away, lost) in found.astray.items():
        # Several could have received it: a loss towards the workers, where there are some.
        mine = [run for (id, _), run in runs.items() if id == port]
        if mine:
            chosen = min(mine, key=lambda run: ("top", "side", "bottom").index(run.zone))
            chosen.sent += away
            chosen.lost += lost
    return list(runs.values())


def _ranks(found: Survey, runs: Sequence[Run], side: Literal["inbound", "outbound"]) -> Ranks:
    """The parts of a side that face the top, neither or both, the bottom, another part."""
    ranks: Ranks = [[], [], [], []]
    inner = {id for wire in found.wires if wire.inner for id in (wire.part, wire.peer)}
    for part in found.side(side):
        zones = {run.zone for run in runs if run.part is part}
        if zones == {"top"} or (not zones and part.kind.startswith("Worker")):
            ranks[0].append(part)
        elif zones == {"bottom"}:
            ranks[2].append(part)
        elif not zones and part.id in inner:
            # Its wires leave below.
            ranks[3].append(part)
        else:
            ranks[1].append(part)
    return ranks


def _lanes(runs: Sequence[Run], column: Sequence[Part]) -> None:
    """Number the lanes of a column from the wall outwards, so that no two lie on each other."""
    place = {part.id: n for n, part in enumerate(column)}
    here = [run for run in runs if run.part.id in place]
    # What empties the workers leaves them on the lower side, so its lane is the inner one.
    top = sorted(
        (run for run in here if run.zone == "top"),
        key=lambda run: (place[run.part.id], run.to_peer),
    )
    for n, run in enumerate(top):
        run.lane = n
    lane = 0
    bottom = (run for run in here if run.zone == "bottom")
    for run in sorted(bottom, key=lambda run: -place[run.part.id]):
        # Lanes to the top that come down as far as this part.
        passing = {
            other.lane
            for other in top
            if other.port is not run.port and place[other.part.id] >= place[run.part.id]
        }
        while lane in passing:
            lane += 1
        run.lane = lane
        lane += 1
