"""What is asked of the arguments of more than one function, each with one error for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pylm_lab.errors import WiringError

__all__ = ["count", "nearest", "seconds"]


def nearest(wanted: object, known: Iterable[str]) -> str:
    """Which of the names that are known was meant, as a hint; all of them if none is near."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(str(wanted), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def count(name: str, value: object, what: str, least: int = 1) -> int:
    """The value, which has to be a whole number of at least `least`.

    Raises:
        WiringError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WiringError(f"{name}={value!r}: {what}, a whole number of at least {least}")
    return value


def seconds(name: str, value: object) -> float | None:
    """The value, which has to be a time in seconds, or None: as long as it takes.

    Raises:
        WiringError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise WiringError(f"{name}={value!r}: a time in seconds, or None for as long as it takes")
    return float(value)
