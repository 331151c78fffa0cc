"""Check: a trace proves itself.

1. An invariant reads the record and nothing else (`rules` has those that come with the lab).
2. For every link: sent = received + in flight + dropped for a named cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pylm_lab.hook import Kind
from pylm_lab.trace.facts import to_nobody
from pylm_lab.trace.finding import Finding, invariant
from pylm_lab.trace.records import Link
from pylm_lab.trace.rules import INVARIANTS  # all that there are, so the modules of all of them

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["INVARIANTS", "Count", "Finding", "check", "counts", "invariant"]


def check(trace: Trace) -> list[Finding]:
    """All that the invariants find, in their order; empty when all is well.

    Where the recorder has forgotten events they can't tell, and the one finding says so.
    """
    if trace.forgotten:
        sentence = (
            f"{trace.forgotten:,} earlier events were forgotten, to keep within the recorder's "
            "limit: whether anything was lost can't be told. Record without a limit, or look at "
            "the recorder's totals."
        )
        return [Finding("complete", sentence)]
    return [
        Finding(name, sentence, tuple(hops))
        for name, rule in INVARIANTS.items()
        for sentence, hops in rule(trace)
    ]


class Count(NamedTuple):
    """What crossed a link: sent = received + in flight + dropped.

    `sent` is all that was meant to go, also what was given up before it was sent; `in_flight` is
    what had not arrived when the record ended. What its receiver gave up counts as received.
    """

    sent: int = 0
    received: int = 0
    in_flight: int = 0
    dropped: int = 0


def counts(trace: Trace, *kinds: Kind) -> dict[Link, Count]:
    """For each link that something crossed, how much; of messages only unless kinds are given.

    A publication counts once for each subscriber, so one that nobody had subscribed to does not. An
    end that is not known is an empty name. Links come in the order in which they were first used.
    """
    found: dict[Link, Count] = {}
    for hop in trace.hops:
        if hop.kind in (kinds or ("message",)) and not to_nobody(trace, hop):
            sent, received, in_flight, dropped = found.get(hop.link, Count())
            arrived = hop.received is not None
            found[hop.link] = Count(
                sent + (hop.sent is not None or hop.lost),
                received + arrived,
                in_flight + (not arrived and not hop.lost),
                dropped + hop.lost,
            )
    return found
