"""What the wait-for view says in words: title, subtitle and alt text, read from the graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.router.caption import join, many, number
from pylm_lab.waits import lasting

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["alt", "subtitle", "title"]

#: Characters of a name or a wish that a heading and the alt text give.
_SHORT, _LONG = 40, 200


def title(graph: nx.MultiDiGraph[str]) -> str:
    """What to look at."""
    cycle, ends = graph.graph["cycle"], _ends(graph)
    if len(cycle) == 1:
        return f"Round and round: {clean(cycle[0], _SHORT)} waits for itself"
    if cycle:
        return f"Round and round: {number(len(cycle))} wait for each other"
    if len(ends) == 1:
        return f"No circle: the waiting ends at {clean(ends[0], _SHORT)}"
    if ends:
        return f"No circle: the waiting ends at {number(len(ends))} actors"
    return "Nobody is owed anything" if len(graph) else "Nobody waits"


def subtitle(graph: nx.MultiDiGraph[str]) -> str:
    """Where to begin, and what it comes to."""
    cycle, ends = graph.graph["cycle"], _ends(graph)
    if cycle:
        return _follow(graph, len(cycle))
    if len(ends) == 1:
        return f"{_end(graph, ends[0], _SHORT)}."
    if any(graph.nodes[end]["idle"] for end in ends):
        what = "something was lost, never answered, or never sent"
        return f"Where the arrows end at somebody idle, {what}."
    if ends:
        return "Follow the arrows down to those who could end the waiting."
    return "All wait for their next piece of work." if len(graph) else "Nothing is stuck."


def _follow(graph: nx.MultiDiGraph[str], n: int) -> str:
    """How to look at a circle of n."""
    if n == 1:
        follow, comes_to = "Follow the thick arrow", "nobody else can end that"
    elif n == 2:
        follow, comes_to = "Follow the thick arrows, 1 and 2", "neither moves before the other"
    else:
        follow = f"Follow the thick arrows from 1 to {n}"
        comes_to = "each waits for the next, so none can move"
    if any(graph.out_degree(actor) > 1 for actor in graph.graph["cycle"]):
        return f"{follow}. Thin ones out of the circle lead to who else could end a wait in it."
    return f"{follow}: {comes_to}."


def alt(graph: nx.MultiDiGraph[str]) -> str:
    """The picture for those who can't see it."""
    nodes, cycle = graph.nodes, graph.graph["cycle"]
    if not len(graph):
        return "Nobody waits."
    told = []
    if len(cycle) == 1:
        told.append(f"Round and round: {_name(cycle[0])} waits for itself.")
    elif cycle:
        around = [_name(actor) for actor in (*cycle, cycle[0])]
        steps = [f"{a} waits for {b}" for a, b in pairwise(around)]
        told.append(f"Round and round: {', '.join(steps)}.")
    stuck = [actor for actor in nodes if nodes[actor]["waits"] and not nodes[actor]["idle"]]
    for actor in stuck:
        node = nodes[actor]
        whom = ["itself" if other == actor else _name(other) for other in graph.successors(actor)]
        source = f" It is up to {_join_or(whom)}." if whom else " No other actor can end that."
        for_how_long = lasting(node["lasting"], node["unit"])
        told.append(f"{_name(actor)} waits for {_what(node['what'])}, for {for_how_long}.{source}")
    if not cycle:
        told += [f"{_end(graph, end, _LONG)}." for end in _ends(graph) if end not in stuck]
    if not stuck:
        told.append("Nobody is owed anything.")
    if idle := [_name(actor) for actor in nodes if nodes[actor]["idle"]]:
        told.append(f"{many(len(idle), 'idle actor').capitalize()}: {join(idle)}.")
    return " ".join(told)


def _ends(graph: nx.MultiDiGraph[str]) -> list[str]:
    """Where the waiting ends: who is waited for and not blocked, or blocked by nobody known."""
    nodes = graph.nodes
    stuck = {actor for actor in nodes if nodes[actor]["waits"] and not nodes[actor]["idle"]}
    owing = {other for actor in stuck for other in graph.successors(actor)}
    alone = {actor for actor in stuck if not graph.out_degree(actor)}
    return sorted((owing - stuck) | alone)


def _end(graph: nx.MultiDiGraph[str], actor: str, limit: int) -> str:
    node, name = graph.nodes[actor], clean(actor, limit)
    if not node["waits"]:
        return f"{name} does not wait: it is at work, or it has ended"
    if node["idle"]:
        return f"{name} is idle, so something was lost on the way, never answered, or never sent"
    return f"{name} waits for {clean(node['what'], limit)}, and no other actor can end that"


def _name(actor: str) -> str:
    return clean(actor, _LONG)


def _what(what: str) -> str:
    return clean(what, _LONG)


def _join_or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
