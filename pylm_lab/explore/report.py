"""What an exploration tells: while it runs, and when it is over."""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pylm_lab.trace import Trace
from pylm_lab.trace.rules.check import Finding
from pylm_lab.trace.show.excerpt import excerpt

__all__ = ["Exploration", "Progress", "line"]

#: Characters of a sentence that are shown.
LONG = 400
#: How often the line is written again while schedules are tried.
UPDATES = 100
#: Lines that are shown of something.
LINES = 20


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an exploration is: `schedules` of `budget` tried, `distinct` of them distinct.

    `shortening` is the number of runs that were made to shorten what was found, 0 before.
    """

    scenario: str
    budget: int
    schedules: int = 0
    distinct: int = 0
    shortening: int = 0

    def __str__(self) -> str:
        text = f"{self.scenario}: {self.schedules:,} of {self.budget:,} schedules"
        if self.shortening:
            return f"{text}, the last breaks the check; {_count(self.shortening, 'run')} to shorten"
        return f"{text}, {self.distinct:,} of them distinct"


@dataclass(frozen=True, kw_only=True, repr=False)
class Exploration:
    """What came of an exploration. It is true if something was found.

    `scenario`, `seed` and `budget` are what it was asked: the same three give the same again.
    `schedules` were tried, `distinct` of them differ in what some actor did. If one broke the
    check:

    - `why` says how, in sentences; `findings` is what the check found, or `error` what the play
      raised;
    - `trace` is a short run that breaks it in the same way, with the numbers in `options`; it ends
      where the check is broken. `delays` say what had to wait for it, in comparison with the plain
      order, in which the first thing that is possible comes next; `shortening` is the number of
      runs that it took to find it;
    - `first` is the run that was found first, `order` how, as the last of the schedules.

    Otherwise those are None or empty.
    """

    scenario: str
    seed: int
    budget: int
    schedules: int
    distinct: int
    why: str = ""
    findings: tuple[Finding, ...] = ()
    error: Exception | None = None
    trace: Trace | None = None
    first: Trace | None = None
    order: str = ""
    options: Mapping[str, int] = field(default_factory=dict)
    delays: tuple[str, ...] = ()
    shortening: int = 0

    @property
    def found(self) -> bool:
        """A schedule broke the check."""
        return self.trace is not None

    def __bool__(self) -> bool:
        return self.found

    def _rows(self) -> Iterator[tuple[str, str]]:
        """What it says, as words and what they mean here."""
        tried = f"{self.schedules:,} of at most {self.budget:,}, {self.distinct:,} of them distinct"
        if self.trace is None or self.first is None:
            yield "schedules", tried
            yield "found", "nothing. That is no proof: an order that was not tried may break it"
            yield "seed", str(self.seed)
            return
        why = self.why.splitlines()
        yield "why", excerpt(why[0], LONG)
        yield from (("", excerpt(more, LONG)) for more in why[1:LINES])
        yield "schedules", tried
        yield "found", f"at schedule {self.schedules:,}, {self.order}"
        yield "seed", str(self.seed)
        if self.options:
            yield "options", ", ".join(f"{name}={value}" for name, value in self.options.items())
        yield "late", self.delays[0] if self.delays else "nobody: the plain order breaks it"
        yield from (("", more) for more in self.delays[1:LINES])
        if len(self.delays) > LINES:
            yield "", f"and {len(self.delays) - LINES:,} more: see .delays"
        yield (
            "trace",
            f"{len(self.trace.hops)} hops of {len(self.first.hops)}, shortened in "
            f"{_count(self.shortening, 'run')}",
        )

    def __repr__(self) -> str:
        head = f"Exploration of {self.scenario!r}: "
        head += "a schedule breaks the check" if self.found else "no schedule broke the check"
        return "\n".join([head, *(f"  {word:10} {text}" for word, text in self._rows())])

    def _repr_html_(self) -> str:
        head, *_ = repr(self).splitlines()
        rows = "".join(
            f'<tr><th scope="row" style="text-align: left">{word}</th>'
            f'<td style="text-align: left">{html.escape(text)}</td></tr>'
            for word, text in self._rows()
        )
        caption = '<caption style="caption-side: top; text-align: left">'
        return f"<table>{caption}{html.escape(head)}</caption><tbody>{rows}</tbody></table>"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@contextmanager
def line(wanted: bool | Callable[[Progress], object]) -> Iterator[Callable[[Progress], None]]:
    """Who is told of progress: a function, or one line that is rewritten where somebody looks."""
    if callable(wanted):
        yield lambda progress: _drop(wanted(progress))
        return
    # Jupyter's stream says that it is no terminal, and takes a carriage return as one.
    lively = sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
    if not (wanted and lively):
        yield lambda progress: None
        return
    long = 0

    def tell(progress: Progress) -> None:
        nonlocal long
        done = progress.schedules + progress.shortening
        if done % max(1, progress.budget // UPDATES) and done != 1:
            return
        text = f"… {progress}"
        sys.stderr.write(f"\r{text.ljust(long)}")
        sys.stderr.flush()
        long = len(text)

    try:
        yield tell
    finally:
        sys.stderr.write(f"\r{' ' * long}\r")
        sys.stderr.flush()


def _drop(_: object) -> None:
    """What a function returns that is told of progress, nobody needs."""
