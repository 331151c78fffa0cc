"""Moves: what could happen next in a controlled run, or just has, told in words."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import SupportsIndex, overload

from pylm_lab import wire
from pylm_lab.breakage import Breakage
from pylm_lab.choices import Operation
from pylm_lab.hook import Actor, FaultKind, Hook, Port
from pylm_lab.port import Port as Door
from pylm_lab.trace.numbers import Numbers

__all__ = ["Move", "Moves", "Names", "say"]

_STAMPED = ("message", "request")
_READY = wire.READY
#: Faults after which a message arrives all the same.
_ARRIVES = ("duplicate", "corrupt")
#: Strikes that are remembered, to be told with their step.
_LATELY = 1000


@dataclass(frozen=True, kw_only=True)
class Move:
    """One operation of one actor.

    `number` is its place in the list of what is possible, from 1. `operation` is what the actor
    does (`start`, `connect`, `subscribe`, `unsubscribe`, `send`, `receive`, `timeout`) at its
    `port` (ids), `kind` what crosses the `link` (`WorkerPush→worker1`; empty where its other end is
    not one actor), `message` its short name (`3`, `1.2`, `r4`), empty where it has none yet.
    """

    number: int
    actor: str
    operation: str
    sentence: str
    port: str = ""
    link: str = ""
    kind: str = ""
    message: str = ""

    def __str__(self) -> str:
        return self.sentence

    @property
    def name(self) -> tuple[str, str, str]:
        """What tells it from the other moves that are possible: actor, operation, port id."""
        return self.actor, self.operation, self.port


class Moves(list[Move]):
    """A list of moves that shows itself as numbered sentences."""

    #: What it says when it is empty.
    otherwise = "Nothing can move: begin a call with cluster.start(client.eval, …)."

    @overload
    def __getitem__(self, which: SupportsIndex) -> Move: ...
    @overload
    def __getitem__(self, which: slice) -> Moves: ...
    def __getitem__(self, which: SupportsIndex | slice) -> Move | Moves:
        if isinstance(which, slice):
            return Moves(super().__getitem__(which))
        return super().__getitem__(which)

    def __repr__(self) -> str:
        width = len(str(max((move.number for move in self), default=0)))
        lines = [f"{move.number:{width}}  {move.sentence}" for move in self]
        return "\n".join(lines) or self.otherwise

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{escape(self.otherwise)}</p>"
        cells = "".join(
            f"<tr><td>{move.number}</td><td style='text-align:left'>{escape(move.sentence)}</td>"
            f"<td>{escape(move.link)}</td></tr>"
            for move in self
        )
        return f"<table><tbody>{cells}</tbody></table>"


class Names(Hook):
    """Knows what to call the actors and messages of a run, as its trace does."""

    def __init__(self, breakage: Breakage) -> None:
        self._breakage = breakage
        self._actors: dict[str, Actor] = {}
        self.numbers = Numbers()
        #: What faults did lately: at which step, of what kind, and why.
        self._struck: OrderedDict[int, tuple[FaultKind, str]] = OrderedDict()

    def fault_struck(
        self,
        actor: str,
        port: Port | None,
        frames: list[bytes],
        fault: FaultKind,
        why: str,
        at: int,
    ) -> None:
        self._struck[at] = fault, why
        if len(self._struck) > _LATELY:
            self._struck.popitem(last=False)

    def actor_declared(self, actor: Actor) -> None:
        self._actors[actor.id] = actor

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        self._see(port.sends, frames)

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        self._see(port.receives, frames)

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self._see(port.sends or port.receives, frames)

    def _see(self, kind: str, frames: list[bytes]) -> None:
        if kind in _STAMPED and not frames[0].startswith(_READY):
            stamp = wire.read_stamp(frames[-1])
            if stamp is not None:
                parent = f"{stamp.parent:016x}" if stamp.parent else ""
                self.numbers.see(kind, f"{stamp.id:016x}", parent)

    @property
    def actors(self) -> list[str]:
        """The ids of all actors."""
        return list(self._actors)

    def label(self, actor: str) -> str:
        """What the actor calls itself, if that is unique; else its id."""
        labels = Counter(one.label for one in self._actors.values())
        known = self._actors.get(actor)
        if known is None or labels[known.label] > 1:
            return actor
        return known.label

    def _message(self, operation: Operation, kind: str) -> str:
        """The short name of the message that an operation is about; empty if it has none."""
        if kind not in _STAMPED or not operation.frames:
            return ""
        port, id, parent = operation.port, operation.message, 0
        if operation.kind == "send" and isinstance(port, Door) and not operation.is_done:
            id, parent = port.preview(operation.frames)
            if not id:
                return self.numbers.next(kind, f"{parent:016x}")
        return self.numbers.get(f"{id:016x}", "")

    def move(self, number: int, operation: Operation) -> Move:
        """An operation, told: as it would be, or, if it `is_done`, as it was."""
        port = operation.port
        frames, kind, ends = operation.frames, "", []
        if isinstance(port, Door):
            if operation.kind == "receive":
                kind = port.receives
                if kind == "message" and frames and frames[0].startswith(_READY):
                    kind = "ready"
                if frames:
                    source = self._breakage.source(port, frames)
                    ends = [source] if source else []
                ends = ends or self._others(port)
            elif operation.kind == "send":
                kind = port.sends
                if frames and frames[0].startswith(_READY):
                    kind = "ready"
                ends = self._others(port, frames)
        message = self._message(operation, kind)
        here, there = self.label(operation.actor), [self.label(end) for end in ends]
        link = ""
        if len(there) == 1:
            link = f"{there[0]}→{here}" if operation.kind == "receive" else f"{here}→{there[0]}"
        detail = port.name if isinstance(port, Door) else ""
        if operation.jumps_to is not None:
            detail = f"{operation.jumps_to:g} s"
        told = say(operation.kind, here, kind, message, there, detail)
        if operation.jumps_to is not None and operation.kind == "receive":
            told += f": it was late, and the clock jumps to {detail}"
        if operation.is_done and operation.kind == "receive":
            told += self._what_struck(operation)
        return Move(
            number=number,
            actor=operation.actor,
            operation=operation.kind,
            port=port.id if port else "",
            link=link,
            kind=kind,
            message=message,
            sentence=f"{told}.",
        )

    def _what_struck(self, operation: Operation) -> str:
        """What a fault did as this happened; empty if none did."""
        if operation.step not in self._struck:
            return ""
        fault, why = self._struck[operation.step]
        return f"; {why}" if fault in _ARRIVES else f", or would: {why}"

    def _others(self, port: Door, frames: list[bytes] | None = None) -> list[str]:
        """Who may be at the other end."""
        peers = port.owner.places.peers(port) if port.owner.places else []
        if frames and port.socket_type.name == "ROUTER":
            peers = [peer for peer in peers if peer.owner.name.encode() == frames[0]]
        return list(dict.fromkeys(peer.owner.id for peer in peers))


def say(
    operation: str, here: str, kind: str, message: str, others: Iterable[str], detail: str
) -> str:
    """An operation as a clause: `worker1 receives message 3 from WorkerPush`.

    Args:
        operation, kind, message: as `Move` has them.
        here: what to call the actor.
        others: who may be at the other end.
        detail: the port's name, or the time to which the clock jumps.
    """
    them = _the(_either(list(others)))
    what = _what(kind, message)
    actor = _the(here)
    match operation:
        case "receive" if not kind:
            return f"{actor} learns that a subscription of {them or 'somebody'} has changed"
        case "receive" if kind == "ready":
            return f"{actor} hears from {them or 'its publisher'} that its subscription is known"
        case "receive":
            return f"{actor} receives {what} from {them or 'somebody'}"
        case "send" if kind == "ready":
            return f"{actor} tells {them or 'a subscriber'} that its subscription is known"
        case "send":
            return f"{actor} sends {what} to {them or 'nobody yet'}"
        case "start":
            return f"{actor} starts"
        case "connect":
            return f"{actor} connects its port {detail}"
        case "subscribe":
            return f"{actor} subscribes to its answers"
        case "unsubscribe":
            return f"{actor} wants no more answers"
        case "timeout":
            return f"{actor} has waited long enough: the clock jumps to {detail}"
        case _:
            return f"{actor}: {operation} {detail}".rstrip()


def _what(kind: str, message: str) -> str:
    match kind:
        case "credit":
            return "an acknowledgement"
        case "answer":
            return "an answer"
        case "request":
            return f"request {message}" if message else "a request"
        case _:
            return f"message {message}" if message else "a new message"


def _the(name: str) -> str:
    return "the router" if name == "router" else name


def _either(names: list[str]) -> str:
    if len(names) > 4:
        return f"one of {len(names)} others"
    return " or ".join(names)
