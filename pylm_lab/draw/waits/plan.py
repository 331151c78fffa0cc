"""Plan: what the wait-for view shows, read from the graph, before anything has a place.

1. Those in the circle stand on a ring. Other blocked actors, and whom they wait for, stand in
   rows, whoever waits above whom it waits for: over the ring who leads into it, the others below.
2. What idle actors wait for is nobody's debt: it is no arrow. Who is idle, and blocks nobody, is
   only named.
3. Several who wait alike, or are waited for alike, are one card.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Card", "Edge", "Plan", "plan"]

#: This many or more that wait alike are one card.
MANY = 4
#: The ids of two cards: who waits, and for whom.
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An actor, or several alike; `id` is that of the first of `names`.

    `state` is `stuck` (blocked), `idle`, or `away` (it does not wait itself); `what` leaves out the
    actor's own name; `lasting` is the longest, in `unit`.
    """

    id: str
    names: tuple[str, ...]
    state: Literal["stuck", "idle", "away"]
    what: str
    lasting: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is shown: `ring` and the rows are ids of `cards`, `idle` those of actors.

    `edges` are those that are not of the ring.
    """

    cards: Mapping[str, Card]
    ring: tuple[str, ...]
    above: tuple[tuple[str, ...], ...]
    below: tuple[tuple[str, ...], ...]
    edges: tuple[Edge, ...]
    idle: tuple[str, ...]


def plan(graph: nx.MultiDiGraph[str]) -> Plan:
    """What of a wait-for graph (see `pylm_lab.graph.waits`) is shown, and in which rows."""
    nodes = graph.nodes
    stuck = [actor for actor in nodes if nodes[actor]["waits"] and not nodes[actor]["idle"]]
    debts = [(a, b) for a, b in graph.edges() if a in set(stuck)]
    ring = tuple(graph.graph["cycle"])
    circle = set(zip(ring, (*ring[1:], *ring[:1]), strict=True))
    free = [edge for edge in debts if edge not in circle]
    shown = sorted({*stuck, *(b for _, b in debts)})
    single = {actor: _card(graph, actor) for actor in shown}
    cards, member = _grouped(single, free, set(ring))
    edges = tuple(sorted({(member[a], member[b]) for a, b in free}))
    above, below = _rows([card for card in cards if card not in ring], ring, edges)
    idle = (actor for actor in nodes if nodes[actor]["idle"] and actor not in single)
    return Plan(cards=cards, ring=ring, above=above, below=below, edges=edges, idle=_counted(idle))


def _counted(names: Iterable[str]) -> tuple[str, ...]:
    """The names in the order of the numbers in them: `worker2` before `worker10`."""

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdigit() else (0, p) for p in re.split("([0-9]+)", name)]

    return tuple(sorted(names, key=lambda name: (key(name), name)))


def _card(graph: nx.MultiDiGraph[str], actor: str) -> Card:
    node = graph.nodes[actor]
    what: str = node["what"]
    for port in node["ports"]:
        what = what.replace(port, port.removeprefix(f"{actor}:"))
    return Card(
        id=actor,
        names=(actor,),
        state="away" if not node["waits"] else "idle" if node["idle"] else "stuck",
        what=what,
        lasting=node["lasting"],
        unit=node["unit"],
    )


def _grouped(
    single: Mapping[str, Card], edges: Iterable[Edge], ring: set[str]
) -> tuple[dict[str, Card], dict[str, str]]:
    """The cards by id, and the card that each actor is on."""
    waits_on: dict[str, set[str]] = defaultdict(set)
    awaited_by: dict[str, set[str]] = defaultdict(set)
    for a, b in edges:
        waits_on[a].add(b)
        awaited_by[b].add(a)
    alike: dict[object, list[str]] = defaultdict(list)
    for actor, card in single.items():
        if actor not in ring:
            look = (card.state, card.what, card.unit)
            alike[look, tuple(sorted(waits_on[actor])), tuple(sorted(awaited_by[actor]))] += [actor]
    member = {actor: actor for actor in single}
    cards = dict(single)
    for names in map(_counted, alike.values()):
        if len(names) >= MANY:
            first = single[names[0]]
            for name in names:
                member[name] = first.id
                del cards[name]
            cards[first.id] = Card(
                id=first.id,
                names=names,
                state=first.state,
                what=first.what,
                lasting=max(single[name].lasting for name in names),
                unit=first.unit,
            )
    return {id: cards[id] for id in sorted(cards)}, member


def _rows(
    outside: list[str], ring: tuple[str, ...], edges: tuple[Edge, ...]
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The rows above and below the ring, each from top to bottom, sorted."""
    to_ring = _distances(ring, edges)
    leads = [card for card in outside if card in to_ring]
    others = [card for card in outside if card not in to_ring]
    waits = {a for a, _ in edges}
    to_end = _distances([card for card in others if card not in waits], edges)
    while rest := [card for card in others if card not in to_end]:
        # They wait for each other in a circle of their own: one of them has to be lowest.
        to_end = {**_distances(rest[:1], edges), **to_end}
    return _by_distance(leads, to_ring), _by_distance(others, to_end)


def _distances(ends: Iterable[str], edges: Iterable[Edge]) -> dict[str, int]:
    """How many waits lead from each card to the nearest of the ends."""
    waiters: dict[str, list[str]] = defaultdict(list)
    for a, b in edges:
        waiters[b].append(a)
    found = dict.fromkeys(ends, 0)
    todo = list(found)
    for card in todo:
        for other in waiters[card]:
            if other not in found:
                found[other] = found[card] + 1
                todo.append(other)
    return found


def _by_distance(cards: Iterable[str], distance: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    rows: dict[int, list[str]] = defaultdict(list)
    for card in cards:
        rows[distance[card]].append(card)
    return tuple(tuple(sorted(rows[d])) for d in sorted(rows, reverse=True))
