"""How a gate chooses: what is possible, and who decides.

A `Chooser` is given what could happen next, in a stable order, and says which of it does. It sees
names and nothing else, so that the same names get the same choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pylm_lab.errors import WiringError
from pylm_lab.wire import read_stamp

if TYPE_CHECKING:
    from pylm_lab.turns import Door

__all__ = ["Chooser", "Chosen", "Operation", "Seeded", "Stepped"]


class Operation:
    """Something that an actor could do next: `kind` at `port` (None: start, time out).

    `frames` are what it would send or receive, where that is known; `jumps_to` is the time to which
    the clock has to jump for it, in seconds. `step` is when it had its turn, 0 if
    it has not had it.
    """

    __slots__ = ("actor", "frames", "jumps_to", "kind", "port", "step")

    def __init__(
        self, actor: str, kind: str, port: Door | None = None, frames: list[bytes] | None = None
    ) -> None:
        self.actor = actor
        self.kind = kind
        self.port = port
        self.frames = frames
        self.jumps_to: float | None = None
        self.step = 0

    @property
    def is_done(self) -> bool:
        """It had its turn."""
        return self.step > 0

    @property
    def message(self) -> int:
        """The id of the message that it is about, 0 if it has none or it is not known."""
        stamp = read_stamp(self.frames[-1]) if self.frames else None
        return stamp.id if stamp else 0

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from the others: actor, kind, port id."""
        return self.actor, self.kind, self.port.id if self.port else ""

    def __repr__(self) -> str:
        where = f" at {self.port.id}" if self.port else ""
        return f"<{self.actor}: {self.kind}{where}>"


class Chooser:
    """Decides what happens next: the first that is possible, unless a subclass knows better."""

    #: Whoever calls from the main thread has to let things move step by step.
    steps = False
    #: At the end everything happens that still can, and it is told when nothing can any more.
    rests = tells_rest = True
    #: Why it chooses nothing any more.
    ended = ""

    def choose(self, possible: Sequence[Operation]) -> int | None:
        """The position of what happens next; None: whoever drives gets the turn back."""
        return 0

    def forced(self, operation: Operation) -> None:
        """This happens without a choice, at the beginning of an actor or a client."""


class Seeded(Chooser):
    """Chooses at random, the same for the same seed.

    It uses `random()` alone, the one sequence that Python guarantees to keep.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, possible: Sequence[Operation]) -> int | None:
        return int(self._rng.random() * len(possible))


class Stepped(Chooser):
    """Does what it is told next, then what another chooser would."""

    steps = True
    rests = False

    def __init__(self, otherwise: Chooser) -> None:
        self._otherwise = otherwise
        #: What `Operation.name` has to be next, once.
        self.wanted: tuple[str, str, str] | None = None

    def choose(self, possible: Sequence[Operation]) -> int | None:
        if self.wanted is None:
            return self._otherwise.choose(possible)
        wanted, self.wanted = self.wanted, None
        return next(n for n, operation in enumerate(possible) if operation.name == wanted)


class Chosen(Chooser):
    """Asks a function of the user's, which is given the operations and returns a position."""

    def __init__(self, function: Callable[[Sequence[Operation]], Any]) -> None:
        self._function = function

    def choose(self, possible: Sequence[Operation]) -> int | None:
        position = self._function(possible)
        if (
            isinstance(position, bool)
            or not isinstance(position, int)
            or not 0 <= position < len(possible)
        ):
            raise WiringError(
                f"the schedule chose {position!r} of {len(possible)} operations: it has to return "
                f"a position, from 0 to {len(possible) - 1}"
            )
        return position
