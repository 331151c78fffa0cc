"""Replay: the same real system once more, along the decisions that a trace carries.

1. What is chosen is what was chosen then, as long as it is possible; the first time that it is not,
   or that something else happens, is the divergence, and is told in words.
2. After a divergence the run goes on in the plain order, to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pylm_lab.choices import Chooser, Operation
from pylm_lab.errors import LabError, WiringError
from pylm_lab.faults import parse
from pylm_lab.hook import Decision
from pylm_lab.moves import Names, say
from pylm_lab.trace.show.excerpt import excerpt

if TYPE_CHECKING:
    from pylm_lab.trace import Event, Trace

__all__ = ["Divergence", "Record", "Replayed", "compare"]


@dataclass(frozen=True)
class Divergence:
    """Where a replay first differs from the record: the step, and a sentence that says how."""

    step: int
    sentence: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.sentence}"


@dataclass(frozen=True)
class _Recorded:
    """A decision, with the message that it was about, and in words."""

    decision: Decision
    message: str
    source: str
    words: str


class Record:
    """What a trace tells of the decisions that were made."""

    def __init__(self, trace: Trace) -> None:
        chosen = [d for d in trace.decisions if d.kind not in ("inject", "heal")]
        if not chosen:
            raise WiringError(
                f"this trace has no decisions to run along: its schedule was {trace.schedule!r}. "
                "Record one with a seed, or step by step"
            )
        for decision in trace.decisions:
            if decision.kind in ("inject", "heal"):
                parse(decision.text)  # what can't be read is said before anything runs
        self.trace = trace
        #: It ended when nothing could move any more.
        self.is_whole = chosen[-1].kind == "quiet"
        hops = {n: hop for hop in trace.hops for n in (hop.sent, hop.received) if n is not None}
        at = {
            (event.at, event.actor): n
            for n, event in reversed(list(enumerate(trace.events)))
            if event.what in ("send", "receive", "drop", "fault")
        }
        self.decisions = [
            self._read(decision, at.get((decision.at, decision.actor)), hops)
            for decision in trace.decisions
            if decision.kind != "quiet"
        ]

    def _read(self, decision: Decision, n: int | None, hops: dict[int, Any]) -> _Recorded:
        trace = self.trace
        event = trace.events[n] if n is not None else None
        kind, message = "", ""
        others: list[str] = []
        if event is not None and decision.kind in ("send", "receive"):
            kind, message = event.kind, event.message
            hop = hops.get(n) if n is not None else None
            if hop is not None:
                other = hop.source if decision.kind == "receive" else hop.target
                others = [other] if other else []
        elif decision.kind == "receive":
            others = list(dict.fromkeys(port.actor for port in trace.declared.peers(decision.port)))
        here = trace.labels.get(decision.actor, decision.actor)
        there = [trace.labels.get(other, other) for other in others]
        number = trace.numbers.get(message, "")
        detail = decision.port.rpartition(":")[2]
        words = say(decision.kind, here, kind, number, there, detail)
        return _Recorded(decision, message, others[0] if len(others) == 1 else "", words)


class Replayed(Chooser):
    """Chooses what was chosen when the trace was recorded."""

    ended = "the record ends here"

    def __init__(self, record: Record) -> None:
        self._record = record
        self.tells_rest = record.is_whole
        self._at = 0
        #: The first difference in what was possible, or None.
        self.divergence: Divergence | None = None
        self.names: Names | None = None
        #: Says what an actor does now in words, and what it could do.
        self.state: Callable[[str], str] = lambda actor: ""
        self.ready: Callable[[str], list[Operation]] = lambda actor: []
        #: Plants, or heals, a fault again.
        self.break_: Callable[[Decision], None] = lambda decision: None

    def prepare(self) -> None:
        """Plant what was planted before anything moved."""
        self._wanted()

    def choose(self, possible: Sequence[Operation]) -> int | None:
        wanted = self._wanted()
        if wanted is None:
            if self.divergence is None:
                if not self._record.is_whole:
                    return None
                move = self._told(possible[0])
                step = self._record.trace.decisions[-1].at
                self._diverge(step, f"recorded that nothing could move any more, but now {move}")
            return 0
        for position, operation in enumerate(possible):
            if operation.name == _name(wanted.decision):
                if self._is_another(wanted, operation):
                    break
                self._at += 1
                return position
        self._diverge(
            wanted.decision.at, f"recorded that {wanted.words}, but {self._why(wanted, possible)}"
        )
        return 0

    def forced(self, operation: Operation) -> None:
        wanted = self._wanted()
        if wanted is None or self.divergence is not None:
            return
        if operation.name != _name(wanted.decision) or self._is_another(wanted, operation):
            told = f"recorded that {wanted.words}, but now {self._told(operation)}"
            self._diverge(wanted.decision.at, told)
        self._at += 1

    def _wanted(self) -> _Recorded | None:
        """What was chosen next; faults that were planted before are planted."""
        decisions = self._record.decisions
        while self._at < len(decisions) and decisions[self._at].decision.kind in ("inject", "heal"):
            decision = decisions[self._at].decision
            self._at += 1
            try:
                self.break_(decision)
            except LabError as error:
                self._diverge(decision.at, f"recorded {decision.kind} of {decision.text}: {error}")
        return decisions[self._at] if self._at < len(decisions) and not self.divergence else None

    @staticmethod
    def _is_another(wanted: _Recorded, operation: Operation) -> bool:
        """It is about another message than the one that was recorded."""
        if operation.kind != "receive" or not wanted.message or not operation.frames:
            return False
        return f"{operation.message:016x}" != wanted.message

    def _why(self, wanted: _Recorded, possible: Sequence[Operation]) -> str:
        decision = wanted.decision
        for operation in possible:
            if operation.name == _name(decision):
                return f"{self._told(operation)} instead"
        label = self._record.trace.labels.get(decision.actor, decision.actor)
        state = self.state(decision.actor)
        if decision.kind == "receive" and decision.port in state and wanted.source:
            other = self._record.trace.labels.get(wanted.source, wanted.source)
            doing = self.state(wanted.source)
            return f"{other} has nothing to send" + (f": it {doing}" if doing else "")
        for operation in self.ready(decision.actor):
            return f"now {self._told(operation)}"
        if decision.kind == "timeout" and possible:
            return f"{self._told(possible[0])} first"
        return f"{label} {state}" if state else f"{label} is not there"

    def _told(self, operation: Operation) -> str:
        assert self.names is not None
        return self.names.move(0, operation).sentence.rstrip(".")

    def _diverge(self, step: int, sentence: str) -> None:
        if self.divergence is None:
            self.divergence = Divergence(step, sentence)


def _name(decision: Decision) -> tuple[str, str, str]:
    return decision.actor, decision.kind, decision.port


def compare(recorded: Trace, again: Trace, found: Divergence | None) -> Divergence | None:
    """The first difference between two runs along the same decisions, or None.

    `found` is the first one in what was possible, if there is one: it comes first unless something
    else had happened before.
    """
    for one, other in zip(recorded.events, again.events, strict=False):
        if found is not None and one.at >= found.step:
            return found
        if one != other:
            return Divergence(one.at, _differs(recorded, one, again, other))
    if found is not None:
        return found
    one_more, others = len(recorded.events), len(again.events)
    if one_more == others or (one_more < others and not Record(recorded).is_whole):
        return None  # what came after the record's end, it does not tell
    longer, trace = (recorded, "recorded") if one_more > others else (again, "not recorded")
    event = longer.events[min(one_more, others)]
    return Divergence(event.at, f"{trace}: {_told(longer, event)}")


def _differs(recorded: Trace, one: Event, again: Trace, other: Event) -> str:
    """How one event differs from the one that was recorded in its place."""
    same = replace(other, at=one.at, excerpt=one.excerpt, sizes=one.sizes)
    if same == one and one.at == other.at:
        return (
            f"recorded that {_told(recorded, one)} ({_content(one)}), "
            f"but now it is {_content(other)}"
        )
    then, now = _told(recorded, one), _told(again, other)
    if then != now:
        return f"recorded that {then}, but now {now}"
    changes = [
        f"its {field.name} is {getattr(other, field.name)!r}, not {getattr(one, field.name)!r}"
        for field in fields(one)
        if getattr(one, field.name) != getattr(other, field.name)
    ]
    return f"recorded that {then}, but now {excerpt(' and '.join(changes), 200)}"


def _content(event: Event) -> str:
    return f"{excerpt(event.excerpt, 40)!r}, {sum(event.sizes)} bytes"


def _told(trace: Trace, event: Event) -> str:
    label = trace.labels.get(event.actor, event.actor)
    number = trace.numbers.get(event.message, "")
    if event.what in ("send", "receive"):
        peers = trace.declared.peers(event.port)
        others = list(dict.fromkeys(trace.labels.get(p.actor, p.actor) for p in peers))
        return say(event.what, label, event.kind, number, others, "")
    what = f" message {number}" if number else ""
    text = f": {excerpt(event.text, 80)}" if event.text else ""
    return f"{label} {_DOES.get(event.what, event.what)}{what}{text}"


_DOES = {
    "start": "starts",
    "stop": "ends",
    "fail": "fails",
    "drop": "gives up",
    "bind": "binds",
    "connect": "connects",
    "disconnect": "leaves",
    "subscribe": "subscribes",
    "unsubscribe": "unsubscribes",
    "seen": "hears of a subscription",
    "unseen": "hears that a subscription has ended",
    "fault": "is struck by a fault, for",
}
