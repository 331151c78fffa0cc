"""Explore: tries orders until one breaks the check, and makes it short.

1. A budget is a number of schedules; no clock decides anything. The same play, check, budget and
   seed give the same answer, and the same trace byte for byte.
2. Every schedule is a real run that ends before the next one begins.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pylm_lab.arguments import count
from pylm_lab.errors import WiringError
from pylm_lab.explore.judge import Check, Violation, judge
from pylm_lab.explore.report import Exploration, Progress, line
from pylm_lab.explore.runs import Choice, Outcome, Play, Setting, fingerprint
from pylm_lab.explore.shrink import Shrinker
from pylm_lab.explore.strategies import Order, orders
from pylm_lab.scenarios import Scenario, get
from pylm_lab.trace import Trace

__all__ = ["explore"]

#: Runs that may be made to shorten what was found: half of the budget, but at least so many.
SHORTENING = 200
#: What is said of a schedule that breaks the check only once.
ONCE = (
    "But in the same order again it does not: something in the play depends on more than the order,"
    " such as a clock, a random number, or what an earlier run has left."
)


def explore(
    scenario: str | Scenario | Play,
    check: Check = Trace.check,
    *,
    budget: int = 1000,
    seed: int = 0,
    limit: int = 10_000,
    progress: bool | Callable[[Progress], object] = True,
    **options: int,
) -> Exploration:
    """Run a scenario under many schedules, until one breaks the check.

    What breaks it: the check finds something, or the play raises an exception, be it a failed
    `assert`, a call without an answer, or a deadlock. The schedule is then shortened: to smaller
    options, less that has to wait, fewer hops, and it ends where the check is broken.

    Args:
        scenario: the name of one, a Scenario, or any function `play(cluster, **options)` that adds
            servers and workers to the cluster, and calls its clients.
        check: is given the trace of a run, and returns what is wrong (findings, or sentences), or
            False, or raises AssertionError; None, True or an empty list: all is well.
        budget: how many schedules to try.
        seed: of all that is chosen at random.
        limit: steps after which a run counts as endless.
        progress: a line that tells how far it is, on standard error where somebody looks; False:
            none; or a function that is given a `Progress` after each run.
        options: numbers for the scenario, in place of its own.

    Raises:
        WiringError: an argument is wrong.
        Exception: whatever the play raises before anything has moved.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise WiringError(f"seed={seed!r}: a seed is a whole number")
    count("budget", budget, "how many schedules to try")
    count("limit", limit, "steps after which a run counts as endless")
    name, play, numbers = _read(scenario)
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise WiringError(f"{option}={value!r}: an option of a scenario is a whole number")
    setting = Setting(play, name, seed, limit)
    with line(progress) as tell:
        return _Search(setting, check, budget, tell).run({**numbers, **options})


def _read(scenario: str | Scenario | Play) -> tuple[str, Play, dict[str, int]]:
    """Its name, how to play it, and its options."""
    if isinstance(scenario, str):
        scenario = get(scenario)
    if isinstance(scenario, Scenario):
        return scenario.name, scenario.play, dict(scenario.options)
    if not callable(scenario):
        raise WiringError(
            f"{scenario!r} is no scenario: give the name of one, or a function play(cluster)"
        )
    parameters = list(inspect.signature(scenario).parameters.values())[1:]
    numbers = {p.name: p.default for p in parameters if type(p.default) is int}
    return getattr(scenario, "__name__", "play"), scenario, numbers


class _Search:
    """One exploration."""

    def __init__(
        self, setting: Setting, check: Check, budget: int, tell: Callable[[Progress], None]
    ) -> None:
        self._setting = setting
        self._check = check
        self._budget = budget
        self._tell = tell
        self._seen: set[bytes] = set()
        self._schedules = 0
        self._shortening = 0
        self._plainly: Outcome | None = None

    def run(self, options: dict[str, int]) -> Exploration:
        """Search, and shorten what was found."""
        for order in orders(self._setting.seed, self._budget, self._plain_choices):
            with _quiet(self._schedules > 0):
                outcome = self._setting.run(order.choose, options)
            if self._plainly is None:
                self._plainly = outcome
                if outcome.error is not None and not outcome.choices:
                    raise outcome.error
            self._schedules += 1
            self._seen.add(fingerprint(outcome.trace))
            self._told()
            found = judge(self._check, outcome)
            if found is not None:
                with _quiet(True):
                    return self._found(order, outcome, found, options)
        return self._told_so_far()

    def _plain_choices(self) -> tuple[Choice, ...]:
        assert self._plainly is not None
        return self._plainly.choices

    def _told_so_far(self) -> Exploration:
        return Exploration(
            scenario=self._setting.scenario,
            seed=self._setting.seed,
            budget=self._budget,
            schedules=self._schedules,
            distinct=len(self._seen),
        )

    def _found(
        self, order: Order, first: Outcome, found: Violation, options: dict[str, int]
    ) -> Exploration:
        assert self._plainly is not None
        most = max(SHORTENING, self._budget // 2)
        shrinker = Shrinker(self._setting, self._check, found, most, self._told_shortening)
        short = shrinker.shrink(first, options, self._plainly)
        told = replace(
            self._told_so_far(),
            why=found.why,
            findings=found.findings,
            error=found.error,
            trace=first.trace,
            first=first.trace,
            order=order.told,
            options=options,
            shortening=shrinker.runs,
        )
        if short is None:
            return replace(told, why=f"{told.why}\n{ONCE}")
        return replace(
            told,
            why=short.violation.why,
            findings=short.violation.findings,
            error=short.violation.error,
            trace=short.outcome.trace,
            options=dict(short.options),
            delays=tuple(map(str, short.delays)),
        )

    def _told_shortening(self) -> None:
        self._shortening += 1
        self._told()

    def _told(self) -> None:
        self._tell(
            Progress(
                scenario=self._setting.scenario,
                budget=self._budget,
                schedules=self._schedules,
                distinct=len(self._seen),
                shortening=self._shortening,
            )
        )


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Keep what runs say in the log from whoever listens to all: the first run has said it."""
    log = logging.getLogger("pylm_lab")
    before, silence = log.propagate, logging.NullHandler()
    if not wanted:
        yield
        return
    log.addHandler(silence)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(silence)
