"""Finding: something that should not have happened; and the rules that look for such things.

`@invariant("name")` adds a rule of one's own to those that `check` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["INVARIANTS", "Finding", "Invariant", "invariant"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not have happened.

    `name` is that of the invariant, `sentence` says it to a student, `hops` are positions in
    `Trace.hops`.
    """

    name: str
    sentence: str
    hops: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.sentence


#: Reads a trace and yields, for each thing that is wrong, a sentence and positions in `Trace.hops`.
Invariant = Callable[["Trace"], Iterable[tuple[str, Iterable[int]]]]

#: All that `check` asks, by name, in this order.
INVARIANTS: dict[str, Invariant] = {}


def invariant(name: str) -> Callable[[Invariant], Invariant]:
    """Let `check` ask the function below as well, in place of another of this name.

    It is given a trace, and yields for each thing that is wrong a sentence and the positions in
    `Trace.hops` that it is about.
    """

    def add(rule: Invariant) -> Invariant:
        INVARIANTS[name] = rule
        return rule

    return add
