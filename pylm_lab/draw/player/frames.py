"""Frames: what crosses a link, frame by frame, as each end sees it.

A ROUTER socket puts the routing id of who sent something before it, and takes it off again; a
publication begins with its topic; an empty frame marks where an envelope ends.
"""

from __future__ import annotations

from typing import NamedTuple

from pylm_lab.draw.metrics import clean
from pylm_lab.hook import Port
from pylm_lab.trace import Event

__all__ = ["Frame", "frames"]

#: What the last frame is called, by the kind of the hop.
_BODIES = {
    "message": "message",
    "credit": "credit",
    "request": "message",
    "answer": "answer",
    "ready": "echo",
}
_PUBLISHES = ("PUB", "XPUB", "SUB", "XSUB")


class Frame(NamedTuple):
    """One frame: what it is for, its size in bytes, and its text where the record has it."""

    what: str
    size: int
    text: str = ""


def frames(event: Event, port: Port | None) -> tuple[Frame, ...]:
    """The frames of one end of a hop, in order."""
    socket = port.socket if port else ""
    if socket == "HTTP":
        # What else there is lies between the part and the thread that speaks HTTP for it.
        return tuple(Frame("body", size) for size in event.sizes[-1:])
    found: list[Frame] = []
    for n, size in enumerate(event.sizes[:-1]):
        if n == 0 and socket == "ROUTER":
            found.append(Frame("routing id", size, clean(event.peer)))
        elif n == 0 and socket in _PUBLISHES:
            found.append(Frame("topic", size, clean(event.topic)))
        else:
            found.append(Frame("frame" if size else "delimiter", size))
    for size in event.sizes[-1:]:
        body = _BODIES.get(event.kind, "frame")
        # A message's own text is told field by field.
        text = "" if body == "message" else clean(event.excerpt)
        found.append(Frame(body, size, text))
    return tuple(found)
