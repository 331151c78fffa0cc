"""Tally: how many messages crossed the wires and rows of a survey, and what was lost.

1. Counts are of messages, and of requests where a link carries nothing else; acknowledgements,
   echoes and answers are not messages.
2. Lost is what was given up, and what nobody received before those who could have ended. What may
   still arrive is on its way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from pylm_lab.draw.router.survey import Peer, Survey, Wire
from pylm_lab.trace import Hop, Trace

__all__ = ["count"]


def count(trace: Trace, found: Survey) -> None:
    """Count what crossed wires and rows, and what was lost."""
    events = trace.columns
    # Looked up for each hop: an Event for each would take longer than all else.
    ports = [*events.tables.ports, ""]
    at = [ports[n] for n in events.port.tolist()]
    own = {part.id for part in found.parts}
    by_ends = {(wire.port.id, wire.other.id): wire for wire in found.wires}
    by_port: dict[str, list[Wire]] = defaultdict(list)
    for each in found.wires:
        by_port[each.port.id].append(each)
        by_port[each.other.id].append(each)
    stopped = {event.actor for _, event in events.those("stop", "fail")}
    unrecorded = _count_unrecorded(trace, found)
    came_from: dict[str, str] = {}
    for hop in trace.hops:
        if hop.received in trace.faults.doubled:
            # Nothing more has crossed the wire: its receiver got once more what had.
            for each in by_port[at[hop.received or 0]]:
                ends = each.part, each.other.actor
                each.doubled += hop.kind == "message" and hop.source in ends
            continue
        if hop.kind == "answer" and hop.sent is not None and hop.received is not None:
            start, end = at[hop.sent], at[hop.received]
            asked = by_ends.get((start, end)) or by_ends.get((end, start))
            if asked is not None:
                asked.answers += 1
        if hop.kind not in ("message", "request"):
            continue
        gone = _gone(hop, stopped, known=not found.cut and _has_receiver(trace, hop))
        if found.router in hop.link:
            if gone:
                found.losses[hop.link] = found.losses.get(hop.link, 0) + 1
            _count_row(found, hop, gone, came_from)
            continue
        if at[hop.begins] in unrecorded:
            continue
        start = "" if hop.sent is None else at[hop.sent]
        end = "" if hop.received is None else at[hop.received]
        if hop.sent is None and hop.received is None and hop.dropped is not None:
            start = at[hop.dropped]
        wire = by_ends.get((start, end)) or by_ends.get((end, start))
        wires = [] if wire or end else [each for each in by_port[start] if each.carries(start)]
        if hop.target:
            wires = [w for w in wires if hop.target in (w.part, w.other.actor)]
        if len(wires) == 1:
            wire = wires[0]
        link = hop.link
        if wire is not None:
            back = wire.is_answer((start, end))
            wire.count += not back
            wire.answers += back and not gone and bool(end)
            wire.lost += gone
            wire.waiting += not gone and not end
            # Where the sender is known, its only receiver is too.
            link = (wire.part, wire.peer) if hop.source == wire.part else (wire.peer, wire.part)
        elif wires:
            away, lost = found.astray.get(start, (0, 0))
            found.astray[start] = away + 1, lost + gone
        if gone and (wire is not None or wires or hop.source in own):
            found.losses[link] = found.losses.get(link, 0) + 1
    found.peers = tuple(
        Peer(id=p.id, label=p.label, role=p.role, actors=p.actors, count=_peer_count(found, p.id))
        for p in found.peers
    )


def _count_unrecorded(trace: Trace, found: Survey) -> Collection[str]:
    """Count what crossed wires whose other end is not in the record; returns their ports' ids."""
    unknown = {peer.id for peer in found.peers if not peer.actors}
    wires = {wire.port.id: wire for wire in found.wires if wire.peer in unknown}
    for _, event in trace.columns.those("send", "receive", "drop") if wires else ():
        wire = wires.get(event.port)
        if wire is None or not event.kind:
            continue
        if event.what == "drop":
            if event.kind == wire.port.sends:
                wire.lost += 1
                link = wire.part, wire.peer
                found.losses[link] = found.losses.get(link, 0) + 1
        elif (event.what == "receive") is wire.asked:
            wire.count += 1
        else:
            wire.answers += 1
    return wires


def _gone(hop: Hop, stopped: set[str], *, known: bool) -> bool:
    """Nobody has it and nobody will: it was given up, or those who could take it have ended.

    Where not all is `known`, since a record ends early, or nobody who could have received it was
    recorded, somebody may have it whom nobody names.
    """
    if hop.received is not None:
        return False
    if hop.dropped is not None:
        return True
    return hop.source in stopped and (hop.target in stopped if hop.target else known)


def _has_receiver(trace: Trace, hop: Hop) -> bool:
    """The record shows somebody who could have received it."""
    if hop.target or hop.sent is None:
        return True
    peers = trace.declared.peers(trace.events[hop.sent].port)
    return any(peer.receives == hop.kind for peer in peers)


def _count_row(found: Survey, hop: Hop, gone: bool, came_from: dict[str, str]) -> None:
    """Count a hop to or from the router for the row that it belongs to."""
    if hop.target == found.router:
        came_from[hop.message] = hop.source
        rows = [row for row in found.rows if row.source == hop.source]
        if rows:
            rows[0].lost += gone
        else:
            found.ended[hop.source] = found.ended.get(hop.source, 0) + 1
        return
    rows = [row for row in found.rows if row.target == hop.target]
    if rows:
        source = came_from.get(hop.message)
        chosen = [row for row in rows if row.source == source]
        # Feedback that is sent on has no id by which to know where it came from.
        chosen = chosen or [row for row in rows if row.feedback == "on"] or rows
        chosen[0].count += 1
        chosen[0].lost += gone


def _peer_count(found: Survey, peer: str) -> int:
    """See `Peer`."""
    bypass = {part.id for part in found.parts if part.side == "bypass"}
    wires = [wire for wire in found.wires if wire.peer == peer and not wire.inner]
    main = [wire for wire in wires if wire.part not in bypass]
    for flow in ("out", "in"):
        chosen = [wire for wire in main if wire.flow == flow]
        if chosen:
            arrived = sum(w.count - w.lost - w.waiting + w.doubled for w in chosen)
            return arrived if flow == "out" else sum(wire.count for wire in chosen)
    return sum(wire.count for wire in main or wires)
