"""Tables: what the columns of a trace refer to.

What frames say is kept once, however often they cross a link: the last frame in `Contents`, those
before it in `Envelopes`, every text in a list. A column holds positions in them, or codes of words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import FaultKind, Kind
from pylm_lab.trace.records import What

__all__ = [
    "FAULTS",
    "FAULT_CODES",
    "KINDS",
    "KIND_CODES",
    "WHATS",
    "Codes",
    "Contents",
    "Envelopes",
    "Flags",
    "Positions",
    "Tables",
    "code",
]

#: What a code in the column of that name stands for.
WHATS: tuple[What, ...] = get_args(What)
KINDS: tuple[Kind | Literal[""], ...] = ("", *get_args(Kind))
FAULTS: tuple[FaultKind | Literal[""], ...] = ("", *get_args(FaultKind))
_CODES = {word: n for n, word in enumerate(WHATS)}
KIND_CODES = {word: n for n, word in enumerate(KINDS)}
FAULT_CODES = {word: n for n, word in enumerate(FAULTS)}

Positions = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]


def code(what: What) -> int:
    """What stands for it in the column `what`."""
    return _CODES[what]


class Contents(NamedTuple):
    """What last frames say, each once: columns.

    `message` and `parent` index `Tables.ids`, `function` and `excerpt` index `Tables.texts`;
    `size` is in bytes, -1 where none is known.
    """

    message: Positions
    parent: Positions
    clock: npt.NDArray[np.uint64]
    stage: npt.NDArray[np.int64]
    function: Positions
    excerpt: Positions
    size: npt.NDArray[np.int64]


class Envelopes(NamedTuple):
    """What comes before the last frame, each once: columns.

    `peer` and `topic` index `Tables.texts`; `sizes` are the bytes of each frame.
    """

    peer: Positions
    topic: Positions
    sizes: list[tuple[int, ...]]


class Tables(NamedTuple):
    """What the columns of events refer to.

    `actors` and `ports` are ids, in the order in which they were declared; `ids` those of messages,
    `texts` any other texts. In both, 0 is the empty text.
    """

    actors: list[str]
    ports: list[str]
    ids: list[str]
    texts: list[str]
    contents: Contents
    envelopes: Envelopes
