"""Suite: which groups run, how often, and what was found.

1. What can be found wrong with what is asked is said before anything runs.
2. Every round runs every variant once, in the same order: whatever else the machine does meanwhile
   slows down all of them, not one.
"""

from __future__ import annotations

import difflib
import platform
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import zmq

from pylm_lab.bench.job import Job, attended
from pylm_lab.bench.pin import pinned
from pylm_lab.bench.variants import GROUPS, Figure, Group
from pylm_lab.errors import LabError

__all__ = ["Found", "Measured", "Suite"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure in each of the rounds; `value` is their median, `ratio` that to the base's."""

    figure: Figure
    rounds: tuple[float, ...]
    ratio: float | None

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a suite has found: the figures of each group, and under which circumstances."""

    messages: int
    rounds: int
    pinned: bool
    groups: tuple[tuple[Group, tuple[Measured, ...]], ...]
    python: str = field(default_factory=platform.python_version)
    pyzmq: str = field(default_factory=zmq.pyzmq_version)
    libzmq: str = field(default_factory=zmq.zmq_version)


class Suite:
    """The groups of these names, with so many messages, so many times.

    Without a name: all groups but those that run only when they are named.

    Raises:
        LabError: a number below 1, or no such group.
    """

    def __init__(self, messages: int, rounds: int, only: Sequence[str] = ()) -> None:
        for option, number in (("--messages", messages), ("--rounds", rounds)):
            if number < 1:
                raise LabError(f"{option} {number}: choose 1 or more")
        for name in only:
            if name not in GROUPS:
                near = difflib.get_close_matches(name, GROUPS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"choose {', '.join(GROUPS)}"
                raise LabError(f"--only {name}: there is no such group: {hint}")
        self.messages = messages
        self.rounds = rounds
        self.groups = [g for g in GROUPS.values() if (g.name in only if only else not g.named)]

    def run(self, told: Callable[[str], None] = lambda _: None) -> Found:
        """Measure everything; `told` hears what is measured next.

        Raises:
            LabError: a variant has not done its job, so that it has no figure.
        """
        values: dict[tuple[str, str], list[float]] = {}
        given_up = threading.Event()
        with pinned() as is_pinned:
            attended(lambda: self._measure(values, told, given_up), given_up)
        return Found(
            messages=self.messages,
            rounds=self.rounds,
            pinned=is_pinned,
            groups=tuple((group, _measured(group, values)) for group in self.groups),
        )

    def _measure(
        self,
        values: dict[tuple[str, str], list[float]],
        told: Callable[[str], None],
        given_up: threading.Event,
    ) -> None:
        for number in range(1, self.rounds + 1):
            for group in self.groups:
                job = Job(group.count(self.messages), given_up)
                for variant in group.variants:
                    job.go_on()
                    first = variant.figures[0].what
                    told(f"round {number} of {self.rounds}, {group.name}: {first}")
                    for figure, value in zip(variant.figures, variant.measure(job), strict=True):
                        values.setdefault((group.name, figure.what), []).append(value)


def _measured(group: Group, values: dict[tuple[str, str], list[float]]) -> tuple[Measured, ...]:
    def median(what: str) -> float:
        return statistics.median(values[group.name, what])

    return tuple(
        Measured(
            figure=figure,
            rounds=tuple(values[group.name, figure.what]),
            ratio=median(figure.what) / median(figure.base) if figure.base else None,
        )
        for variant in group.variants
        for figure in variant.figures
    )
