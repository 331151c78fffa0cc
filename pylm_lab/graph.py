"""Graph: a trace as networkx sees it.

1. Nodes are the actors. In `graph` an edge is a hop that was observed, in `wiring` one direction in
   which a declared link can carry something. Every observed edge has a declared one beside it.
   Only in `message_graph` nodes are hops, and an edge leads from a cause to its effect.
2. Attributes are plain JSON: text, numbers, true and false, None, lists and dicts.
3. The same trace gives the same graph, in the same order, and the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import networkx as nx
import numpy as np

from pylm_lab.errors import TraceFileError
from pylm_lab.hook import Port
from pylm_lab.trace import Trace
from pylm_lab.trace.ask.causes import CARRIED
from pylm_lab.trace.ask.chains import chains
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS
from pylm_lab.waits import Wait, Waits

__all__ = ["from_json", "graph", "message_graph", "to_json", "waits", "wiring"]

_encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


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
    other attributes are `routes`, the rows of the routing tables, and what the trace says of
    itself: `schedule`, `seed`, `clock`, `scenario`, `forgotten`, `left_out` and `cut`.
    """
    found = _actors(trace)
    unplaced: list[dict[str, Any]] = []
    ids = trace.columns.tables.actors
    ends = zip(trace.hops.source.tolist(), trace.hops.target.tolist(), strict=True)
    for key, ((source, target), attributes) in enumerate(zip(ends, _hops(trace), strict=True)):
        if source >= 0 and target >= 0:
            found.add_edge(ids[source], ids[target], key, **attributes)
        else:
            names = (ids[end] if end >= 0 else "" for end in (source, target))
            unplaced.append(
                {"key": key, **dict(zip(("source", "target"), names, strict=True)), **attributes}
            )
    found.graph["unplaced"] = unplaced
    return found


def wiring(trace: Trace) -> nx.MultiDiGraph[str]:
    """What was declared: the same nodes, an edge for each direction of each link.

    An edge joins two ports that share an address, one of which binds, if what the first sends is
    what the other receives. Its key is the two ports' ids; its attributes are `source_port`,
    `target_port`, `sockets` (`PUSH → PULL`), `kinds` (what can go that way) and `address`. Before
    anything was bound, the links inside a server are known all the same; their address is empty.

    The graph's attributes are those of `graph`, without `unplaced`.
    """
    found = _actors(trace)
    for source, target, address in trace.declared.wires():
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


