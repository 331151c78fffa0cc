"""Reading: from a trace to the survey of one server.

1. A survey's facts were declared or observed, never guessed: a wire joins two ports that share an
   address, or between which something was seen to travel.
2. Order is that of the declarations, so the same trace gives the same survey.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from pylm_lab.draw.router.survey import SIDES, Flow, Part, Peer, Row, Survey, Wire, asker
from pylm_lab.draw.router.tally import count
from pylm_lab.errors import LabError, WiringError
from pylm_lab.hook import Actor, Port
from pylm_lab.trace import Trace
from pylm_lab.trace.show.gaps import early
from pylm_lab.wire import READY, text

__all__ = ["survey"]

#: How the topic of a subscription's echo begins in a trace.
_ECHO = text(READY)


def servers(trace: Trace) -> list[str]:
    """The servers of a trace that have a router or parts, in declared order."""
    roles = (*SIDES, "router")
    return list(dict.fromkeys(actor.server for actor in trace.actors if actor.role in roles))


def choose(trace: Trace, server: str | None) -> str:
    """The server that is asked for, or the first.

    Raises:
        WiringError: the trace has no such server.
        LabError: the trace has no server at all.
    """
    names = servers(trace)
    if not names and any(actor.role == "program" for actor in trace.actors):
        raise LabError(
            "the router view draws a server, and this trace has none among its actors:"
            ' trace.spacetime() shows who sent what to whom, and trace.export("mermaid") draws it'
        )
    if not names:
        found = "no server among its actors" if trace.actors else "nothing in it"
        raise LabError(
            f"there is nothing to draw: this trace has {found}."
            " Attach the Recorder before the server starts"
        )
    if server is None:
        return names[0]
    if server not in names:
        near = difflib.get_close_matches(str(server), names, n=1)
        known = ", ".join(repr(name) for name in names)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {known}"
        raise WiringError(f"no server {server!r} in this trace: {hint}")
    return server


def survey(trace: Trace, server: str | None = None) -> Survey:
    """Read what the router view of a server shows; see `choose` for which one, and for errors."""
    server = choose(trace, server)
    mine = [actor for actor in trace.actors if actor.server == server]
    outer: dict[str, list[Port]] = defaultdict(list)
    for port in trace.ports:
        if port.outer:
            outer[port.actor].append(port)
    parts = tuple(
        Part(
            id=actor.id,
            label=actor.label or actor.id,
            kind=actor.kind,
            side=actor.role,
            blocks=actor.blocks,
            ports=tuple(outer[actor.id]),
        )
        for actor in mine
        if actor.role in ("inbound", "outbound", "bypass")
    )
    peers, wires = _surroundings(trace, server, parts)
    found = Survey(
        server=server,
        name=server or "server",
        kind=_kind(parts),
        router=next((a.id for a in mine if a.role == "router"), f"{server}.router"),
        parts=parts,
        rows=tuple(
            Row(number=r.number, source=r.source, target=r.target, feedback=r.feedback)
            for r in sorted(trace.routes, key=lambda route: route.number)
            if r.server == server
        ),
        peers=peers,
        wires=wires,
        others=len(servers(trace)) - 1,
        ran=bool(trace.hops.are("message", "request").any()),
        forgotten=trace.forgotten,
        left_out=trace.left_out,
        cut=frozenset(_cut(trace)),
        early=tuple(early(trace)),
    )
    count(trace, found)
    return found


def _kind(parts: Sequence[Part]) -> str:
    """What a server with these parts is called."""
    kinds = [(p.side, p.kind.removesuffix("Service").removesuffix("Connection")) for p in parts]
    has = {kind for _, kind in kinds}
    inbound = [kind for side, kind in kinds if side == "inbound"]
    if {"GatewayRouter", "GatewayDealer"} <= has or "Http" in inbound:
        return "microservice"
    if {"WorkerPull", "WorkerPush"} <= has and has & {"Sub", "Pull"}:
        return "hub" if "Sub" in has else "master"
    if has - {"Cache"} == {"Sub", "Pub"}:
        return "pipeline" if len(inbound) == 1 else "sink"
    return "server"


def _surroundings(
    trace: Trace, server: str, parts: Sequence[Part]
) -> tuple[tuple[Peer, ...], tuple[Wire, ...]]:
    """Who is linked to the parts, and by which ports."""
    actors = {actor.id: actor for actor in trace.actors}
    ports = {port.id: port for port in trace.ports}
    rank = {port.id: n for n, port in enumerate(trace.ports)}
    own = {port.id for part in parts for port in part.ports}
    joined = {
        (a, b): None
        for a, b in _joined(trace)
        if a in own and b in ports and ports[b].outer and ports[a].actor != ports[b].actor
    }
    subscribed: dict[str, dict[str, None]] = defaultdict(dict)
    for _, event in trace.columns.those("subscribe"):
        if not event.text.startswith(_ECHO):
            subscribed[event.port][event.text] = None
    wires: list[Wire] = []
    members: dict[str, dict[str, None]] = defaultdict(dict)
    for a, b in sorted(joined, key=lambda pair: (rank[pair[0]], rank[pair[1]])):
        port, other = ports[a], ports[b]
        actor = actors[other.actor]
        inner = actor.server == server and actor.role in SIDES
        flow = _flow(port, other)
        # A wire between two parts is told once, by the one that sends or asks.
        if flow is None or (
            inner and (flow == "in" or (flow == "both" and asker(port, other) is not port))
        ):
            continue
        peer = actor.id if inner else _peer_id(actor)
        if not inner:
            members[peer][actor.id] = None
        asked = subscribed.get(b if flow == "out" else a, ())
        wires.append(
            Wire(
                part=port.actor,
                port=port,
                peer=peer,
                other=other,
                flow=flow,
                inner=inner,
                topics=_between(actor.server, server, asked),
            )
        )
    peers: dict[str, Peer] = {}
    wires += _unrecorded(trace, parts, {wire.port.id for wire in wires}, peers)
    for actor in trace.actors:
        peer = _peer_id(actor)
        if peer in members and peer not in peers:
            peers[peer] = Peer(
                id=peer,
                label=actor.server or trace.labels[actor.id],
                role="server" if actor.server else "client" if actor.role == "client" else "worker",
                actors=tuple(a.id for a in trace.actors if a.id in members[peer]),
            )
    return tuple(peers.values()), tuple(wires)


def _unrecorded(
    trace: Trace, parts: Sequence[Part], joined: Collection[str], peers: dict[str, Peer]
) -> Iterator[Wire]:
    """Web clients and web workers of which the record knows no more than what a part heard of them.

    They are those at an HTTP port that nobody in the record is linked to, and that has been used.
    """
    events = trace.columns
    moved = set(events.port[events.are("send", "receive", "drop")].tolist())
    used = {events.tables.ports[n] for n in moved if n >= 0}
    for part in parts:
        for port in part.ports:
            if port.socket != "HTTP" or port.id in joined or port.id not in used:
                continue
            id = f"{port.id} peer"
            role: Literal["client", "worker"] = "client" if port.binds else "worker"
            label = "web client" if port.binds else "web worker"
            peers[id] = Peer(id=id, label=label, role=role, actors=())
            other = Port(
                id=f"{id}:http",
                actor=id,
                socket="HTTP",
                binds=not port.binds,
                outer=True,
                sends=port.receives,
                receives=port.sends,
            )
            yield Wire(part=part.id, port=port, peer=id, other=other, flow="both")


def _between(other: str, server: str, topics: Iterable[str]) -> tuple[str, ...]:
    """See `Wire.topics`; `other` is empty where the peer is no server."""
    return tuple(topic for topic in topics if other and topic not in ("", server, other))


def _peer_id(actor: Actor) -> str:
    return f"server {actor.server}" if actor.server else actor.id


def _cut(trace: Trace) -> Iterator[str]:
    """The ids of actors whose record ends early, and of peers that such an actor belongs to."""
    yield from trace.cut
    cut = set(trace.cut)
    yield from (_peer_id(actor) for actor in trace.actors if actor.id in cut)


def _flow(port: Port, other: Port) -> Flow | None:
    """Which way messages cross between two ports; None where none can."""
    if asker(port, other) is not None:
        return "both"
    gives = port.sends == "message" and other.receives not in ("", "credit")
    takes = other.sends == "message" and port.receives not in ("", "credit")
    if gives and takes:
        return "both"
    return "out" if gives else "in" if takes else None


def _joined(trace: Trace) -> Iterable[tuple[str, str]]:
    """Pairs of ports that share an address or a hop, both ways round."""
    bound: dict[str, list[tuple[str, str]]] = defaultdict(list)
    asked: dict[str, list[tuple[str, str]]] = defaultdict(list)
    events, hops = trace.columns, trace.hops
    for _, event in events.those("bind", "connect"):
        place, host = _place(event.text)
        (bound if event.what == "bind" else asked)[place].append((host, event.port))
    for place, services in bound.items():
        for host, a in services:
            for other, b in asked.get(place, ()):
                if host == other or _ANYWHERE in (host, other):
                    yield a, b
                    yield b, a
    whole = (hops.sent >= 0) & (hops.received >= 0)
    ends = (events.port[at[whole]].tolist() for at in (hops.sent, hops.received))
    for one, two in sorted(set(zip(*ends, strict=True))):
        a, b = events.tables.ports[one], events.tables.ports[two]
        yield a, b
        yield b, a


_ANYWHERE = "*"
_HOSTS = {"0.0.0.0": _ANYWHERE, "[::]": _ANYWHERE, "localhost": "127.0.0.1", "[::1]": "127.0.0.1"}


def _place(address: str) -> tuple[str, str]:
    """What the two ends of a link agree on, and the host, which a wildcard bind leaves open."""
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        return f"tcp:{port}", _HOSTS.get(host, host)
    return address, ""
