"""Somebody else's peers: PALM messages as bytes written from the table, and bare ZeroMQ sockets.

Nothing here imports pylm_lab: it is what a program of another author's would have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import zmq

__all__ = ["FIELDS", "Peers", "chunk", "decode", "encode", "number", "stamp", "varint"]

#: The table: each field's number, in the order in which they are written.
FIELDS = {"pipeline": 1, "client": 2, "stage": 3, "function": 4, "cache": 5, "payload": 6}
#: Milliseconds that a socket waits before the test fails.
PATIENCE = 5000


def varint(value: int) -> bytes:
    """A number, seven bits a byte, the lowest first; a negative one as 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A field that holds a number (wire type 0)."""
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes | str) -> bytes:
    """A field that holds bytes or text (wire type 2)."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def stamp(*numbers: int) -> bytes:
    """What ends a message while somebody records: field 536870911, three numbers of 64 bits."""
    return chunk(536870911, struct.pack("<3Q", *numbers))


def encode(**fields: str | bytes | int) -> bytes:
    """A message with these fields; what is empty or 0 is left out, as proto3 has it."""
    parts = []
    for name, field in FIELDS.items():
        value = fields.pop(name, None)
        if value:
            put: Any = number if isinstance(value, int) else chunk
            parts.append(put(field, value))
    assert not fields, fields
    return b"".join(parts)


def decode(data: bytes) -> dict[int, Any]:
    """What each field holds, by its number, in the order of the bytes; the last one counts."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _read(data, at)
            found[key >> 3] = value - (1 << 64) if value >> 63 else value
            continue
        size, at = _read(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, 0), at)
        assert at + size <= len(data), f"field {key >> 3} is cut"
        found[key >> 3] = data[at : at + size]
        at += size
    return found


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


class Peers:
    """Bare sockets in a context of their own, all of them gone at the end."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._kept: list[zmq.Socket[bytes]] = []

    def connect(self, kind: int, address: str, topics: Iterable[bytes] = ()) -> zmq.Socket[bytes]:
        """A socket that is connected there, as both sides know, and subscribed to these topics."""
        socket = self._socket(kind)
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(address)
        assert monitor.poll(PATIENCE), f"nobody is at {address}"
        socket.disable_monitor()
        monitor.close()
        for topic in topics:
            socket.subscribe(topic)
        return socket

    def bind(self, kind: int) -> tuple[zmq.Socket[bytes], str]:
        """A socket that is bound to a free port of this machine, and its address."""
        socket = self._socket(kind)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, f"tcp://127.0.0.1:{port}"

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self.context.socket(kind)
        socket.rcvtimeo = socket.sndtimeo = PATIENCE
        socket.linger = 0
        self._kept.append(socket)
        return socket

    def request(self, address: str, data: bytes) -> bytes:
        """Ask a cache, and forget the socket."""
        with self.connect(zmq.REQ, address) as socket:
            socket.send(data)
            return socket.recv()

    def find(self, db_address: str, *keys: str) -> list[str]:
        """What the cache of a server tells of itself."""
        asked = [encode(function="server.get", payload=key.encode()) for key in keys]
        return [self.request(db_address, data).decode() for data in asked]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for socket in self._kept:
            socket.close()
        self.context.term()
