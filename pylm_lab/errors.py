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
    "FunctionError",
    "LabError",
    "NoAnswer",
    "OutputError",
    "PairTimeout",
    "PayloadError",
    "RunError",
    "TraceFileError",
    "UnknownName",
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


class FunctionError(LabError):
    """A function failed, or there is none of that name: mend it, or the call.

    `server` is the id of the worker or server that was to run it, `function` what was asked for,
    `kind` the exception's class, or another word for what is wrong, `text` what it says, `line`
    where in the function's file it was raised (0: unknown). `others` are how many more answers of
    the same call were failures.
    """

    def __init__(
        self,
        server: str,
        function: str,
        kind: str,
        text: str = "",
        line: int = 0,
        others: int = 0,
    ) -> None:
        super().__init__(server, function, kind, text, line, others)
        self.server = server
        self.function = function
        self.kind = kind
        self.text = text
        self.line = line
        self.others = others

    def __str__(self) -> str:
        told = f"{self.function or 'a function'} failed on {self.server}: {self.kind}"
        told += f": {self.text}" if self.text else ""
        told += f" (line {self.line})" if self.line else ""
        told += f"; {self.others} more of this call failed" if self.others else ""
        return told


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


class UnknownName(LabError, KeyError):
    """A trace has no actor, part, message, kind or link of this name: the text tells which it has.

    It is a KeyError, since it also comes from looking something up in a mapping.
    """

    def __str__(self) -> str:
        # A KeyError shows its text in quotes.
        return str(self.args[0]) if self.args else ""
