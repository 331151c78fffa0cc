"""Breakage: the faults of a run at work, at the door of its ports.

A port asks it about each message that it is about to receive. Who sent that is known from the link,
or, where several send to one port, from the message's id.
"""

from __future__ import annotations

import difflib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, get_args

from pylm_lab import wire
from pylm_lab.address import Places
from pylm_lab.errors import RunError, WiringError
from pylm_lab.faults import Chance, Fault
from pylm_lab.hook import FaultKind
from pylm_lab.schedule import Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pylm_lab.actor import Actor
    from pylm_lab.port import Port

__all__ = ["Breakage", "Crashed", "check", "check_names"]

#: What can be done to what is no message. Whoever asks at a REQ waits for the answer to that
#: question, and a REP owes an answer to each: nothing there can come twice, or in another order.
_POSSIBLE = {
    "request": ("drop", "part", "corrupt", "stop", "crash"),
    "answer": ("drop", "part", "delay"),
    "credit": ("drop", "part", "delay", "duplicate", "reorder"),
}
_ALL = tuple(get_args(FaultKind))
#: Messages whose last sender is remembered.
REMEMBERED = 100_000


class Crashed(RunError):  # noqa: N818 - said of an actor, not of a mistake
    """An actor was crashed on purpose, by a fault."""


class Breakage:
    """The faults of a run, and what they need to know: who sent what last."""

    def __init__(self, places: Places, *, is_on: bool) -> None:
        #: Ports ask it; without need they don't.
        self.is_on = is_on
        self._places = places
        self._active: list[Chance] = []
        self._senders: OrderedDict[int, str] = OrderedDict()
        #: Planted in one thread, asked in others.
        self._mutex = threading.Lock()

    @property
    def planted(self) -> list[Fault]:
        """The faults that may still act."""
        return [chance.fault for chance in self._active if not chance.spent]

    def plant(self, fault: Fault, ports: Sequence[Port]) -> None:
        """Let the fault act from now on, at these ports and at those that open later."""
        with self._mutex:
            self.is_on = True
            self._active.append(Chance(fault))
            for port in ports:
                port.break_by(self)

    def retire(self, port: Port) -> None:
        """In a free run, let the port forget faults when there are none: so it is fast again."""
        if self._active or len(port.arrivals):
            return
        with self._mutex:
            if not self._active:
                port.break_by(None)

    def heal(self, fault: Fault) -> None:
        """Let it act no more.

        Raises:
            WiringError: it was not planted, or has been healed.
        """
        with self._mutex:
            for chance in self._active:
                if chance.fault == fault:
                    self._active.remove(chance)
                    return
        raise WiringError(f"{fault!r} is not planted: there is nothing to heal")

    # What ports ask

    def note(self, port: Port, batch: list[list[bytes]]) -> None:
        """These messages were sent at the port."""
        if port.sends not in ("message", "request"):
            return
        for frames in batch:
            stamp = wire.read_stamp(frames[-1])
            if stamp is not None:
                self._senders[stamp.id] = port.owner.id
                self._senders.move_to_end(stamp.id)
                if len(self._senders) > REMEMBERED:
                    self._senders.popitem(last=False)

    def source(self, port: Port, frames: list[bytes]) -> str:
        """The id of the actor that sent what is to be received at the port; empty if not known."""
        peers = self._places.peers(port)
        if len(peers) > 1 and port.socket_type.name == "ROUTER":
            peers = [peer for peer in peers if peer.owner.name.encode() == frames[0]]
        if len(peers) == 1:
            return str(peers[0].owner.id)
        stamp = wire.read_stamp(frames[-1])
        return self._senders.get(stamp.id, "") if stamp is not None else ""

    def strike(self, port: Port, frames: list[bytes]) -> list[bytes] | None:
        """What is received in place of these frames; None: nothing, for now or for good.

        Raises:
            Crashed, Stopped: the actor was crashed, or stopped.
        """
        if not port.receives or not (self._active or len(port.arrivals)):
            return frames
        source, echo = self.source(port, frames), frames[0].startswith(wire.READY)
        with self._mutex:
            at_work = [
                chance.fault
                for chance in self._active
                if self._concerns(chance.fault, port, source, echo=echo) and chance.strikes()
            ]
            self._active = [chance for chance in self._active if not chance.spent]
        struck: list[bytes] | None = frames
        for fault in at_work:
            if struck is None:
                break
            struck = self._act(fault, port, struck, source)
        if struck is not None:
            port.arrivals.passed(source)
        return struck

    def _concerns(self, fault: Fault, port: Port, source: str, *, echo: bool) -> bool:
        target = port.owner.id
        if fault.kind == "part":
            ends = ((fault.source, fault.target), (fault.target, fault.source))
            return any(_is(source, one) and _is(target, other) for one, other in ends)
        if echo:
            return False
        if fault.kind not in _POSSIBLE.get(_comes_as(port), _ALL):
            return False
        if fault.kind in ("stop", "crash"):
            return port.receives in ("message", "request") and _is(target, fault.target)
        return _is(source, fault.source) and _is(target, fault.target)

    def _act(
        self, fault: Fault, port: Port, frames: list[bytes], source: str
    ) -> list[bytes] | None:
        owner, why = port.owner, fault.why
        if fault.kind == "corrupt":
            changed = wire.replace(frames[-1], fault.field, fault.value)
            port.strike(frames, fault.kind, why)
            return [*frames[:-1], changed]
        if fault.kind in ("stop", "crash"):
            owner.hooks.fault_struck(owner.id, None, [], fault.kind, why, owner.moment())
            ended = "was stopped" if fault.kind == "stop" else "crashed"
            port.drop(frames, f"{owner.name} {ended} before it received it")
            if fault.kind == "stop":
                raise Stopped
            raise Crashed(why)
        port.strike(frames, fault.kind, why)
        if fault.kind == "duplicate":
            port.hold(list(frames), 0.0)
            return frames
        if fault.kind in ("drop", "part"):
            port.drop(frames, why)
            port.free_of_debt()
        else:
            after = source if fault.kind == "reorder" else ""
            port.hold(frames, owner.seconds() + fault.by, after)
        return None


