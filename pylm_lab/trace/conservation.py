"""Conservation: nothing is lost in silence, and nothing comes from nowhere.

1. What is still on its way is no loss. When those have ended who could have received it, it is.
2. What was given up for a cause that is named is no loss of the link, unless a fault is the cause:
   whoever plants a fault wants to see it found.
3. Where the other end of a link was not recorded, nothing is claimed about it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pylm_lab.hook import Kind
from pylm_lab.trace.facts import (
    Blame,
    ended,
    has_sender,
    left_unread,
    receivers,
    unsubscribed,
)
from pylm_lab.trace.finding import invariant
from pylm_lab.trace.words import They, name, one_of

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

_Found = Iterator[tuple[str, Sequence[int]]]
__all__: list[str] = []

#: What was lost to one fault: of what kind, from whom, to whom, and the fault in words.
_Loss = tuple[Kind, str, tuple[str, ...], str]


@invariant("conservation")
def _conservation(trace: Trace) -> _Found:
    """Sent = received + in flight + dropped for a named cause, and nothing comes from nowhere."""
    over = ended(trace)
    left = unsubscribed(trace)
    blame = Blame(trace)
    faulty: dict[_Loss, list[int]] = defaultdict(list)
    lost: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    unsent: dict[str, list[int]] = defaultdict(list)
    doubled: list[int] = []
    for n, hop in enumerate(trace.hops):
        if hop.received in trace.faults.doubled:
            doubled.append(n)
        elif hop.lost:
            why = blame.of(hop)
            if why:
                faulty[hop.kind, hop.source, (hop.target,), why].append(n)
        elif hop.kind != "message" or hop.dropped is not None:
            continue
        elif hop.received is None:
            ends = receivers(trace, hop)
            if ends and over.issuperset(ends) and not left_unread(trace, hop, left):
                why = blame.of(hop, ends)
                if why:
                    faulty[hop.kind, hop.source, ends, why].append(n)
                else:
                    lost[hop.source, ends].append(n)
        elif hop.sent is None and has_sender(trace, hop):
            unsent[hop.target].append(n)
    yield from _faulty(trace, faulty)
    yield from _doubled(trace, doubled)
    for (source, ends), hops in lost.items():
        they, sender = They.on(trace, hops), name(trace, source)
        yield (
            f"{they} {they.were} sent by {sender} and never received: {they.they} {they.are} lost"
            f" between {sender} and {one_of(trace, ends)}.",
            hops,
        )
    for target, hops in unsent.items():
        they = They.on(trace, hops)
        yield (
            f"{they} {they.were} received by {name(trace, target)}, but nobody has sent"
            f" {they.them} there.",
            hops,
        )


def _faulty(trace: Trace, lost: dict[_Loss, list[int]]) -> _Found:
    """What was lost to a fault, that is, for each fault and link."""
    for (_, source, ends, why), hops in lost.items():
        they, to = They.on(trace, hops), one_of(trace, ends)
        where = f"between {name(trace, source)} and {to}" if source else f"on the way to {to}"
        yield f"{they} {they.are} lost {where}: {why}.", hops


def _doubled(trace: Trace, hops: Sequence[int]) -> _Found:
    """What a fault has let be received more than once."""
    blame = Blame(trace)
    times = Counter((trace.hops[n].link, trace.hops[n].message) for n in hops)
    found: dict[tuple[Kind, str, str, str, int], list[int]] = defaultdict(list)
    for n in hops:
        hop = trace.hops[n]
        assert hop.received is not None
        why = blame.why(trace.faults.doubled[hop.received])
        many = times[hop.link, hop.message] if hop.message else 1
        found[hop.kind, hop.source, hop.target, why, many].append(n)
    for (kind, source, target, why, many), same in found.items():
        messages = [trace.hops[n].message for n in same]
        they = They(trace, dict.fromkeys(messages) if messages[0] else messages, kind)
        often = "twice" if many == 1 else f"{many + 1} times"
        though = f", though {name(trace, source)} sent {they.them} once" if source else ""
        yield f"{they} reached {name(trace, target)} {often}{though}: {why}.", same
