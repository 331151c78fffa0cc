"""Parts whose class says which socket they have, and whether they bind.

What they do is in `core` and `bypass`; here is how they are made: the one constructor that all
services, and the one that all connections of a direction, have.
"""

from __future__ import annotations

import sys
from typing import Any, Unpack

import zmq

from pylm_lab.parts.bypass import BypassInbound, BypassOutbound
from pylm_lab.parts.core import Inbound, Outbound
from pylm_lab.parts.part import Part, PartFunctions

__all__ = ["FixedBypassInbound", "FixedBypassOutbound", "FixedInbound", "FixedOutbound"]

Context = zmq.Context[zmq.Socket[bytes]]


def _socket(part: type[Part]) -> dict[str, Any]:
    """What a class says of the socket of its parts."""
    return {
        # The first is the one that all parts have.
        "socket_type": zmq.SocketType[part.socket.partition(" ")[0]],
        "bind": bool(part.binds),
        "reply": bool(part.blocking),
    }


class FixedInbound(Inbound):
    """An inbound part whose class says which socket it has. The arguments are as in `Inbound`."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            listen_address,
            broker_address=broker_address,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
            **_socket(type(self)),
            **functions,
        )


class FixedOutbound(Outbound):
    """An outbound part whose class says which socket it has. The arguments are as in `Outbound`."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        timeout: float | None = None,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            name,
            listen_address,
            broker_address=broker_address,
            logger=logger,
            cache=cache,
            messages=messages,
            timeout=timeout,
            context=context,
            **_socket(type(self)),
            **functions,
        )


class FixedBypassInbound(BypassInbound):
    """A bypass part whose class says which socket it has, which receives first."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
            **_socket(type(self)),
        )


class FixedBypassOutbound(BypassOutbound):
    """A bypass part whose class says which socket it has, which sends first."""

    def __init__(
        self,
        name: str,
        listen_address: str,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(
            name,
            listen_address,
            logger=logger,
            cache=cache,
            messages=messages,
            context=context,
            **_socket(type(self)),
        )
