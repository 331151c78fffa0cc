"""Arrivals: what has come to a port, and is not received yet.

Under a gate the next message is taken off the socket while it waits for the turn. What a fault
holds back waits here as well, until it is time.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Arrivals"]


class _Held(NamedTuple):
    """Frames that arrive at a time; `after`: or right after the next that this actor has sent."""

    at: float
    frames: list[bytes]
    after: str = ""


class Arrivals:
    """The frames that wait at one port, apart from those in its socket."""

    def __init__(self) -> None:
        #: The next to be received, once it is off the socket.
        self.next: list[bytes] | None = None
        #: That has been held back: no fault acts on it again.
        self.was_held = False
        self._held: list[_Held] = []

    def __len__(self) -> int:
        """How many are held back."""
        return len(self._held)

    def hold(self, frames: list[bytes], at: float, after: str = "") -> None:
        """Let these frames arrive at that time; or right after the next that `after` has sent."""
        self._held.append(_Held(at, frames, after))
        self._held.sort(key=lambda held: held.at)

    def passed(self, source: str) -> None:
        """Something has come that this actor sent: what it should overtake may arrive now."""
        if any(held.after == source for held in self._held):
            self._held = [
                held._replace(at=0.0) if held.after == source else held for held in self._held
            ]
            self._held.sort(key=lambda held: held.at)

    @property
    def due(self) -> float | None:
        """When the first of what is held back arrives, or None."""
        return self._held[0].at if self._held else None

    @property
    def first(self) -> list[bytes] | None:
        """The first of what is held back, or None."""
        return self._held[0].frames if self._held else None

    def is_due(self, now: float) -> bool:
        """Something that was held back is there."""
        return bool(self._held) and self._held[0].at <= now

    def release(self) -> list[bytes]:
        """The first of what is held back."""
        return self._held.pop(0).frames

    def clear(self) -> None:
        """Forget all of it."""
        self.next = None
        self._held.clear()
