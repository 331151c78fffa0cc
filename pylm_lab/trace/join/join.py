"""Join: the traces of several processes as one.

1. Each trace is believed for what its own actors did, and in which order.
2. No clock is believed by another: how far two are apart is worked out of the messages that went
   between them (`distances`). What is received under an id was sent under it before, whoever was in
   between (`beyond`).
3. Nothing is made up: where somebody was not recorded, a send has nobody who received it, and a
   receive nobody who sent it. `missing` says so in sentences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Actor, Port
from pylm_lab.trace.builder import columns_of
from pylm_lab.trace.columns import Events
from pylm_lab.trace.hops.declared import Declared
from pylm_lab.trace.hops.match import Matching
from pylm_lab.trace.hops.order import in_order
from pylm_lab.trace.join.beyond import beyond
from pylm_lab.trace.join.distances import distances
from pylm_lab.trace.join.naming import Names, Twin, names, twins
from pylm_lab.trace.join.stack import stacked
from pylm_lab.trace.tables import Positions
from pylm_lab.trace.trace import Trace

__all__ = ["Joined", "join"]

_Numbers = npt.NDArray[np.int64]
#: What is spoken where no port has a number.
_NO_NUMBER = ("inproc", "ipc", "")


class Joined(NamedTuple):
    """One trace out of several.

    `groups` are positions of the traces that were given: those which exchanged messages, directly
    or by others, are together.
    """

    trace: Trace
    groups: list[list[int]]


def join(traces: Iterable[Trace]) -> Joined:
    """The traces of several processes as one, in one causal order.

    What two of them call alike is renamed in the second (`client#2`), unless both tell of the same
    process; a trace that is there twice counts once. Times count from the first event of all, as
    far as the messages tell how the clocks of the processes stand to each other; those that never
    exchanged any begin together. A controlled run counts steps: beside others a step counts as a
    nanosecond. What all traces say of themselves alike, such as `seed`, the new one says too; their
    decisions it does not have, since it can't be run again.

    Raises:
        TypeError: something else than a trace is given.
    """
    given = list(traces)
    for one in given:
        if not isinstance(one, Trace):
            raise TypeError(
                f"traces can be joined, not {one!r:.80}: Trace.load reads one from a file"
            )
    places = [given.index(trace) for trace in given]
    whole = [trace for n, trace in enumerate(given) if places[n] == n]
    if len(whole) < 2:
        return Joined(whole[0] if whole else Trace(), [list(range(len(given)))] if given else [])
    trace, groups = _join(whole)
    position = {n: k for k, n in enumerate(dict.fromkeys(places))}
    return Joined(
        trace,
        [[n for n, place in enumerate(places) if position[place] in group] for group in groups],
    )


def _join(traces: Sequence[Trace]) -> tuple[Trace, list[list[int]]]:
    same = twins(traces)
    named = names(traces, same)
    pairs = list(zip(traces, named, strict=True))
    actors = list({a.id: a for trace, own in pairs for a in map(own.actor, trace.actors)}.values())
    ports = list({p.id: p for trace, own in pairs for p in map(own.port, trace.ports)}.values())
    routes = {
        (route.server, route.number): route
        for trace, own in pairs
        for route in map(own.route, trace.routes)
    }
    events, whose = stacked(
        traces, named, same, [actor.id for actor in actors], [port.id for port in ports]
    )
    found = Matching(ports, actors, events)
    spelt = _one_spelling(events, found, whose)
    if spelt is not events:
        events, found = spelt, Matching(ports, actors, spelt)
    came_from = _came_from(found, whose)
    arrivals = np.flatnonzero(came_from >= 0)
    process = np.array([same[n].of if n in same else n for n in range(len(traces))])
    added, groups = distances(
        len(traces), process[whose], events.at, came_from[arrivals].astype(np.int64), arrivals
    )
    events = events.take(np.arange(len(events)), events.at + np.array(added)[process[whose]])
    # Where nothing but the order tells what belongs together, it is the times that tell the order.
    ordered = in_order(events, _came_from(Matching(ports, actors, events), whose))
    trace = Trace(
        actors=_settled(actors, ports, ordered, named),
        ports=tuple(ports),
        routes=tuple(routes.values()),
        events=ordered,
        forgotten=sum(trace.forgotten for trace in traces),
        left_out=sum(trace.left_out for trace in traces),
        cut=tuple(
            dict.fromkeys(own.actors.get(one, one) for trace, own in pairs for one in trace.cut)
        ),
        **_about(traces),
    )
    return trace, _together(groups, same)


def _came_from(found: Matching, whose: _Numbers) -> Positions:
    """The send of each arrival, as far as it is known, also across others."""
    return np.where(found.came_from >= 0, found.came_from, beyond(found, whose))


def _together(groups: list[list[int]], same: dict[int, Twin]) -> list[list[int]]:
    """The groups, each twin being with the trace that it is a twin of."""
    found = [[n for n in group if n not in same] for group in groups]
    for n, twin in same.items():
        next(group for group in found if twin.of in group).append(n)
    return sorted(sorted(group) for group in found if group)


def _one_spelling(events: Events, found: Matching, whose: _Numbers) -> Events:
    """The events, where an address that two hosts call differently is told as who bound it does.

    That it is the same shows where a message that was sent at one came to the other, and both have
    one port number.
    """
    came_from = beyond(found, whose)
    known = found.declared
    new: dict[str, str] = {}
    for n in np.flatnonzero(came_from >= 0).tolist():
        ends = (found.ports[events.port.item(came_from.item(n))], found.ports[events.port.item(n)])
        if {port.binds for port in ends} != {True, False} or ends[0].sends != ends[1].receives:
            continue
        binds, connects = sorted(ends, key=lambda port: not port.binds)
        for bound in known.addresses(binds.id):
            for address in known.addresses(connects.id):
                if address != bound and _number(address) == _number(bound) != "":
                    new[address] = bound
    if not new:
        return events
    changed = [
        replace(event, text=new[event.text])
        if event.text in new and event.what in ("connect", "disconnect")
        else event
        for event in events
    ]
    return columns_of(changed, events.tables.actors, events.tables.ports)


def _number(address: str) -> str:
    """The port of a tcp address, with what is spoken there; empty of any other."""
    spoken, _, place = address.partition("://")
    return "" if spoken in _NO_NUMBER else f"{spoken}:{place.rpartition(':')[2]}"


def _settled(
    actors: Sequence[Actor], ports: Sequence[Port], events: Events, named: Sequence[Names]
) -> tuple[Actor, ...]:
    """The actors, each belonging to the server that it is linked to, of several with one name."""
    called: dict[str, set[str]] = defaultdict(set)
    for own in named:
        for old, new in own.units.items():
            called[old].add(new)
    servers = {actor.id: actor.server for actor in actors}
    declared = Declared(actors, ports, events)
    found = []
    for actor in actors:
        may = called.get(actor.serves, set())
        if len(may) > 1:
            peers = [
                peer for port in ports if port.actor == actor.id for peer in declared.peers(port.id)
            ]
            linked = {servers[peer.actor] for peer in peers} & may
            if len(linked) == 1:
                actor = replace(actor, serves=linked.pop())
        found.append(actor)
    return tuple(found)


def _about(traces: Sequence[Trace]) -> dict[str, Any]:
    """What all say of themselves."""
    plain, first = Trace(), traces[0]
    told = {
        name: getattr(first if all(_same(name, first, t) for t in traces) else plain, name)
        for name in ("schedule", "seed", "clock", "scenario", "options")
    }
    return {**told, "options": dict(told["options"])}


def _same(name: str, one: Trace, other: Trace) -> bool:
    return bool(getattr(one, name) == getattr(other, name))