def message_graph(trace: Trace) -> nx.DiGraph[int]:
    """What led to what: a node for each hop of a message, a request or an answer; no circle.

    A node is the hop's position in `Trace.hops`. It has the attributes of an edge of `graph`, and
    `source` and `target`, the ids of the actors (empty if not known). An edge leads from the hop
    that brought something to the hop that carried it on; or what was made of it, or asked for on
    its behalf; or answered; and from an answer to what was sent once it had come. It has

    - `actor`: the id of who did that (empty if nobody knows);
    - `since`, `until`: from when to when, in steps or nanoseconds;
    - `unseen`: it was done by somebody who was not recorded, so the order alone tells.

    The graph's attributes are those of `graph`, without `unplaced` and `routes`.
    """
    found: nx.DiGraph[int] = nx.DiGraph(**_about(trace))
    hops, events = trace.hops, trace.columns
    ids = [*events.tables.actors, ""]
    # What an index of -1 stands for is the last.
    found.add_nodes_from(
        (n, {**attributes, "source": ids[source], "target": ids[target]})
        for n, (attributes, source, target, counts) in enumerate(
            zip(
                _hops(trace),
                hops.source.tolist(),
                hops.target.tolist(),
                hops.are(*CARRIED).tolist(),
                strict=True,
            )
        )
        if counts
    )
    told = chains(trace)
    actor = np.where(told.unseen, -1, events.actor[told.until])
    found.add_edges_from(
        (earlier, later, {"actor": ids[who], "since": since, "until": until, "unseen": unseen})
        for earlier, later, who, since, until, unseen in zip(
            told.earlier.tolist(),
            told.later.tolist(),
            actor.tolist(),
            events.at[told.since].tolist(),
            events.at[told.until].tolist(),
            told.unseen.tolist(),
            strict=True,
        )
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


def to_json(graph: nx.DiGraph[Any]) -> str:
    """The graph in networkx's node-link form, as text: one line for each node and edge.

    Nodes and edges are sorted, so equal graphs give equal texts. `from_json` reads it again; so
    does `networkx.node_link_graph(json.loads(text), edges="edges")`.
    """
    data = nx.node_link_data(graph, edges="edges")
    data["nodes"].sort(key=lambda node: node["id"])
    data["edges"].sort(key=_place)
    lines = [f'"{name}": {_encode(data[name])}' for name in ("directed", "multigraph", "graph")]
    for name in ("nodes", "edges"):
        items = ",\n".join(f"  {_encode(item)}" for item in data[name])
        lines.append(f'"{name}": [\n{items}\n]' if items else f'"{name}": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def from_json(text: str) -> nx.DiGraph[Any]:
    """The graph that `to_json` wrote: a MultiDiGraph for those whose nodes are actors.

    Raises:
        TraceFileError: the text is no directed graph in node-link form.
    """
    mend = "give the text that pylm_lab.graph.to_json made"
    try:
        data = json.loads(text)
        found: Any = nx.node_link_graph(data, edges="edges")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, nx.NetworkXError) as e:
        why = excerpt(f"{type(e).__name__}: {e}", 120)
        raise TraceFileError(f"this is no graph in node-link form ({why}): {mend}") from e
    if not found.is_directed():
        raise TraceFileError(f"this graph's edges have no direction: {mend}")
    return found  # type: ignore[no-any-return]  # it has directions, as was just asked


def _place(edge: dict[str, Any]) -> tuple[int, Any, Any, str]:
    key = edge.get("key", 0)
    number, name = (key, "") if isinstance(key, int) else (0, str(key))
    return number, edge["source"], edge["target"], name


def _about(trace: Trace) -> dict[str, Any]:
    """What every graph of a trace says of it."""
    return {
        "schedule": trace.schedule,
        "seed": trace.seed,
        "clock": trace.clock,
        "scenario": trace.scenario,
        "forgotten": trace.forgotten,
        "left_out": trace.left_out,
        "cut": list(trace.cut),
    }


def _actors(trace: Trace) -> nx.MultiDiGraph[str]:
    found: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        **_about(trace),
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
                "address": " ".join(trace.declared.addresses(port.id)),
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


def _hops(trace: Trace) -> Iterator[dict[str, Any]]:
    """The attributes of each hop, from columns."""
    events, hops = trace.columns, trace.hops
    tables, contents, numbers = events.tables, events.contents, trace.numbers
    around = np.array([*map(sum, events.envelopes.sizes), 0], np.int64)
    size = np.maximum(events.of_content(contents.size), 0) + around[events.envelope]
    told = np.where(hops.sent >= 0, hops.sent, hops.received)
    told = np.where(told >= 0, told, hops.dropped)
    sent_at, received_at = (
        [
            at if n >= 0 else None
            for n, at in zip(end.tolist(), events.at[end].tolist(), strict=True)
        ]
        for end in (hops.sent, hops.received)
    )
    # What was given up was so at one of its two ends.
    gives_up = np.where(hops.dropped >= 0, events.actor[hops.dropped], -1)
    at_source = np.where((hops.sent < 0) & (gives_up == hops.source), hops.dropped, hops.sent)
    at_target = np.where(
        (hops.received < 0) & (gives_up == hops.target), hops.dropped, hops.received
    )
    ports = [*tables.ports, ""]
    source_port, target_port = (
        np.where(end >= 0, events.port[end], -1).tolist() for end in (at_source, at_target)
    )
    for kind, message, sent, received, lost, gone, stage, function, bytes_, source, target in zip(
        hops.kind.tolist(),
        hops.message.tolist(),
        sent_at,
        received_at,
        hops.lost.tolist(),
        hops.dropped.tolist(),
        events.of_content(contents.stage)[told].tolist(),
        events.of_content(contents.function)[told].tolist(),
        size[told].tolist(),
        source_port,
        target_port,
        strict=True,
    ):
        id = tables.ids[message]
        yield {
            "kind": KINDS[kind],
            "message": numbers.get(id, ""),
            "message_id": id,
            "sent": sent,
            "received": received,
            "lost": lost,
            "cause": tables.texts[events.text.item(gone)] if gone >= 0 else "",
            "stage": stage,
            "function": tables.texts[function],
            "size": bytes_,
            "source_port": ports[source],
            "target_port": ports[target],
        }


def _kinds(source: Port) -> list[str]:
    echo = ["ready"] if source.socket in ("PUB", "XPUB") and source.sends == "message" else []
    return [source.sends, *echo]
