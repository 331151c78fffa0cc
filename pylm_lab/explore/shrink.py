"""Shrink: from a run that breaks the check to a short one that breaks it in the same way.

1. Smaller numbers first: the smallest options with which a search still finds the violation.
2. Then less that has to wait, then fewer sends: both by leaving out ever smaller pieces
   (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002). Of
   two runs the one with fewer hops is better.
3. Then the cut: the run ends as soon as the check is broken. Every step of all this is a real run;
   nothing is cut out of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from pylm_lab.explore.judge import Check, Violation, cut_at, holds_on_the_way, judge, until
from pylm_lab.explore.runs import Choose, Delay, Name, Outcome, Setting, delays
from pylm_lab.explore.strategies import along, orders, plain, positions

__all__ = ["Broken", "Shrinker"]

#: The part of the runs that are tried at random with smaller options, each time that some are.
FOR_ONE = 0.06


@dataclass(frozen=True)
class Broken:
    """A run that breaks the check, with which options and how.

    `needed` is the number of its choices until then, `hops` the number of its hops.
    """

    options: Mapping[str, int]
    outcome: Outcome
    violation: Violation
    needed: int
    hops: int

    @property
    def names(self) -> tuple[Name, ...]:
        """What was chosen until then."""
        return self.outcome.names[: self.needed]

    @property
    def positions(self) -> list[int]:
        """The same, as positions among what was possible."""
        return [len(choice.passed) for choice in self.outcome.choices[: self.needed]]

    @property
    def delays(self) -> list[Delay]:
        """What had to wait for it."""
        return delays(self.outcome.choices[: self.needed])

    @property
    def cost(self) -> tuple[int, int, int]:
        """Less is better: hops, what had to wait, choices."""
        return self.hops, len(self.delays), self.needed


class Shrinker:
    """Makes a violation short, in at most `most` further runs.

    Args:
        setting, check: what is run, and what is asked.
        violation: what every shorter run has to show as well.
        most: runs that it may use.
        tell: called after each.
    """

    def __init__(
        self,
        setting: Setting,
        check: Check,
        violation: Violation,
        most: int,
        tell: Callable[[], None],
    ) -> None:
        self.runs = 0
        self._setting = setting
        self._check = check
        self._violation = violation
        self._most = most
        self._tell = tell
        #: It makes sense to ask when the check was broken first.
        self._cuts = False

    def shrink(self, first: Outcome, options: Mapping[str, int], plainly: Outcome) -> Broken | None:
        """The shortest run found that breaks the check as `first` did; None: not even that one can
        be repeated.

        `plainly` is what came of the plain order with the same options.
        """
        self._cuts = self._may_cut(plainly)
        best = self._try(along(first.names, plain), options)
        if best is None:
            return None
        best = self._with_smaller_options(best, plainly)
        best = self._better(best, self._plainer)
        best = self._better(best, self._without)
        return self._cut(best)

    # One run

    def _run(self, choose: Choose, options: Mapping[str, int]) -> Outcome:
        outcome = self._setting.run(choose, options)
        self.runs += 1
        self._tell()
        return outcome

    def _try(self, choose: Choose, options: Mapping[str, int]) -> Broken | None:
        return self._weigh(self._run(choose, options), options)

    def _weigh(self, outcome: Outcome, options: Mapping[str, int]) -> Broken | None:
        """The run, if it breaks the check in the same way, and as far as it is needed for that."""
        found = judge(self._check, outcome)
        if found is None or not self._violation.is_like(found):
            return None
        needed, trace = len(outcome.choices), outcome.trace
        if self._cuts:
            at = cut_at(self._check, self._violation, outcome)
            if at is not None:
                needed = sum(choice.at <= at for choice in outcome.choices)
                trace = until(trace, at)
        return Broken(options, outcome, found, needed, len(trace.hops))

    def _may_cut(self, plainly: Outcome) -> bool:
        if self._violation.error is not None:
            return False
        broken = self._violation.is_like(judge(self._check, plainly))
        return holds_on_the_way(self._check, until(plainly.trace, 0) if broken else plainly.trace)

    # Smaller options

    def _with_smaller_options(self, best: Broken, plainly: Outcome) -> Broken:
        """The same with the smallest options for which it is found, one option after the other.

        What only some orders show stays so: with fewer messages everything may break, for another
        reason.
        """
        rare = judge(self._check, plainly) is None
        for option, value in best.options.items():
            fails, works = 0, value
            while works - fails > 1:
                middle = (fails + works) // 2
                found = self._search(best, {**best.options, option: middle}, rare=rare)
                if found is None:
                    fails = middle
                else:
                    works, best = middle, found
        return best

    def _search(self, best: Broken, options: Mapping[str, int], *, rare: bool) -> Broken | None:
        """A run with these options that breaks the check: along the best one, or any."""
        plainly = self._run(plain, options)
        if plainly.error is not None and not plainly.choices:
            return None  # the play does not take these
        if rare and judge(self._check, plainly) is not None:
            return None
        before, self._cuts = self._cuts, self._may_cut(plainly)
        budget = int(self._most * FOR_ONE)
        # Half of its budget is at random; and the first, the plain one, was tried.
        tries = islice(orders(self._setting.seed, 2 * budget, lambda: plainly.choices), 1, budget)
        found = self._weigh(plainly, options) or self._try(along(best.names, plain), options)
        while found is None and (order := next(tries, None)) is not None:
            found = self._try(order.choose, options)
        if found is None:
            self._cuts = before
        return found

    # A better order

    def _better(self, best: Broken, variant: Callable[[Broken, int, int], Choose | None]) -> Broken:
        """The best of the runs that leave something out, in ever smaller pieces."""
        size = len(best.names)
        while size > 1:
            size = (size + 1) // 2
            start = 0
            while (choose := variant(best, start, start + size)) is not None:
                if self.runs >= self._most:
                    return best
                found = self._try(choose, best.options)
                if found is not None and found.cost < best.cost:
                    best = found
                else:
                    start += size
        return best

    def _plainer(self, best: Broken, start: int, end: int) -> Choose | None:
        """Its order, with the plain choice in place of these of its departures from it."""
        chosen = best.positions
        departures = [n for n, position in enumerate(chosen) if position]
        for n in departures[start:end]:
            chosen[n] = 0
        return positions(chosen) if departures[start:] else None

    def _without(self, best: Broken, start: int, end: int) -> Choose | None:
        """Its order without these of its sends, and so without what can't come of them then."""
        sends = [n for n, (_, kind, _) in enumerate(best.names) if kind == "send"]
        gone = set(sends[start:end])
        left = [name for n, name in enumerate(best.names) if n not in gone]
        return along(left, None if self._cuts else plain) if gone else None

    def _cut(self, best: Broken) -> Broken:
        """The same, ended where the check is broken."""
        if best.needed == len(best.outcome.choices):
            return best
        return self._try(along(best.names, None), best.options) or best
