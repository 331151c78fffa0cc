"""The invariants that come with the lab, in the order in which they are asked.

1. Causes come before what follows from them: what was lost, who failed, who waited in vain, and
   only then which answers are missing. What one has named, a later one does not name again.
2. Where the other end of a link was not recorded, nothing is claimed about it.
3. A sentence names the messages, the link and, where the record holds it, the cause. Several
   messages with one fate are one finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from pylm_lab.trace.records import Link
from pylm_lab.trace.rules.answers import answers
from pylm_lab.trace.rules.conservation import conservation
from pylm_lab.trace.rules.facts import Case, Numbers
from pylm_lab.trace.rules.finding import Found, own
from pylm_lab.trace.rules.stages import stages
from pylm_lab.trace.rules.waiting import waiting
from pylm_lab.trace.rules.words import They, name
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import Flags

__all__ = ["LAB", "bypass", "declared", "failures", "order"]

#: Ports that may have a connection for each request, of which none waits for another.
_SEVERAL = ("HTTP", "REQ")


@own("failures")
def failures(case: Case) -> Found:
    """No actor's loop ends with an error."""
    came = case.hops.received
    for n, event in case.events.those("fail"):
        actor = case.events.actor.item(n)
        before = np.flatnonzero((case.hops.target == actor) & (came >= 0) & (came < n))
        last = before[[np.argmax(came[before])]].tolist() if len(before) else []
        kept = [hop for hop in last if _stayed(case, hop)]
        stayed = f"; {They.on(case.trace, kept).lower()} stayed with it" if kept else ""
        error = excerpt(event.text, 120).rstrip(".")
        yield f"{name(case.trace, event.actor)} failed: {error}{stayed}.", last


def _stayed(case: Case, n: int) -> bool:
    """Whoever received the message sent neither it nor anything made of it."""
    hops, events = case.hops, case.events
    message, received = hops.message.item(n), hops.received.item(n)
    if not message or not hops.are("message")[n]:
        return False
    later = events.are("send") & (events.actor == hops.target[n])
    later[: received + 1] = False
    sent = events.content[np.flatnonzero(later & (events.content >= 0))]
    made = events.contents.message[sent], events.contents.parent[sent]
    return not any((column == message).any() for column in made)


@own("order")
def order(case: Case) -> Found:
    """What goes over a link is received in the order in which it was sent."""
    hops, events = case.hops, case.events
    several = case.ports_that(lambda port: port.socket in _SEVERAL)
    both: Flags = hops.are("message") & (hops.sent >= 0) & (hops.received >= 0)
    both &= ~case.of_port(hops.sent, several) & ~case.of_port(hops.received, several)
    chosen = np.flatnonzero(both)
    if not len(chosen):
        return
    source, target = events.port[hops.sent[chosen]], events.port[hops.received[chosen]]
    plain = ~_copies(case, chosen, source, target)
    chosen, source, target = chosen[plain], source[plain], target[plain]
    links = source.astype(np.int64) * (len(case.ports) + 1) + target
    by_link = np.argsort(links, kind="stable")
    chosen, links = chosen[by_link], links[by_link]
    number = np.cumsum(np.append(False, links[1:] != links[:-1]))
    received = hops.received[chosen] + number * np.int64(len(events) + 1)
    latest = np.maximum.accumulate(received)
    overtaken: dict[Link, list[tuple[int, int]]] = defaultdict(list)
    late = np.flatnonzero(received < latest)
    before = np.searchsorted(latest, latest[late])
    swaps = zip(chosen[before].tolist(), case.at(chosen[late]), strict=True)
    for first, (n, hop) in sorted(swaps, key=lambda swap: swap[1][0]):
        overtaken[hop.link].append((first, n))
    for (sender, receiver), swapped in overtaken.items():
        first, n = swapped[0]
        slow, fast = They.on(case.trace, [first]), They.on(case.trace, [n])
        rest = f"; {len(swapped) - 1} more came out of order there" if len(swapped) > 1 else ""
        yield (
            f"{fast} overtook {slow.lower()} between {name(case.trace, sender)} and"
            f" {name(case.trace, receiver)}{rest}.",
            sorted({position for swap in swapped for position in swap}),
        )


def _copies(case: Case, chosen: Numbers, source: Numbers, target: Numbers) -> Flags:
    """Which of these hops are of messages that look alike, and came to one port from several.

    Nobody knows which of them came from where. Within a server the part is told with each.
    """
    message, found = case.hops.message[chosen], np.zeros(len(chosen), np.bool_)
    outer = case.of_port(case.hops.received[chosen], case.ports_that(lambda port: port.outer))
    came = target.astype(np.int64) * len(case.events.ids) + message
    _, which, count = np.unique(came, return_inverse=True, return_counts=True)
    several = np.flatnonzero(outer & (message > 0) & (count[which.reshape(-1)] > 1))
    clock = case.events.of_content(case.events.contents.clock)
    alike = list(
        zip(
            came[several].tolist(),
            clock[case.hops.received[chosen[several]]].tolist(),
            strict=True,
        )
    )
    ports: dict[tuple[int, int], set[int]] = defaultdict(set)
    for one, port in zip(alike, source[several].tolist(), strict=True):
        ports[one].add(port)
    found[several] = [len(ports[one]) > 1 for one in alike]
    return found


@own("bypass")
def bypass(case: Case) -> Found:
    """A bypass part has no wire to the router."""

    def part(link: Link) -> str:
        ends = {case.role(end): end for end in link if end}
        return ends["bypass"] if ends.keys() == {"bypass", "router"} else ""

    wired: dict[str, list[int]] = {}
    for wire in case.trace.declared.wires():
        if bypass := part((wire.source.actor, wire.target.actor)):
            wired.setdefault(bypass, [])
    for link, hops in _on_links(case):
        if bypass := part(link):
            wired.setdefault(bypass, []).extend(hops().tolist())
    for bypass, found in wired.items():
        sentence = f"{name(case.trace, bypass)} is a bypass part, but it has a wire to the router."
        yield sentence, sorted(found)


@own("declared links")
def declared(case: Case) -> Found:
    """No hop goes where no link was declared."""
    wires = case.trace.declared.wires()
    known = {(wire.source.actor, wire.target.actor) for wire in wires}
    for (source, target), hops in _on_links(case):
        if source and target and (source, target) not in known:
            found = hops().tolist()
            yield (
                f"{They.on(case.trace, found)} went from {name(case.trace, source)} to"
                f" {name(case.trace, target)}, but no link was declared between them.",
                found,
            )


def _on_links(case: Case) -> Iterator[tuple[Link, Callable[[], Numbers]]]:
    """The links that hops crossed, as they first did, each with a way to find these hops."""
    width = len(case.actors) + 1
    keys = (case.hops.source.astype(np.int64) + 1) * width + case.hops.target + 1
    names = ["", *case.actors]
    found, first = np.unique(keys, return_index=True)
    for key in found[np.argsort(first)].tolist():
        yield (names[key // width], names[key % width]), partial(_equal, keys, key)


def _equal(keys: Numbers, key: int) -> Numbers:
    return np.flatnonzero(keys == key)


#: All of them.
LAB = (conservation, failures, waiting, answers, order, stages, bypass, declared)
