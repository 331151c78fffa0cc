"""Graph: a trace as networkx sees it.

1. Nodes are the actors. In `graph` an edge is a hop that was observed, in `wiring` one direction in
   which a declared link can carry something. Every observed edge has a declared one beside it.
2. Attributes are plain JSON: text, numbers, true and false, None, lists and dicts.
3. The same trace gives the same graph, in the same order, and the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import networkx as nx

from pylm_lab.hook import Port
from pylm_lab.trace import Hop, Trace
from pylm_lab.waits import Wait, Waits

__all__ = ["graph", "to_json", "waits", "wiring"]


def graph(trace: Trace) -> nx.MultiDiGraph[str]:
    """What was observed: a node for each actor, an edge for each hop between two of them.

    A node is an actor's id, with `label`, `role`, `kind`, `server`, `serves`, `blocks`, `bypass`
    and `sockets`, a list of its ports: `port`, `socket` (the ZeroMQ type), `binds`, `outer`,
    `address` (empty if it was bound or connected nowhere; several are separated by spaces).

    The key of an edge is the hop's position in `Trace.hops`. Its attributes:

    - `kind`: message, credit, request, answer or ready;
    - `message`, `message_id`: the short number, and the id in full (both empty without an id);
    - `sent`, `received`: when, in steps or nanoseconds (`clock` says which), or None;
    - `lost`: given up, and received by nobody; `cause`: why it was given up, else empty;
    - `stage`, `function`: of a message; `size`: the bytes of all its frames;
    - `source_port`, `target_port`: the ports' ids, empty where an event is missing.

    A hop that has only one known end is no edge. It is in `graph.graph["unplaced"]`, a list of
    dicts with the same attributes, `key`, `source` and `target` (empty if not known). The graph's
    other attributes are `schedule`, `seed`, `clock`, `scenario` and `routes`, the rows of the
    routing tables.
    """
    found = _actors(trace)
    unplaced: list[dict[str, Any]] = []
    for key, hop in enumerate(trace.hops):
        attributes = _hop(trace, hop)
        if hop.source and hop.target:
            found.add_edge(hop.source, hop.target, key, **attributes)
        else:
            ends = {"key": key, "source": hop.source, "target": hop.target}
            unplaced.append({**ends, **attributes})
    found.graph["unplaced"] = unplaced
    return found


def wiring(trace: Trace) -> nx.MultiDiGraph[str]:
    """What was declared: the same nodes, an edge for each direction of each link.

    An edge joins two ports that share an address, one of which binds, if what the first sends is
    what the other receives. Its key is the two ports' ids; its attributes are `source_port`,
    `target_port`, `sockets` (`PUSH → PULL`), `kinds` (what can go that way) and `address`. Before
    anything was bound, the links inside a server are known all the same; their address is empty.

    The graph's attributes are `schedule`, `seed`, `clock`, `scenario` and `routes`.
    """
    found = _actors(trace)
    for source, target, address in trace.links.wires():
        found.add_edge(
            source.actor,
            target.actor,
            f"{source.id} → {target.id}",
            source_port=source.id,
            target_port=target.id,
            sockets=f"{source.socket} → {target.socket}",
            kinds=_kinds(source),
            address=address,
        )
    return found


def waits(found: Iterable[Wait]) -> nx.MultiDiGraph[str]:
    """Who waits for whom: a node for each actor, an edge from who waits to who could end it.

    A node is an actor's id, with `waits` (False: it is only waited for), `idle`, `what`, `ports`,
    `lasting`, `unit` (empty if it does not wait) and `in_cycle`. An edge has `what`, `ports` and
    `in_cycle`; its key is 0, for there is one at the most from one actor to another. Nodes and
    edges are sorted. The graph's attribute `cycle` lists the actors who wait in a circle, in order.

    Raises:
        TypeError: something in it is no Wait.
        ValueError: an actor is in it twice.
    """
    known = Waits(found)
    cycle = known.cycle
    circle = set(zip(cycle, (*cycle[1:], *cycle[:1]), strict=True))
    made: nx.MultiDiGraph[str] = nx.MultiDiGraph(cycle=list(cycle))
    for actor in sorted({name for wait in known for name in (wait.actor, *wait.on)}):
        own = known.of(actor)
        made.add_node(
            actor,
            waits=own is not None,
            idle=own is not None and own.idle,
            what=own.what if own else "",
            ports=list(own.ports) if own else [],
            lasting=float(own.lasting) if own else 0.0,
            unit=own.unit if own else "",
            in_cycle=actor in cycle,
        )
    for wait in sorted(known, key=lambda wait: wait.actor):
        for other in sorted(set(wait.on)):
            made.add_edge(
                wait.actor,
                other,
                0,
                what=wait.what,
                ports=list(wait.ports),
                in_cycle=(wait.actor, other) in circle,
            )
    return made


def to_json(graph: nx.MultiDiGraph[str]) -> str:
    """The graph in networkx's node-link form, as text: one line for each node and edge.

    Read it with `networkx.node_link_graph(json.loads(text), edges="edges")`. Nodes and edges are
    sorted, so equal graphs give equal texts.
    """
    data = nx.node_link_data(graph, edges="edges")
    data["nodes"].sort(key=lambda node: node["id"])
    data["edges"].sort(key=_place)
    lines = [f'"{name}": {_line(data[name])}' for name in ("directed", "multigraph", "graph")]
    for name in ("nodes", "edges"):
        items = ",\n".join(f"  {_line(item)}" for item in data[name])
        lines.append(f'"{name}": [\n{items}\n]' if items else f'"{name}": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _place(edge: dict[str, Any]) -> tuple[int, str, str, str]:
    key = edge["key"]
    number, name = (key, "") if isinstance(key, int) else (0, str(key))
    return number, edge["source"], edge["target"], name


def _actors(trace: Trace) -> nx.MultiDiGraph[str]:
    found: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        schedule=trace.schedule,
        seed=trace.seed,
        clock=trace.clock,
        scenario=trace.scenario,
        routes=[
            {
                "server": route.server,
                "number": route.number,
                "source": route.source,
                "target": route.target,
                "feedback": route.feedback,
            }
            for route in trace.routes
        ],
    )
    sockets: dict[str, list[dict[str, Any]]] = {actor.id: [] for actor in trace.actors}
    for port in trace.ports:
        sockets[port.actor].append(
            {
                "port": port.id,
                "socket": port.socket,
                "binds": port.binds,
                "outer": port.outer,
                "address": " ".join(trace.links.addresses(port.id)),
            }
        )
    for actor in trace.actors:
        found.add_node(
            actor.id,
            label=actor.label,
            role=actor.role,
            kind=actor.kind,
            server=actor.server,
            serves=actor.serves,
            blocks=actor.blocks,
            bypass=actor.role == "bypass",
            sockets=sockets[actor.id],
        )
    return found


def _hop(trace: Trace, hop: Hop) -> dict[str, Any]:
    sent, received, dropped = (
        None if n is None else trace.events[n] for n in (hop.sent, hop.received, hop.dropped)
    )
    told = sent or received or dropped
    assert told is not None
    # What was given up was so at one of its two ends.
    at_source = sent or (dropped if dropped and dropped.actor == hop.source else None)
    at_target = received or (dropped if dropped and dropped.actor == hop.target else None)
    return {
        "kind": hop.kind,
        "message": trace.numbers.get(hop.message, ""),
        "message_id": hop.message,
        "sent": sent.at if sent else None,
        "received": received.at if received else None,
        "lost": hop.lost,
        "cause": dropped.text if dropped else "",
        "stage": told.stage,
        "function": told.function,
        "size": sum(told.sizes),
        "source_port": at_source.port if at_source else "",
        "target_port": at_target.port if at_target else "",
    }


def _kinds(source: Port) -> list[str]:
    echo = ["ready"] if source.socket in ("PUB", "XPUB") and source.sends == "message" else []
    return [source.sends, *echo]
