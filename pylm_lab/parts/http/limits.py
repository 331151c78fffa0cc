"""Limits: what a web client may ask of an HTTP part."""

from __future__ import annotations

from dataclasses import dataclass

from pylm_lab.arguments import count, seconds
from pylm_lab.errors import WiringError

__all__ = ["USUAL", "Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a web client may ask of an HTTP part.

    `threads` is how many requests are worked on at once; the others wait in line, each as a
    connection, without a thread. `connections` is how many there may be; the others wait to be
    accepted. `patience` is how long, in seconds, a client may take to send a request, or leave a
    connection idle, before it is closed. `largest` is how many bytes a body may have.
    """

    threads: int = 8
    connections: int = 2000
    patience: float = 30.0
    largest: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        count("threads", self.threads, "how many requests are worked on at once")
        count("connections", self.connections, "how many clients may be connected")
        count("largest", self.largest, "how many bytes a body may have")
        if not seconds("patience", self.patience):
            raise WiringError(f"patience={self.patience!r}: a client needs some time to ask")


#: Unless told otherwise.
USUAL = Limits()
