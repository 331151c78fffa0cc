"""What several commands print: progress, and what a run has come to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from pylm_lab.draw.story import EVERY, tell
from pylm_lab.trace import Hop, Trace, counts
from pylm_lab.trace.show.excerpt import excerpt

__all__ = ["doing", "line", "tell_answers", "tell_findings", "tell_run", "troubles"]

#: Answers, hops and sentences that are shown.
LINES = 10


@contextmanager
def line() -> Iterator[Callable[[str], None]]:
    """Say what is being done: on one line that is rewritten, where somebody looks."""
    lively = sys.stderr.isatty()
    begin = "\r\x1b[K" if lively else ""
    try:
        yield lambda text: print(
            f"{begin}… {text}", end="" if lively else "\n", file=sys.stderr, flush=True
        )
    finally:
        print(begin, end="", file=sys.stderr, flush=True)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    begun = time.monotonic()
    lively = sys.stderr.isatty()
    print(f"… {what}", end="" if lively else "\n", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        if lively:
            print(file=sys.stderr)
        raise
    spent = time.monotonic() - begun
    print(f"{chr(13) if lively else ''}✓ {what} ({spent:.1f} s)", file=sys.stderr, flush=True)


def tell_run(trace: Trace, *, broken: bool = False) -> None:
    """The first hops, the counts, what was found, and of a `broken` run what the faults did."""
    unit = "step" if trace.clock == "step" else "µs"
    print(f"The first hops:\n  {unit:>6}  message  from → to")
    for hop in islice(trace.hops_of("message"), LINES):
        event = trace.events[hop.begins]
        at = event.at if trace.clock == "step" else event.at // 1000
        print(f"  {at:6}  {trace.numbers.get(hop.message, ''):>7}  {_way(trace, hop)}")
    print("\nMessages on each link:\n    sent  received")
    for link, count in counts(trace).items():
        way = " → ".join(trace.labels.get(actor, "nobody") for actor in link)
        print(f"  {count.sent:6}  {count.received:8}  {way}")
    if broken:
        acted = any(event.what == "fault" for event in trace.events)
        print("\nWhat the faults did, and what was lost:" if acted else "\nNo fault has acted.")
        done = sorted(set(troubles(trace)))
        for _, sentence in done[:LINES]:
            print(f"  {sentence}")
        if len(done) > LINES:
            print(f"  … {len(done) - LINES} more")
    tell_findings(trace)


def tell_findings(trace: Trace) -> None:
    """What the check has found."""
    findings = trace.check()
    print("" if findings else "\nNothing was lost.")
    for finding in findings:
        print(f"{finding.name}: {finding.sentence}")


def tell_answers(answers: Sequence[bytes]) -> None:
    """The first answers, numbered."""
    print(f"{len(answers)} answer{'' if len(answers) == 1 else 's'}:")
    for position, answer in enumerate(answers[:LINES], start=1):
        print(f"  {position:2}  {excerpt(answer, 70)}")
    if len(answers) > LINES:
        print(f"      … {len(answers) - LINES} more")


def _way(trace: Trace, hop: Hop) -> str:
    return " → ".join(trace.labels.get(actor, "nobody") for actor in hop.link)


def troubles(trace: Trace) -> Iterator[tuple[int, str]]:
    """What faults did, and what was lost: when, and in a sentence."""
    steps = tell(trace, kinds=EVERY)
    yield from ((step.at, step.sentence) for step in steps if step.fault)
    for step in steps:
        if step.lost and step.hop is not None:
            dropped = trace.hops[step.hop].dropped
            yield step.at if dropped is None else trace.events[dropped].at, step.sentence
