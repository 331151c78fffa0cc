"""Judge: whether a run breaks the check, and how.

1. An exception of the play is a violation: the play says so, or nothing can move any more.
2. Otherwise the check is asked. It may return findings or sentences, or say no.
3. Two violations are of one kind if the same exception was raised, or the same rule was broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pylm_lab.errors import WiringError
from pylm_lab.explore.runs import Outcome
from pylm_lab.trace import Trace
from pylm_lab.trace.rules.check import Finding

__all__ = ["Check", "Violation", "ask", "cut_at", "holds_on_the_way", "judge", "until"]

#: Is asked about a trace; see `ask`.
Check = Callable[[Trace], Any]
#: The name of what a check finds that has no name.
UNNAMED = "check"
#: What is said of a check that says nothing but no.
NO = "The check says no."
#: Places of a run at which it is asked whether the check holds there, too.
PLACES = 200


@dataclass(frozen=True)
class Violation:
    """How a run broke the check: what the play raised, or what was found in the record."""

    error: Exception | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def kinds(self) -> frozenset[str]:
        """What it has in common with others: the exception, or the rules that are broken."""
        if self.error is not None:
            return frozenset({f"raises {type(self.error).__name__}"})
        return frozenset(found.name for found in self.findings)

    def is_like(self, other: Violation | None) -> bool:
        """They are of one kind."""
        return other is not None and not self.kinds.isdisjoint(other.kinds)

    @property
    def why(self) -> str:
        """What happened, in sentences."""
        if self.error is None:
            return " ".join(found.sentence for found in self.findings)
        # An assert without words has none.
        text = str(self.error).strip()
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__


def ask(check: Check, trace: Trace) -> tuple[Finding, ...]:
    """What the check has to say about the trace; empty if nothing is wrong.

    It returns findings or sentences (one, or several), or False for no; None, True or nothing at
    all for yes. An AssertionError is a no.

    Raises:
        WiringError: it returns something else.
    """
    try:
        said = check(trace)
        # What it gives one by one it may also find out one by one.
        said = list(said) if isinstance(said, Iterator) else said
    except AssertionError as error:
        said = str(error).strip() or "The check failed: an assert in it does not hold."
    if said is None or said is True:
        return ()
    if said is False:
        said = NO
    if isinstance(said, str | Finding):
        said = [said] if said else []
    if not isinstance(said, Iterable):
        raise WiringError(
            f"the check returned {said!r}: let it return what is wrong, as a list of sentences or "
            "findings, or False, and nothing if all is well"
        )
    return tuple(
        found if isinstance(found, Finding) else Finding(UNNAMED, str(found).strip() or NO)
        for found in said
    )


def judge(check: Check, outcome: Outcome) -> Violation | None:
    """How this run breaks the check, or None."""
    if outcome.error is not None:
        return Violation(error=outcome.error)
    if outcome.cut:
        # The record of half a run: a check that can't read it does not speak of it.
        return _on_the_way(check, outcome.trace)
    findings = ask(check, outcome.trace)
    return Violation(findings=findings) if findings else None


def _on_the_way(check: Check, trace: Trace) -> Violation | None:
    try:
        findings = ask(check, trace)
    except Exception:  # noqa: BLE001 - a check is anybody's code, and was not made for half a run
        return None
    return Violation(findings=findings) if findings else None


def until(trace: Trace, at: int) -> Trace:
    """The record as it was after this step."""
    return replace(
        trace,
        events=tuple(event for event in trace.events if event.at <= at),
        decisions=tuple(decision for decision in trace.decisions if decision.at <= at),
    )


def holds_on_the_way(check: Check, trace: Trace) -> bool:
    """A run that breaks nothing breaks nothing on its way either.

    Only of such a check it makes sense to ask when it was broken first. A long run is looked at in
    places.
    """
    steps = sorted({event.at for event in trace.events})
    some = steps[:: max(1, len(steps) // PLACES)]
    return all(_on_the_way(check, until(trace, at)) is None for at in [0, *some])


def cut_at(check: Check, violation: Violation, outcome: Outcome) -> int | None:
    """The step after which the check is broken in this way; None: only the end shows it.

    Looked for in the record, so it only says where to cut: a run has to show it.
    """
    if violation.error is not None or not outcome.choices:
        return None
    trace, last = outcome.trace, outcome.choices[-1].at
    steps = sorted({event.at for event in trace.events if event.at <= last})
    low, high = -1, len(steps) - 1
    if high < 0 or not violation.is_like(_on_the_way(check, until(trace, steps[high]))):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if violation.is_like(_on_the_way(check, until(trace, steps[middle]))):
            high = middle
        else:
            low = middle
    return steps[high]
