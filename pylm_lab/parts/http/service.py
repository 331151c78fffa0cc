"""HttpService: takes messages over HTTP."""

from __future__ import annotations

from typing import Any, Unpack

import zmq

from pylm_lab.arguments import seconds
from pylm_lab.parts.core import Inbound
from pylm_lab.parts.http.front import Front
from pylm_lab.parts.http.limits import USUAL, Limits
from pylm_lab.parts.http.port import HttpPort, Side
from pylm_lab.parts.http.urls import LOOPBACK, where
from pylm_lab.parts.part import PartFunctions

__all__ = ["HttpService", "listen"]

Context = zmq.Context[zmq.Socket[bytes]]


def listen(port: HttpPort, hostname: str, number: int, front: Front, limits: Limits) -> Side:
    """Let a web server listen for the port."""
    # Whoever has no HTTP part does not load it.
    from pylm_lab.parts.http.listener import Listener

    listener = Listener(hostname or LOOPBACK, number, limits)
    listener.serve(front, f"{port.id}.web")
    return listener


class HttpService(Inbound):
    """Takes messages from web clients and hands them to the router.

    A client sends a PALM message as the body of a POST, to any path. The answer is what the router
    told of it: the feedback of the outbound part if the service was registered with `block=True`,
    else an acknowledgement. It does one message at a time, in the order in which they came.

    Args:
        hostname: where it listens; empty: 127.0.0.1, which is reached from this machine alone.
            Others can reach it when it is the name or address of a network of theirs, `0.0.0.0` for
            all; nobody is asked for a password.
        port: the number of the port; 0: a free one, which `url` tells once it is open.
        timeout: seconds that an answer may take; then the client gets 504. None: any time.
        limits: what clients may ask for.

    It answers 400 (no PALM message), 405 (no POST), 411 (a POST that does not say how long it is),
    413 (a body beyond the limit), 503 (it ends) and 504.
    """

    binds, blocking, socket = True, True, "HTTP"
    placed_by = ("hostname",)

    def __init__(
        self,
        name: str,
        hostname: str = "",
        port: int = 0,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        *,
        timeout: float | None = 30.0,
        limits: Limits = USUAL,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.patience = seconds("timeout", timeout)
        self.limits = limits
        super().__init__(
            name,
            where(hostname, port),
            zmq.REP,
            reply=True,
            broker_address=broker_address,
            bind=True,
            logger=logger,
            cache=cache,
            context=context,
            **functions,
        )

    def add_port(self, name: str, socket_type: int, **options: Any) -> Any:
        if name != "listen_to":
            return super().add_port(name, socket_type, **options)
        port = HttpPort(self, name, socket_type, side=self._listen, **options)
        self.ports.append(port)
        return port

    def _listen(self, port: HttpPort) -> Side:
        return listen(port, self.hostname, self.port, Front(port, self.patience), self.limits)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.listen_to.address

    def ended(self) -> None:
        assert isinstance(self.listen_to, HttpPort)
        self.listen_to.shut()

    def debug(self) -> None:
        """Take one message, answer it, and end: to be called in place of `start`."""
        before, self.messages = self.messages, 1
        try:
            self.start()
        finally:
            self.messages = before
