"""Conservation: nothing is lost in silence, and nothing comes from nowhere.

1. What is still on its way is no loss. When those have ended who could have received it, it is.
2. What was given up for a cause that is named is no loss of the link, unless a fault is the cause:
   whoever plants a fault wants to see it found.
3. Where the other end of a link was not recorded, or its record ends early, nothing is claimed
   about it. Of a record that has forgotten events only what faults did can be told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from pylm_lab.hook import Kind
from pylm_lab.trace.records import Hop
from pylm_lab.trace.rules.facts import Case, Numbers
from pylm_lab.trace.rules.finding import Found, own
from pylm_lab.trace.rules.strangers import Strangers
from pylm_lab.trace.rules.words import They, name, one_of
from pylm_lab.trace.tables import Flags

__all__ = ["conservation"]

#: What was lost to one fault: of what kind, from whom, to whom, and the fault in words.
_Loss = tuple[Kind, str, tuple[str, ...], str]


@own("conservation")
def conservation(case: Case) -> Found:
    """Sent = received + in flight + dropped for a named cause, and nothing comes from nowhere."""
    hops = case.hops
    came, given_up, went = hops.received >= 0, hops.dropped >= 0, hops.sent >= 0
    doubled: Flags = came & np.isin(hops.received, list(case.trace.faults.doubled))
    messages = hops.are("message") & ~given_up
    unsent: Flags = messages & came & ~went & ~doubled
    unreceived: Flags = messages & ~came
    if case.is_part:
        unsent[:] = unreceived[:] = False
    else:
        unsent &= _has_sender(case, unsent)
        strangers = Strangers.of(case, unsent, unreceived)
        unsent &= ~strangers.came
        unreceived &= _has_receiver(case, unreceived) & ~strangers.went
    faulty: dict[_Loss, list[int]] = defaultdict(list)
    lost: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for n, hop, ends in _losses(case, unreceived):
        why = case.blame.of(hop, ends) if case.blame.any else ""
        if why:
            faulty[hop.kind, hop.source, ends, why].append(n)
        elif hop.dropped is None:
            lost[hop.source, ends].append(n)
    yield from _faulty(case, faulty)
    yield from _doubled(case, np.flatnonzero(doubled))
    for (source, ends), found in lost.items():
        they, sender = They.on(case.trace, found), name(case.trace, source)
        yield (
            f"{they} {they.were} sent by {sender} and never received: {they.they} {they.are} lost"
            f" between {sender} and {one_of(case.trace, ends)}.",
            found,
        )
    nowhere: dict[int, list[int]] = defaultdict(list)
    for n in np.flatnonzero(unsent).tolist():
        nowhere[hops.target.item(n)].append(n)
    for target, found in nowhere.items():
        they = They.on(case.trace, found)
        yield (
            f"{they} {they.were} received by {name(case.trace, case.actors[target])}, but nobody"
            f" has sent {they.them} there.",
            found,
        )


def _losses(case: Case, unreceived: Flags) -> list[tuple[int, Hop, tuple[str, ...]]]:
    """What may be lost: where it is, and who could have received it."""
    may_be = unreceived | case.hops.lost if case.blame.any else unreceived
    found: list[tuple[int, Hop, tuple[str, ...]]] = []
    for n, hop in case.at(np.flatnonzero(may_be)):
        if hop.dropped is not None:
            if not case.is_part or hop.dropped in case.trace.faults.dropped:
                found.append((n, hop, (hop.target,)))
        elif not _left_unread(case, hop):
            found.append((n, hop, case.receivers(hop)))
    return found


def _left_unread(case: Case, hop: Hop) -> bool:
    """Its subscriber wanted no more of its topic before it came to it."""
    left = case.left.get(hop.target)
    if not left or hop.sent is None:
        return False
    topic = case.topic(hop.sent)
    return any(n > hop.sent and topic.startswith(gone) for n, gone in left)


def _has_receiver(case: Case, hops: Flags) -> Flags:
    """Of these, which somebody in the record could have received, who will receive no more."""
    found = np.zeros(len(hops), np.bool_)
    chosen = np.flatnonzero(hops)
    if not len(chosen):
        return found
    ports = case.events.port[case.hops.sent[chosen]].astype(np.int64)
    width = len(case.actors) + 1
    _, first, which = np.unique(
        ports * width + case.hops.target[chosen] + 1, return_index=True, return_inverse=True
    )
    judged = []
    for n in chosen[first].tolist():
        ends = case.receivers(case.hop(n))
        judged.append(bool(ends) and case.over.issuperset(ends))
    found[chosen] = np.array(judged, np.bool_)[which.reshape(-1)]
    return found


def _has_sender(case: Case, hops: Flags) -> Flags:
    """Of these, which could only come from somebody whose record is whole."""

    def judged(port: int) -> bool:
        at = case.ports[port]
        if at is None:
            return False
        peers = case.trace.declared.peers(at.id)
        senders = {peer.actor for peer in peers if peer.sends == at.receives}
        return bool(senders) and senders.isdisjoint(case.cut)

    found = np.zeros(len(hops), np.bool_)
    chosen = np.flatnonzero(hops)
    ports = case.events.port[case.hops.received[chosen]]
    known = np.array([*map(judged, range(len(case.ports))), False], np.bool_)
    found[chosen] = known[ports]
    return found


def _faulty(case: Case, lost: dict[_Loss, list[int]]) -> Found:
    """What was lost to a fault, that is, for each fault and link."""
    for (_, source, ends, why), hops in lost.items():
        they, to = They.on(case.trace, hops), one_of(case.trace, ends)
        where = f"between {name(case.trace, source)} and {to}" if source else f"on the way to {to}"
        yield f"{they} {they.are} lost {where}: {why}.", hops


def _doubled(case: Case, positions: Numbers) -> Found:
    """What a fault has let be received more than once."""
    hops = list(case.at(positions))
    times = Counter((hop.link, hop.message) for _, hop in hops)
    found: dict[tuple[Kind, str, str, str, int], list[tuple[int, str]]] = defaultdict(list)
    for n, hop in hops:
        assert hop.received is not None
        why = case.blame.why(case.trace.faults.doubled[hop.received])
        many = times[hop.link, hop.message] if hop.message else 1
        found[hop.kind, hop.source, hop.target, why, many].append((n, hop.message))
    for (kind, source, target, why, many), same in found.items():
        messages: Sequence[str] = [message for _, message in same]
        they = They(case.trace, dict.fromkeys(messages) if messages[0] else messages, kind)
        often = "twice" if many == 1 else f"{many + 1} times"
        though = f", though {name(case.trace, source)} sent {they.them} once" if source else ""
        yield (
            f"{they} reached {name(case.trace, target)} {often}{though}: {why}.",
            [n for n, _ in same],
        )
