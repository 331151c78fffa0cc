"""Numbers: a short name for each message, in order of first appearance."""

from __future__ import annotations

from collections import Counter

__all__ = ["Numbers"]


class Numbers(dict[str, str]):
    """Message id → short name: `1`, `2`, …; `1.1` for the first child of 1; `r1` for requests."""

    def __init__(self) -> None:
        super().__init__()
        self._children: Counter[str] = Counter()
        self._messages = self._requests = 0

    def see(self, kind: str, message: str, parent: str) -> None:
        """This message has appeared, perhaps for the first time."""
        if not message or message in self or kind not in ("message", "request"):
            return
        self[message] = self.next(kind, parent)
        if kind == "request":
            self._requests += 1
        elif parent in self:
            self._children[parent] += 1
        else:
            self._messages += 1

    def next(self, kind: str, parent: str) -> str:
        """What the next new message of this kind, made of this parent, will be called."""
        if kind == "request":
            return f"r{self._requests + 1}"
        if parent in self:
            return f"{self[parent]}.{self._children[parent] + 1}"
        return str(self._messages + 1)
