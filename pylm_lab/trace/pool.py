"""Pool: a number for each different value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Pool"]

T = TypeVar("T")


class Pool(Generic[T]):
    """Values, each once, numbered from 0 in the order in which they came."""

    __slots__ = ("codes", "values")

    def __init__(self, values: Iterable[T] = ()) -> None:
        self.values: list[T] = list(values)
        self.codes: dict[T, int] = {value: n for n, value in enumerate(self.values)}

    def code(self, value: T) -> int:
        """The number of this value, which it may get now."""
        found = self.codes.get(value)
        if found is None:
            found = len(self.values)
            self.values.append(value)
            # What ends while garbage is collected may have brought in a value in between.
            found = self.codes[value] = self.values.index(value, found)
        return found
