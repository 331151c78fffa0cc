"""One core for all that is measured: threads that move between cores fight for Python's lock.

1. Where the platform can't pin, or doesn't allow it, nothing is pinned, and the table says so.
2. Afterwards the process may run where it could before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["pinned"]


@contextmanager
def pinned() -> Iterator[bool]:
    """Run this thread, and all that it starts, on one core; tells whether that is so."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(before)})
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)
