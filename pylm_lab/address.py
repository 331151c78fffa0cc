"""Addresses: where a socket is bound, how one is free again at once, and what went wrong."""

from __future__ import annotations

import errno

import zmq

__all__ = ["bound_address", "explain", "free"]

#: Milliseconds to wait for a tcp port to be free again.
FREED_MS = 500


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
