"""Check: a trace proves itself.

1. An invariant reads the record and nothing else (`lab` has the order of those that come with it).
2. For every link: sent = received + in flight + dropped for a named cause.
3. What can't be told, because events are missing from the record, is said once for each reason;
   what can be told all the same, is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pylm_lab.hook import Kind
from pylm_lab.trace.records import Link
from pylm_lab.trace.rules.facts import Case, to_nobody
from pylm_lab.trace.rules.finding import (
    COMPLETE,
    Finding,
    Rule,
    asked,
    chosen,
    forget,
    invariant,
    invariants,
)
from pylm_lab.trace.rules.lab import LAB
from pylm_lab.trace.show.gaps import early, ended

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Count", "Finding", "check", "counts", "forget", "invariant", "invariants"]

asked(*LAB)

#: What asks for all that happened: where something is missing, it may have happened there.
_OF_ALL = ("conservation", "waiting", "answers")


def check(trace: Trace, only: str | Iterable[str] | None = None) -> list[Finding]:
    """All that the invariants find, in their order; empty when all is well.

    `only` names those that are asked (`invariants()` has all names). Something is found once: what
    only follows from it, such as the answer that never came of a message that was lost, is not
    found again. Where the record is not whole, a finding named `complete` says what can't be told.

    Raises:
        WiringError: there is no invariant of a name.
    """
    wanted = chosen(only)
    case = Case(trace)
    found = list(_complete(trace, wanted))
    for rule in wanted:
        new = list(rule.ask(case))
        case.named.update(n for finding in new for n in finding.hops)
        found += new
    return found


def _complete(trace: Trace, wanted: list[Rule]) -> Iterator[Finding]:
    """Why something can't be told."""
    if not any(rule.name in _OF_ALL for rule in wanted):
        return
    unknown = "whether anything was lost or never answered"
    if trace.forgotten:
        were = "event was" if trace.forgotten == 1 else "events were"
        yield Finding(
            COMPLETE,
            f"{trace.forgotten:,} earlier {were} forgotten, to keep within the recorder's limit: "
            f"{unknown} can't be told. Record without a limit, or look at the recorder's totals.",
            unsure=True,
        )
    if trace.left_out:
        were = "event is" if trace.left_out == 1 else "events are"
        yield Finding(
            COMPLETE,
            f"This is a part of a record, {trace.left_out:,} {were} left out: {unknown} can't be "
            "told. Check the whole of it.",
            unsure=True,
        )
    if trace.cut:
        their = "its process" if len(early(trace)) == 1 else "their processes"
        yield Finding(
            COMPLETE,
            f"{ended(early(trace))} {unknown.capitalize()} there can't be told, since {their} died "
            "or went on without the record.",
            unsure=True,
        )


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
    hops = trace.hops
    counted = np.flatnonzero(hops.are(*(kinds or ("message",))) & ~to_nobody(trace))
    names = ["", *trace.columns.tables.actors]
    width = len(names)
    keys = (hops.source[counted].astype(np.int64) + 1) * width + hops.target[counted] + 1
    links, first, which = np.unique(keys, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    lost, arrived = hops.lost[counted], hops.received[counted] >= 0
    columns = [
        np.bincount(which[flags], minlength=len(links)).tolist()
        for flags in ((hops.sent[counted] >= 0) | lost, arrived, ~arrived & ~lost, lost)
    ]
    told = list(zip(links.tolist(), zip(*columns, strict=True), strict=True))
    return {
        (names[key // width], names[key % width]): Count(*count)
        for key, count in (told[n] for n in np.argsort(first).tolist())
    }
