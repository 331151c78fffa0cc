"""What is asked of the arguments of more than one function, each with one error for it."""

from __future__ import annotations

from pylm_lab.errors import WiringError

__all__ = ["count", "seconds"]


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
