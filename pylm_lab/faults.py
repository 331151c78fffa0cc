"""Faults: what is broken on purpose, said of links and actors.

    faults.drop("WorkerPush→worker1", nth=3)
    faults.delay("worker1→WorkerPull", by=2.0)
    faults.drop("*→worker2", chance=0.1, seed=7)
    faults.crash("worker1", nth=2)
    faults.part("worker1", "WorkerPull")

1. A fault is data: it prints itself as the call that makes it, and `parse` reads that again.
2. It acts at the door, on what a port is about to receive, and nowhere else; in free runs and in
   controlled ones alike. No part knows of it.
3. Whatever it does is an event of the trace.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pylm_lab import wire
from pylm_lab.arguments import count, seconds
from pylm_lab.errors import WiringError
from pylm_lab.hook import FaultKind

__all__ = [
    "Fault",
    "corrupt",
    "crash",
    "delay",
    "drop",
    "duplicate",
    "parse",
    "part",
    "reorder",
    "stop",
]

#: Between the two ends of a link, as it is shown and as it can be typed.
ARROWS = ("→", "->")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that is broken on purpose; the functions of this module make one.

    `source` and `target` are the ends of the link, ids or labels of actors, `*` for any; for `stop`
    and `crash` the target is the actor, for `part` the two are cut off from each other. It acts on
    the `nth` message that crosses the link after it was planted (0: on each), or on each with a
    `chance`. `by` is in seconds; `field` and `value` are what is changed to what.
    """

    kind: FaultKind
    source: str = "*"
    target: str = "*"
    nth: int = 0
    chance: float = 0.0
    seed: int = 0
    by: float = 0.0
    field: str = ""
    value: bytes | str | int = b""

    def __repr__(self) -> str:
        ends = [self.target] if self.kind in ("stop", "crash") else [self.link]
        if self.kind == "part":
            ends = [self.source, self.target]
        said = [repr(end) for end in ends]
        if self.chance:
            said.append(f"chance={self.chance!r}")
            said += [f"seed={self.seed!r}"] if self.seed else []
        elif self.nth or self.kind != "part":
            said.append(f"nth={self.nth!r}")
        if self.by:
            said.append(f"by={self.by!r}")
        if self.kind == "corrupt":
            said += [f"field={self.field!r}", f"value={self.value!r}"]
        return f"{self.kind}({', '.join(said)})"

    def __str__(self) -> str:
        return f"{self.why} {self._where()}"

    @property
    def link(self) -> str:
        """Its two ends, as a text."""
        return f"{self.source}→{self.target}"

    @property
    def why(self) -> str:
        """What it does, as a clause without the place."""
        if self.kind == "part":
            return f"a fault parts {self.source} and {self.target}"
        what = "each message"
        if self.chance:
            what = f"messages with a chance of {self.chance:g}"
        elif self.nth:
            what = f"the {_ordinal(self.nth)} message"
        match self.kind:
            case "drop":
                return f"a rule drops {what}"
            case "delay":
                return f"a rule delays {what} by {self.by:g} s"
            case "duplicate":
                return f"a rule doubles {what}"
            case "reorder":
                return f"a rule lets {what} be overtaken"
            case "corrupt":
                return f"a rule changes the {self.field} of {what}"
            case "stop":
                return f"a fault stops {self.target} before {what}"
            case _:
                return f"a fault crashes {self.target} before {what}"

    def _where(self) -> str:
        if self.kind in ("stop", "crash"):
            return "that comes to it"
        return "in both directions" if self.kind == "part" else f"on {self.link}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def drop(link: str, *, nth: int | None = None, chance: float | None = None, seed: int = 0) -> Fault:
    """Lose a message.

    Args:
        link: its two ends, `WorkerPush→worker1` or `WorkerPush->worker1`: labels or ids of actors,
            or `*` for any.
        nth: which of those that cross the link from now on; 0: each; the next unless told.
        chance: lose each with this chance instead, from 0 to 1.
        seed: of the generator that `chance` asks.

    Raises:
        WiringError: an argument is none of these.
    """
    return _on_link("drop", link, nth, chance, seed)


def delay(
    link: str,
    *,
    by: float = 1.0,
    nth: int | None = None,
    chance: float | None = None,
    seed: int = 0,
) -> Fault:
    """Let a message arrive `by` seconds later; the others go on. The rest is as for `drop`.

    In a controlled run nothing takes time: it arrives when nothing else can move before that.
    """
    return _on_link("delay", link, nth, chance, seed, by=_duration(by))


def duplicate(
    link: str, *, nth: int | None = None, chance: float | None = None, seed: int = 0
) -> Fault:
    """Let a message arrive twice; as for `drop`."""
    return _on_link("duplicate", link, nth, chance, seed)


def reorder(
    link: str,
    *,
    by: float = 1.0,
    nth: int | None = None,
    chance: float | None = None,
    seed: int = 0,
) -> Fault:
    """Let a message be overtaken by the next on its link; if none comes, it is `by` seconds late.

    The rest is as for `drop`.
    """
    return _on_link("reorder", link, nth, chance, seed, by=_duration(by))