def check(fault: Fault, actors: Sequence[Actor], *, others: bool = False) -> None:
    """Raise WiringError if the fault names somebody who is not among these, or can't be.

    `others` may come yet: then only what is nearly one of the names is taken for a mistake.
    """
    check_names(fault, [actor.id for actor in actors], others=others)
    comes = {
        _comes_as(port)
        for actor in actors
        if fault.target != "*" and _is(actor.id, fault.target)
        for port in actor.ports
        if port.receives
    }
    if comes and not any(fault.kind in _POSSIBLE.get(kind, _ALL) for kind in comes):
        raise WiringError(
            f"{fault!r}: {fault.target} has to answer each question before it hears the next, "
            "so none can be late, doubled or overtaken. Delay its answer: "
            f"delay('{fault.target}→{fault.source}')"
        )


def _comes_as(port: Port) -> str:
    """What comes to the port: a message to which it owes an answer is a request, too."""
    return "request" if port.sends == "answer" else port.receives


def check_names(fault: Fault, names: Sequence[str], *, others: bool = False) -> None:
    """`check`, of actor ids alone."""
    labels = dict.fromkeys(name.rpartition(".")[2] for name in names)
    ends = [fault.target] if fault.kind in ("stop", "crash") else [fault.source, fault.target]
    for end in ends:
        if end == "*" or end in names or end in labels:
            continue
        cutoff = 0.85 if others else 0.6
        near = difflib.get_close_matches(end, [*labels, *names], n=1, cutoff=cutoff)
        if near or not others:
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(labels)}"
            raise WiringError(f"{fault!r}: nobody is called {end!r}; {hint}")


def _is(actor: str, wanted: str) -> bool:
    """The actor id is meant by this name: itself, its label, or any."""
    return wanted in ("*", actor) or (bool(actor) and actor.rpartition(".")[2] == wanted)
