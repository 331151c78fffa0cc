"""The errors of pylm_lab, one kind for each person who can mend it.

Every text names the value, the place and the mend. Catch `LabError` to catch them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylm_lab.waits import Waits

__all__ = [
    "AddressError",
    "Deadlock",
    "Endless",
    "LabError",
    "NoAnswer",
    "OutputError",
    "PairTimeout",
    "PayloadError",
    "RunError",
    "TraceFileError",
    "WiringError",
]


class LabError(Exception):
    """Whatever pylm_lab reports on purpose."""


class WiringError(LabError, ValueError):
    """A server or a cluster was declared wrongly: mend the lines that wire it."""


class AddressError(LabError, OSError):
    """A socket can't bind or connect there: choose another address, or free it."""


class PayloadError(LabError, TypeError):
    """A payload or a stored value is not bytes: encode it first."""


class RunError(LabError, RuntimeError):
    """A call at the wrong time: before the start, after the end, from a foreign thread."""


class NoAnswer(LabError, TimeoutError):
    """Nobody answered within the timeout that was given.

    `missing` are the positions, counted from 1, of the payloads of a call that were sent and have
    no answer, as far as answers tell what they belong to.
    """

    missing: tuple[int, ...] = ()
    #: Who waited for what when the time was over, where a cluster could tell.
    waits: Waits | None = None


class PairTimeout(NoAnswer):
    """The pair of a blocking part has not answered within the part's timeout."""


class Deadlock(LabError):
    """Nothing can move any more in a controlled run, and a call still waits.

    `waits` tells who waits for what, and whether they wait in a circle.
    """

    def __init__(self, text: str, waits: Waits | None = None) -> None:
        super().__init__(text)
        self.waits = waits


class Endless(LabError):
    """A controlled run still moves after the number of steps that it was given."""


class TraceFileError(LabError, ValueError):
    """A file is not a trace that this version can read."""


class OutputError(LabError, OSError):
    """What lies at the place of the output is not ours: it is left alone."""
