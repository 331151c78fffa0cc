"""Patience: how an actor tells for what it waits, and for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pylm_lab.address import Places
from pylm_lab.port import Port
from pylm_lab.schedule import Gate, wish
from pylm_lab.waits import Wait, Waits

__all__ = ["Patience"]


class Patience:
    """Whoever waits at ports."""

    id: str
    #: What it sends begins with it: whoever waits for it is owed an answer.
    originates: ClassVar[bool] = False

    def __init__(self) -> None:
        self.gate: Gate | None = None
        #: Where the ports of its run are.
        self.places: Places | None = None
        #: Tells who waits in its run.
        self.run_waits: Callable[[], Waits] | None = None
        #: Where it waits, with what to send, and since when.
        self._waits_at: tuple[tuple[Port, ...], Port | None, int] | None = None

    def waiting(self) -> Wait | None:
        """For what it waits now, and how long already; None if it does something."""
        if self.gate is not None:
            found: Any = self.gate.waits(self)
        else:
            found = self._waits_at
        if found is None:
            return None
        ports, sending, since = found
        steps = self.gate is not None
        lasting = since if steps else (time.monotonic_ns() - since) / 1e9
        return Wait(
            actor=self.id,
            what=self.wish(tuple(ports), sending),
            ports=tuple(port.id for port in (*ports, *([sending] if sending else []))),
            lasting=float(lasting),
            unit="steps" if steps else "s",
            on=tuple(self.waits_on(tuple(ports), sending)),
            idle=self._idles(ports, sending),
        )

    def waits_when_late(
        self, ports: tuple[Port, ...], sending: Port | None, timeout: float | None
    ) -> Waits | None:
        """Who waits in its run, itself among them, now that it has waited in vain."""
        if self.run_waits is None:
            return None
        own = Wait(
            actor=self.id,
            what=self.wish(ports, sending),
            ports=tuple(port.id for port in (*ports, sending) if port is not None),
            lasting=timeout or 0.0,
            unit="s",
            on=tuple(self.waits_on(ports, sending)),
        )
        return Waits((own, *(wait for wait in self.run_waits() if wait.actor != self.id)))

    def waits_on(self, ports: tuple[Port, ...], sending: Port | None) -> list[str]:
        """The ids of the actors who can end a wait at these ports."""
        if self.places is None:
            return []
        ends = [peer for port in ports if port.receives for peer in self.places.peers(port)]
        if sending is not None:
            ends += self.places.peers(sending)
        return list(dict.fromkeys(peer.owner.id for peer in ends))

    def _idles(self, ports: Sequence[Port], sending: Port | None) -> bool:
        """Whoever waits here waits for work; who asks, or needs an answer or room, is owed it."""
        if sending is not None or not ports:
            return False
        return not self.originates and any(p.receives in ("message", "request") for p in ports)

    def wish(self, ports: tuple[Port, ...], sending: Port | None) -> str:
        """What it waits for, in words, when it waits at these ports."""
        return wish(ports, sending)
