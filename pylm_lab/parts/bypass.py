"""Parts that have no wire to the router: a server's side doors."""

from __future__ import annotations

import sys
from typing import Any

import zmq

from pylm_lab import hook
from pylm_lab.arguments import seconds
from pylm_lab.parts.part import Part

__all__ = ["BypassInbound", "BypassOutbound"]


class _Bypass(Part):
    """A part with no wire to the router."""

    role = "bypass"
    bypass = True

    def __init__(
        self,
        name: str,
        listen_address: str,
        socket_type: int,
        reply: bool = True,
        bind: bool = False,
        logger: Any = None,
        cache: Any = None,
        messages: int = sys.maxsize,
        *,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        super().__init__(
            name, listen_address, socket_type, reply, bind, logger, cache, messages, context
        )


class BypassInbound(_Bypass):
    """A part that takes messages from outside and has no wire to the router.

    It answers in `recv(reply_data)` what it was asked last, if its pair expects an answer, and
    waits for the next. Override `handle` to say what to do with each message.
    """

    direction = "inbound"

    def directions(self) -> dict[str, hook.Kind]:
        return {"receives": "request", "sends": "answer"} if self.reply else {"receives": "message"}

    def recv(self, reply_data: bytes | None = None) -> bytes:
        """Answer the last message with `reply_data` (None: it was answered), get the next."""
        if reply_data is not None and self.reply:
            self.listen_to.send(reply_data)
        return self.listen_to.recv()

    def handle(self, data: bytes) -> bytes:
        """Override it: what to do with a message, and what to answer if its pair expects that."""
        return b""

    def _handled(self, data: bytes) -> bytes:
        """What `handle` answers; an error in it is that message's trouble: no answer."""
        try:
            answer = self.handle(data)
            if not isinstance(answer, bytes):
                raise TypeError(f"it returned {type(answer).__name__}, not bytes")
        except (Exception, SystemExit):
            self.logger.exception("%s: handle failed", self.id)
            return b""
        return answer

    def run(self) -> None:
        answer: bytes | None = None
        for _ in range(self.messages):
            answer = self._handled(self.recv(answer))
        if answer is not None and self.reply:
            self.listen_to.send(answer)


class BypassOutbound(_Bypass):
    """A part that sends to the outside and has no wire to the router.

    Call `send` from the thread that runs it: override `run`, which has nothing to wait for here.
    """

    direction = "outbound"

    def directions(self) -> dict[str, hook.Kind]:
        return {"sends": "request", "receives": "answer"} if self.reply else {"sends": "message"}

    def send(self, data: bytes, timeout: float | None = None) -> bytes | None:
        """Send `data` to the pair; returns its answer, if it gives one.

        Raises:
            PairTimeout: it gives one, but not within `timeout` seconds.
        """
        self.listen_to.send(data)
        return self.answer(seconds("timeout", timeout))[-1] if self.reply else None

    def run(self) -> None:
        self.next(())
