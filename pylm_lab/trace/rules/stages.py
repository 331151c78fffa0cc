"""Stages: the stage of a message grows by one where a server hands on to the next step.

1. It is 0 when a client sends it, and whoever receives a message sends it on, or what it made of
   it, at the same stage. Nothing changes it on its way.
2. Only a publisher adds one: where the next step of the pipeline has subscribed. What it publishes
   for a client stays as it is. Where it is not known who receives it, either may be.
3. Only messages with an id are judged: what has none may be anybody's bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.rules.facts import PUBLISHERS, Case, Numbers
from pylm_lab.trace.rules.finding import Found, own
from pylm_lab.trace.rules.words import They, name
from pylm_lab.trace.tables import Flags

__all__ = ["stages"]

_Numbers = npt.NDArray[np.int64]


@own("stages")
def stages(case: Case) -> Found:
    """The stage of a message grows by one at each hand-over to the next step, and nowhere else."""
    stage = case.events.of_content(case.events.contents.stage)
    known = case.hops.are("message") & (case.hops.message > 0)
    yield from _on_the_way(case, stage, known)
    sent: Flags = known & (case.hops.sent >= 0)
    yield from _at_the_client(case, stage, sent)
    yield from _handed_on(case, stage, sent)


def _on_the_way(case: Case, stage: _Numbers, known: Flags) -> Found:
    hops = case.hops
    both = np.flatnonzero(known & (hops.sent >= 0) & (hops.received >= 0))
    before, after = stage[hops.sent[both]], stage[hops.received[both]]
    differ = before != after
    found: dict[tuple[int, int, int, int, str], list[int]] = defaultdict(list)
    for n, was, became in zip(
        both[differ].tolist(), before[differ].tolist(), after[differ].tolist(), strict=True
    ):
        source, target, received = hops.source.item(n), hops.target.item(n), hops.received.item(n)
        message = case.events.ids[hops.message.item(n)]
        why = case.blame.changed(case.actors[target], message, received)
        found[source, target, was, became, why].append(n)
    for (source, target, was, became, why), which in found.items():
        they = They.on(case.trace, which)
        yield (
            f"{they} {they.were} at stage {was} when {name(case.trace, case.actors[source])} sent"
            f" {they.them}, and at stage {became} when {name(case.trace, case.actors[target])}"
            f" received {they.them}: {why or 'nothing may change it on its way'}.",
            which,
        )


def _at_the_client(case: Case, stage: _Numbers, sent: Flags) -> Found:
    hops = case.hops
    clients = case.actors_that(lambda actor: actor.role == "client")
    begins = np.flatnonzero(sent & clients[hops.source])
    begins = begins[stage[hops.sent[begins]] != 0]
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for n, at in zip(begins.tolist(), stage[hops.sent[begins]].tolist(), strict=True):
        found[hops.source.item(n), at].append(n)
    for (source, at), which in found.items():
        they, who = They.on(case.trace, which), name(case.trace, case.actors[source])
        yield f"{who} sent {they.lower()} at stage {at}, but a message begins at stage 0.", which


class _Pass(NamedTuple):
    """What one actor received and sent on: its hop, both stages, and by how much it may grow."""

    hop: int
    actor: int
    message: int
    came: int
    was: int
    became: int
    grows: tuple[int, ...]


def _handed_on(case: Case, stage: _Numbers, sent: Flags) -> Found:
    found: dict[tuple[int, int, int, tuple[int, ...], bool], list[int]] = defaultdict(list)
    for one in _passes(case, stage, sent):
        made = one.came != one.message
        found[one.actor, one.was, one.became, one.grows, made].append(one.hop)
    for (actor, was, became, grows, made), which in found.items():
        they, who = They.on(case.trace, which), name(case.trace, case.actors[actor])
        what = f"made {they.lower()} of it" if made else "sent it on"
        came = "a message" if made else they.lower()
        if not made and len(which) > 1:
            what = "sent them on"
        yield (
            f"{who} received {came} at stage {was}, and {what} at stage {became}: {_rule(grows)}.",
            which,
        )


def _rule(grows: tuple[int, ...]) -> str:
    if grows == (1,):
        return "where it is handed on to the next step, the stage grows by one"
    if grows == (0,):
        return "the stage grows only where a publisher hands on to the next step"
    return "the stage grows by one at most"


def _passes(case: Case, stage: _Numbers, sent: Flags) -> Iterator[_Pass]:
    """Where what was sent on is at another stage than it should be."""
    events, hops = case.events, case.hops
    inside = case.actors_that(lambda actor: actor.role != "client")
    first = np.flatnonzero(sent & inside[hops.source])
    # Of a publication with several subscribers one hop is enough.
    sends, which = np.unique(hops.sent[first], return_index=True)
    first = first[which]
    may_grow, must_grow = _growth(case, sent)
    if not len(sends) or not (stage[sends].any() or must_grow.any()):
        return
    message = events.message
    receives = np.flatnonzero(events.are("receive") & (message > 0))
    width, length = len(events.ids), len(events)

    def keys(actor: Numbers, of: Numbers, position: Numbers) -> _Numbers:
        return (actor.astype(np.int64) * width + of) * length + position

    came = np.sort(keys(events.actor[receives], message[receives], receives))

    def before(of: Numbers) -> _Numbers:
        """The position at which each of `sends` had come to its sender as this message, or -1."""
        if not len(came):
            return np.full(len(sends), -1, np.int64)
        key = keys(events.actor[sends], of, sends)
        at = np.searchsorted(came, key) - 1
        same = (at >= 0) & (came[at] // length == key // length)
        return np.where(same, came[at] % length, -1)

    own = before(message[sends])
    parent = events.of_content(events.contents.parent)[sends]
    origin = np.where((own < 0) & (parent > 0), before(parent), own)
    grown = stage[sends] - stage[origin]
    least, most = must_grow[sends].astype(np.int64), may_grow[sends].astype(np.int64)
    wrong = (origin >= 0) & ((grown < least) | (grown > most))
    for n in np.flatnonzero(wrong).tolist():
        send, start = sends.item(n), origin.item(n)
        grows = tuple(range(least.item(n), most.item(n) + 1))
        # Of a message that came several times nobody knows which one was sent on.
        key = (events.actor.item(send) * width + int(message[start])) * length
        earlier = came[slice(*np.searchsorted(came, [key, key + send]))] % length
        if not np.isin(stage[send] - stage[earlier], grows).any():
            yield _Pass(
                first.item(n),
                events.actor.item(send),
                int(message[send]),
                int(message[start]),
                int(stage[start]),
                int(stage[send]),
                grows,
            )


def _growth(case: Case, sent: Flags) -> tuple[Flags, Flags]:
    """Of each event, whether the stage of what it sends may grow by one, and whether it must."""
    events, hops = case.events, case.hops
    publishers = case.ports_that(lambda port: port.socket in PUBLISHERS)
    may = np.zeros(len(events), np.bool_)
    must = np.zeros(len(events), np.bool_)
    published = np.flatnonzero(sent & case.of_port(hops.sent, publishers))
    if not len(published):
        return may, must
    may[hops.sent[published]] = True
    clients = case.actors_that(lambda actor: actor.role == "client")
    parts = case.actors_that(lambda actor: actor.role == "inbound")
    to_client = published[clients[hops.target[published]]]
    to_part = published[parts[hops.target[published]]]
    must[hops.sent[to_part]] = True
    # A message with one function has no next step; it is only led elsewhere.
    steps = np.array([" " in text.strip() for text in events.texts], np.bool_)
    function = events.of_content(events.contents.function)
    must &= steps[function]
    for_both = np.zeros(len(events), np.bool_)
    for_both[hops.sent[to_client]] = True
    may &= ~for_both | must
    must &= ~for_both
    return may, must
