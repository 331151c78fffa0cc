"""HttpConnection: hands messages to a web server."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any, Unpack

import zmq
from google.protobuf.message import DecodeError

from pylm_lab.arguments import count
from pylm_lab.errors import NoAnswer
from pylm_lab.parts.core import Outbound
from pylm_lab.parts.http.port import FAILED, Answer, HttpPort, Side
from pylm_lab.parts.messages_pb2 import PalmError, PalmMessage
from pylm_lab.parts.part import PartFunctions
from pylm_lab.port import Port

__all__ = ["HttpConnection"]

Context = zmq.Context[zmq.Socket[bytes]]

#: The payload of a message that nobody could work on.
NOTHING = b"0"
#: Characters of what a server says of a failure that are kept.
TEXT = 200
#: Seconds beyond the timeout after which an answer is lost.
LATE = 1.0


class HttpConnection(Outbound):
    """Hands messages from the router to a web server, each as the body of a POST.

    The body of the answer is the feedback: to the inbound part if that was registered with
    `block=True`, and to the outbound part that its own `route` names, such as Pub. If there is no
    answer, or one with another status than 200, the feedback is the message itself with the payload
    `b'0'` and the field `error`, and one line is logged; the part goes on.

    Args:
        listen_address: the URL.
        reply: wait for the answer to each message. That is a blocking part: the server does nothing
            else meanwhile (see `hold` of the router). Else up to `max_workers` are on their way at
            once, the router gets an acknowledgement at once, and answers only reach
            `handle_feedback`.
        max_workers: threads, and connections to the web server.
        timeout: seconds that it waits for a server to say more; None: as long as it takes.
    """

    binds, blocking, socket = False, True, "HTTP"

    def __init__(
        self,
        name: str,
        listen_address: str,
        reply: bool = True,
        broker_address: str = "inproc://broker",
        logger: Any = None,
        cache: Any = None,
        max_workers: int = 4,
        messages: int = sys.maxsize,
        *,
        timeout: float | None = 30.0,
        context: Context | None = None,
        **functions: Unpack[PartFunctions],
    ) -> None:
        self.max_workers = count(
            "max_workers", max_workers, "how many messages may be on their way"
        )
        #: The callers that have nothing to do, and what the others have been given.
        self._idle: list[bytes] = []
        self._asked: dict[bytes, list[bytes]] = {}
        self._number = 0
        super().__init__(
            name,
            listen_address,
            zmq.ROUTER,
            reply=reply,
            broker_address=broker_address,
            bind=False,
            logger=logger,
            cache=cache,
            messages=messages,
            timeout=timeout,
            context=context,
            **functions,
        )

    def directions(self) -> dict[str, Any]:
        # Whether anybody waits for them or not, answers come.
        return {"sends": "message", "receives": "answer"}

    def add_port(self, name: str, socket_type: int, **options: Any) -> Any:
        if name != "listen_to":
            return super().add_port(name, socket_type, **options)
        port = HttpPort(self, name, socket_type, side=self._call, **options)
        self.ports.append(port)
        return port

    def _call(self, port: HttpPort) -> Side:
        # Whoever has no HTTP part does not load it.
        from pylm_lab.parts.http.callers import Callers, Palm

        url = port.address
        callers = Callers(port, url, self.max_workers, self.timeout, Palm(url))
        self._idle = list(callers.names)
        self._asked.clear()
        return callers

    def open_ports(self) -> None:
        self.listen_to.open(self.context, router_mandatory=1)
        self.listen_to.can_receive()  # now it knows every caller
        self.broker.open(self.context, routing_id=self.name.encode())

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (self.broker,) if self.reply else (self.broker, self.listen_to)

    def pass_on(self, batch: list[list[bytes]]) -> None:
        for frames in batch:
            self._post(frames[-1], onward=True)

    def hand_out(self, frames: list[bytes]) -> None:
        self._post(frames[-1], onward=False)
        while self.reply and self._asked:
            self._hear_one()

    def _post(self, data: bytes, *, onward: bool) -> None:
        while not self._idle:
            self._hear_one()
        caller = self._idle.pop()  # whose connection was in use last
        self._number += 1
        frames = [caller, b"%d" % self._number, data]
        self.emit_many(self.listen_to, [frames], onward=onward)
        self._asked[caller] = frames

    def _hear_one(self) -> None:
        """Wait for an answer. That there is none is one, too: it is only lost where faults act."""
        late = None if self.timeout is None else self.timeout + LATE
        try:
            self.heard(*self.next((self.listen_to,), None, late))
        except NoAnswer:
            caller, number, _ = next(iter(self._asked.values()))
            self.heard(self.listen_to, [caller, number, FAILED, b"NoAnswer", b"it was lost"])

    def heard(self, port: Port, frames: list[bytes]) -> None:
        answer = Answer.of(frames)
        asked = self._asked.get(answer.caller)
        if asked is None or asked[1] != answer.number:
            if answer.came:
                port.drop(frames, "it answers an earlier question")
            return
        del self._asked[answer.caller]
        self._idle.append(answer.caller)
        if answer.failed:
            if not answer.came:
                port.drop(asked, f"{port.address}: {answer.text}")
            text = answer.text[:TEXT] or _phrase(answer.failed)
            feedback = self._failed(asked[-1], answer.failed, text)
        else:
            feedback = answer.body
        if self.reply:
            self._feedback = feedback
        self.hears_feedback(feedback)

    def _failed(self, asked: bytes, kind: str, text: str) -> bytes:
        """Log that nobody has worked on a message, and tell it as if it was its answer."""
        self.logger.error("%s: %s: %s: %s", self.id, self.listen_to.address, kind, text)
        try:
            message = PalmMessage.FromString(asked)
        except DecodeError:
            return NOTHING
        told = PalmError(server=self.id, function=message.function[:TEXT], kind=kind, text=text)
        message.payload = NOTHING
        message.error.CopyFrom(told)
        return message.SerializeToString()

    def ended(self) -> None:
        assert isinstance(self.listen_to, HttpPort)
        self.listen_to.shut()


def _phrase(failed: str) -> str:
    """What a status means, where the server has said nothing else."""
    number = failed.removeprefix("HTTP ")
    return next((one.phrase for one in HTTPStatus if str(one.value) == number), failed)
