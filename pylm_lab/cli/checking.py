"""The command `check`: what the invariants find in a trace, and the hops that it is about."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby

from pylm_lab.trace import Finding, Hop, Trace, invariants
from pylm_lab.trace.show.grid import name_of

__all__ = ["check"]

#: Findings of one invariant, and hops of one finding, that are shown.
FINDINGS, HOPS = 10, 5


def check(asked: argparse.Namespace) -> int:
    """`pylm-lab check TRACE`."""
    trace = Trace.load(asked.file)
    found = trace.check(only=asked.only or None)
    for name, same in groupby(found, key=lambda finding: finding.name):
        of_it = list(same)
        for finding in of_it[:FINDINGS]:
            print(f"{name}: {finding.sentence}")
            for line in _hops(trace, finding):
                print(f"  {line}")
        if len(of_it) > FINDINGS:
            print(f"{name}: … {len(of_it) - FINDINGS:,} more findings")
    count = len(set(asked.only) or invariants())
    print(f"{asked.file}: {_sum(found)} {_asked(count, len(trace.hops))}")
    return 1 if found else 0


def _sum(found: Sequence[Finding]) -> str:
    sure = sum(not finding.unsure for finding in found)
    if not found:
        return "all is well, by"
    told = f"{sure:,} finding{'' if sure == 1 else 's'}" if sure else "nothing found"
    return f"{told} by" if sure == len(found) else f"{told}, but not everything can be told, by"


def _asked(count: int, hops: int) -> str:
    many = f"{count} invariant{'' if count == 1 else 's'}"
    return f"{many} over {hops:,} hop{'' if hops == 1 else 's'}"


def _hops(trace: Trace, finding: Finding) -> Iterator[str]:
    """A small table."""
    if not finding.hops:
        return
    rows = [_row(trace, trace.hops[n]) for n in finding.hops[:HOPS]]
    unit = "step" if trace.clock == "step" else "µs"
    wide = max(len(way) for _, _, way, _ in rows)
    yield f"{unit:>10}  {'message':>8}  from → to"
    for at, message, way, end in rows:
        yield f"{at:>10}  {message:>8}  {way:{wide}}  {end}".rstrip()
    if len(finding.hops) > HOPS:
        yield f"{'':>10}  … {len(finding.hops) - HOPS:,} more hops"


def _row(trace: Trace, hop: Hop) -> tuple[str, str, str, str]:
    def at(n: int) -> str:
        time = trace.events[n].at
        return f"{time if trace.clock == 'step' else time // 1000:,}"

    number = trace.numbers.get(hop.message) or hop.kind
    way = " → ".join(name_of(trace, end, 40) if end else "nobody" for end in hop.link)
    if hop.received is None:
        end = "never received" if hop.dropped is None else f"lost at {at(hop.dropped)}"
    elif hop.sent is None:
        end = "received, but not sent"
    else:
        end = f"received at {at(hop.received)}"
        end += "" if hop.dropped is None else f", given up at {at(hop.dropped)}"
    return at(hop.begins), number, way, end