def corrupt(
    link: str,
    field: str = "payload",
    value: bytes | str | int = b"\xff",
    *,
    nth: int | None = None,
    chance: float | None = None,
    seed: int = 0,
) -> Fault:
    """Put another value into a field of a message; the rest is as for `drop`.

    Args:
        link, nth, chance, seed: as for `drop`.
        field: `pipeline`, `client`, `stage`, `function`, `cache` or `payload`.
        value: a number for `stage`, else text or bytes.
    """
    if not isinstance(field, str) or field not in wire.FIELDS:
        raise WiringError(f"field={field!r}: a message has {', '.join(wire.FIELDS)}")
    if field == "stage":
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not -(1 << 63) <= int(value) < 1 << 63:
            raise WiringError(f"value={value!r}: the field 'stage' holds a whole number of 64 bits")
    elif not isinstance(value, str | bytes) or (isinstance(value, str) and not _is_text(value)):
        raise WiringError(f"value={value!r}: the field {field!r} holds text or bytes")
    return _on_link("corrupt", link, nth, chance, seed, field=field, value=value)


def stop(actor: str, *, nth: int = 1) -> Fault:
    """Let an actor end when the `nth` message from now on comes to it, before it receives it."""
    return _on_actor("stop", actor, nth)


def crash(actor: str, *, nth: int = 1) -> Fault:
    """Let an actor fail when the `nth` message from now on comes to it, before it receives it.

    A part takes its server with it. What was on its way to the actor is lost.
    """
    return _on_actor("crash", actor, nth)


def part(one: str, other: str, *, nth: int = 0) -> Fault:
    """Cut two actors off from each other: whatever goes from one to the other is lost.

    It begins with the `nth` message between them from now on (0: at once); `cluster.heal` ends it.
    """
    for end in (one, other):
        if not isinstance(end, str) or not end or end == "*":
            raise WiringError(f"part({one!r}, {other!r}): name two actors")
    if one == other:
        raise WiringError(f"part({one!r}, {other!r}): name two different actors")
    return Fault(
        kind="part", source=one, target=other, nth=count("nth", nth, "which message", least=0)
    )


def _on_link(
    kind: FaultKind, link: str, nth: int | None, chance: float | None, seed: int, **more: Any
) -> Fault:
    source, target = _ends(link)
    count("seed", seed, "of the generator", least=0)
    if chance is not None:
        if nth is not None:
            raise WiringError(f"nth={nth!r} and chance={chance!r}: choose one of them")
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
            raise WiringError(f"chance={chance!r}: a number above 0, up to 1")
        more["chance"], more["seed"] = float(chance), seed
    else:
        more["nth"] = 1 if nth is None else count("nth", nth, "which message", least=0)
    return Fault(kind=kind, source=source, target=target, **more)


def _on_actor(kind: FaultKind, actor: str, nth: int) -> Fault:
    if not isinstance(actor, str) or not actor or actor == "*":
        raise WiringError(f"{kind}({actor!r}): name an actor, such as 'worker1'")
    if not count("nth", nth, "which message", least=0):
        raise WiringError("nth=0: an actor ends once, so say before which message, from 1")
    return Fault(kind=kind, target=actor, nth=nth)


def _ends(link: str) -> tuple[str, str]:
    link = getattr(link, "link", link)  # what could happen next has one too
    for arrow in ARROWS:
        if isinstance(link, str) and arrow in link:
            source, _, target = link.partition(arrow)
            if source.strip() and target.strip():
                return source.strip(), target.strip()
    raise WiringError(f"link={link!r}: write its two ends, such as 'WorkerPush→worker1'")


def _duration(by: float) -> float:
    told = seconds("by", by)
    if not told or told == float("inf"):
        raise WiringError(f"by={by!r}: a number of seconds, more than 0")
    return told


def _is_text(value: str) -> bool:
    try:
        return bool(value.encode()) or not value
    except UnicodeEncodeError:
        return False


_MAKERS: dict[str, Callable[..., Fault]] = {
    made.__name__: made for made in (drop, delay, duplicate, reorder, corrupt, stop, crash, part)
}


def parse(text: str) -> Fault:
    """The fault that prints itself like this: `drop('WorkerPush→worker1', nth=3)`.

    Nothing is executed: it may hold names of faults, texts and numbers only.

    Raises:
        WiringError: it is no fault, or an argument of it is wrong.
    """
    try:
        if not isinstance(text, str):
            raise TypeError(text)
        call = ast.parse(text.strip().removeprefix("faults."), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError(text)
        make = _MAKERS[call.func.id]
        given = [ast.literal_eval(argument) for argument in call.args]
        named = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
        return make(*given, **named)
    except WiringError:
        raise
    except (SyntaxError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        known = ", ".join(_MAKERS)
        raise WiringError(
            f"{text!r} is no fault: write drop('WorkerPush→worker1', nth=3), or one of {known}"
        ) from error


class Chance:
    """Whether a fault acts on the next message: its count, and its generator."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.spent = False
        self._seen = 0
        self._rng = random.Random(fault.seed)

    def strikes(self) -> bool:
        """One more message is there that it might act on."""
        fault = self.fault
        self._seen += 1
        if fault.chance:
            return self._rng.random() < fault.chance
        if fault.kind == "part":
            return self._seen >= fault.nth
        if not fault.nth:
            return True
        self.spent = self._seen == fault.nth
        return self.spent
