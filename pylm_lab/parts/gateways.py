"""Gateways: what is asked of a server over plain HTTP, and how the answers find back.

1. `HttpGateway` makes a message of each request and asks the gateway router, over a socket of its
   own whose identity is the message's client.
2. `GatewayRouter` hands the message to the router. The result goes to `GatewayDealer`, which hands
   it back to the gateway router, and that to the client that asked.
3. An answer that comes too late is dropped, by name: whoever asked has a socket, and an id, that
   nobody else ever has.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, Unpack

import zmq

from pylm_lab.errors import WiringError
from pylm_lab.loop import BATCH
from pylm_lab.parts.core import Inbound, Outbound
from pylm_lab.parts.http.gateway import MEETING, ROUTER, HttpGateway
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import Part, PartFunctions, read
from pylm_lab.parts.routing import zmq_context
from pylm_lab.persistence.kv import DictDB
from pylm_lab.port import Port

__all__ = ["GatewayDealer", "GatewayRouter", "HttpGateway"]

Context = zmq.Context[zmq.Socket[bytes]]

#: What the dealer is called in a server, and by the gateway router.
DEALER, IDENTITY = "gateway_dealer", b"dealer"


class GatewayRouter(Inbound):
    """Takes requests from gateways at a ROUTER socket, and hands the answers back to them.

    Its name is always `gateway_router`. In a server that has its gateway and dealer it is where
    those find it, and where they say, unless it is given an address; with no gateway beside it, at
    `inproc://gateway_router`, which is where a gateway elsewhere looks for it.
    """

    binds, blocking, socket = True, False, "ROUTER"

    def __init__(
        self,
        name: str = ROUTER,
        listen_address: str = MEETING,
        broker_address: str = "inproc://broker",
        cache: Any = None,
        logger: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            ROUTER,
            listen_address,
            zmq.ROUTER,
            reply=False,
            broker_address=broker_address,
            bind=True,
            logger=logger,
            cache=DictDB() if cache is None else cache,
            messages=messages,
            context=context,
            **functions,
        )
        #: Messages for which the router has given no credit yet.
        self._waiting: deque[PalmMessage] = deque()
        #: Where it is because of the other parts of its server; empty: a place of its own.
        self._met = ""

    @property
    def place(self) -> str:
        # Nobody but those who are in the same server with it needs to find it.
        own = f"inproc://{self.id}"
        return (
            self.listen_address
            or self._met
            or (f"{own}.{id(self):x}" if self.context is zmq_context else own)
        )

    def meet(self, guests: Sequence[Part]) -> None:
        told = {guest.listen_address: guest.name for guest in guests if guest.listen_address}
        own = self.listen_address
        if not own and not any(isinstance(guest, Outbound) for guest in guests):
            raise WiringError(
                f"{self.id} could hand back no answer: register_outbound(GatewayDealer) too, and "
                f"route={DEALER!r} to it, or give {ROUTER} a listen_address at which a dealer "
                "elsewhere finds it"
            )
        own = own or next(iter(told), "")
        for address, name in told.items():
            # Of other addresses there is more than one spelling.
            if address != own and address.startswith("inproc:") and own.startswith("inproc:"):
                raise WiringError(
                    f"{self.server}.{name} looks for {ROUTER} at {address!r}, but that is at "
                    f"{own!r}: give both one listen_address, or none"
                )
        alone = not any(isinstance(guest, HttpGateway) for guest in guests)
        self._met = own or (MEETING if alone else "")

    def directions(self) -> dict[str, Any]:
        return {"receives": "message", "sends": "message"}

    def open_ports(self) -> None:
        self.listen_to.open(self.context, router_mandatory=1)
        self.broker.open(self.context, routing_id=self.name.encode())

    def run(self) -> None:
        listen_to, broker = self.listen_to, self.broker
        self._credit = self.window
        self._listens = self.overrides("handle_feedback")
        self._waiting.clear()
        try:
            self._serve(listen_to, broker)
        finally:
            for message in self._waiting:
                frames = [b"", message.SerializeToString()]
                broker.drop(frames, f"{self.name} ended before there was credit for it")

    def _serve(self, listen_to: Port, broker: Port) -> None:
        asked = answered = 0
        while answered < self.messages:
            # Credit or not: what comes back has to be let through.
            port, batch = self.drain((listen_to, broker), BATCH)
            if port is broker:
                for frames in batch:
                    self._acknowledged(frames)
                self._hand_in_waiting()
                continue
            for frames in self.each(listen_to, batch):
                if len(frames) > 3:
                    answered += 1
                    self._hand_back(frames)
                elif asked < self.messages:
                    asked += 1
                    self._take_in(frames)
                else:
                    listen_to.drop(frames, f"{self.name} has taken {self.messages} messages")

    def _take_in(self, frames: list[bytes]) -> None:
        message = read(self.listen_to, frames)
        if message is None:
            return
        message.cache = message.cache or self.ids.text()
        self._waiting.extend(self.scattered(message, frames))
        self._hand_in_waiting()

    def _hand_in_waiting(self) -> None:
        while self._waiting and self._credit > 0:
            self._hand_in(self._waiting.popleft())

    def _hand_back(self, frames: list[bytes]) -> None:
        """Hand the answer to whoever asked: `dealer`, target, empty, message."""
        answer = [frames[1], b"", frames[-1]]
        try:
            self.emit(self.listen_to, answer)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            who = frames[1].decode(errors="backslashreplace")
            self.listen_to.drop(frames, f"{who} waits for it no longer")
            self.logger.warning("%s: %s waits for its answer no longer", self.id, who)


class GatewayDealer(Outbound):
    """Hands results from the router back to the gateway router, each for the client that asked.

    Its name is always `gateway_dealer`.
    """

    binds, blocking, socket = False, False, "DEALER"
    parses = True
    beside = ROUTER

    def __init__(
        self,
        name: str = "",
        listen_address: str = MEETING,
        broker_address: str = "inproc://broker",
        cache: Any = None,
        logger: Any = None,
        messages: int = sys.maxsize,
        *,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        super().__init__(
            DEALER,
            listen_address,
            zmq.DEALER,
            reply=False,
            broker_address=broker_address,
            bind=False,
            logger=logger,
            cache=DictDB() if cache is None else cache,
            messages=messages,
            context=context,
            **functions,
        )

    def open_ports(self) -> None:
        self.listen_to.open(self.context, routing_id=IDENTITY)
        self.broker.open(self.context, routing_id=self.name.encode())

    def pass_on(self, batch: list[list[bytes]]) -> None:
        out = []
        for frames in batch:
            message = read(self.broker, frames)
            if message is not None:
                out.append([message.client.encode(), b"", frames[-1]])
        if out:
            self.emit_many(self.listen_to, out, onward=True)

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        self.emit(self.listen_to, [message.client.encode(), b"", message.SerializeToString()])
