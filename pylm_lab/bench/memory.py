"""Memory: what a record takes, beside the messages themselves.

1. It is counted, not estimated: the size of every object that can be reached, each once.
2. Bytes objects are the messages' own frames, or parts of them: they are told apart. Declared
   actors and ports are somebody else's.
"""

from __future__ import annotations

import gc
import sys
import types
from typing import NamedTuple

from pylm_lab.hook import Actor, Port, Route

__all__ = ["Held", "held"]

_NOT_OURS = (Actor, Port, Route, type, types.ModuleType, types.FunctionType)


class Held(NamedTuple):
    """Bytes that rows take, and bytes of the frames that they hold."""

    rows: int
    frames: int


def held(root: object) -> Held:
    """What is reached from an object."""
    rows = frames = 0
    seen: set[int] = set()
    left = [root]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, _NOT_OURS):
            continue
        seen.add(id(one))
        if type(one) is bytes:
            frames += sys.getsizeof(one)
        else:
            rows += sys.getsizeof(one)
            left += gc.get_referents(one)
    return Held(rows, frames)
