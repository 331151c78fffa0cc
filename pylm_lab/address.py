"""Addresses: where a socket is bound, how one is free again at once, and what went wrong."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import zmq

__all__ = ["Places", "bound_address", "explain", "free"]

#: Milliseconds to wait for a tcp port to be free again.
FREED_MS = 500


class _End(Protocol):
    """What `Places` need to know of a port."""

    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def binds(self) -> bool: ...


class Places:
    """Which ports of a run are where."""

    def __init__(self) -> None:
        self._ports: dict[str, dict[Any, None]] = defaultdict(dict)

    def join(self, port: _End, address: str) -> None:
        """The port is at this address from now on."""
        self._ports[_place(address)][port] = None

    def peers(self, port: _End) -> list[Any]:
        """The ports at the other ends of its links, in the order in which they came."""
        at = (other for address in port.addresses for other in list(self._ports[_place(address)]))
        return list(dict.fromkeys(other for other in at if other.binds is not port.binds))


def _place(address: str) -> str:
    """One spelling for each place: all hosts of a run's tcp addresses are this one."""
    if address.startswith(("tcp:", "http:")):
        return f"{address.partition(':')[0]}:{address.rpartition(':')[2]}"
    return address


def free(socket: zmq.Socket[bytes], address: str) -> None:
    """Let others bind the address, now.

    A close frees it as well, but in a thread of ZeroMQ's own, some time later.
    """
    try:
        if address.startswith("tcp:"):
            ears = socket.get_monitor_socket(zmq.EVENT_CLOSED)
            socket.unbind(address)
            ears.poll(FREED_MS)
            socket.disable_monitor()
            ears.close(linger=0)
        else:
            socket.unbind(address)
    except zmq.ZMQError as error:
        # Somebody ends everything at this moment; or Ctrl-C came in the middle of an earlier try.
        if error.errno not in (zmq.ETERM, zmq.ENOTSOCK, errno.ENOENT, errno.EINVAL):
            raise


def bound_address(socket: zmq.Socket[bytes]) -> str:
    """Where the socket was bound last, a free tcp port being resolved."""
    return socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")


def explain(who: str, address: str, error: zmq.ZMQError, *, binds: bool) -> str:
    """Why `who` can't bind or connect there, and what to do."""
    verb = "bind" if binds else "connect"
    if error.errno == zmq.EADDRINUSE:
        return (
            f"{who} can't bind {address}: it is in use. Stop what listens there, or choose "
            "another address (tcp://127.0.0.1:* takes a free port)"
        )
    return (
        f"{who} can't {verb} {address!r}: {error.strerror}. Addresses look like "
        "tcp://127.0.0.1:5555 or inproc://name"
    )
